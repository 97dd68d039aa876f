//! The target database, seen from the broker: connections for clients, and the admin role's own work.
//!
//! Reading order: `target` → `dial` → `connect`, `cancel` → `admin`, `quote` → `role` → `catalog`, `watcher` → `check`.
//!
//! **Invariant:** what a client says never reaches the admin's connection as SQL text: identifiers and literals go
//! through [`quote`], and the connection's `search_path` is `pg_catalog` alone.

pub mod admin;
pub mod cancel;
pub mod catalog;
pub mod check;
pub mod connect;
pub mod dial;
pub mod quote;
pub mod role;
pub mod target;
pub mod watcher;

#[cfg(test)]
mod tests;

use std::time::Duration;

/// How long each phase of a connection may take: dial, TLS, authentication.
pub const PHASE: Duration = Duration::from_secs(10);

/// What can go wrong between the broker and a database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("connect to {address}: {source}")]
    Dial {
        /// Where to.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// TLS could not be agreed on.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// With whom.
        address: String,
        /// Why not.
        reason: String,
    },
    /// A phase took longer than [`PHASE`].
    #[error("the database did not answer within {} s while the broker waited for {phase}", PHASE.as_secs())]
    Slow {
        /// What was waited for.
        phase: &'static str,
    },
    /// The connection broke.
    #[error("the connection to the database broke: {0}")]
    Io(#[from] std::io::Error),
    /// The database said no.
    #[error("the database refused: {message} (SQLSTATE {code})")]
    Refused {
        /// The five characters; `XX000` when the server sent none.
        code: String,
        /// Its primary message, as it came: not to be trusted, and not for clients before authentication.
        message: String,
    },
    /// The server does not keep to the protocol, or to what we ask of it.
    #[error("the database's answer is not acceptable: {0}")]
    Protocol(String),
    /// A statement of the admin role failed.
    #[error("{doing}: {}", words(source))]
    Admin {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
    /// The database answered with something the broker cannot read.
    #[error("{doing}: unexpected answer: {what}")]
    Answer {
        /// What was being done.
        doing: &'static str,
        /// What came.
        what: String,
    },
}

impl Error {
    /// The SQLSTATE the database gave, if it gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Admin { source, .. } => source.code().map(tokio_postgres::error::SqlState::code),
            Self::Dial { .. }
            | Self::Tls { .. }
            | Self::Slow { .. }
            | Self::Io(_)
            | Self::Protocol(_)
            | Self::Answer { .. } => None,
        }
    }

    /// Whether the database could not be reached or is not ready: worth another try later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Dial { .. } | Self::Slow { .. } | Self::Io(_) => true,
            Self::Admin { source, .. } if source.code().is_none() => true,
            _ => self.sqlstate().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "53300"
            }),
        }
    }
}

/// The server's words with the detail, which names what stands in the way; the driver's own where there are none.
fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => match said.detail() {
            Some(detail) => format!("{}: {}", said.message(), detail.replace('\n', ", ")),
            None => said.message().to_owned(),
        },
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// Waits for `work`, at most [`PHASE`].
async fn within<T>(
    phase: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(PHASE, work)
        .await
        .unwrap_or(Err(Error::Slow { phase }))
}
