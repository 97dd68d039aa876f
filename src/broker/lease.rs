//! The task that keeps one session's lease: makes its role, opens its door, ends it.
//!
//! **Invariant:** nobody else opens the door of this role; no connection is handed out while it is open.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::audit::event::Action;
use crate::broker::limit::{self, Caps, Merged};
use crate::broker::session::Session;
use crate::broker::{Core, Error, reaper, record};
use crate::model::secret::Secret;
use crate::model::session::CloseReason;
use crate::store::lease;
use crate::upstream;
use crate::upstream::check;
use crate::upstream::connect::{self, Connection};
use crate::upstream::role::name::Name;
use crate::upstream::role::{self, Plan};
use crate::wire::scram::{LEASE_ITERATIONS, Verifier};

/// How many clients may wait for the door at once: more than a lease may have connections are refused anyway.
const MAILBOX: usize = 256;

/// Connections a lease may have at once.
const CONNECTIONS: u32 = 100;

/// How long the door may stay open for a slow network: a window that is open is a window that can be used.
const WINDOW: Duration = Duration::from_secs(5);

/// Where to reach the task.
pub(super) type Mailbox = mpsc::Sender<Command>;

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Make the role, so that the first client need not wait.
    Prepare(oneshot::Sender<Result<String, Error>>),
    /// Connect a client.
    Connect(Job),
    /// End lease and session; the session is closed for everybody who watches it already.
    End(CloseReason, oneshot::Sender<()>),
    /// End the lease and leave the session as it is: the broker stops.
    Release(oneshot::Sender<()>),
}

/// A client that waits for a connection.
#[derive(Debug)]
pub(super) struct Job {
    /// What it wishes in the startup packet.
    pub(super) parameters: Vec<(String, String)>,
    /// The policy's limit for one statement.
    pub(super) statement: Option<Duration>,
    /// Where the connection goes.
    pub(super) reply: oneshot::Sender<Result<Entered, Error>>,
}

/// A connection to the database, for one client.
#[derive(Debug)]
pub struct Entered {
    /// The connection, ready for its first query.
    pub connection: Connection,
    /// One sentence for each wish of the client that was cut down to the session's limits.
    pub notices: Vec<String>,
    /// The time limits it began with.
    pub caps: Caps,
}

/// A role that exists.
#[derive(Debug)]
struct Lease {
    name: Name,
    settings: Vec<(String, String)>,
}

/// The task's own state.
struct Keeper {
    core: Arc<Core>,
    session: Arc<Session>,
    /// The role of the last lease of this session, as the store has it.
    last: Option<String>,
    lease: Option<Lease>,
}

/// Starts the task of a session; `last` is the role of the lease it had before, if any.
pub(super) fn spawn(core: &Arc<Core>, session: &Arc<Session>, last: Option<&str>) -> Mailbox {
    let (mailbox, commands) = mpsc::channel(MAILBOX);
    let keeper = Keeper {
        core: Arc::clone(core),
        session: Arc::clone(session),
        last: last.map(str::to_owned),
        lease: None,
    };
    core.spawn(keeper.run(commands));
    mailbox
}

/// `dbgate_ann_s…_3` is the third lease of its session, without a number it is the first.
fn number_of(role: &str) -> u32 {
    let last = role.rsplit('_').next().unwrap_or_default();
    last.parse().unwrap_or(1)
}

impl Keeper {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Prepare(reply) => {
                    let made = self.prepare().await.map(|lease| lease.name.to_string());
                    let _gone = reply.send(made);
                }
                Command::Connect(job) => {
                    let mut jobs = vec![job];
                    let next = self.gather(&mut jobs, &mut commands);
                    self.connect(jobs).await;
                    match next {
                        Some(Ended::Session(why, done)) => return self.finish(&why, done).await,
                        Some(Ended::Broker(done)) => return self.release(done).await,
                        None => {}
                    }
                }
                Command::End(why, done) => return self.finish(&why, done).await,
                Command::Release(done) => return self.release(done).await,
            }
        }
    }

    /// Takes everybody who waits at this moment: one window serves them all.
    fn gather(&self, jobs: &mut Vec<Job>, commands: &mut mpsc::Receiver<Command>) -> Option<Ended> {
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Connect(job) => jobs.push(job),
                Command::Prepare(reply) => drop(reply),
                Command::End(why, done) => return Some(Ended::Session(why, done)),
                Command::Release(done) => return Some(Ended::Broker(done)),
            }
        }
        None
    }

    /// The lease, made now if there is none.
    async fn prepare(&mut self) -> Result<&Lease, Error> {
        if let Some(why) = self.session.over() {
            return Err(Error::Over(why));
        }
        let lease = match self.lease.take() {
            Some(lease) => lease,
            None => self.make().await?,
        };
        Ok(self.lease.insert(lease))
    }

    /// Writes down what is about to be, makes the role, writes down that it is there.
    async fn make(&mut self) -> Result<Lease, Error> {
        let (session, store) = (&self.session, &self.core.store);
        let number = self.last.as_deref().map_or(0, number_of).saturating_add(1);
        let name = Name::new(&session.subject.display, &session.id, number);
        let ends = session.ends();
        let intent = lease::Lease {
            role: name.to_string(),
            session: session.id.clone(),
            database: session.database.clone(),
            state: lease::State::Intent,
            created: self.core.clock.now(),
            ends,
            tries: 0,
            error: None,
            next: None,
            detail: reaper::detail(session.terms.owner.as_deref()),
        };
        let recorded = self.core.log.append(record::event(
            session,
            Action::LeaseIntended {
                role: name.to_string(),
                ends,
            },
        ));
        let kept = store.add_lease(&intent);
        let (recorded, kept) = tokio::join!(recorded, kept);
        recorded?;
        kept?;
        let plan = Plan {
            name: &name,
            roles: &session.terms.roles,
            until: ends,
            connections: CONNECTIONS,
        };
        let place = session.place();
        match role::create(place.roles(), &plan).await {
            Ok(created) => {
                place.saw(created.clock);
                let moved =
                    store.move_lease(name.as_str(), lease::State::Intent, lease::State::Created);
                let last = self.last.as_deref();
                let named = store.replace_role(&session.id, last, Some(name.as_str()));
                let (moved, named) = tokio::join!(moved, named);
                if !(moved? && named?) {
                    return Err(Error::Over(
                        self.session.over().unwrap_or(CloseReason::Ended),
                    ));
                }
                self.last = Some(name.to_string());
                Ok(Lease {
                    name,
                    settings: created.settings,
                })
            }
            Err(error) => {
                if error.sqlstate().is_some() {
                    // The database has said no: there is no role.
                    store.end_lease(name.as_str()).await?;
                } else {
                    let owner = session.terms.owner.as_deref();
                    reaper::end_role(&self.core, place, &name, owner).await;
                }
                Err(self.lacks(error).await)
            }
        }
    }

    /// A role that could not be made: when that is for want of a right, which one, and what mends it.
    async fn lacks(&self, error: upstream::Error) -> Error {
        let session = &self.session;
        let wanting = matches!(error.sqlstate(), Some("42501" | "42704"));
        let grant = check::Grant {
            roles: session.terms.roles.clone(),
            owner: session.terms.owner.clone(),
        };
        let found = match wanting {
            true => check::lacks(session.place().target(), grant).await,
            false => Ok(None),
        };
        match found {
            Ok(Some(item)) => {
                tracing::error!(
                    database = session.database.as_str(),
                    %error,
                    "the admin role lacks a right; `dbgate broker check` tells what mends it"
                );
                let mend = item.mend.first().map(|mend| mend.line.as_str().into());
                Error::Unprepared {
                    database: session.database.clone(),
                    lacks: item.text.into(),
                    mend,
                }
            }
            Ok(None) | Err(_) => Error::database(&session.database, error),
        }
    }

    /// Opens the door once for all who wait, connects them, closes it, and only then lets them go.
    async fn connect(&mut self, jobs: Vec<Job>) {
        let opened = match self.open().await {
            Err(Error::Database { source, .. }) if source.sqlstate() == Some("42704") => {
                // The server has forgotten the role in a crash.
                if let Some(lease) = self.lease.take() {
                    let place = self.session.place();
                    reaper::end_role(&self.core, place, &lease.name, None).await;
                }
                self.open().await
            }
            opened => opened,
        };
        let (name, secret) = match opened {
            Ok(open) => open,
            Err(error) => {
                for job in jobs {
                    let _gone = job.reply.send(Err(error.clone()));
                }
                return;
            }
        };
        let entered = self.enter(&name, &secret, jobs).await;
        if let Err(error) = self.shut_door(&name).await {
            let session = self.session.id.as_str();
            tracing::error!(session, %error, "the lease's door could not be closed; the session is ended");
            self.session.close(&CloseReason::Killed {
                by: "dbgate, because its lease could not be closed".to_owned(),
            });
        }
        for (reply, result) in entered {
            let result = match self.session.over() {
                Some(why) => Err(Error::Over(why)),
                None => result,
            };
            let _gone = reply.send(result);
        }
    }

    /// Makes the lease if need be and lets it log in, by a secret that counts this once.
    async fn open(&mut self) -> Result<(Name, Secret<String>), Error> {
        let secret = self.core.secret();
        let mut salt = [0; 16];
        self.core.entropy.fill(&mut salt);
        let verifier =
            Verifier::new(&secret, &salt, LEASE_ITERATIONS).map_err(|_| Error::Internal)?;
        let name = self.prepare().await?.name.clone();
        let (place, ends) = (self.session.place(), self.session.ends());
        self.session.set_door(true);
        role::open_door(place.roles(), &name, verifier.to_text().expose(), ends)
            .await
            .map_err(|error| Error::database(&self.session.database, error))?;
        Ok((name, secret))
    }

    /// Connects everybody at once; whoever is not through when the window closes is not let in.
    async fn enter(
        &self,
        name: &Name,
        secret: &Secret<String>,
        jobs: Vec<Job>,
    ) -> Vec<(
        oneshot::Sender<Result<Entered, Error>>,
        Result<Entered, Error>,
    )> {
        let settings = self.lease.as_ref().map(|lease| lease.settings.as_slice());
        let mut replies = Vec::new();
        let mut connecting = JoinSet::new();
        for (place, job) in jobs.into_iter().enumerate() {
            let caps = self.session.caps(job.statement);
            let access = self.session.access;
            let merged = limit::merge(settings.unwrap_or_default(), &job.parameters, &caps, access);
            replies.push((job.reply, Err(Error::slow(&self.session.database))));
            let (target, name) = (Arc::clone(self.session.place().target()), name.clone());
            let secret = secret.clone();
            connecting.spawn(async move {
                let Merged {
                    parameters,
                    notices,
                } = merged;
                let opened = connect::open(&target, name.as_str(), &secret, &parameters).await;
                (
                    place,
                    opened.map(|connection| Entered {
                        connection,
                        notices,
                        caps,
                    }),
                )
            });
        }
        let mut ended = self.session.watch();
        let window = tokio::time::sleep(WINDOW);
        tokio::pin!(window);
        loop {
            tokio::select! {
                joined = connecting.join_next() => match joined {
                    Some(Ok((place, opened))) => {
                        if let Some((_, result)) = replies.get_mut(place) {
                            *result = self.entered(opened);
                        }
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                _ = ended.wait_for(Option::is_some) => break,
                () = &mut window => break,
            }
        }
        // What is still connecting is dropped with the set.
        replies
    }

    fn entered(&self, opened: Result<Entered, upstream::Error>) -> Result<Entered, Error> {
        let entered = opened.map_err(|error| Error::database(&self.session.database, error))?;
        self.session.learn(entered.connection.pid);
        Ok(entered)
    }

    /// Closes the door. It fails when a session holds the role's entry, because it has changed it.
    async fn shut_door(&self, name: &Name) -> Result<(), upstream::Error> {
        let place = self.session.place();
        let mut closed = role::close_door(place.roles(), name).await;
        if closed.is_err() {
            // Once more: the admin's connection may have broken, and two changes at the same moment are refused.
            closed = role::close_door(place.roles(), name).await;
        }
        self.session.set_door(false);
        closed
    }

    async fn finish(self, why: &CloseReason, done: oneshot::Sender<()>) {
        let session = &self.session;
        session.close(why);
        let lease = self.lease.as_ref().map(|lease| &lease.name);
        reaper::close_session(&self.core, session, lease, why).await;
        let _gone = done.send(());
    }

    async fn release(self, done: oneshot::Sender<()>) {
        if let Some(lease) = &self.lease {
            let owner = self.session.terms.owner.as_deref();
            reaper::end_role(&self.core, self.session.place(), &lease.name, owner).await;
        }
        let _gone = done.send(());
    }
}

/// What came between the clients that waited.
enum Ended {
    Session(CloseReason, oneshot::Sender<()>),
    Broker(oneshot::Sender<()>),
}

/// 32 random bytes as text.
pub(super) fn secret_text(bytes: &[u8; 32]) -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}
