//! The upstream's side: its answers, matched with what it owes.
//!
//! Reading order: here → `effect` (what a statement did to names) → `trial` (what is kept back until it is known to keep to its maximum).

mod effect;
pub(in crate::gateway::session) mod trial;

use std::sync::Arc;

use crate::gateway::budget::Sent;
use crate::gateway::reply;
use crate::gateway::session::ledger::{Asker, Owed};
use crate::gateway::session::names::Undo;
use crate::gateway::session::run::{self, Outcome};
use crate::gateway::session::{Act, Error, Mode, Outbox, Pipeline, Session, Via, Voice};
use crate::sql::footprint::Kind;
use crate::wire::backend::{Message, TransactionStatus, kind};
use crate::wire::error::Fields;
use crate::wire::frame::{self, Frame};
use crate::wire::row::RowDescription;

impl Session {
    /// Takes a message of the upstream.
    ///
    /// # Errors
    /// When the upstream does not keep to the protocol, or has changed what it must not.
    pub fn upstream(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        match frame.kind() {
            kind::DATA_ROW => return self.row(frame, out),
            kind::COPY_DATA => return self.copy_row(frame, out),
            kind::NOTICE_RESPONSE | kind::PARAMETER_STATUS | kind::NOTIFICATION_RESPONSE => {
                return self.aside(frame, out);
            }
            _ => {}
        }
        let message = Message::decode(frame).map_err(Error::UpstreamWire)?;
        match message {
            Message::ErrorResponse(fields) => self.failed(fields, out)?,
            Message::ReadyForQuery(status) => self.ready_for_query(status, frame, out)?,
            Message::ParseComplete => self.parsed(frame, out)?,
            Message::BindComplete => self.bound(frame, out)?,
            Message::CloseComplete => self.closed(frame, out)?,
            Message::ParameterDescription { .. } => match self.ledger.front() {
                Some(Owed::DescribeStatement) => self.tell(frame, out),
                _ => return Err(Error::Upstream("an unasked ParameterDescription")),
            },
            Message::NoData => self.no_data(frame, out)?,
            Message::RowDescription(rows) => self.described(&rows, frame, out)?,
            Message::CommandComplete { tag } => self.completed(tag, frame, out)?,
            Message::EmptyQueryResponse => self.completed("", frame, out)?,
            Message::PortalSuspended => self.suspended(frame, out)?,
            Message::CopyInResponse(_) => self.copy_in_begins(frame, out)?,
            Message::CopyOutResponse(_) => self.copy_out_begins(frame, out)?,
            Message::CopyDone => match self.current().and_then(|id| self.runs.get(id)) {
                // The client gets the error in its place.
                Some(run) if run.stopped().is_some() => {}
                Some(_) => self.tell(frame, out),
                None => return Err(Error::Upstream("CopyDone out of place")),
            },
            Message::CopyBothResponse(_) => return Err(Error::Upstream("CopyBothResponse")),
            Message::FunctionCallResponse(_) => {
                return Err(Error::Upstream("a FunctionCallResponse"));
            }
            Message::Authentication(_)
            | Message::BackendKeyData { .. }
            | Message::NegotiateProtocolVersion { .. } => {
                return Err(Error::Upstream("a message of the handshake"));
            }
            // They were sorted out above.
            Message::DataRow(_)
            | Message::CopyData(_)
            | Message::NoticeResponse(_)
            | Message::NotificationResponse { .. }
            | Message::ParameterStatus { .. } => return Err(Error::OutOfOrder),
        }
        self.settle(out);
        self.resume(out)
    }

    /// How many rows may be forwarded unread now; `None` = look at each.
    #[must_use]
    pub fn room(&self) -> Option<Sent> {
        if self.voice == Voice::Muted {
            return None;
        }
        self.runs.get(self.current()?)?.room(self.now)
    }

    /// Rows were forwarded unmasked.
    pub fn forwarded(&mut self, rows: &frame::Run, out: &mut Outbox) {
        let (now, Some(id)) = (self.now, self.current()) else {
            return;
        };
        self.runs.keeping(id, |run| {
            let bytes = u64::try_from(rows.bytes.len()).unwrap_or(u64::MAX);
            if !run.passes(rows.frames, bytes, now) {
                out.acts.push(Act::CancelUpstream);
            }
            run.saw(now, &rows.bytes, rows.frames);
        });
    }

    /// When the statement under way must have ended.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Duration> {
        let run = self.runs.get(self.current()?)?;
        if run.stopped().is_some() {
            return None;
        }
        run.deadline(self.turn).map(|(deadline, _)| deadline)
    }

    /// The deadline has passed.
    pub fn expire(&mut self, out: &mut Outbox) {
        let (turn, now) = (self.turn, self.now);
        let Some(run) = self.current().and_then(|id| self.runs.get_mut(id)) else {
            return;
        };
        if let Some((_, limit)) = run.deadline(turn) {
            run.expire(limit, now);
            out.acts.push(Act::CancelUpstream);
        }
    }

    /// The run whose result comes now.
    pub(super) fn current(&self) -> Option<run::Id> {
        match self.ledger.front()? {
            Owed::Execute(run) => Some(*run),
            Owed::Query(runs) => runs.front().copied(),
            Owed::Parse
            | Owed::CloseStale
            | Owed::ParseAgain
            | Owed::Bind(_)
            | Owed::DescribeStatement
            | Owed::DescribeCursor
            | Owed::DescribePortal(..)
            | Owed::Close(_)
            | Owed::Sync
            | Owed::PoisonPipeline(_)
            | Owed::PoisonQuery(_)
            | Owed::Local(_) => None,
            Owed::Trial => self.committing(),
        }
    }

    /// Passes a message on, unless the client has been told of an end already.
    pub(super) fn tell(&self, frame: &Frame, out: &mut Outbox) {
        if self.voice == Voice::Speaking {
            out.client.extend_from_slice(frame.bytes());
        }
    }

    /// Answers in the upstream's place, in turn.
    pub(super) fn pretend(&mut self, message: &Message<'_>, undo: Option<Undo>, out: &mut Outbox) {
        let mut bytes = Vec::new();
        reply::write(message, &mut bytes);
        if self.ledger.is_empty() && self.pipeline == Pipeline::Empty {
            out.client.append(&mut bytes);
            self.happened(undo.as_ref());
            return;
        }
        self.ledger.push_with(Owed::Local(bytes), undo);
        self.settle(out);
    }

    fn parsed(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        match self.ledger.front() {
            Some(Owed::Parse) => self.tell(frame, out),
            Some(Owed::ParseAgain) => {}
            _ => return Err(Error::Upstream("an answer to nothing")),
        }
        self.ledger.pop();
        self.turn = self.now;
        Ok(())
    }

    /// What was assumed has come true.
    fn happened(&mut self, undo: Option<&Undo>) {
        if let Some(Undo::Portal(name, _)) = undo {
            self.names.bound(name);
        }
    }

    fn bound(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let Some(Owed::Bind(_)) = self.ledger.front() else {
            return Err(Error::Upstream("an answer to nothing"));
        };
        if let Some(entry) = self.ledger.pop() {
            self.happened(entry.undo.as_ref());
            self.forget(entry.undo, out);
        }
        self.turn = self.now;
        self.tell(frame, out);
        Ok(())
    }

    fn closed(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        match self.ledger.front() {
            Some(Owed::Close(run)) => {
                if let Some(run) = *run {
                    self.runs.remove(run, self.now, out);
                }
                self.tell(frame, out);
            }
            Some(Owed::CloseStale) => {}
            _ => return Err(Error::Upstream("an answer to nothing")),
        }
        self.ledger.pop();
        Ok(())
    }

    /// A portal has taken the place of another: nobody can execute that one any more.
    fn forget(&mut self, undo: Option<Undo>, out: &mut Outbox) {
        if let Some(Undo::Portal(_, Some(slot))) = undo
            && let Some(run) = slot.run()
        {
            self.runs.remove(run, self.now, out);
        }
    }

    fn no_data(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        match self.ledger.front() {
            Some(
                Owed::DescribeStatement
                | Owed::DescribeCursor
                | Owed::DescribePortal(_, Asker::Client),
            ) => {
                self.tell(frame, out);
            }
            Some(Owed::DescribePortal(_, Asker::Gateway)) => {}
            _ => return Err(Error::Upstream("an unasked NoData")),
        }
        self.ledger.pop();
        Ok(())
    }

    fn described(
        &mut self,
        rows: &RowDescription,
        frame: &Frame,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let (run, asker) = match self.ledger.front() {
            Some(Owed::DescribeStatement | Owed::DescribeCursor) => {
                self.ledger.pop();
                self.tell(frame, out);
                return Ok(());
            }
            Some(Owed::DescribePortal(run, asker)) => (*run, *asker),
            Some(Owed::Query(_)) => match self.current() {
                Some(run) => (run, Asker::Client),
                None => return Err(Error::Upstream("more results than statements")),
            },
            _ => return Err(Error::Upstream("an unasked RowDescription")),
        };
        let portal = matches!(self.ledger.front(), Some(Owed::DescribePortal(..)));
        let refused = match self.runs.get_mut(run) {
            Some(known) => known.describe(rows, self.now).err(),
            None => return Err(Error::OutOfOrder),
        };
        if portal {
            self.ledger.pop();
        }
        if let Some(fields) = refused {
            if let Some(run) = self.runs.get_mut(run) {
                run.stop(fields.clone());
            }
            out.acts.push(Act::CancelUpstream);
            if portal {
                self.end_stopped(run, &fields, out);
            }
            return Ok(());
        }
        if asker == Asker::Client && self.voice == Voice::Speaking {
            let run = self.runs.get(run);
            out.client.extend(
                run.and_then(|run| run.masks(self.tells, rows))
                    .unwrap_or_default(),
            );
            out.client.extend_from_slice(frame.bytes());
        }
        Ok(())
    }

    fn row(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let Some(id) = self.current() else {
            return Err(Error::Upstream("a row out of place"));
        };
        self.pass_row(id, frame, out)
    }

    fn pass_row(&mut self, id: run::Id, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let (muted, now) = (self.voice == Voice::Muted, self.now);
        let passed = self.runs.keeping(id, |run| {
            if muted || run.stopped().is_some() {
                return Ok(true);
            }
            run.row(frame, now, &mut out.client)
        });
        match passed {
            None => return Err(Error::OutOfOrder),
            Some(passed) if !passed.map_err(Error::Upstream)? => {
                out.acts.push(Act::CancelUpstream);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// One statement of a query string, or an execution, has come to its end.
    fn completed(&mut self, tag: &str, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        if !reply::is_tag(tag) {
            return Err(Error::Upstream("a command tag that is none"));
        }
        if matches!(self.ledger.front(), Some(Owed::Trial)) {
            return self.tried(tag, out);
        }
        let Some(id) = self.current() else {
            return Err(Error::Upstream("more results than statements"));
        };
        let follows = match self.ledger.front_mut() {
            Some(Owed::Query(runs)) => {
                runs.pop_front();
                runs.front().copied()
            }
            _ => {
                self.ledger.pop();
                None
            }
        };
        self.turn = self.now;
        if let Some(next) = follows.and_then(|id| self.runs.get_mut(id)) {
            next.start(self.now);
        }
        let Some(run) = self.runs.get_mut(id) else {
            return Err(Error::OutOfOrder);
        };
        let facts = Arc::clone(run.facts());
        out.acts.extend(run.take_shown().map(Act::Shown));
        run.ended_with(tag);
        let stopped = run.stopped().cloned();
        self.state.completed(&facts);
        match stopped {
            None if self.passed(id, tag, frame) => return Ok(()),
            None => {
                self.runs
                    .finish(id, Outcome::Done(tag.to_owned()), self.now, out);
                self.tell(frame, out);
            }
            // The upstream was faster than the cancel. What it did stands, unless the transaction still can be made to fail.
            Some(fields) => {
                self.end_stopped(id, &fields, out);
            }
        }
        if self.is_query() {
            self.runs.remove(id, self.now, out);
        }
        self.take_effect(&facts.effect, tag, out);
        Ok(())
    }

    fn suspended(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let Some(Owed::Execute(id)) = self.ledger.front() else {
            return Err(Error::Upstream("PortalSuspended out of place"));
        };
        let id = *id;
        self.ledger.pop();
        self.turn = self.now;
        if let Some(run) = self.runs.get_mut(id) {
            out.acts.extend(run.take_shown().map(Act::Shown));
            if let Some(fields) = run.most().map(|most| most.in_portions()) {
                run.stop(fields);
            }
        }
        match self.runs.get(id).and_then(|run| run.stopped().cloned()) {
            None => self.tell(frame, out),
            Some(fields) => {
                self.end_stopped(id, &fields, out);
            }
        }
        Ok(())
    }

    /// The end of a run that we stopped: it is reported, and what the upstream goes on to say of it is kept from the client.
    fn end_stopped(&mut self, id: run::Id, fields: &Fields, out: &mut Outbox) {
        let outcome = Outcome::Stopped(Box::new(fields.clone()));
        self.runs.finish(id, outcome, self.now, out);
        self.interrupt(fields, out);
    }

    pub(super) fn is_query(&self) -> bool {
        matches!(self.ledger.front(), Some(Owed::Query(_)))
    }

    fn copy_in_begins(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let (Some(id), Mode::Opening(via)) = (self.current(), &self.mode) else {
            return Err(Error::Upstream("an unasked CopyInResponse"));
        };
        let via = *via;
        match self.runs.get(id) {
            Some(run) if run.takes_data() => {}
            _ => return Err(Error::Upstream("an unasked CopyInResponse")),
        }
        self.mode = Mode::CopyIn(id, via);
        self.tell(frame, out);
        Ok(())
    }

    fn copy_out_begins(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let id = self.current();
        let Some(run) = id.and_then(|id| self.runs.get_mut(id)) else {
            return Err(Error::Upstream("an unasked CopyOutResponse"));
        };
        if run.facts().kind != Kind::CopyOut {
            return Err(Error::Upstream("an unasked CopyOutResponse"));
        }
        if let Err(fields) = run.describe_copy() {
            run.stop(fields);
            out.acts.push(Act::CancelUpstream);
            return Ok(());
        }
        self.tell(frame, out);
        Ok(())
    }

    fn copy_row(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        let Some(id) = self.current() else {
            return Err(Error::Upstream("CopyData out of place"));
        };
        self.pass_row(id, frame, out)
    }

    fn ready_for_query(
        &mut self,
        status: TransactionStatus,
        frame: &Frame,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        match self.ledger.front() {
            Some(Owed::Sync | Owed::Query(_) | Owed::PoisonQuery(_) | Owed::Trial) => {}
            _ => return Err(Error::Upstream("ReadyForQuery out of place")),
        }
        if let Some(Owed::Query(runs)) = self.ledger.pop().map(|entry| entry.owed) {
            for run in runs {
                self.runs.remove(run, self.now, out);
            }
            self.pipeline = Pipeline::Empty;
            if matches!(
                self.mode,
                Mode::Opening(Via::Query) | Mode::CopyIn(_, Via::Query)
            ) {
                self.mode = Mode::Ready;
            }
        }
        if self.end_trial(status, out)? {
            return Ok(());
        }
        self.status = status;
        self.turn = self.now;
        self.state.ready(status);
        if status == TransactionStatus::Idle {
            self.end_transaction(self.ending);
            self.sync_portals(out);
        }
        if std::mem::replace(&mut self.voice, Voice::Speaking) == Voice::Muted
            && status == TransactionStatus::Open
            && self.ledger.is_empty()
        {
            // The client was told that its statement failed: the transaction must have.
            self.fail_transaction(out);
            return Ok(());
        }
        self.tell(frame, out);
        Ok(())
    }

    /// Lets go of what waited for the upstream's silence, and says what is ours to say.
    pub(super) fn settle(&mut self, out: &mut Outbox) {
        while let Some(Owed::Local(_)) = self.ledger.front() {
            let Some(entry) = self.ledger.pop() else {
                break;
            };
            self.happened(entry.undo.as_ref());
            if let Owed::Local(bytes) = entry.owed
                && self.voice == Voice::Speaking
            {
                out.client.extend_from_slice(&bytes);
            }
        }
        if !self.ledger.is_empty() {
            return;
        }
        self.state.settle();
        if let Mode::Refusing(_) = self.mode
            && let Mode::Refusing(refusal) = std::mem::replace(&mut self.mode, Mode::Ready)
        {
            self.refuse(*refusal, Via::Pipeline, out);
        }
    }
}

/// Whether a setting that the guard relies on has another value than it was given.
pub(in crate::gateway) fn is_broken(name: &str, value: &str) -> bool {
    match name {
        "standard_conforming_strings" => value != "on",
        "client_encoding" => value != "UTF8",
        _ => false,
    }
}
