//! SIGINT, SIGTERM and SIGHUP, for commands that end in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::error::Error;

/// Waits for a signal that ends programs.
#[derive(Debug)]
pub(crate) struct Ended {
    interrupt: Signal,
    terminate: Signal,
}

/// Begins to listen; from here on, these signals no longer end the process by themselves.
pub(crate) fn ended() -> Result<Ended, Error> {
    let listen =
        |kind| signal(kind).map_err(|error| Error::setup(format!("listen to signals: {error}")));
    Ok(Ended {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
    })
}

impl Ended {
    /// The number of the signal that came.
    pub(crate) async fn wait(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}
