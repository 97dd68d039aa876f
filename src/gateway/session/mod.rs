//! The protocol between client and upstream as a pure machine: messages and verdicts in, bytes and acts out.
//!
//! Reading order: `verdict`, `run`, `runs` → `ledger`, `names`, `state` → here → `simple`, `extended`, `copy` (the client's side) → `answer`,
//! `failure` (the upstream's side).
//!
//! **Invariant:** a statement's bytes leave for the upstream only together with its [`run::Run`], which only a recorded permit makes. What
//! the client is told comes in the order in which it asked, as from PostgreSQL itself.

pub mod answer;
pub mod copy;
pub mod extended;
pub mod failure;
pub mod ledger;
pub mod names;
pub mod run;
mod runs;
pub mod simple;
pub mod state;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gateway::session::answer::trial::Trial;
use crate::gateway::session::ledger::Ledger;
use crate::gateway::session::names::{Ended, Names, Portal, Prepared, Undo};
use crate::gateway::session::run::{Outcome, Report, Run};
use crate::gateway::session::runs::Runs;
use crate::gateway::session::state::State;
use crate::gateway::session::verdict::{Ask, Refusal, Settled, Transaction, Unasked, Verdict};
use crate::gateway::startup::Tells;
use crate::policy::Shown;
use crate::sql::footprint::Kind;
use crate::wire;
use crate::wire::backend::TransactionStatus;
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend::{self, Message};

/// Why the connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client does not keep to the protocol.
    #[error(transparent)]
    Client(wire::error::Error),
    /// The client sent a message that has no place here.
    #[error("invalid frontend message type {0}")]
    ClientMessage(u8),
    /// The upstream does not keep to the protocol.
    #[error("the upstream sent {0}")]
    Upstream(&'static str),
    /// The upstream sent bytes that are no message.
    #[error("the upstream: {0}")]
    UpstreamWire(wire::error::Error),
    /// A pinned setting was changed behind the guard's back.
    #[error("setting `{0}` was changed upstream")]
    Pinned(String),
    /// The driver fed the machine out of turn.
    #[error("a step out of order")]
    OutOfOrder,
}

/// What the machine wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A message of the client.
    Client,
    /// Messages of the upstream; the client has to wait.
    Upstream,
    /// A verdict on [`Session::asking`].
    Verdict,
    /// Nothing more: the client said good-bye.
    Close,
}

/// What the machine has to say and to have done.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Messages for the client.
    pub client: Vec<u8>,
    /// Messages for the upstream.
    pub upstream: Vec<Bytes>,
    /// What to do.
    pub acts: Vec<Act>,
}

/// Something to be done outside.
#[derive(Debug)]
pub enum Act {
    /// Record what came of a statement.
    Finished(Box<Report>),
    /// Cancel what the upstream is doing.
    CancelUpstream,
    /// Remember the masked values that were shown.
    Shown(Shown),
    /// Record that something was refused that nobody could be asked about.
    Refused(Box<Unasked>),
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    mode: Mode,
    ledger: Ledger,
    names: Names,
    runs: Runs,
    state: State,
    status: TransactionStatus,
    pipeline: Pipeline,
    voice: Voice,
    tells: Tells,
    /// How the transaction of this moment would end.
    ending: Ended,
    trial: Trial,
    /// When the upstream last finished something; kept by the driver's clock.
    turn: Duration,
    now: Duration,
}

/// What messages of the client mean now.
#[derive(Debug)]
enum Mode {
    /// What they say.
    Ready,
    /// Nothing until `Sync`.
    Skipping,
    /// They have to wait: one is being decided.
    Waiting(Box<Pending>),
    /// They have to wait: this one is about names whose meaning depends on what the upstream still owes.
    Delayed(Box<Frame>),
    /// They have to wait: a refusal is told once the upstream owes nothing.
    Refusing(Box<Refusal>),
    /// They have to wait: the upstream is about to ask for data, or not.
    Opening(Via),
    /// Data for the upstream.
    CopyIn(run::Id, Via),
    /// Data of a refused `COPY`, to be thrown away before the client is told.
    Swallowing(Box<Fields>, Via),
    /// Nothing any more: it has said good-bye. What was sent before is still carried out, as by PostgreSQL.
    Leaving,
    /// Nothing any more.
    Closed,
}

/// By which protocol something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// The simple one.
    Query,
    /// The extended one.
    Pipeline,
}

/// A message that waits for its verdict.
#[derive(Debug)]
struct Pending {
    ask: Ask,
    frame: Frame,
    then: Then,
    settle: Settle,
}

/// What to do with a verdict.
#[derive(Debug, Clone)]
enum Then {
    Query,
    Parse { name: String },
    Bind { portal: String, statement: String },
    Execute { portal: String, run: run::Id },
}

/// Whether a question has to wait until the upstream owes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settle {
    First,
    NotNeeded,
}

/// What the upstream got since the last `Sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pipeline {
    Empty,
    /// Statements to prepare or to describe, and nothing else.
    Prepared,
    Begun,
}

/// Whether answers reach the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    Speaking,
    /// The client was told that a limit stopped the statement; what the upstream goes on to say is kept until it is ready.
    Muted,
}

impl Session {
    /// A connection that has just become ready. `user` is the upstream role.
    #[must_use]
    pub fn new(user: &str, tells: Tells) -> Self {
        Self {
            mode: Mode::Ready,
            ledger: Ledger::default(),
            names: Names::default(),
            runs: Runs::default(),
            state: State::new(user),
            status: TransactionStatus::Idle,
            pipeline: Pipeline::Empty,
            voice: Voice::Speaking,
            tells,
            ending: Ended::Committed,
            trial: Trial::None,
            turn: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// Tells the time, by a clock that never jumps.
    pub const fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// What is wanted next.
    #[must_use]
    pub fn next(&self) -> Next {
        match &self.mode {
            Mode::Ready | Mode::Skipping if self.ledger.is_long() => Next::Upstream,
            Mode::Ready | Mode::Skipping | Mode::CopyIn(..) | Mode::Swallowing(..) => Next::Client,
            Mode::Waiting(pending) => match pending.settle {
                Settle::First if !self.ledger.is_empty() => Next::Upstream,
                Settle::First | Settle::NotNeeded => Next::Verdict,
            },
            Mode::Opening(_) | Mode::Refusing(_) | Mode::Delayed(_) | Mode::Leaving => {
                Next::Upstream
            }
            Mode::Closed => Next::Close,
        }
    }

    /// The question that waits for its verdict.
    #[must_use]
    pub fn asking(&self) -> Option<Ask> {
        let Mode::Waiting(pending) = &self.mode else {
            return None;
        };
        Some(Ask {
            transaction: self.transaction(),
            settled: self.settled(),
            ..pending.ask.clone()
        })
    }

    /// A run that was asked about.
    #[must_use]
    pub fn run(&self, id: run::Id) -> Option<&Run> {
        self.runs.get(id)
    }

    /// What the connection's own state is, for the analysis.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The same, to be renewed.
    pub const fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The transaction's state, as the upstream last said it.
    #[must_use]
    pub const fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether the upstream is in the middle of a pipeline: then it is flushed, not synced.
    #[must_use]
    pub const fn is_in_pipeline(&self) -> bool {
        !matches!(self.pipeline, Pipeline::Empty)
    }

    /// Whether the pipeline's transaction has done nothing yet but read statements.
    #[must_use]
    pub fn has_only_prepared(&self) -> bool {
        self.status == TransactionStatus::Idle
            && self.pipeline == Pipeline::Prepared
            && self.ledger.is_empty()
    }

    /// The driver has ended that transaction.
    pub const fn rested(&mut self) {
        self.pipeline = Pipeline::Empty;
    }

    /// Whether the upstream has no transaction at all.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.transaction() == Transaction::Own && self.ledger.is_empty()
    }

    /// Whether the client's data goes to the upstream as it comes.
    #[must_use]
    pub const fn is_copying_in(&self) -> bool {
        matches!(self.mode, Mode::CopyIn(..))
    }

    /// The statement under way, if there is one.
    #[must_use]
    pub fn running(&self) -> Option<&Run> {
        self.ledger.running().and_then(|id| self.runs.get(id))
    }

    /// Whether nothing is owed and nothing waits: the connection is idle.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ledger.is_empty() && matches!(self.mode, Mode::Ready)
    }

    /// Takes a message of the client.
    ///
    /// # Errors
    /// When the client does not keep to the protocol, or nothing was wanted from it.
    pub fn client(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        if self.next() != Next::Client {
            return Err(Error::OutOfOrder);
        }
        if frame.kind() == frontend::kind::TERMINATE {
            self.leave(out);
            return Ok(());
        }
        match self.mode {
            Mode::Ready => {
                self.ready(frame, out)?;
                self.press(out);
                Ok(())
            }
            Mode::Skipping => {
                if frame.kind() == frontend::kind::SYNC {
                    self.sync(frame, out);
                }
                Ok(())
            }
            Mode::CopyIn(run, via) => {
                self.copy_in(run, via, frame, out);
                Ok(())
            }
            Mode::Swallowing(_, via) => {
                self.swallow(via, frame, out);
                Ok(())
            }
            Mode::Waiting(_)
            | Mode::Delayed(_)
            | Mode::Refusing(_)
            | Mode::Opening(_)
            | Mode::Leaving
            | Mode::Closed => Err(Error::OutOfOrder),
        }
    }

    fn ready(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let message = Message::decode(frame).map_err(|error| {
            let refused = Box::new(Unasked::unreadable(frame, &error));
            out.acts.push(Act::Refused(refused));
            Error::Client(error)
        })?;
        if self.must_wait(&message) {
            if self.ledger.needs_flush() {
                send(&Message::Flush, out);
            }
            self.mode = Mode::Delayed(Box::new(frame.clone()));
            return Ok(());
        }
        match message {
            Message::Query { sql } => self.query(sql.into(), frame.clone(), out),
            Message::Parse { name, sql, types } => {
                let (name, text) = (name.to_owned(), sql.into());
                self.parse(name, (text, types.into()), frame.clone(), out);
            }
            Message::Bind {
                portal, statement, ..
            } => {
                let (portal, statement) = (portal.to_owned(), statement.to_owned());
                self.bind(portal, statement, frame.clone(), out);
            }
            Message::Describe(target) => self.describe(target, frame, out),
            Message::Execute { portal, .. } => {
                let portal = portal.to_owned();
                self.execute(portal, frame.clone(), out);
            }
            Message::Close(target) => self.close(target, frame, out),
            Message::Flush => out.upstream.push(frame.bytes().clone()),
            Message::Sync => self.sync(frame, out),
            // The rest of a COPY that has failed: PostgreSQL drops it, too.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail { .. } => {}
            Message::FunctionCall(body) => {
                let refused = Unasked::function_call(body);
                self.refuse_query(refused.fields.clone(), out);
                out.acts.push(Act::Refused(Box::new(refused)));
            }
            Message::Password(_) => return Err(Error::ClientMessage(frame.kind())),
            Message::Terminate => self.mode = Mode::Closed,
        }
        Ok(())
    }

    /// Goes on with the message that had to wait.
    fn resume(&mut self, out: &mut Outbox) -> Result<(), Error> {
        if !self.ledger.is_empty() {
            return Ok(());
        }
        match std::mem::replace(&mut self.mode, Mode::Closed) {
            Mode::Delayed(frame) => {
                self.mode = Mode::Ready;
                return self.ready(&frame, out);
            }
            Mode::Leaving | Mode::Closed => {}
            kept @ (Mode::Ready
            | Mode::Skipping
            | Mode::Waiting(_)
            | Mode::Refusing(_)
            | Mode::Opening(_)
            | Mode::CopyIn(..)
            | Mode::Swallowing(..)) => self.mode = kept,
        }
        Ok(())
    }

    /// Gives a statement's name a meaning, or none.
    fn set_statement(&mut self, name: &str, to: Option<Prepared>) -> Undo {
        let facts = to.as_ref().and_then(|to| to.facts.clone());
        self.state.prepared(name, facts);
        self.names.set_statement(name, to)
    }

    /// A `Bind` is sent. Rows of a mere query can be fetched by SQL, too.
    fn set_portal(&mut self, name: &str, portal: Portal) -> Undo {
        let facts = match &portal {
            Portal::Run { run, .. } => self.runs.get(*run).map(|run| Arc::clone(run.facts())),
            Portal::Refused(_) | Portal::Cursor => None,
        };
        let facts = facts.filter(|facts| facts.kind == Kind::Select);
        self.state.cursor(name, facts.clone());
        self.names.bind(name, portal, facts)
    }

    /// A portal is closed; it may be a cursor.
    fn close_portal(&mut self, name: &str) -> Undo {
        self.state.cursor(name, None);
        self.names.close(name)
    }

    /// Takes over which portals and cursors there are still.
    fn sync_portals(&mut self, out: &mut Outbox) {
        self.state.cursors(self.names.cursors());
        if !self.ledger.is_empty() {
            // Those that are under way stay; what is left over goes with the next end.
            return;
        }
        let over = self.runs.by_id.keys().copied();
        let over: Vec<run::Id> = over.filter(|run| !self.names.is_bound(*run)).collect();
        for run in over {
            self.runs.remove(run, self.now, out);
        }
    }

    /// Takes the verdict that was wanted.
    ///
    /// # Errors
    /// When none was.
    pub fn decided(&mut self, verdict: Verdict, out: &mut Outbox) -> Result<(), Error> {
        if self.next() != Next::Verdict {
            return Err(Error::OutOfOrder);
        }
        let Mode::Waiting(mut pending) = std::mem::replace(&mut self.mode, Mode::Ready) else {
            return Err(Error::OutOfOrder);
        };
        if matches!(verdict, Verdict::Settle) {
            // Asked with everything settled, there is nothing more to wait for.
            if self.settled() == Settled::Yes {
                return Err(Error::OutOfOrder);
            }
            pending.settle = Settle::First;
            self.hold(pending, out);
            return Ok(());
        }
        match pending.then.clone() {
            Then::Query => self.query_decided(verdict, &pending, out)?,
            Then::Parse { name } => self.parse_decided(&name, verdict, &pending, out)?,
            Then::Bind { portal, statement } => {
                self.bind_decided((&portal, &statement), verdict, &pending, out)?;
            }
            Then::Execute { portal, run } => {
                self.execute_decided((&portal, run), verdict, &pending, out)?;
            }
        }
        self.press(out);
        Ok(())
    }

    /// Holds a message until its verdict comes.
    fn wait(&mut self, ask: Ask, frame: Frame, then: Then, out: &mut Outbox) {
        let settle = match then {
            // The state of the transaction must be known: a refusal has to leave the same one behind.
            Then::Query => Settle::First,
            _ if self.state.is_changing() => Settle::First,
            Then::Parse { .. } | Then::Bind { .. } | Then::Execute { .. } => Settle::NotNeeded,
        };
        let pending = Box::new(Pending {
            ask,
            frame,
            then,
            settle,
        });
        self.hold(pending, out);
    }

    fn hold(&mut self, pending: Box<Pending>, out: &mut Outbox) {
        if pending.settle == Settle::First && self.ledger.needs_flush() {
            send(&Message::Flush, out);
        }
        self.mode = Mode::Waiting(pending);
    }

    fn settled(&self) -> Settled {
        if self.ledger.is_empty() {
            Settled::Yes
        } else {
            Settled::No
        }
    }

    const fn transaction(&self) -> Transaction {
        match (self.status, self.pipeline) {
            (TransactionStatus::Failed, _) => Transaction::Failed,
            (TransactionStatus::Open, _) => Transaction::Open,
            (TransactionStatus::Idle, Pipeline::Begun | Pipeline::Prepared) => {
                Transaction::Pipeline
            }
            (TransactionStatus::Idle, Pipeline::Empty) => Transaction::Own,
        }
    }

    /// The connection ends: whatever was under way gets its report.
    pub fn end(&mut self, out: &mut Outbox) {
        self.mode = Mode::Closed;
        let mut running: Vec<run::Id> = self.committing().into_iter().collect();
        for entry in self.ledger.drain() {
            running.extend(entry.owed.runs());
        }
        for run in running {
            self.runs.finish(run, Outcome::Unknown, self.now, out);
        }
        let rest: Vec<run::Id> = self.runs.by_id.keys().copied().collect();
        for run in rest {
            self.runs.finish(run, Outcome::Skipped, self.now, out);
        }
    }

    /// Whether the upstream owes no answer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.ledger.is_empty()
    }
}

/// Writes a message of ours for the upstream. What we write fits into a message.
fn send(message: &Message<'_>, out: &mut Outbox) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).ok();
    out.upstream.push(bytes.into());
}
