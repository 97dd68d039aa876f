//! When something fails: the upstream reports an error, or we stop what it is doing. And what it reports by the side.

use crate::gateway::reply;
use crate::gateway::session::answer::is_broken;
use crate::gateway::session::ledger::{Entry, Owed};
use crate::gateway::session::names::{Ended, Portal, Undo};
use crate::gateway::session::run::{self, Outcome, Run};
use crate::gateway::session::simple::POISON;
use crate::gateway::session::{Error, Mode, Outbox, Session, Via, Voice, send};
use crate::sql::footprint::{Hazard, Kind};
use crate::wire::backend;
use crate::wire::error::{Fields, Severity};
use crate::wire::frame::Frame;
use crate::wire::frontend::Message;

impl Session {
    pub(super) fn failed(&mut self, fields: Fields, out: &mut Outbox) -> Result<(), Error> {
        self.state.failed();
        if is_unknown_name(&fields) {
            self.state.contradicted();
        }
        self.ending = Ended::RolledBack;
        self.turn = self.now;
        if matches!(fields.severity, Severity::Fatal | Severity::Panic) {
            let told = self.guarded_report(fields);
            self.report(&told, out);
            return Ok(());
        }
        match self.ledger.front_mut() {
            None => Err(Error::Upstream("an error out of place")),
            // A deferred constraint, as the transaction of the pipeline ends. `ReadyForQuery` follows.
            Some(Owed::Sync) => {
                let told = self.guarded_report(fields);
                self.report(&told, out);
                Ok(())
            }
            Some(Owed::PoisonQuery(refusal)) => {
                if let Some(refusal) = refusal.take() {
                    self.report(&refusal, out);
                }
                Ok(())
            }
            Some(Owed::Query(runs)) => {
                let rest: Vec<run::Id> = runs.drain(..).collect();
                self.query_failed(&rest, fields, out);
                Ok(())
            }
            Some(Owed::Trial) => self.trial_failed(fields, out),
            Some(Owed::Local(_)) => Err(Error::OutOfOrder),
            Some(
                Owed::Parse
                | Owed::CloseStale
                | Owed::ParseAgain
                | Owed::Bind(_)
                | Owed::DescribeStatement
                | Owed::DescribeCursor
                | Owed::DescribePortal(..)
                | Owed::Execute(_)
                | Owed::Close(_)
                | Owed::PoisonPipeline(_),
            ) => {
                self.pipeline_failed(fields, out);
                Ok(())
            }
        }
    }

    /// A statement of a query string failed; the rest of the string is not run.
    fn query_failed(&mut self, runs: &[run::Id], fields: Fields, out: &mut Outbox) {
        let mut outcome = None;
        if let Some(first) = runs.first() {
            let (told, came) = self.told(*first, fields);
            self.report(&told, out);
            outcome = Some(came);
        } else {
            // All statements had succeeded: the transaction failed as it ended.
            let told = self.guarded_report(fields);
            self.report(&told, out);
        }
        for run in runs {
            let outcome = outcome.take().unwrap_or(Outcome::Skipped);
            self.runs.finish(*run, outcome, self.now, out);
            self.runs.remove(*run, self.now, out);
        }
        if matches!(self.mode, Mode::CopyIn(_, Via::Query)) {
            self.mode = Mode::Opening(Via::Query);
        }
    }

    /// A message of a pipeline failed; the upstream skips to `Sync`, and so do we.
    fn pipeline_failed(&mut self, fields: Fields, out: &mut Outbox) {
        match self.ledger.front_mut() {
            Some(Owed::PoisonPipeline(refusal)) => {
                if let Some(refusal) = refusal.take() {
                    self.report(&refusal, out);
                }
            }
            Some(Owed::Execute(run)) => {
                let run = *run;
                let (told, outcome) = self.told(run, fields);
                self.report(&told, out);
                self.runs.finish(run, outcome, self.now, out);
            }
            Some(Owed::Bind(run) | Owed::DescribePortal(run, _)) => {
                let run = *run;
                // Planning and parameters can carry values, too.
                let guarded = self.runs.get(run).is_some_and(|run| run.is_guarded());
                let told = if guarded {
                    reply::scrubbed(&fields)
                } else {
                    reply::clipped(fields.clone())
                };
                self.report(&told, out);
                self.runs
                    .finish(run, Outcome::Failed(Box::new(fields)), self.now, out);
            }
            _ => {
                let told = self.guarded_report(fields);
                self.report(&told, out);
            }
        }
        let (skipped, synced) = self.ledger.skip_to_sync();
        self.take_back(skipped, out);
        if !synced {
            self.skip();
        }
    }

    /// What the upstream skipped never happened.
    fn take_back(&mut self, skipped: Vec<Entry>, out: &mut Outbox) {
        let oldest = skipped.len().saturating_sub(1);
        for (index, entry) in skipped.into_iter().enumerate() {
            let failed = index == oldest;
            match entry.owed {
                Owed::Bind(run) => self.runs.remove(run, self.now, out),
                Owed::Execute(run) if !failed => {
                    self.runs.finish(run, Outcome::Skipped, self.now, out);
                }
                Owed::Query(runs) => {
                    for run in runs {
                        self.runs.remove(run, self.now, out);
                    }
                }
                // The one that failed has been reported.
                Owed::Execute(_)
                | Owed::Parse
                | Owed::CloseStale
                | Owed::ParseAgain
                | Owed::DescribeStatement
                | Owed::DescribeCursor
                | Owed::DescribePortal(..)
                | Owed::Close(_)
                | Owed::Sync
                | Owed::PoisonPipeline(_)
                | Owed::PoisonQuery(_)
                | Owed::Trial
                | Owed::Local(_) => {}
            }
            if let Some(undo) = entry.undo {
                self.undo(if failed { undo.failed() } else { undo });
            }
        }
    }

    fn undo(&mut self, undo: Undo) {
        let Some(undo) = self.ledger.rebase(undo) else {
            return;
        };
        let (statement, name) = match &undo {
            Undo::Statement(name, _) | Undo::Again(name, _) => (true, name.clone()),
            Undo::Portal(name, _) => (false, name.clone()),
        };
        self.names.undo(undo);
        if statement {
            let prepared = self.names.statement(&name);
            let facts = prepared.and_then(|prepared| prepared.facts.clone());
            self.state.prepared(&name, facts);
        } else {
            self.state.cursor(&name, self.names.cursor(&name).cloned());
        }
    }

    /// What the client is told of a failure, and what is recorded.
    pub(super) fn told(&self, run: run::Id, fields: Fields) -> (Fields, Outcome) {
        let stopped = self.runs.get(run).and_then(|run| run.stopped().cloned());
        match stopped {
            Some(stopped) => (stopped.clone(), Outcome::Stopped(Box::new(stopped))),
            None => (
                self.guarded_report(fields.clone()),
                Outcome::Failed(Box::new(fields)),
            ),
        }
    }

    pub(super) fn report(&self, fields: &Fields, out: &mut Outbox) {
        if self.voice == Voice::Speaking {
            reply::write_error(fields, &mut out.client);
        }
    }

    /// The client is told that a statement failed which the upstream has, or may have, carried out: the upstream is made to fail, and what it
    /// goes on to say is kept from the client until it is ready.
    pub(super) fn interrupt(&mut self, fields: &Fields, out: &mut Outbox) {
        self.report(fields, out);
        self.voice = Voice::Muted;
        if self.is_query() || self.ledger.has_sync() {
            return;
        }
        self.skip();
        self.ledger.push(Owed::PoisonPipeline(None));
        self.poison_pipeline(out);
    }

    /// Fails the open transaction; the upstream's `ReadyForQuery` then goes to the client.
    pub(super) fn fail_transaction(&mut self, out: &mut Outbox) {
        self.ledger.push(Owed::PoisonQuery(None));
        send(&Message::Query { sql: POISON }, out);
    }

    /// A portal's run.
    #[must_use]
    pub fn portal_run(&self, name: &str) -> Option<run::Id> {
        match self.names.portal(name)? {
            Portal::Run { run, .. } => Some(*run),
            Portal::Refused(_) | Portal::Cursor => None,
        }
    }

    /// What goes by the side: notices, notifications, settings.
    pub(super) fn aside(&mut self, frame: &Frame, out: &mut Outbox) -> Result<(), Error> {
        match backend::Message::decode(frame).map_err(Error::UpstreamWire)? {
            backend::Message::NoticeResponse(fields) => {
                let fields = self.guarded_report(fields);
                reply::write_notice(&fields, &mut out.client);
                let now = self.now;
                if let Some(id) = self.current() {
                    self.runs
                        .keeping(id, |run| run.noticed(now, &fields.message));
                }
            }
            backend::Message::ParameterStatus { name, value } => {
                if is_broken(name, value) {
                    return Err(Error::Pinned(name.to_owned()));
                }
                out.client.extend_from_slice(frame.bytes());
            }
            backend::Message::NotificationResponse {
                pid,
                channel,
                payload,
            } => {
                let payload = if self.state.may_hear(payload) {
                    payload
                } else {
                    UNHEARD
                };
                let told = backend::Message::NotificationResponse {
                    pid,
                    channel,
                    payload,
                };
                reply::write(&told, &mut out.client);
            }
            // The caller has looked at their kind.
            backend::Message::Authentication(_)
            | backend::Message::BackendKeyData { .. }
            | backend::Message::BindComplete
            | backend::Message::CloseComplete
            | backend::Message::CommandComplete { .. }
            | backend::Message::CopyBothResponse(_)
            | backend::Message::CopyInResponse(_)
            | backend::Message::CopyOutResponse(_)
            | backend::Message::CopyData(_)
            | backend::Message::CopyDone
            | backend::Message::DataRow(_)
            | backend::Message::EmptyQueryResponse
            | backend::Message::ErrorResponse(_)
            | backend::Message::FunctionCallResponse(_)
            | backend::Message::NegotiateProtocolVersion { .. }
            | backend::Message::NoData
            | backend::Message::ParameterDescription { .. }
            | backend::Message::ParseComplete
            | backend::Message::PortalSuspended
            | backend::Message::ReadyForQuery(_)
            | backend::Message::RowDescription(_) => return Err(Error::OutOfOrder),
        }
        Ok(())
    }

    /// A statement that listens or notifies is about to be sent: what others say from then on may be anything.
    pub(super) fn listen(&mut self, run: &Run, frame: &Frame) {
        let permit = run.intent().permit();
        if !permit.concerns() {
            return;
        }
        if run.facts().kind == Kind::Listen {
            self.state.listens();
        }
        if run.facts().hazards.contains(&Hazard::Notification) {
            let text = permit.statement().text().as_bytes();
            self.state.says([text, frame.bytes()].concat());
        }
    }

    /// A report of the upstream's as the client may see it.
    pub(super) fn guarded_report(&self, fields: Fields) -> Fields {
        let run = self.current().and_then(|id| self.runs.get(id));
        let near = match run {
            Some(run) => run.is_guarded() || (self.state.is_guarded() && is_end(run.facts().kind)),
            None => self.state.is_guarded(),
        };
        if near {
            reply::scrubbed(&fields)
        } else {
            reply::clipped(fields)
        }
    }
}

/// The upstream does not know a name that a statement was permitted with: the catalog is older than the database.
fn is_unknown_name(fields: &Fields) -> bool {
    matches!(
        fields.code.to_string().as_str(),
        "42P01" | "42703" | "42883" | "42704" | "3F000"
    )
}

/// What stands for what another session, or a trigger, says in a notification.
const UNHEARD: &str = "***";

/// Statements at which errors of earlier ones can come up: deferred constraints.
const fn is_end(kind: Kind) -> bool {
    matches!(kind, Kind::Transaction | Kind::Set)
}
