//! What the broker remembers over a restart: the contract, and SQLite behind it.
//!
//! Reading order: `session`, `lease`, `request`, `token` (what is kept) → [`Store`] (what may happen to it) →
//! `sqlite` (how it is kept) → `lock` (one process a data directory).
//!
//! **Invariant:** every change of state is a compare-and-swap that touches exactly one row or none, and says which.
//! Two who race for the same change get one `true` between them.

pub mod lease;
pub mod lock;
pub mod request;
pub mod session;
pub mod sqlite;
pub mod token;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject;
use crate::model::time::Timestamp;
use crate::store::lease::Lease;
use crate::store::request::{Approval, Denial, Request, Settled, Spend};
use crate::store::session::{Credential, Session};
use crate::store::token::{Digest, Token};

/// The state a broker keeps. Each call is queued when it is made and carried out in that order; an answer arrives
/// after the change is durable. Dropping an [`Answer`] does not undo the call.
pub trait Store: Send + Sync + fmt::Debug {
    /// Keeps a new session, in state opening.
    fn add_session(&self, session: &Session) -> Answer<()>;
    /// The session of that id.
    fn session(&self, id: &SessionId) -> Answer<Option<Session>>;
    /// Sessions, newest first.
    fn sessions(&self, filter: &session::Filter) -> Answer<Vec<Session>>;
    /// Opening → open.
    fn open_session(&self, id: &SessionId) -> Answer<bool>;
    /// Opening or open → closing. The first reason stays.
    fn begin_close(&self, id: &SessionId, why: &CloseReason, at: Timestamp) -> Answer<bool>;
    /// Closing → closed.
    fn finish_close(&self, id: &SessionId, at: Timestamp) -> Answer<bool>;
    /// Moves the end of an open session from `ends` to `to`.
    fn renew_session(&self, id: &SessionId, ends: Timestamp, to: Timestamp) -> Answer<bool>;
    /// Changes the lease role of an opening or open session from `old` to `new`.
    fn replace_role(&self, id: &SessionId, old: Option<&str>, new: Option<&str>) -> Answer<bool>;
    /// Gives an opening or open session a new credential; the old one is worth nothing from then on.
    fn replace_credential(&self, id: &SessionId, credential: &Credential) -> Answer<bool>;
    /// The opening or open sessions of a login family, for a logout.
    fn sessions_of_family(&self, family: &str) -> Answer<Vec<Session>>;

    /// Keeps a lease before its role is created (state intent).
    fn add_lease(&self, lease: &Lease) -> Answer<()>;
    /// The lease of that role name.
    fn lease(&self, role: &str) -> Answer<Option<Lease>>;
    /// All leases that have not ended, oldest first.
    fn leases(&self) -> Answer<Vec<Lease>>;
    /// `from` → `to`.
    fn move_lease(&self, role: &str, from: lease::State, to: lease::State) -> Answer<bool>;
    /// Any state → stuck, with what went wrong and when to try again; counts the tries.
    fn stick_lease(&self, role: &str, error: &str, next: Timestamp) -> Answer<bool>;
    /// Forgets a lease after its role is gone.
    fn end_lease(&self, role: &str) -> Answer<bool>;

    /// Keeps a new request, in state pending.
    fn add_request(&self, request: &Request) -> Answer<()>;
    /// The request of that id.
    fn request(&self, id: &RequestId) -> Answer<Option<Request>>;
    /// Requests, newest first.
    fn requests(&self, filter: &request::Filter) -> Answer<Vec<Request>>;
    /// Counts an approval; with the last one needed, pending → approved.
    fn approve(&self, id: &RequestId, approval: &Approval) -> Answer<Settled>;
    /// Pending → denied.
    fn deny(&self, id: &RequestId, denial: &Denial) -> Answer<Settled>;
    /// Pending → pending, without a client that waits: what is asked and when it ends are these from now on.
    fn keep_request(&self, id: &RequestId, what: &str, expires: Timestamp) -> Answer<Settled>;
    /// Pending or approved → withdrawn, by who asked.
    fn withdraw(&self, id: &RequestId) -> Answer<Settled>;
    /// Approved → used, if it is what was approved, asked by the same subject, and not too late.
    fn spend(&self, id: &RequestId, spend: &Spend) -> Answer<Settled>;
    /// Pending or approved → expired, for all whose time is up; says which.
    fn expire_requests(&self, now: Timestamp) -> Answer<Vec<Request>>;

    /// Keeps a token of our own API, by its hash.
    fn add_token(&self, token: &Token) -> Answer<()>;
    /// The token with that hash, if it has not expired.
    fn token(&self, digest: &Digest, now: Timestamp) -> Answer<Option<Token>>;
    /// The token with that hash, whether it has expired or not: to know which login it came from.
    fn past_token(&self, digest: &Digest) -> Answer<Option<Token>>;
    /// Whether a login family has not ended.
    fn has_family(&self, family: &str) -> Answer<bool>;
    /// Forgets all tokens of a login family; says how many there were.
    fn end_family(&self, family: &str) -> Answer<u64>;
    /// Forgets all tokens of a subject; says how many there were.
    fn end_subject(&self, subject: &subject::Id) -> Answer<u64>;
    /// Marks something that may be used once (`issuer` and `jti` of a token); `true` for the first who asks.
    fn use_once(&self, what: &str, until: Timestamp) -> Answer<bool>;
    /// How many closed sessions and settled requests are older than `keep`.
    fn forgettable(&self, keep: Timestamp) -> Answer<u64>;
    /// Forgets tokens and once-marks that have expired, and closed sessions and settled requests older than `keep`. A token whose
    /// login has a session that is not closed is kept, so that a logout still finds it.
    fn forget(&self, now: Timestamp, keep: Timestamp) -> Answer<u64>;

    /// Why nothing can be kept at this moment, such as a full disk; known from the last change that was tried.
    fn trouble(&self) -> Option<String>;
}

/// An answer that is on its way.
#[must_use = "an answer that nobody waits for may be an error nobody sees"]
#[derive(Debug)]
pub struct Answer<T>(Waiting<T>);

#[derive(Debug)]
enum Waiting<T> {
    Reply(oneshot::Receiver<Result<T, Error>>),
    Failed(Option<Error>),
}

impl<T> Answer<T> {
    /// An answer that will arrive through `reply`.
    pub const fn new(reply: oneshot::Receiver<Result<T, Error>>) -> Self {
        Self(Waiting::Reply(reply))
    }

    /// An answer that is an error already.
    pub const fn failed(error: Error) -> Self {
        Self(Waiting::Failed(Some(error)))
    }

    /// Blocks until the answer is there; for threads that are no async tasks.
    ///
    /// # Errors
    /// Whatever the call failed with.
    pub fn wait(self) -> Result<T, Error> {
        match self.0 {
            Waiting::Reply(reply) => reply.blocking_recv().unwrap_or(Err(Error::Closed)),
            Waiting::Failed(error) => Err(error.unwrap_or(Error::Closed)),
        }
    }
}

impl<T> Unpin for Answer<T> {}

impl<T> Future for Answer<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Waiting::Reply(reply) => Pin::new(reply)
                .poll(context)
                .map(|received| received.unwrap_or(Err(Error::Closed))),
            Waiting::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
        }
    }
}

/// Why something could not be remembered or recalled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process works on this data directory.
    #[error("the data directory `{directory}` is in use by another broker (process {pid})")]
    Locked {
        /// The directory.
        directory: String,
        /// Whose it is; `unknown` when the holder has not said.
        pid: String,
    },
    /// A directory or file could not be prepared.
    #[error("{doing} `{path}`: {reason}")]
    Prepare {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// On what.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The SQLite that is linked has a bug that corrupts databases.
    #[error("SQLite {found} is too old; 3.51.3 or later is needed")]
    Outdated {
        /// The version that is linked.
        found: String,
    },
    /// The database was written by a later version of dbgate.
    #[error("the state has version {found}, this dbgate knows versions up to {known}")]
    Newer {
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The database refused or failed.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// What the database said.
        reason: String,
    },
    /// Something stored cannot be read back.
    #[error("a stored {what} cannot be read: {reason}")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More calls wait than may.
    #[error("the state store has too much to do; try again")]
    Busy,
    /// The store has been closed or its thread is gone.
    #[error("the state store is closed")]
    Closed,
}
