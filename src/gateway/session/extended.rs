//! The extended protocol: prepare, bind, describe, execute, close, in pipelines.

use std::sync::Arc;

use crate::gateway::reply;
use crate::gateway::session::ledger::{Asker, Owed};
use crate::gateway::session::names::{Portal, Prepared, Undo};
use crate::gateway::session::run::{self, Run};
use crate::gateway::session::simple::POISON;
use crate::gateway::session::verdict::{Ask, Purpose, Refusal, Settled, Transaction, Verdict};
use crate::gateway::session::{Error, Mode, Outbox, Pending, Pipeline, Session, Then, Via, send};
use crate::sql::footprint::{Facts, Source};
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend::{Message, Target, kind};

impl Session {
    /// Whether a message is about a name whose meaning is not certain before the upstream has answered.
    pub(super) fn must_wait(&self, message: &Message<'_>) -> bool {
        if self.ledger.is_empty() {
            return false;
        }
        // Nothing of it may be committed, nor anything be built on it, before it is known to keep to its maximum.
        if self.is_on_trial() {
            return true;
        }
        let ledger = &self.ledger;
        let statement = |name: &str| ledger.is_uncertain(|undo| undo.is_statement(name));
        let portal = |name: &str| ledger.is_uncertain(|undo| undo.is_portal(name));
        let (names, uncertain) = match message {
            Message::Parse { .. } | Message::Close(_) => (true, false),
            Message::Bind { statement: of, .. } => (true, statement(of)),
            Message::Execute { portal: of, .. } => (true, portal(of)),
            Message::Describe(Target::Statement(of)) => (true, statement(of)),
            Message::Describe(Target::Portal(of)) => (true, portal(of)),
            Message::Query { .. }
            | Message::Flush
            | Message::Sync
            | Message::CopyData(_)
            | Message::CopyDone
            | Message::CopyFail { .. }
            | Message::FunctionCall(_)
            | Message::Password(_)
            | Message::Terminate => (false, false),
        };
        uncertain || (names && self.state.is_changing())
    }

    /// Has the upstream say what it owes, when it owes so much that the client has to wait for it.
    pub(super) fn press(&self, out: &mut Outbox) {
        if self.ledger.is_long() && self.ledger.needs_flush() {
            send(&Message::Flush, out);
        }
    }

    pub(super) fn parse(
        &mut self,
        name: String,
        (text, types): (Arc<str>, Arc<[u32]>),
        frame: Frame,
        out: &mut Outbox,
    ) {
        let purpose = Purpose::Prepare {
            name: name.as_str().into(),
            text,
            types,
        };
        self.wait(ask(purpose), frame, Then::Parse { name }, out);
    }

    pub(super) fn parse_decided(
        &mut self,
        name: &str,
        verdict: Verdict,
        pending: &Pending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let Purpose::Prepare { text, types, .. } = &pending.ask.purpose else {
            return Err(Error::OutOfOrder);
        };
        let mut prepared = Prepared {
            text: Arc::clone(text),
            types: Arc::clone(types),
            refused: None,
            facts: None,
        };
        match verdict {
            Verdict::Prepared(_) if self.names.is_full(name) => {
                self.refuse_pipeline(reply::too_much_prepared(), out);
            }
            Verdict::Prepared(facts) => {
                prepared.facts = Some(facts);
                let undo = self.set_statement(name, Some(with_source(prepared, name)));
                self.ledger.push_with(Owed::Parse, Some(undo));
                self.forward(&pending.frame, out);
            }
            Verdict::Refused(refusal) if refusal.copy_columns.is_some() => {
                // The client is told once it has sent its data; until then all seems well.
                if !name.is_empty() && self.names.statement(name).is_some() {
                    self.refuse_pipeline(reply::duplicate_statement(name), out);
                    return Ok(());
                }
                prepared.refused = Some(Arc::new(refusal));
                let undo = self.set_statement(name, Some(prepared));
                self.pretend(&backend::Message::ParseComplete, Some(undo), out);
            }
            Verdict::Refused(refusal) => self.refuse_pipeline(refusal.fields, out),
            Verdict::Permitted(_) | Verdict::Stands | Verdict::Renewed(_) | Verdict::Settle => {
                return Err(Error::OutOfOrder);
            }
        }
        Ok(())
    }

    pub(super) fn bind(
        &mut self,
        portal: String,
        statement: String,
        frame: Frame,
        out: &mut Outbox,
    ) {
        let Some(prepared) = self.names.statement(&statement) else {
            self.refuse_pipeline(reply::no_statement(&statement), out);
            return;
        };
        if self.names.is_crowded(&portal) {
            self.refuse_pipeline(reply::too_many_portals(), out);
            return;
        }
        if let Some(refusal) = prepared.refused.clone() {
            let undo = self.set_portal(&portal, Portal::Refused(refusal));
            self.pretend(&backend::Message::BindComplete, Some(undo), out);
            return;
        }
        let purpose = Purpose::Bind {
            text: Arc::clone(&prepared.text),
            types: Arc::clone(&prepared.types),
            known: prepared.facts.clone(),
            frame: frame.clone(),
        };
        self.wait(ask(purpose), frame, Then::Bind { portal, statement }, out);
    }

    pub(super) fn bind_decided(
        &mut self,
        (portal, statement): (&str, &str),
        verdict: Verdict,
        pending: &Pending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        match verdict {
            Verdict::Permitted(mut runs) => {
                let (Some(run), true) = (runs.pop(), runs.is_empty()) else {
                    return Err(Error::OutOfOrder);
                };
                if run.is_guarded() {
                    self.state.guard();
                }
                self.listen(&run, &pending.frame);
                self.prepare_again(statement, run.facts(), out);
                let run = self.runs.add(run);
                let described = false;
                let undo = self.set_portal(portal, Portal::Run { run, described });
                self.ledger.push_with(Owed::Bind(run), Some(undo));
                self.forward(&pending.frame, out);
            }
            // Refused only now, by its parameters or a newer policy: the upstream knows the statement, but not the portal.
            Verdict::Refused(refusal) if refusal.copy_columns.is_some() => {
                let portal_of = Portal::Refused(Arc::new(refusal));
                let undo = self.set_portal(portal, portal_of);
                self.pretend(&backend::Message::BindComplete, Some(undo), out);
            }
            Verdict::Refused(refusal) => self.refuse_pipeline(refusal.fields, out),
            Verdict::Prepared(_) | Verdict::Stands | Verdict::Renewed(_) | Verdict::Settle => {
                return Err(Error::OutOfOrder);
            }
        }
        Ok(())
    }

    pub(super) fn describe(&mut self, target: Target<'_>, frame: &Frame, out: &mut Outbox) {
        match target {
            Target::Statement(name) => match self.names.statement(name) {
                None => self.refuse_pipeline(reply::no_statement(name), out),
                Some(prepared) if prepared.refused.is_some() => {
                    let types = prepared.types.to_vec();
                    self.pretend(&backend::Message::ParameterDescription { types }, None, out);
                    self.pretend(&backend::Message::NoData, None, out);
                }
                Some(_) => {
                    self.ledger.push(Owed::DescribeStatement);
                    self.forward(frame, out);
                }
            },
            Target::Portal(name) => match self.names.portal_mut(name) {
                None => self.refuse_pipeline(reply::no_portal(name), out),
                // A description shows names and types, never a value.
                Some(Portal::Cursor) => {
                    self.ledger.push(Owed::DescribeCursor);
                    self.forward(frame, out);
                }
                Some(Portal::Refused(_)) => self.pretend(&backend::Message::NoData, None, out),
                Some(Portal::Run { run, described }) => {
                    let run = *run;
                    *described = true;
                    self.ledger.push(Owed::DescribePortal(run, Asker::Client));
                    self.forward(frame, out);
                }
            },
        }
    }

    pub(super) fn execute(&mut self, portal: String, frame: Frame, out: &mut Outbox) {
        match self.names.portal(&portal) {
            None => self.refuse_pipeline(reply::no_portal(&portal), out),
            Some(Portal::Cursor) => self.refuse_pipeline(reply::cursor_as_portal(&portal), out),
            Some(Portal::Refused(refusal)) => {
                let refusal = Refusal::clone(refusal);
                self.refuse_copy(refusal, out);
            }
            Some(Portal::Run { run, .. }) => {
                let run = *run;
                let purpose = Purpose::Again(run);
                let then = Then::Execute { portal, run };
                self.wait(ask(purpose), frame, then, out);
            }
        }
    }

    pub(super) fn execute_decided(
        &mut self,
        (portal, id): (&str, run::Id),
        verdict: Verdict,
        pending: &Pending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        // While it waited, the name may have been given to another.
        if self.portal_run(portal) != Some(id) {
            self.refuse_pipeline(reply::no_portal(portal), out);
            return Ok(());
        }
        match verdict {
            Verdict::Stands => {}
            Verdict::Renewed(renewed) => {
                self.runs.renew(id, *renewed);
                // The masks may be others: the rows have to be looked at again.
                if let Some(Portal::Run { described, .. }) = self.names.portal_mut(portal) {
                    *described = false;
                }
            }
            Verdict::Refused(refusal) if refusal.copy_columns.is_some() => {
                self.refuse_copy(refusal, out);
                return Ok(());
            }
            Verdict::Refused(refusal) => {
                self.refuse_pipeline(refusal.fields, out);
                return Ok(());
            }
            Verdict::Permitted(_) | Verdict::Prepared(_) | Verdict::Settle => {
                return Err(Error::OutOfOrder);
            }
        }
        let full = self.runs.get(id).map(|run| &run.facts().effect);
        if let Some(fields) = full.and_then(|effect| self.names.no_room(effect)) {
            self.refuse_pipeline(fields, out);
            return Ok(());
        }
        self.describe_for_masks(portal, id, out);
        let now = self.now;
        let Some(run) = self.runs.get_mut(id) else {
            return Err(Error::OutOfOrder);
        };
        run.start(now);
        let takes_data = run.takes_data();
        let portals = self.names.has_named_portals();
        self.state.sending(run.facts(), portals);
        self.ledger.push(Owed::Execute(id));
        self.forward(&pending.frame, out);
        if takes_data {
            self.mode = Mode::Opening(Via::Pipeline);
            send(&Message::Flush, out);
        }
        Ok(())
    }

    /// Asks the upstream what the rows will be, unless the client did: masks are built from that.
    fn describe_for_masks(&mut self, name: &str, run: run::Id, out: &mut Outbox) {
        let Some(Portal::Run { described, .. }) = self.names.portal_mut(name) else {
            return;
        };
        if !self.runs.get(run).is_some_and(Run::needs_description) {
            return;
        }
        if std::mem::replace(described, true) {
            return;
        }
        self.ledger.push(Owed::DescribePortal(run, Asker::Gateway));
        send(&Message::Describe(Target::Portal(name)), out);
    }

    /// A `COPY … FROM STDIN` that was refused is executed: nothing else may be under way when the client begins to send.
    fn refuse_copy(&mut self, refusal: Refusal, out: &mut Outbox) {
        if self.ledger.is_empty() {
            self.refuse(refusal, Via::Pipeline, out);
            return;
        }
        // What is under way may fail first; then the client is told that, and its data is dropped by the rule for failed pipelines.
        if self.ledger.needs_flush() {
            send(&Message::Flush, out);
        }
        self.mode = Mode::Refusing(Box::new(refusal));
    }

    pub(super) fn close(&mut self, target: Target<'_>, frame: &Frame, out: &mut Outbox) {
        match target {
            Target::Statement(name) => {
                let pretended = self
                    .names
                    .statement(name)
                    .is_some_and(|prepared| prepared.refused.is_some());
                let undo = self.set_statement(name, None);
                if pretended {
                    self.pretend(&backend::Message::CloseComplete, Some(undo), out);
                } else {
                    self.ledger.push_with(Owed::Close(None), Some(undo));
                    self.forward(frame, out);
                }
            }
            Target::Portal(name) => {
                let run = match self.names.portal(name) {
                    Some(Portal::Refused(_)) => {
                        let undo = self.close_portal(name);
                        self.pretend(&backend::Message::CloseComplete, Some(undo), out);
                        return;
                    }
                    Some(Portal::Run { run, .. }) => Some(*run),
                    Some(Portal::Cursor) | None => None,
                };
                let undo = self.close_portal(name);
                self.ledger.push_with(Owed::Close(run), Some(undo));
                self.forward(frame, out);
            }
        }
    }

    pub(super) fn sync(&mut self, frame: &Frame, out: &mut Outbox) {
        self.mode = Mode::Ready;
        self.ledger.push(Owed::Sync);
        self.pipeline = Pipeline::Empty;
        out.upstream.push(frame.bytes().clone());
    }

    /// Refuses within a pipeline: the upstream is made to fail at the same place, the rest up to `Sync` is skipped.
    pub(super) fn refuse_pipeline(&mut self, fields: Fields, out: &mut Outbox) {
        self.mode = Mode::Skipping;
        let untouched = self.status == TransactionStatus::Idle
            && self.pipeline == Pipeline::Empty
            && self.ledger.is_empty();
        if untouched {
            reply::write_error(&fields, &mut out.client);
            return;
        }
        let failed = self.status == TransactionStatus::Failed && self.ledger.is_empty();
        // Names are looked up first.
        let fields = if failed && !reply::is_unknown(&fields) {
            reply::failed_transaction()
        } else {
            fields
        };
        self.ledger.push(Owed::PoisonPipeline(Some(fields)));
        self.poison_pipeline(out);
    }

    /// Makes the upstream fail: there is no statement of that name.
    pub(super) fn poison_pipeline(&mut self, out: &mut Outbox) {
        let bind = Message::Bind {
            portal: "",
            statement: POISON,
            formats: Vec::new(),
            parameters: Vec::new(),
            results: Vec::new(),
        };
        send(&bind, out);
        send(&Message::Flush, out);
    }

    /// The server reads a prepared statement again when the search path or a table has changed, but not when a new object hides one that
    /// it found before. When its names mean something else now, it is prepared anew, so that both sides read it alike.
    fn prepare_again(&mut self, name: &str, facts: &Arc<Facts>, out: &mut Outbox) {
        let Some(prepared) = self.names.statement(name) else {
            return;
        };
        if !is_stale(prepared.facts.as_ref(), facts) || self.status == TransactionStatus::Failed {
            return;
        }
        let (text, types) = (Arc::clone(&prepared.text), Arc::clone(&prepared.types));
        if !name.is_empty() {
            send(&Message::Close(Target::Statement(name)), out);
            self.ledger.push(Owed::CloseStale);
        }
        let parse = Message::Parse {
            name,
            sql: &text,
            types: types.to_vec(),
        };
        send(&parse, out);
        let prepared = Prepared {
            text: Arc::clone(&text),
            types: Arc::clone(&types),
            refused: None,
            facts: Some(Arc::clone(facts)),
        };
        let undo = match self.set_statement(name, Some(with_source(prepared, name))) {
            Undo::Statement(name, before) => Undo::Again(name, before),
            kept @ (Undo::Again(..) | Undo::Portal(..)) => kept,
        };
        self.ledger.push_with(Owed::ParseAgain, Some(undo));
    }

    fn forward(&mut self, frame: &Frame, out: &mut Outbox) {
        self.pipeline = match (self.pipeline, frame.kind()) {
            (Pipeline::Empty | Pipeline::Prepared, kind::PARSE) => Pipeline::Prepared,
            (Pipeline::Prepared, kind::DESCRIBE | kind::CLOSE) => Pipeline::Prepared,
            _ => Pipeline::Begun,
        };
        out.upstream.push(frame.bytes().clone());
    }
}

/// Whether the names in a prepared statement meant something else when it was prepared. What is looked up by name on the connection
/// itself, as by `EXECUTE`, is looked up each time it runs.
pub(in crate::gateway) fn is_stale(known: Option<&Arc<Facts>>, now: &Facts) -> bool {
    !now.named && known.is_some_and(|known| !known.means_as(now))
}

/// `EXECUTE` has to read the text again; it can't name the unnamed statement.
fn with_source(mut prepared: Prepared, name: &str) -> Prepared {
    if let Some(facts) = prepared.facts.as_ref().filter(|_| !name.is_empty()) {
        let source = Source::Parse(Arc::clone(&prepared.text), Arc::clone(&prepared.types));
        prepared.facts = Some(Arc::new(Facts {
            source: Some(source),
            ..Facts::clone(facts)
        }));
    }
    prepared
}

const fn ask(purpose: Purpose) -> Ask {
    Ask {
        purpose,
        transaction: Transaction::Own,
        settled: Settled::No,
    }
}
