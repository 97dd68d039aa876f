//! The driver: one task a connection, which reads, feeds the pure session, and writes.
//!
//! Reading order: `duplex` (both streams at once) → here → `verdict` (what the session asks) → `hold` (a statement waits for its
//! approval) → `estimate` (how many rows it may be) → `scope` (what the connection looks like) → `own` (what its transaction has defined) → `limit` (time limits stay) → `room` (what is held of large messages) → `outcome` (what is recorded at the end).

mod duplex;
mod estimate;
mod hold;
mod limit;
mod outcome;
mod own;
pub(super) mod room;
pub(super) mod scope;
mod verdict;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::audit::event::{Action, Context, Event};
use crate::broker::limit::Caps;
use crate::broker::session::Attachment;
use crate::gateway::Gateway;
use crate::gateway::budget::Budget;
use crate::gateway::cancel::Key;
use crate::gateway::relay::duplex::{Reading, Side, Turn};
use crate::gateway::relay::own::Own;
use crate::gateway::relay::room::{Claim, FREE};
use crate::gateway::reply;
use crate::gateway::session::{self, Act, Next, Outbox, Session};
use crate::gateway::startup::Tells;
use crate::mask::Keys;
use crate::model::session::CloseReason;
use crate::model::subject::Subject;
use crate::net::drain::Signal;
use crate::net::framed::Framed;
use crate::policy::Policy;
use crate::upstream;
use crate::upstream::target::Target;
use crate::wire;
use crate::wire::backend::{TransactionStatus, kind};
use crate::wire::error::Fields;
use crate::wire::frame::Deframer;
use crate::wire::frontend::{self, Message};

/// How long the last words may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a cancel may take to be delivered.
const CANCEL: Duration = Duration::from_secs(10);

/// A client and its upstream.
pub(super) struct Relay<C> {
    gateway: Arc<Gateway>,
    attachment: Attachment,
    context: Arc<Context>,
    budget: Arc<Budget>,
    subject: Arc<Subject>,
    keys: Arc<Keys>,
    client: Side<C>,
    upstream: Side<upstream::dial::Stream>,
    backend: Backend,
    session: Session,
    out: Outbox,
    key: Key,
    drain: Signal,
    cancelling: Option<JoinHandle<()>>,
    /// The policy whose trusted functions the session's state holds.
    trusted: Option<Arc<Policy>>,
    /// What the open transaction has defined, when it was asked.
    own: Option<Own>,
    statements: u64,
    notes: outcome::Notes,
    /// Since when the client has been gone that said good-bye while something was under way.
    parted: Option<Duration>,
    limits: limit::Limits,
    claim: Claim,
}

/// Whom to cancel.
struct Backend {
    target: Arc<Target>,
    pid: u32,
    key: Vec<u8>,
}

/// What a relay is made of.
pub(super) struct Parts<C> {
    pub(super) gateway: Arc<Gateway>,
    pub(super) attachment: Attachment,
    pub(super) context: Arc<Context>,
    pub(super) client: Framed<C>,
    pub(super) upstream: upstream::connect::Connection,
    pub(super) caps: Caps,
    pub(super) key: Key,
    pub(super) tells: Tells,
    pub(super) drain: Signal,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said good-bye.
    Goodbye,
    /// The client is gone without a word.
    ClientGone,
    /// The database is gone.
    UpstreamGone,
    /// The session is over.
    Over(CloseReason),
    /// The broker stops.
    Stopping,
    /// One of the two does not keep to the protocol.
    Session(session::Error),
}

impl End {
    /// In a fixed phrase, for the log.
    const fn phrase(&self) -> &'static str {
        match self {
            Self::Goodbye => "the client said good-bye",
            Self::ClientGone => "the client was gone",
            Self::UpstreamGone => "the database closed the connection",
            Self::Over(_) => "the session was over",
            Self::Stopping => "the broker stopped",
            Self::Session(session::Error::Client(_) | session::Error::ClientMessage(_)) => {
                "the client broke the protocol"
            }
            Self::Session(session::Error::Pinned(_)) => "a pinned setting was changed",
            Self::Session(
                session::Error::Upstream(_)
                | session::Error::UpstreamWire(_)
                | session::Error::OutOfOrder,
            ) => "the database broke the protocol",
        }
    }

    /// What the client is told.
    fn fields(&self, unanswered: bool) -> Option<Fields> {
        match self {
            Self::Goodbye | Self::ClientGone => None,
            Self::UpstreamGone if unanswered => Some(reply::commit_unknown()),
            Self::UpstreamGone => Some(reply::upstream_lost()),
            Self::Over(reason) => Some(reply::ended(reason)),
            Self::Stopping => Some(reply::stopping()),
            Self::Session(error) => Some(reply::ForClient::fields(error)),
        }
    }
}

impl From<session::Error> for End {
    fn from(error: session::Error) -> Self {
        Self::Session(error)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    pub(super) fn new(parts: Parts<C>) -> Self {
        let session = &parts.attachment.session;
        let ends = session.ends();
        let mut deframer = Deframer::backend();
        deframer.authenticated();
        Self {
            budget: parts
                .gateway
                .budgets
                .of(session, parts.gateway.clock.monotonic()),
            subject: Arc::new(session.subject.clone()),
            keys: Arc::new(Keys::new(
                &parts.gateway.secret,
                session.database.clone(),
                session.id.clone(),
            )),
            backend: Backend {
                target: Arc::clone(session.place().target()),
                pid: parts.upstream.pid,
                key: parts.upstream.key,
            },
            claim: Claim::new(Arc::clone(&parts.gateway.room)),
            // The role is asked for, like everything else, before the first decision that depends on it.
            session: Session::new("", parts.tells),
            client: Side::new(parts.client),
            upstream: Side::new(Framed::new(parts.upstream.stream, deframer)),
            gateway: parts.gateway,
            attachment: parts.attachment,
            context: parts.context,
            out: Outbox::default(),
            key: parts.key,
            drain: parts.drain,
            cancelling: None,
            trusted: None,
            own: None,
            statements: 0,
            notes: outcome::Notes::default(),
            parted: None,
            limits: limit::Limits::new(parts.caps, ends),
        }
    }

    /// Carries messages until the connection ends.
    pub(super) async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.finish(end).await;
    }

    /// Does what can be done now, then waits.
    async fn step(&mut self) -> Result<(), End> {
        if let Some(why) = self.attachment.session.over() {
            return Err(End::Over(why));
        }
        self.session.tick(self.gateway.clock.monotonic());
        if !self.claim.is_empty() {
            // Some of it has left.
            self.claim.hold(self.held());
        }
        let heard = self.take_upstream()?;
        self.catch_up().await;
        self.follow_end().await?;
        let moved = heard | self.take_client().await?;
        self.post();
        if self.session.next() == Next::Close {
            return Err(End::Goodbye);
        }
        if self.drain.is_started() && self.may_stop() {
            return Err(End::Stopping);
        }
        if moved {
            // More may be there already; the streams get their turn all the same.
            tokio::task::coop::consume_budget().await;
            return Ok(());
        }
        self.wait().await
    }

    fn may_stop(&self) -> bool {
        self.session.is_idle() && self.session.status() == TransactionStatus::Idle
    }

    /// Feeds what the upstream has sent, as long as the client takes it.
    fn take_upstream(&mut self) -> Result<bool, End> {
        let mut moved = false;
        while !self.client.is_full() {
            if self.forward_rows()? {
                moved = true;
                continue;
            }
            // The rest of a large row comes with the next read; until then there is no message.
            if self.upstream.framed.is_within_message() {
                break;
            }
            let next = self.upstream.framed.next_frame();
            let Some(frame) = next.map_err(session::Error::UpstreamWire)? else {
                break;
            };
            self.session.upstream(&frame, &mut self.out)?;
            self.post();
            moved = true;
        }
        Ok(moved)
    }

    /// Passes rows on in bulk where they need no mask; what the log keeps of them is copied on the way.
    fn forward_rows(&mut self) -> Result<bool, End> {
        let room = match self.session.room() {
            Some(room) => room.rows,
            None if self.upstream.framed.is_within_message() => 0,
            None => return Ok(false),
        };
        let left = Cell::new(room);
        let run = self.upstream.framed.next_run(|of| {
            let passes = matches!(of, kind::DATA_ROW | kind::COPY_DATA) && left.get() > 0;
            left.set(left.get().saturating_sub(1));
            passes
        });
        let Some(run) = run.map_err(session::Error::UpstreamWire)? else {
            return Ok(false);
        };
        self.session.forwarded(&run, &mut self.out);
        // What was said before goes first.
        self.post();
        self.client.framed.forward(run.bytes);
        self.client.written();
        Ok(true)
    }

    /// Feeds what the client has sent, as far as the session takes it, and answers what the session asks.
    async fn take_client(&mut self) -> Result<bool, End> {
        let mut moved = false;
        loop {
            match self.session.next() {
                Next::Client if !self.wants_client() => break,
                Next::Client => {
                    if self.session.is_copying_in() && self.forward_data()? {
                        moved = true;
                        continue;
                    }
                    let next = self.client.framed.next_frame();
                    let Some(frame) = next.map_err(|error| self.unreadable(error))? else {
                        if self.has_room()? {
                            break;
                        }
                        self.post();
                        moved = true;
                        continue;
                    };
                    if self.session.is_idle() {
                        // A cancel that came while nothing ran is over, and must not hit what begins now.
                        self.key.forget();
                    }
                    self.session.client(&frame, &mut self.out)?;
                }
                Next::Verdict => {
                    self.post();
                    let Some(ask) = self.session.asking() else {
                        return Err(session::Error::OutOfOrder.into());
                    };
                    let verdict = self.verdict(ask).await?;
                    self.session.tick(self.gateway.clock.monotonic());
                    self.session.decided(verdict, &mut self.out)?;
                }
                Next::Upstream | Next::Close => break,
            }
            self.post();
            self.catch_up().await;
            moved = true;
        }
        Ok(moved)
    }

    /// Whether there is room for what was read of the client's next message; if not, it is refused and thrown away.
    fn has_room(&mut self) -> Result<bool, End> {
        if self.client.framed.unread() <= FREE {
            return Ok(true);
        }
        let Some((kind, size)) = self.client.framed.incomplete() else {
            return Ok(true);
        };
        let whole = self.claim.room().whole();
        let fields = if u64::try_from(size).unwrap_or(u64::MAX) > whole {
            reply::too_large(size, whole)
        } else if self.claim.hold(self.held()) {
            return Ok(true);
        } else {
            reply::no_room(whole)
        };
        self.client.framed.skip();
        self.claim.hold(self.held());
        self.session.unread(kind, fields, &mut self.out)?;
        Ok(false)
    }

    /// How many bytes of the client's wait here.
    fn held(&self) -> usize {
        let waiting = self.client.framed.unread();
        let waiting = waiting.saturating_add(self.session.holding());
        waiting.saturating_add(self.upstream.framed.pending())
    }

    /// Whether a message of the client could be dealt with now.
    fn wants_client(&self) -> bool {
        self.session.next() == Next::Client && !self.upstream.is_full() && self.cancelling.is_none()
    }

    /// Passes the data of a `COPY` on.
    fn forward_data(&mut self) -> Result<bool, End> {
        let run = self
            .client
            .framed
            .next_run(|of| of == frontend::kind::COPY_DATA)
            .map_err(session::Error::Client)?;
        let Some(run) = run else {
            return Ok(false);
        };
        self.upstream.framed.forward(run.bytes);
        self.upstream.written();
        Ok(true)
    }

    /// Hands on what the session has to say and have done.
    fn post(&mut self) {
        if !self.out.client.is_empty() {
            let bytes = std::mem::take(&mut self.out.client);
            self.client.framed.forward(bytes.into());
            self.client.written();
        }
        for bytes in self.out.upstream.drain(..) {
            self.upstream.framed.forward(bytes);
        }
        self.upstream.written();
        for act in std::mem::take(&mut self.out.acts) {
            match act {
                Act::Finished(report) => self.report(*report),
                Act::CancelUpstream => self.cancel_upstream(),
                Act::Shown(shown) => self.budget.shown().merge(&shown),
                Act::Refused(unasked) => self.unasked(&unasked),
            }
        }
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self) -> Result<(), End> {
        let reading = Reading {
            client: self.parted.is_none() && (self.wants_client() || self.client.may_read_ahead()),
            upstream: !self.client.is_full(),
        };
        let now = self.gateway.clock.monotonic();
        let patience = self.parted.map_or(FAREWELL, |since| {
            self.client.discard();
            FAREWELL.saturating_sub(now.saturating_sub(since))
        });
        let deadline = self.session.deadline();
        let left = deadline.map(|at| at.saturating_sub(now));
        tokio::select! {
            turn = duplex::turn(&mut self.client, &mut self.upstream, reading) => match turn {
                Turn::Progress => Ok(()),
                Turn::ClientGone => self.client_gone(),
                Turn::UpstreamGone => self.last_words(),
            },
            _ = self.attachment.ended.changed() => Ok(()),
            () = self.key.requested() => {
                self.requested().await;
                Ok(())
            }
            () = self.drain.started(), if !self.drain.is_started() => Ok(()),
            () = tokio::time::sleep(patience), if self.parted.is_some() => Err(End::ClientGone),
            () = cancelled(&mut self.cancelling), if self.cancelling.is_some() => {
                self.cancelling = None;
                Ok(())
            }
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {
                self.session.tick(self.gateway.clock.monotonic());
                self.session.expire(&mut self.out);
                self.post();
                Ok(())
            }
        }
    }

    /// The client is gone. When it said good-bye before, what it had sent until then is still carried out, for a moment.
    fn client_gone(&mut self) -> Result<(), End> {
        if self.parted.is_some() || !self.session.is_leaving() {
            return Err(End::ClientGone);
        }
        self.parted = Some(self.gateway.clock.monotonic());
        Ok(())
    }

    /// The upstream is gone; what it said before is still to be passed on.
    fn last_words(&mut self) -> Result<(), End> {
        if self.take_upstream()? {
            self.post();
        }
        Err(End::UpstreamGone)
    }

    /// The client asks to cancel what runs.
    async fn requested(&mut self) {
        let Some(run) = self.session.running() else {
            return;
        };
        let intent = Some(run.index());
        let event = Event::new(
            (*self.context).clone(),
            Action::StatementCancelled { intent },
        );
        // What ends something is not held up by a log that cannot be written; it is recorded once that can be.
        if let Err(error) = self.gateway.broker.log().append(event.clone()).await {
            tracing::error!(%error, "a cancel could not be recorded");
            self.gateway.broker.log().enqueue(event).ok();
        }
        self.cancel_upstream();
    }

    /// Cancels what the upstream does. Until that is delivered nothing new is begun, so that it can't hit the next statement.
    fn cancel_upstream(&mut self) {
        if self.cancelling.is_some() {
            return;
        }
        let target = Arc::clone(&self.backend.target);
        let (pid, key) = (self.backend.pid, self.backend.key.clone());
        self.cancelling = Some(tokio::spawn(async move {
            let sent = tokio::time::timeout(CANCEL, upstream::cancel::send(&target, pid, &key));
            if let Ok(Err(error)) = sent.await {
                tracing::warn!(%error, "a cancel could not be delivered");
            }
        }));
    }

    /// Ends both sides, and says why.
    async fn finish(mut self, end: End) {
        if let Some(task) = self.cancelling.take() {
            task.abort();
        }
        let unanswered = !self.session.is_settled();
        self.session.tick(self.gateway.clock.monotonic());
        self.session.end(&mut self.out);
        self.post();
        if let End::Session(error) = &end {
            tracing::warn!(%error, "a connection was ended");
        }
        // In the middle of a message of the upstream's there is no room for one of ours.
        if let Some(fields) = end.fields(unanswered)
            && !self.upstream.framed.is_within_message()
        {
            reply::write_error(&fields, self.client.framed.out());
        }
        if !matches!(end, End::UpstreamGone) {
            Message::Terminate.encode(self.upstream.framed.out()).ok();
        }
        self.record(Action::ConnectionClosed {
            statements: self.statements,
            end: end.phrase().to_owned(),
        });
        self.note_all().await;
        let last = async {
            if unanswered && !matches!(end, End::UpstreamGone) {
                // What still runs must not run on.
                let Backend { target, pid, key } = &self.backend;
                upstream::cancel::send(target, *pid, key).await.ok();
            }
            if !matches!(end, End::ClientGone) {
                self.client.framed.part().await.ok();
            }
            self.upstream.framed.close().await.ok();
        };
        tokio::time::timeout(FAREWELL, last).await.ok();
    }
}

async fn cancelled(task: &mut Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.await.ok();
    }
}

impl reply::ForClient for session::Error {
    fn fields(&self) -> Fields {
        match self {
            Self::Client(error) => reply::ForClient::fields(error),
            Self::ClientMessage(kind) => reply::fatal(
                wire::error::SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {kind}"),
            ),
            Self::Upstream(_) | Self::UpstreamWire(_) => reply::upstream_protocol(),
            Self::Pinned(name) => reply::pinned_changed(name),
            Self::OutOfOrder => reply::internal(),
        }
    }
}
