//! A lease as it is kept: the trace of a role in a database, from before it exists until it is gone.

use std::fmt;

use crate::model::name::DatabaseName;
use crate::model::session::SessionId;
use crate::model::time::Timestamp;

/// A session's PostgreSQL role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The role's name: `dbgate_<person>_<id>`.
    pub role: String,
    /// Whose it is.
    pub session: SessionId,
    /// The database it was made in.
    pub database: DatabaseName,
    /// Where it is in its life.
    pub state: State,
    /// When its intent was written.
    pub created: Timestamp,
    /// `VALID UNTIL`.
    pub ends: Timestamp,
    /// How often ending it has failed.
    pub tries: u32,
    /// What it failed with last.
    pub error: Option<String>,
    /// When to try again.
    pub next: Option<Timestamp>,
    /// What ending it needs to know (owner, …), as the broker writes it; the store does not look into it.
    pub detail: String,
}

/// Where a lease is in its life. A lease that has ended is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// About to be created: the role may exist or not.
    Intent,
    /// The role exists.
    Created,
    /// The role is being ended.
    Closing,
    /// Ending it failed; it stays closed and is tried again.
    Stuck,
}

impl State {
    /// The word it is kept as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Created => "created",
            Self::Closing => "closing",
            Self::Stuck => "stuck",
        }
    }

    /// Reads the word it is kept as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intent, Self::Created, Self::Closing, Self::Stuck]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
