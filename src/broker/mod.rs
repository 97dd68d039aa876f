//! Sessions, leases and requests: every operation in one place, for every entrance.
//!
//! Reading order: `place` (a database) → `session` → `limit` → `lease` (its role) → `open` (how a session begins) → `reaper`
//! (how it ends) → `request` (what waits for approval) → `record` (what the log is told).
//!
//! **Invariant:** every change is recorded before it takes effect; ending access alone does not wait for a log that cannot be
//! written.

mod forget;
pub mod lease;
pub mod limit;
pub mod login;
pub mod metrics;
pub mod open;
pub mod place;
mod reaper;
mod record;
pub mod request;
pub mod session;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::audit;
use crate::audit::event::{Action, Client, Context, Event};
use crate::audit::log::Log;
use crate::audit::refusal::Tally;
use crate::broker::lease::{Command, Entered, Job, Mailbox};
use crate::broker::place::Place;
use crate::broker::request::desk::Desk;
use crate::broker::request::webhook::{self, Hook};
use crate::broker::session::{Attachment, Session};
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject::Subject;
use crate::model::time::{Clock, Entropy};
use crate::policy::{Denial, Policy};
use crate::sql;
use crate::store::{self, Store};
use crate::upstream;
use crate::upstream::target::Target;
use crate::wire::scram::Verifier;

/// How often sessions are looked through for those whose time is up.
const TICK: Duration = Duration::from_millis(200);
/// How long the end of all leases may take when the broker stops.
const STOP: Duration = Duration::from_secs(20);

/// What a broker is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// Where everything is recorded.
    pub log: Log,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// The policy to begin with.
    pub policy: Arc<Policy>,
    /// The databases that are offered.
    pub targets: Vec<Target>,
    /// Who is told of requests.
    pub webhook: Option<webhook::Options>,
    /// How long sessions and reviews are remembered that are over.
    pub remember: Duration,
}

/// What the broker's tasks share.
#[derive(Debug)]
pub(crate) struct Core {
    store: Arc<dyn Store>,
    log: Log,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tasks: Mutex<JoinSet<()>>,
    /// How many leases were stuck when they were last looked at.
    stuck: AtomicUsize,
    refusals: Mutex<Tally>,
}

impl Core {
    /// Starts a task that ends with the broker.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go, so that the set does not grow with every session there ever was.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// A new secret of 256 bits, as text.
    fn secret(&self) -> Secret<String> {
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        lease::secret_text(&bytes)
    }
}

/// A session and the way to its task.
#[derive(Debug, Clone)]
struct Handle {
    session: Arc<Session>,
    mailbox: Mailbox,
}

/// The broker.
#[derive(Debug)]
pub struct Broker {
    core: Arc<Core>,
    policy: watch::Sender<Arc<Policy>>,
    places: BTreeMap<DatabaseName, Arc<Place>>,
    sessions: Mutex<HashMap<SessionId, Handle>>,
    desk: Desk,
    /// Makes verifiers for users who do not exist.
    mock: Secret<[u8; 32]>,
    stopping: watch::Sender<bool>,
}

/// What somebody asks a session for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The database's offered name.
    pub database: DatabaseName,
    /// Why.
    pub reason: Option<String>,
    /// How long; none = as long as the policy says.
    pub duration: Option<Duration>,
    /// What for.
    pub access: Access,
    /// An approval to make use of.
    pub request: Option<RequestId>,
    /// The login it is asked with; a logout ends the sessions of its family.
    pub family: Option<String>,
}

impl Broker {
    /// Ends what a crash left behind, takes up the sessions whose end has not come, and begins to keep them.
    ///
    /// Returns only after no lease of an earlier run can log in any more, as far as the databases can be reached.
    ///
    /// # Errors
    /// When the store or the log fails.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, Error> {
        let (policy, held) = watch::channel(Arc::clone(&parts.policy));
        let core = Arc::new(Core {
            store: parts.store,
            log: parts.log,
            clock: parts.clock,
            entropy: parts.entropy,
            tasks: Mutex::new(JoinSet::new()),
            stuck: AtomicUsize::new(0),
            refusals: Mutex::default(),
        });
        let places = parts.targets.into_iter().map(|target| {
            let name = target.name.clone();
            let place = Place::new(target, held.clone(), Arc::clone(&core.clock));
            (name, Arc::new(place))
        });
        let hook = parts.webhook.map(|options| Hook::start(&core, options));
        let mut mock = [0; 32];
        core.entropy.fill(&mut mock);
        let broker = Arc::new(Self {
            policy,
            places: places.collect(),
            sessions: Mutex::new(HashMap::new()),
            desk: Desk::start(&core, hook),
            mock: Secret::new(mock),
            stopping: watch::channel(false).0,
            core,
        });
        broker.record_policy(&parts.policy).await?;
        reaper::recover(&broker).await?;
        broker.take_up().await?;
        for place in broker.places.values() {
            let (watched, looked) = (Arc::clone(place), Arc::clone(place));
            broker.core.spawn(async move { watched.watch().await });
            broker
                .core
                .spawn(reaper::look_after(Arc::clone(&broker), looked));
        }
        broker.core.spawn(Self::tick(Arc::clone(&broker)));
        broker.core.spawn(reaper::sweep_on(Arc::clone(&broker)));
        let forgetting = forget::run(Arc::clone(&broker), parts.remember);
        broker.core.spawn(forgetting);
        let summing = record::sum_up_on(Arc::clone(&broker.core));
        broker.core.spawn(summing);
        Ok(broker)
    }

    /// Ends all leases, leaves the sessions as they are, and stops all tasks.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let handles = self.handles();
        let mut waiting = Vec::new();
        for handle in handles {
            let (done, ended) = oneshot::channel();
            if handle.mailbox.send(Command::Release(done)).await.is_ok() {
                waiting.push(ended);
            }
        }
        let all = async {
            for ended in waiting {
                let _gone = ended.await;
            }
        };
        if tokio::time::timeout(STOP, all).await.is_err() {
            tracing::warn!("not all leases have ended; the next start ends them");
        }
        let mut tasks = std::mem::take(
            &mut *self
                .core
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        tasks.shutdown().await;
        record::sum_up(&self.core).await;
    }

    /// The policy of this moment.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Tells of every new policy.
    #[must_use]
    pub fn policies(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.subscribe()
    }

    /// Another policy counts from now on; sessions it no longer allows are ended.
    ///
    /// # Errors
    /// When it cannot be recorded; then the old one stays.
    pub async fn set_policy(&self, policy: Arc<Policy>) -> Result<(), Error> {
        self.record_policy(&policy).await?;
        self.policy.send_replace(Arc::clone(&policy));
        for handle in self.handles() {
            if !self.still_allows(&policy, &handle.session) {
                handle.session.close(&CloseReason::PolicyChanged);
            }
        }
        Ok(())
    }

    async fn record_policy(&self, policy: &Policy) -> Result<(), Error> {
        let policy = policy.hash().to_owned();
        let event = Event::new(Context::default(), Action::PolicyLoaded { policy });
        self.core.log.append(event).await?;
        Ok(())
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.core.log
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.core.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.core.clock
    }

    /// A database by the name it is offered under.
    #[must_use]
    pub fn target(&self, name: &DatabaseName) -> Option<&Arc<Place>> {
        self.places.get(name)
    }

    /// The databases that could not be used a moment ago.
    pub fn away(&self) -> impl Iterator<Item = &DatabaseName> {
        let away = self.places.iter().filter(|(_, place)| place.is_away());
        away.map(|(name, _)| name)
    }

    /// The names under which databases are offered.
    pub fn offered(&self) -> impl Iterator<Item = &DatabaseName> {
        self.places.keys()
    }

    /// The databases somebody may ask for, and on which terms.
    #[must_use]
    pub fn databases(&self, subject: &Subject) -> Vec<crate::policy::open::Offer> {
        crate::policy::open::databases(&self.policy(), subject, self.places.keys())
    }

    /// The database of that name, or the nearest name among those the subject may ask for.
    fn place(&self, subject: &Subject, name: &DatabaseName) -> Result<&Arc<Place>, Error> {
        self.places.get(name).ok_or_else(|| {
            let near = self
                .databases(subject)
                .into_iter()
                .map(|offer| {
                    (
                        strsim::damerau_levenshtein(offer.database.as_str(), name.as_str()),
                        offer.database,
                    )
                })
                .filter(|(distance, _)| *distance <= 3)
                .min();
            Error::UnknownDatabase {
                name: name.clone(),
                nearest: near.map(|(_, database)| database),
            }
        })
    }

    /// What a client that says it is `user` must prove to know. Nobody can tell from it whether there is such a session.
    #[must_use]
    pub fn verifier(&self, user: &str) -> Verifier {
        let id = user.parse().ok();
        match id.and_then(|id| self.handle(&id)) {
            Some(handle) => handle.session.verifier(),
            None => Verifier::mock(&self.mock, user),
        }
    }

    /// Lets a client that has proved to know the session's secret into it.
    ///
    /// # Errors
    /// When the session is over or for another database.
    pub fn attach(&self, user: &str, database: &str, client: Client) -> Result<Attachment, Error> {
        if *self.stopping.borrow() {
            return Err(Error::Stopping);
        }
        let id: SessionId = user.parse().map_err(|_| Error::NoSession)?;
        let handle = self.handle(&id).ok_or(Error::NoSession)?;
        if let Some(why) = handle.session.over() {
            return Err(Error::Over(why));
        }
        // A driver that is given no database asks for one named like its user.
        if database != handle.session.database.as_str() && database != user {
            return Err(Error::OtherDatabase(handle.session.database.clone()));
        }
        Ok(Attachment::new(handle.session, client, handle.mailbox))
    }

    /// Connects an attached client to the database as the session's lease; `parameters` is what it wishes in the startup packet.
    ///
    /// # Errors
    /// When the session is over or the database cannot be reached.
    pub async fn connect(
        &self,
        attachment: &Attachment,
        parameters: &[(String, String)],
    ) -> Result<Entered, Error> {
        let session = &attachment.session;
        let limits = self.policy().limits().of(session.subject.kind);
        let (reply, entered) = oneshot::channel();
        let job = Job {
            parameters: parameters.to_vec(),
            statement: limits.statement_time,
            reply,
        };
        let over = || session.over().map_or(Error::Stopping, Error::Over);
        let sent = attachment.mailbox.send(Command::Connect(job)).await;
        sent.map_err(|_| over())?;
        entered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Ends a session; returns after its lease is gone, or known to be stuck.
    async fn end(&self, handle: &Handle, why: CloseReason) {
        handle.session.close(&why);
        let (done, ended) = oneshot::channel();
        // The first reason counts, and without the mailbox the task has ended by itself.
        let why = handle.session.over().unwrap_or(why);
        if handle.mailbox.send(Command::End(why, done)).await.is_ok() {
            let _gone = ended.await;
        }
        self.sessions().remove(&handle.session.id);
    }

    /// Ends sessions whose time is up or that were closed.
    async fn tick(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ending: HashMap<SessionId, tokio::task::AbortHandle> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            ticks.tick().await;
            while tasks.try_join_next().is_some() {}
            ending.retain(|_, task| !task.is_finished());
            for handle in self.handles() {
                let id = handle.session.id.clone();
                let Some(why) = handle.session.over().filter(|_| !ending.contains_key(&id)) else {
                    continue;
                };
                let broker = Arc::clone(&self);
                ending.insert(
                    id,
                    tasks.spawn(async move { broker.end(&handle, why).await }),
                );
            }
        }
    }

    fn handle(&self, id: &SessionId) -> Option<Handle> {
        self.sessions().get(id).cloned()
    }

    fn handles(&self) -> Vec<Handle> {
        self.sessions().values().cloned().collect()
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Handle>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can go wrong when something is asked of the broker.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such database, or none for them.
    #[error("there is no database `{name}`")]
    UnknownDatabase {
        /// What was asked for.
        name: DatabaseName,
        /// What may have been meant.
        nearest: Option<DatabaseName>,
    },
    /// The policy refuses.
    #[error("{}", .0.message)]
    Denied(Box<Denial>),
    /// There is no such session for them.
    #[error("there is no such session")]
    NoSession,
    /// The session is over.
    #[error("the session is over: {0}")]
    Over(CloseReason),
    /// The session is for another database.
    #[error("this session is for `{0}`")]
    OtherDatabase(DatabaseName),
    /// A session that is renewed would get other rights than it has.
    #[error("the policy gives other rights now; open a new session")]
    OtherTerms,
    /// There is no such request for them.
    #[error("there is no request `{0}`")]
    NoRequest(RequestId),
    /// The request is decided.
    #[error("the request is {} already", .0.as_str())]
    Settled(store::request::State),
    /// The approval was given for something else.
    #[error("what was approved is something else")]
    OtherRequest,
    /// Nobody approves their own request, nor one of their agents.
    #[error("nobody approves what they, or their agent, asked for")]
    OwnRequest,
    /// They are in none of the groups that may decide.
    #[error("deciding this takes a member of {}", groups.join(", "))]
    NotApprover {
        /// The groups.
        groups: Vec<String>,
    },
    /// One approval a person.
    #[error("you have approved it already")]
    Twice,
    /// A maximum of rows that nobody could keep.
    #[error("a maximum of rows can't be kept for this request")]
    Uncounted,
    /// It needs no approval.
    #[error("this needs no approval")]
    NoReview,
    /// An approval is for one statement.
    #[error("ask for one statement at a time")]
    OneStatement,
    /// The statement is no SQL.
    #[error("{0}")]
    Syntax(Arc<sql::Error>),
    /// The database.
    #[error("the database `{database}` cannot be used now")]
    Database {
        /// Which.
        database: DatabaseName,
        /// Why: for the log, not for clients.
        source: Arc<upstream::Error>,
    },
    /// The admin role lacks a right there.
    #[error("the broker can't make sessions on `{database}`: {lacks}")]
    Unprepared {
        /// Which.
        database: DatabaseName,
        /// What is missing.
        lacks: Box<str>,
        /// The line that mends it.
        mend: Option<Box<str>>,
    },
    /// The clock of the database is so far from ours that the session would be over already.
    #[error("the clock of the database is {} ahead", crate::model::time::show_span(*.0))]
    Skew(Duration),
    /// The state could not be kept.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log could not be written.
    #[error(transparent)]
    Log(Arc<audit::log::Error>),
    /// The broker stops.
    #[error("the broker is stopping")]
    Stopping,
    /// Something that cannot be.
    #[error("something went wrong inside the broker")]
    Internal,
}

impl Error {
    /// A failure of the database, told to the log with its reason; clients learn only that there is one.
    fn database(database: &DatabaseName, source: upstream::Error) -> Self {
        tracing::warn!(database = database.as_str(), error = %source, "the database cannot be used");
        Self::Database {
            database: database.clone(),
            source: Arc::new(source),
        }
    }

    /// The database did not answer in time.
    fn slow(database: &DatabaseName) -> Self {
        Self::Database {
            database: database.clone(),
            source: Arc::new(upstream::Error::Slow {
                phase: "a lease to get in",
            }),
        }
    }

    /// What would help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownDatabase {
                nearest: Some(name),
                ..
            } => Some(format!("did you mean `{name}`?")),
            Self::UnknownDatabase { .. } => {
                Some("run `dbgate ls` to see the databases you may ask for".to_owned())
            }
            Self::Denied(denial) => denial.hint.clone(),
            Self::NoSession | Self::Over(_) => Some(
                "open a new session with `dbgate connect`, `dbgate tunnel` or `dbgate env`"
                    .to_owned(),
            ),
            Self::OtherDatabase(name) => Some(format!("connect to `{name}` with it")),
            Self::NotApprover { .. } => {
                Some("run `dbgate requests` to see what you may decide".to_owned())
            }
            Self::OwnRequest => Some("take back your own with `dbgate withdraw`".to_owned()),
            Self::Uncounted => Some(
                "decide without one: it writes in several places, or is no statement".to_owned(),
            ),
            Self::Unprepared { mend, .. } => Some(match mend {
                Some(line) => format!(
                    "an administrator mends it with `{line}`; `dbgate broker check` shows the rest"
                ),
                None => "`dbgate broker check` tells an administrator more".to_owned(),
            }),
            Self::Database { .. } => Some(
                "try again in a moment; `dbgate broker check` tells an administrator why"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl From<audit::log::Error> for Error {
    fn from(error: audit::log::Error) -> Self {
        Self::Log(Arc::new(error))
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        Self::Syntax(Arc::new(error))
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.access, self.database)
    }
}
