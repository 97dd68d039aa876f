//! Local listeners for native tools: they end the local protocol and are clients of the gateway themselves.
//!
//! Reading order: `place` (what stays the same each time) → `settings` (how it is told) → `keeper` (the session behind a listener) →
//! `door` (a local client comes in) → `relay` (its bytes, both ways) → `listen` (the listener).
//!
//! **Invariant:** who does not know the local secret causes nothing: no session, no login, no connection to the gateway.

pub mod door;
pub mod keeper;
pub mod listen;
pub mod place;
pub mod relay;
pub mod settings;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use crate::model::secret::Secret;
use crate::remote::broker::Broker;
use crate::wire::error::{Fields, Severity, SqlState};

/// What can go wrong with a tunnel itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is somebody else's.
    #[error("port {port} on 127.0.0.1 is in use")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// No port or socket could be had.
    #[error("listen on {place}: {source}")]
    Listen {
        /// Where.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// The file that remembers ports and secrets cannot be used.
    #[error("use `{path}`: {why}")]
    Place {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A form of settings that cannot say what is to be said.
    #[error("{0}")]
    Unsayable(&'static str),
}

/// What a tunnel has to say, or needs to know, while it runs.
#[derive(Debug)]
pub enum News {
    /// Something happened.
    Said(Tone, String),
    /// The broker is needed, as somebody who is signed in; asked again later when the answer is an error.
    Login(oneshot::Sender<Result<Broker, NotIn>>),
}

/// How loud something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// For who wants to know everything.
    Detail,
    /// In the course of things.
    Status,
    /// The person should look.
    Warning,
    /// What to do.
    Hint,
}

/// Why there is no broker to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotIn {
    /// Somebody has to sign in first.
    Login(String),
    /// Something else is wrong.
    Other(String),
}

/// Where news go. Bounded: when nobody listens, tunnels wait instead of piling up.
pub type Speaker = mpsc::Sender<News>;

/// Says something; nobody listening is no failure.
async fn say(speaker: &Speaker, tone: Tone, text: impl Into<String>) {
    speaker.send(News::Said(tone, text.into())).await.ok();
}

/// Who may come in at a listener, and with which secret.
#[derive(Debug, Clone)]
pub struct Local {
    /// The user name.
    pub user: String,
    /// The password.
    pub secret: Secret<String>,
}

/// Why a local client is not let through: told in its own protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    fields: Box<Fields>,
}

impl Refusal {
    /// A refusal with a cause.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        let message = format!("dbgate: {}", message.into());
        let fields = Box::new(Fields::new(Severity::Fatal, code, message));
        Self { fields }
    }

    /// The same, with what would help.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.fields.hint = Some(hint.into());
        self
    }

    /// What the client is told.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}
