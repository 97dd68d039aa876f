//! SIGINT, SIGTERM and SIGHUP, for commands that end in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::error::Error;

/// Waits for a signal that ends programs.
#[derive(Debug)]
pub(crate) struct Ended {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

/// Begins to listen; from here on, these signals no longer end the process by themselves.
pub(crate) fn ended() -> Result<Ended, Error> {
    Ok(Ended {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
        hangup: None,
    })
}

/// Waits for what ends a program from outside while Ctrl-C means something else to it.
#[derive(Debug)]
pub(crate) struct Killed {
    terminate: Signal,
    hangup: Signal,
}

/// Begins to listen; from here on, these signals no longer end the process by themselves.
pub(crate) fn killed() -> Result<Killed, Error> {
    Ok(Killed {
        terminate: listen(SignalKind::terminate())?,
        hangup: listen(SignalKind::hangup())?,
    })
}

fn listen(kind: SignalKind) -> Result<Signal, Error> {
    signal(kind).map_err(|error| Error::setup(format!("listen to signals: {error}")))
}

impl Killed {
    /// The number of the signal that came. Cancel-safe.
    pub(crate) async fn wait(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}

impl Ended {
    /// The same, and the end of the terminal, where there is one: without, a broker takes the signal as the wish to read its policy
    /// again.
    pub(crate) fn or_hangup(self) -> Result<Self, Error> {
        let hangup = match std::fs::File::open("/dev/tty") {
            Ok(_) => Some(listen(SignalKind::hangup())?),
            Err(_) => None,
        };
        Ok(Self { hangup, ..self })
    }

    /// The number of the signal that came.
    pub(crate) async fn wait(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            () = hung_up(self.hangup.as_mut()) => 1,
        }
    }
}

async fn hung_up(hangup: Option<&mut Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}
