//! The simple protocol: a query string, and how one is refused.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::gateway::reply;
use crate::gateway::session::ledger::Owed;
use crate::gateway::session::verdict::{
    Ask, Purpose, Refusal, Settled, Transaction, Unasked, Verdict,
};
use crate::gateway::session::{
    Act, Error, Mode, Outbox, Pending, Pipeline, Session, Then, Via, send,
};
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend::{self, Message};

/// A statement that fails at the upstream, so that the transaction fails there, too; its log then says why.
pub(super) const POISON: &str = "dbgate refused a statement";

impl Session {
    pub(super) fn query(&mut self, text: Arc<str>, frame: Frame, out: &mut Outbox) {
        let ask = Ask {
            purpose: Purpose::Query { text },
            transaction: Transaction::Own,
            settled: Settled::No,
        };
        self.wait(ask, frame, Then::Query, out);
    }

    pub(super) fn query_decided(
        &mut self,
        verdict: Verdict,
        pending: &Pending,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        match verdict {
            Verdict::Permitted(runs) => {
                let mut effects = runs.iter().map(|run| &run.facts().effect);
                if let Some(fields) = effects.find_map(|effect| self.names.no_room(effect)) {
                    for run in runs {
                        let id = self.runs.add(run);
                        self.runs.remove(id, self.now, out);
                    }
                    self.refuse_query(fields, out);
                    return Ok(());
                }
                // What it does must not take effect before it is known to keep to its maximum.
                let bounded = runs.iter().any(|run| run.most().is_some());
                if bounded && self.transaction() != Transaction::Open && !self.is_on_trial() {
                    return Err(Error::OutOfOrder);
                }
                let mut ids = VecDeque::with_capacity(runs.len());
                let mut takes_data = false;
                for mut run in runs {
                    takes_data |= run.takes_data();
                    if ids.is_empty() {
                        run.start(self.now);
                    }
                    if run.is_guarded() {
                        self.state.guard();
                    }
                    self.listen(&run, &pending.frame);
                    self.state
                        .sending(run.facts(), self.names.has_named_portals());
                    ids.push_back(self.runs.add(run));
                }
                self.names.drop_unnamed();
                self.ledger.push(Owed::Query(ids));
                out.upstream.push(pending.frame.bytes().clone());
                if takes_data {
                    self.mode = Mode::Opening(Via::Query);
                }
                Ok(())
            }
            Verdict::Refused(refusal) => {
                self.refuse(refusal, Via::Query, out);
                Ok(())
            }
            Verdict::Prepared(_) | Verdict::Stands | Verdict::Renewed(_) | Verdict::Settle => {
                Err(Error::OutOfOrder)
            }
        }
    }

    /// Refuses, after the client has sent its data if it is about to send some.
    pub(super) fn refuse(&mut self, refusal: Refusal, via: Via, out: &mut Outbox) {
        let Refusal {
            fields,
            copy_columns,
        } = refusal;
        if let Some(columns) = copy_columns {
            let format = backend::CopyFormat {
                overall: Default::default(),
                columns: vec![Default::default(); usize::from(columns)],
            };
            reply::write(&backend::Message::CopyInResponse(format), &mut out.client);
            self.mode = Mode::Swallowing(Box::new(fields), via);
            return;
        }
        match via {
            Via::Query => self.refuse_query(fields, out),
            Via::Pipeline => self.refuse_pipeline(fields, out),
        }
    }

    /// A message of the client that is not read: there is no room for it.
    ///
    /// # Errors
    /// When nothing was wanted from the client.
    pub fn unread(&mut self, kind: u8, fields: Fields, out: &mut Outbox) -> Result<(), Error> {
        match (&self.mode, kind) {
            // The rest of a `COPY` that has failed.
            (Mode::Ready, frontend::kind::COPY_DATA) => {}
            (Mode::Ready, _) => {
                let refused = Box::new(Unasked::unread(fields.clone()));
                out.acts.push(Act::Refused(refused));
                match kind {
                    // No `Sync` follows these.
                    frontend::kind::QUERY | frontend::kind::FUNCTION_CALL => {
                        self.refuse_query(fields, out);
                    }
                    _ => self.refuse_pipeline(fields, out),
                }
            }
            // What it says does not matter.
            _ => {
                let empty = Frame::new(kind, &[]).map_err(Error::Client)?;
                self.client(&empty, out)?;
            }
        }
        Ok(())
    }

    /// How many bytes it holds of a message that waits for its verdict, or for its turn.
    #[must_use]
    pub fn holding(&self) -> usize {
        match &self.mode {
            Mode::Waiting(pending) => pending.frame.bytes().len(),
            Mode::Delayed(frame) => frame.bytes().len(),
            Mode::Ready
            | Mode::Skipping
            | Mode::Refusing(_)
            | Mode::Opening(_)
            | Mode::CopyIn(..)
            | Mode::Swallowing(..)
            | Mode::Leaving
            | Mode::Closed => 0,
        }
    }

    /// Answers a query with an error, and leaves the transaction as the server would.
    pub(super) fn refuse_query(&mut self, fields: Fields, out: &mut Outbox) {
        self.mode = Mode::Ready;
        let must_fail = match (self.status, self.pipeline) {
            (TransactionStatus::Open, _)
            | (TransactionStatus::Idle, Pipeline::Begun | Pipeline::Prepared) => true,
            (TransactionStatus::Idle, Pipeline::Empty) | (TransactionStatus::Failed, _) => false,
        };
        if must_fail || !self.ledger.is_empty() {
            self.ledger.push(Owed::PoisonQuery(Some(fields)));
            send(&Message::Query { sql: POISON }, out);
            return;
        }
        let fields = match self.status {
            TransactionStatus::Failed => reply::failed_transaction(),
            TransactionStatus::Idle | TransactionStatus::Open => fields,
        };
        reply::write_error(&fields, &mut out.client);
        let ready = backend::Message::ReadyForQuery(self.status);
        reply::write(&ready, &mut out.client);
    }
}
