//! A session as it is kept.

use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::store::token::Digest;

/// One person, job or agent, one database, one purpose, one end.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id, which is also the user name at the gateway.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// The login it was asked for with; a logout ends the sessions of its family.
    pub family: Option<String>,
    /// Which database.
    pub database: DatabaseName,
    /// What for.
    pub access: Access,
    /// Why, in the subject's words.
    pub reason: String,
    /// When it was granted.
    pub opened: Timestamp,
    /// When it ends at the latest.
    pub ends: Timestamp,
    /// Where it is in its life.
    pub state: State,
    /// The role of its present lease.
    pub role: Option<String>,
    /// What its clients prove who they are with.
    pub credential: Credential,
    /// The review it was granted by.
    pub request: Option<RequestId>,
    /// What the policy granted, as the broker writes it; the store does not look into it.
    pub grant: String,
}

/// Where a session is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Granted; its lease is being made.
    Opening,
    /// Clients may connect.
    Open,
    /// Being ended: no client may connect any more.
    Closing {
        /// Why.
        why: CloseReason,
        /// Since when.
        since: Timestamp,
    },
    /// Over.
    Closed {
        /// Why.
        why: CloseReason,
        /// Since when.
        at: Timestamp,
    },
}

impl State {
    /// Opening or open: it may still be used.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Opening | Self::Open)
    }
}

/// What checks a session's secret; the secret itself is kept nowhere.
#[derive(Debug, Clone)]
pub struct Credential {
    /// PostgreSQL's `SCRAM-SHA-256$…` text.
    pub verifier: Secret<String>,
    /// SHA-256 of the secret (which has enough entropy to stand this).
    pub digest: Digest,
}

/// Which sessions to list; everything that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this subject.
    pub subject: Option<subject::Id>,
    /// On this database.
    pub database: Option<DatabaseName>,
    /// Which part of their lives.
    pub phase: Phase,
    /// At most so many; 0 = no limit.
    pub limit: u32,
}

/// A part of a session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Any.
    #[default]
    Any,
    /// Opening or open.
    Live,
    /// Everything but closed: what a restarted broker must look after.
    Unfinished,
    /// Closed.
    Closed,
}
