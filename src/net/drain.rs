//! Stopping: everyone is told, and whoever stops waits until all have let go.

use std::time::Duration;

use tokio::sync::watch;

/// Held by whoever stops the program.
#[derive(Debug)]
pub struct Drain {
    started: watch::Sender<bool>,
}

/// Held by everything that has to come to an end first: letting go of it is the answer.
#[derive(Debug, Clone)]
pub struct Signal {
    started: watch::Receiver<bool>,
}

/// Both ends.
#[must_use]
pub fn pair() -> (Drain, Signal) {
    let (sender, receiver) = watch::channel(false);
    let drain = Drain { started: sender };
    (drain, Signal { started: receiver })
}

impl Drain {
    /// Tells everyone to come to an end.
    pub fn start(&self) {
        self.started.send_replace(true);
    }

    /// How many signals are still held.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.started.receiver_count()
    }

    /// Tells everyone, and waits until all signals are dropped or `limit` is over; whether all were.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.start();
        tokio::time::timeout(limit, self.started.closed())
            .await
            .is_ok()
    }
}

impl Signal {
    /// Whether the end has begun.
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.started.borrow()
    }

    /// Waits until it begins; at once when it has, or when nobody is there to begin it. Cancel-safe.
    pub async fn started(&mut self) {
        // An error means that the other end is gone: the program ends.
        self.started.wait_for(|started| *started).await.ok();
    }
}
