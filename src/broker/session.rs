//! A session: one person, job or agent, one database, one purpose, one end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::audit::event::Client;
use crate::broker::lease::Mailbox;
use crate::broker::limit::Caps;
use crate::broker::place::Place;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject::Subject;
use crate::model::time::{Clock, Timestamp};
use crate::policy::open::Grant;
use crate::store;
use crate::wire::scram::Verifier;

/// An open session, shared by everybody who has to do with it.
#[derive(Debug)]
pub struct Session {
    /// Its id, and the user name at the gateway.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// The login it was asked for with.
    pub family: Option<String>,
    /// Which database.
    pub database: DatabaseName,
    /// What for.
    pub access: Access,
    /// Why, in the subject's words; may be empty.
    pub reason: String,
    /// When it was granted.
    pub opened: Timestamp,
    /// The approval it was opened with or is to use.
    pub request: Option<RequestId>,
    /// Whether that approval was for opening it.
    pub approved: bool,
    /// What the policy granted.
    pub terms: Terms,
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
    end: Mutex<End>,
    ended: watch::Sender<Option<CloseReason>>,
    verifier: Mutex<Verifier>,
    connections: AtomicU32,
    numbers: AtomicU64,
    /// Backends that came through the gateway; any other of this lease did not.
    backends: Mutex<HashSet<u32>>,
    /// Whether its lease may log in at this moment.
    door: AtomicBool,
    /// Whether the approval that it brought along has been used.
    spent: AtomicBool,
}

/// When a session ends: by the calendar, for the database and for people, and by a clock that does not jump.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Timestamp,
    monotonic: Duration,
}

/// What the policy granted, as far as it must be known later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The entries it rests on.
    pub rules: Vec<String>,
    /// PostgreSQL roles whose rights it has.
    pub roles: Vec<String>,
    /// Who gets what it leaves behind.
    pub owner: Option<String>,
    /// How long it was granted for, in seconds.
    pub seconds: u64,
    /// How long it can last at most, from its opening, in seconds.
    pub longest: u64,
    /// Whether its opening was approved by somebody.
    #[serde(default)]
    pub approved: bool,
}

impl Terms {
    /// What of a grant is kept.
    pub(super) fn new(grant: &Grant, approved: bool) -> Self {
        Self {
            rules: grant.rules.clone(),
            roles: grant.roles.clone(),
            owner: grant.owner.clone(),
            seconds: grant.duration.as_secs(),
            longest: grant.longest.as_secs(),
            approved,
        }
    }

    /// Whether a grant gives the same rights in the database.
    pub(super) fn gives_as(&self, grant: &Grant) -> bool {
        self.roles == grant.roles && self.owner == grant.owner
    }
}

impl Session {
    /// A session as the store keeps it, alive again.
    pub(super) fn new(
        kept: &store::session::Session,
        terms: Terms,
        verifier: Verifier,
        place: Arc<Place>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let end = End::new(kept.ends, &*clock);
        Self {
            id: kept.id.clone(),
            subject: kept.subject.clone(),
            family: kept.family.clone(),
            database: kept.database.clone(),
            access: kept.access,
            reason: kept.reason.clone(),
            opened: kept.opened,
            request: kept.request.clone(),
            approved: terms.approved,
            terms,
            place,
            clock,
            end: Mutex::new(end),
            ended: watch::channel(None).0,
            verifier: Mutex::new(verifier),
            connections: AtomicU32::new(0),
            numbers: AtomicU64::new(0),
            backends: Mutex::new(HashSet::new()),
            door: AtomicBool::new(false),
            spent: AtomicBool::new(false),
        }
    }

    /// Whether it brought a request along that it has not used yet.
    #[must_use]
    pub fn brings(&self) -> bool {
        self.request.is_some() && !self.approved && !self.has_spent()
    }

    /// Whether the approval that it brought along has been used.
    fn has_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// The approval that it brought along is used now.
    pub(super) fn spend(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    /// When it ends at the latest.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.end().at
    }

    /// How much time is left, by the clock that leaves less of it.
    #[must_use]
    pub fn left(&self) -> Duration {
        let end = self.end();
        let ours = end.monotonic.saturating_sub(self.clock.monotonic());
        match self.place.now() {
            Some(theirs) => ours.min(theirs.until(end.at)),
            None => ours,
        }
    }

    /// Why it is over, if it is: by a decision, or because its time is up by either clock. To be asked at every use.
    #[must_use]
    pub fn over(&self) -> Option<CloseReason> {
        let decided = self.ended.borrow().clone();
        decided.or_else(|| self.left().is_zero().then_some(CloseReason::Expired))
    }

    /// Tells when it is over, and when its end is another than before.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<CloseReason>> {
        self.ended.subscribe()
    }

    /// Its database.
    #[must_use]
    pub const fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// How many clients are attached.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The time limits of a connection made now; `statement` is the policy's limit.
    #[must_use]
    pub fn caps(&self, statement: Option<Duration>) -> Caps {
        Caps::new(self.left(), statement)
    }

    /// What a client has to prove to know.
    pub(super) fn verifier(&self) -> Verifier {
        self.verifier
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on, another secret counts.
    pub(super) fn set_verifier(&self, verifier: Verifier) {
        *self.verifier.lock().unwrap_or_else(PoisonError::into_inner) = verifier;
    }

    /// Ends it for everybody who watches; `false` when it was over before.
    pub(super) fn close(&self, why: &CloseReason) -> bool {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why.clone());
            }
            first
        })
    }

    /// Moves its end.
    pub(super) fn set_end(&self, at: Timestamp) {
        let end = End::new(at, &*self.clock);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        // Who watches looks again, and finds it as open as before.
        self.ended.send_modify(|_| {});
    }

    /// Whether its lease is meant to be able to log in at this moment.
    pub(super) fn has_open_door(&self) -> bool {
        self.door.load(Ordering::SeqCst)
    }

    /// Its lease is about to be able to log in, or no longer is.
    pub(super) fn set_door(&self, open: bool) {
        self.door.store(open, Ordering::SeqCst);
    }

    /// Its backend of that process id came through the gateway.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.backends().contains(&pid)
    }

    /// A backend came through the gateway.
    pub(super) fn learn(&self, pid: u32) {
        self.backends().insert(pid);
    }

    fn backends(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> End {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    fn new(at: Timestamp, clock: &dyn Clock) -> Self {
        Self {
            at,
            monotonic: clock.monotonic().saturating_add(clock.now().until(at)),
        }
    }
}

/// A client in a session. Dropping it detaches the client.
#[derive(Debug)]
pub struct Attachment {
    /// The session.
    pub session: Arc<Session>,
    /// Tells when the session is over; [`Session::over`] is to be asked at every use, too.
    pub ended: watch::Receiver<Option<CloseReason>>,
    /// Which of the session's connections this is, from 1.
    pub number: u64,
    /// Where the client is.
    pub client: Client,
    pub(super) mailbox: Mailbox,
}

impl Attachment {
    pub(super) fn new(session: Arc<Session>, client: Client, mailbox: Mailbox) -> Self {
        session.connections.fetch_add(1, Ordering::Relaxed);
        let number = session.numbers.fetch_add(1, Ordering::Relaxed);
        Self {
            ended: session.watch(),
            number: number.saturating_add(1),
            client,
            mailbox,
            session,
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.session.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
