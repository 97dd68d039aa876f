//! Keeps the session behind a listener: opened when somebody needs it, renewed before it ends, ended with the tunnel.
//!
//! One task owns it. While that task waits, for a login or a review, those who need the session queue up before it.
//!
//! Ends are compared with the wall clock, at each use and every few seconds: a laptop that slept finds out when it wakes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::api::types::{self, Granted, Opened, RequestView, SessionView};
use crate::model::secret::Secret;
use crate::model::time::{Clock, Timestamp, show_span};
use crate::net::drain::Signal;
use crate::remote::broker::{self, Broker};
use crate::tunnel::{News, NotIn, Refusal, Speaker, Tone, say};
use crate::wire::error::SqlState;

/// How often the wall clock is looked at.
const TICK: Duration = Duration::from_secs(5);
/// What is waited beyond a moment, so that it has passed.
const MOMENT: Duration = Duration::from_millis(50);
/// How often it is asked whether a request is decided, or somebody has signed in.
const POLL: Duration = Duration::from_secs(2);
/// How long connections are held for somebody to sign in.
const PATIENCE: Duration = Duration::from_secs(600);
/// For how long a refusal stands before the broker is asked again: tools reconnect in loops.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// A session with less time left is not worth a new connection.
const LEAST: Duration = Duration::from_secs(5);
/// Clients that may wait for the session at once.
const QUEUE: usize = 256;

/// A session that is open.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The gateway's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user of the startup packet.
    pub user: String,
    /// The credential.
    pub secret: Secret<String>,
    /// The offered name of the database.
    pub database: String,
}

/// A session, and when it ends as far as is known.
#[derive(Debug, Clone)]
struct Open {
    session: Arc<Session>,
    ends: Timestamp,
    renewable: Renewable,
    /// How long it was when it was opened or renewed last.
    span: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewable {
    Yes,
    /// Its end did not move any more: policy caps it.
    No,
}

#[derive(Debug)]
enum Want {
    Session(oneshot::Sender<Result<Arc<Session>, Refusal>>),
    /// The gateway no longer knows this one.
    Spoiled(String),
}

/// Asks the task that keeps the session.
#[derive(Debug, Clone)]
pub struct Handle {
    wants: mpsc::Sender<Want>,
    waiting: watch::Receiver<Option<String>>,
}

/// The task's own state.
#[derive(Debug)]
pub struct Keeper {
    ask: types::Ask,
    clock: Arc<dyn Clock>,
    speaker: Speaker,
    signal: Signal,
    wants: mpsc::Receiver<Want>,
    waiting: watch::Sender<Option<String>>,
    broker: Option<Broker>,
    open: Option<Open>,
    refused: Option<(Duration, Refusal)>,
}

impl Handle {
    /// The session, when it is open; waits while it is being opened. Dropping the call gives up the place in the queue.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn session(&self) -> Result<Arc<Session>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = || Refusal::new(SqlState::ADMIN_SHUTDOWN, "the tunnel is closing");
        let want = Want::Session(reply);
        self.wants.send(want).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Tells that the gateway did not accept a session: the next one who asks gets another.
    pub async fn spoiled(&self, session: &Session) {
        let want = Want::Spoiled(session.id.clone());
        self.wants.send(want).await.ok();
    }

    /// What everybody waits for, changing.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<Option<String>> {
        self.waiting.clone()
    }
}

impl Keeper {
    /// For sessions as `ask` says. Nothing happens before [`Self::run`].
    pub fn new(
        ask: types::Ask,
        clock: Arc<dyn Clock>,
        speaker: Speaker,
        signal: Signal,
    ) -> (Self, Handle) {
        let (sender, wants) = mpsc::channel(QUEUE);
        let (waiting, receiver) = watch::channel(None);
        let keeper = Self {
            ask,
            clock,
            speaker,
            signal,
            wants,
            waiting,
            broker: None,
            open: None,
            refused: None,
        };
        let waiting = receiver;
        (
            keeper,
            Handle {
                wants: sender,
                waiting,
            },
        )
    }

    /// Begins with a session that is open already.
    #[must_use]
    pub fn with_session(mut self, broker: Broker, granted: Granted) -> Self {
        self.broker = Some(broker);
        self.open = Some(opened(granted, self.clock.now()));
        self
    }

    /// Serves until the signal starts, then ends the session at the broker.
    pub async fn run(mut self) {
        loop {
            let pause = self.pace();
            tokio::select! {
                () = self.signal.started() => break,
                want = self.wants.recv() => match want {
                    Some(want) => self.serve(want).await,
                    None => break,
                },
                () = tokio::time::sleep(pause) => self.look().await,
            }
        }
        self.end().await;
    }

    /// How long until the next look: no later than when a session is to be renewed, for a short one is over within the usual pause.
    fn pace(&self) -> Duration {
        let due = self
            .open
            .as_ref()
            .filter(|open| open.renewable == Renewable::Yes);
        let due = due.map(|open| {
            let left = self.clock.now().until(open.ends);
            left.saturating_sub(margin(open.span)) + MOMENT
        });
        // Past its time the broker was asked, and did not answer: it is asked again at the usual pace.
        due.filter(|due| *due > MOMENT)
            .map_or(TICK, |due| due.min(TICK))
    }

    async fn serve(&mut self, want: Want) {
        match want {
            Want::Spoiled(id) => {
                if self.open.as_ref().is_some_and(|open| open.session.id == id) {
                    self.open = None;
                }
            }
            // Who gave up while in the queue must not cause a session, or a request to a person.
            Want::Session(reply) if reply.is_closed() => {}
            Want::Session(reply) => {
                let outcome = self.session().await;
                self.waiting.send_replace(None);
                reply.send(outcome).ok();
            }
        }
    }

    async fn session(&mut self) -> Result<Arc<Session>, Refusal> {
        self.look().await;
        if let Some(open) = &self.open {
            return Ok(Arc::clone(&open.session));
        }
        let now = self.clock.monotonic();
        if let Some((at, refusal)) = &self.refused
            && now.saturating_sub(*at) < COOL_DOWN
        {
            return Err(refusal.clone());
        }
        match self.open().await {
            Ok(session) => {
                self.refused = None;
                Ok(session)
            }
            Err(refusal) => {
                let fields = refusal.fields();
                say(&self.speaker, Tone::Warning, fields.message.clone()).await;
                if let Some(hint) = &fields.hint {
                    say(&self.speaker, Tone::Hint, hint.clone()).await;
                }
                self.refused = Some((self.clock.monotonic(), refusal.clone()));
                Err(refusal)
            }
        }
    }

    async fn open(&mut self) -> Result<Arc<Session>, Refusal> {
        let mut ask = self.ask.clone();
        loop {
            let opened = self
                .call(|broker| {
                    let ask = ask.clone();
                    async move { broker.open_session(&ask).await }
                })
                .await?;
            match opened {
                Opened::Granted(granted) => return Ok(self.enter(granted).await),
                // An approval that is used up while we looked away is asked for again, once it was approved.
                Opened::Pending { request } => ask.request = Some(self.approval(request).await?),
            }
        }
    }

    async fn enter(&mut self, granted: Granted) -> Arc<Session> {
        let open = opened(granted, self.clock.now());
        let (id, database) = (&open.session.id, &open.session.database);
        let left = show(open.span);
        let text = format!("`{database}` is open for {left} (session {id})");
        say(&self.speaker, Tone::Status, text).await;
        let session = Arc::clone(&open.session);
        self.open = Some(open);
        session
    }

    /// Waits until a request is approved; its id.
    async fn approval(&mut self, request: RequestView) -> Result<String, Refusal> {
        let (id, database) = (request.id, request.database);
        let who = request.approvers.join(", ");
        let text = format!("`{database}` waits for an approval by {who} (request {id})");
        say(&self.speaker, Tone::Status, text.clone()).await;
        say(
            &self.speaker,
            Tone::Hint,
            format!("they run `dbgate approve {id}`"),
        )
        .await;
        self.waiting.send_replace(Some(text));
        loop {
            self.pause().await?;
            let view = self
                .call(|broker| {
                    let id = id.clone();
                    async move { broker.request_by_id(&id).await }
                })
                .await?;
            match view.state.as_str() {
                "pending" => {}
                "approved" => {
                    let by: Vec<_> = view.approvals.iter().map(|one| one.by.as_str()).collect();
                    let text = format!("request {id} was approved by {}", by.join(", "));
                    say(&self.speaker, Tone::Status, text).await;
                    return Ok(id);
                }
                other => {
                    let message = format!("the request for `{database}` ({id}) was {other}");
                    return Err(Refusal::new(SqlState::INVALID_AUTHORIZATION, message));
                }
            }
        }
    }

    /// Calls the broker; once more as somebody who has just signed in, when the token has ended.
    async fn call<T, F: Future<Output = Result<T, broker::Error>>>(
        &mut self,
        call: impl Fn(Broker) -> F,
    ) -> Result<T, Refusal> {
        let mut retried = false;
        loop {
            let broker = self.broker().await?;
            match call(broker).await {
                Ok(answer) => return Ok(answer),
                Err(broker::Error::Refused { status: 401, .. }) if !retried => {
                    retried = true;
                    self.broker = None;
                }
                Err(error) => return Err(refusal(error)),
            }
        }
    }

    /// The broker, as somebody who is signed in. Holds on until somebody is.
    async fn broker(&mut self) -> Result<Broker, Refusal> {
        let started = self.clock.monotonic();
        let mut told = false;
        loop {
            if let Some(broker) = &self.broker {
                return Ok(broker.clone());
            }
            let (reply, answer) = oneshot::channel();
            let closing = || Refusal::new(SqlState::ADMIN_SHUTDOWN, "the tunnel is closing");
            let asked = self.speaker.send(News::Login(reply)).await;
            asked.map_err(|_| closing())?;
            let why = match answer.await.map_err(|_| closing())? {
                Ok(broker) => {
                    self.broker = Some(broker);
                    continue;
                }
                Err(NotIn::Other(why)) => {
                    return Err(Refusal::new(SqlState::CONNECTION_FAILURE, why));
                }
                Err(NotIn::Login(why)) => why,
            };
            if self.clock.monotonic().saturating_sub(started) >= PATIENCE {
                let refusal = Refusal::new(SqlState::INVALID_AUTHORIZATION, why);
                return Err(refusal.with_hint("run `dbgate login`, then connect again"));
            }
            if !std::mem::replace(&mut told, true) {
                let text = format!("{why}; connections wait");
                self.waiting.send_replace(Some(text.clone()));
                say(&self.speaker, Tone::Warning, text).await;
                let hint = "run `dbgate login` in another terminal";
                say(&self.speaker, Tone::Hint, hint).await;
            }
            self.pause().await?;
        }
    }

    /// Waits a little; fails when the tunnel closes.
    async fn pause(&mut self) -> Result<(), Refusal> {
        let stopped = tokio::time::timeout(POLL, self.signal.started()).await;
        match stopped {
            Ok(()) => Err(Refusal::new(
                SqlState::ADMIN_SHUTDOWN,
                "the tunnel is closing",
            )),
            Err(_) => Ok(()),
        }
    }

    /// Looks at the wall clock: drops a session that has ended, renews one that is about to.
    async fn look(&mut self) {
        let Some(open) = self.open.clone() else {
            return;
        };
        let left = self.clock.now().until(open.ends);
        if left <= LEAST {
            self.open = None;
            let text = format!(
                "session {} has ended; the next connection opens another",
                open.session.id
            );
            say(&self.speaker, Tone::Status, text).await;
        } else if open.renewable == Renewable::Yes && left < margin(open.span) {
            self.renew(open).await;
        }
    }

    async fn renew(&mut self, open: Open) {
        let id = open.session.id.clone();
        let renew = types::Renew {
            duration_s: self.ask.duration_s,
        };
        // Without holding anybody up for a login: there is still time, and another look in a few seconds.
        let Some(broker) = self.signed_in().await else {
            return;
        };
        match broker.renew_session(&id, &renew).await {
            Ok(view) => self.renewed(open, &view).await,
            Err(broker::Error::Refused { status: 401, .. }) => self.broker = None,
            Err(error @ broker::Error::Refused { .. }) => {
                let text = format!("session {id} can't be renewed: {error}");
                say(&self.speaker, Tone::Warning, text).await;
                self.fix_end(open);
            }
            // It may be a moment's trouble.
            Err(error) => say(&self.speaker, Tone::Warning, error.to_string()).await,
        }
    }

    async fn renewed(&mut self, open: Open, view: &SessionView) {
        let now = self.clock.now();
        let ends = view.ends.parse().unwrap_or(open.ends);
        let left = show(now.until(ends));
        if ends <= open.ends.after(LEAST) {
            let text = format!(
                "session {} ends in {left} and can't be renewed; a connection after that opens another",
                open.session.id
            );
            say(&self.speaker, Tone::Warning, text).await;
            self.fix_end(open);
        } else {
            let text = format!("session {} is renewed for {left}", open.session.id);
            say(&self.speaker, Tone::Status, text).await;
            let span = now.until(ends);
            self.open = Some(Open { ends, span, ..open });
        }
    }

    fn fix_end(&mut self, open: Open) {
        let renewable = Renewable::No;
        self.open = Some(Open { renewable, ..open });
    }

    /// The broker, if it is to be had at once.
    async fn signed_in(&mut self) -> Option<Broker> {
        if self.broker.is_none() {
            let (reply, answer) = oneshot::channel();
            self.speaker.send(News::Login(reply)).await.ok()?;
            self.broker = answer.await.ok()?.ok();
        }
        self.broker.clone()
    }

    /// Ends the session at the broker.
    async fn end(mut self) {
        let Some(open) = self.open.take() else { return };
        let id = &open.session.id;
        let Some(broker) = self.broker.take() else {
            return;
        };
        match broker.end_session(id).await {
            Ok(_) => {
                let text = format!("session {id} is ended");
                say(&self.speaker, Tone::Status, text).await;
            }
            Err(error) => {
                let text = format!("session {id} could not be ended, it ends by itself: {error}");
                say(&self.speaker, Tone::Warning, text).await;
            }
        }
    }
}

fn opened(granted: Granted, now: Timestamp) -> Open {
    let ends = granted.session.ends.parse().unwrap_or(now);
    let session = Arc::new(Session {
        id: granted.session.id,
        host: granted.gateway.host,
        port: granted.gateway.port,
        user: granted.user,
        secret: Secret::new(granted.secret),
        database: granted.session.database,
    });
    Open {
        session,
        ends,
        renewable: Renewable::Yes,
        span: now.until(ends),
    }
}

/// A span in whole minutes, unless it is short: the seconds it took to get here interest nobody.
fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    let rounded = if seconds < 120 {
        seconds
    } else {
        seconds.saturating_add(30) / 60 * 60
    };
    show_span(Duration::from_secs(rounded))
}

/// How long before its end a session is renewed: a fifth of it, at least a minute, at most half of it.
fn margin(span: Duration) -> Duration {
    let fifth = span.checked_div(5).unwrap_or_default();
    let half = span.checked_div(2).unwrap_or_default();
    fifth.max(Duration::from_secs(60)).min(half)
}

/// A broker's no in the words of PostgreSQL.
fn refusal(error: broker::Error) -> Refusal {
    let message = error.to_string();
    let broker::Error::Refused { problem, .. } = error else {
        return Refusal::new(SqlState::CONNECTION_FAILURE, message);
    };
    let mut refusal = Refusal::new(SqlState::INVALID_AUTHORIZATION, message);
    refusal.fields.detail = problem.detail;
    refusal.fields.hint = problem.hint;
    refusal
}
