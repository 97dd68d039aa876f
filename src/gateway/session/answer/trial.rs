//! A query that writes and has a maximum of rows, by its approval or by a rule, runs in a transaction of ours, which is committed only once the server has
//! told how many it were.
//!
//! In the extended protocol, and in a transaction of the client's, nothing is committed before the client says so; there it is enough
//! that nothing of the client's follows before the end is known.

use crate::gateway::reply;
use crate::gateway::session::ledger::Owed;
use crate::gateway::session::run::{self, Outcome, Run};
use crate::gateway::session::{Error, Outbox, Session, Voice, send};
use crate::model::session::RequestId;
use crate::policy::{Ceiling, Permit};
use crate::wire::backend::TransactionStatus;
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend::Message;

/// The most rows that a statement may write, and who says so.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Maximum<'a> {
    /// Its approvers.
    Agreed(u64, &'a RequestId),
    /// A rule.
    Ruled(&'a Ceiling),
}

impl<'a> Maximum<'a> {
    /// The smallest that holds for what is permitted.
    pub(in crate::gateway) fn of(permit: &'a Permit) -> Option<Self> {
        let agreed = permit.approval().and_then(|approval| {
            let most = approval.max_rows?;
            Some(Self::Agreed(most, &approval.request))
        });
        let ruled = permit.ceiling().map(Self::Ruled);
        agreed.into_iter().chain(ruled).min_by_key(Self::rows)
    }

    /// How many.
    pub(in crate::gateway) const fn rows(&self) -> u64 {
        match self {
            Self::Agreed(rows, _) => *rows,
            Self::Ruled(ceiling) => ceiling.rows,
        }
    }

    /// It would be more.
    pub(in crate::gateway) fn passed(self) -> Fields {
        match self {
            Self::Agreed(most, request) => reply::agreed_rows(most, request),
            Self::Ruled(ceiling) => reply::ruled_rows(ceiling),
        }
    }

    /// The result is fetched in portions: how many rows it touches is told at its end only.
    pub(in crate::gateway) fn in_portions(self) -> Fields {
        match self {
            Self::Agreed(_, request) => reply::agreed_in_portions(request),
            Self::Ruled(ceiling) => reply::ruled_in_portions(ceiling),
        }
    }

    /// A query behind messages of the extended protocol that no `Sync` has ended.
    pub(in crate::gateway) fn in_pipeline(self) -> Fields {
        match self {
            Self::Agreed(_, request) => reply::agreed_in_pipeline(request),
            Self::Ruled(ceiling) => reply::ruled_in_pipeline(ceiling),
        }
    }
}

/// Where such a query is.
#[derive(Debug, Default)]
pub(in crate::gateway::session) enum Trial {
    /// There is none.
    #[default]
    None,
    /// The transaction is open; how many rows it will be is not known yet.
    Begun,
    /// It has kept to its maximum. The client is told once it is committed.
    Passed(Passed),
    /// `COMMIT` is under way.
    Committing(Passed),
    /// `ROLLBACK` is under way; the client has been told why.
    Undoing,
}

/// What is kept back from the client.
#[derive(Debug)]
pub(in crate::gateway::session) struct Passed {
    run: run::Id,
    tag: String,
    frame: Frame,
}

impl Session {
    /// The driver has begun a transaction for the query that is about to be permitted.
    pub fn begin_trial(&mut self) {
        self.trial = Trial::Begun;
    }

    /// Whether the end of a statement with a maximum of rows is awaited.
    pub(in crate::gateway::session) fn is_on_trial(&self) -> bool {
        let of = |run: run::Id| self.runs.get(run).and_then(Run::most).is_some();
        !matches!(self.trial, Trial::None) || (self.runs.bounded && self.ledger.executes(of))
    }

    /// The run whose `COMMIT` is under way.
    pub(in crate::gateway::session) const fn committing(&self) -> Option<run::Id> {
        match &self.trial {
            Trial::Committing(passed) | Trial::Passed(passed) => Some(passed.run),
            Trial::None | Trial::Begun | Trial::Undoing => None,
        }
    }

    /// The query has come to its end within its maximum. `true`: the client is not told yet.
    pub(super) fn passed(&mut self, run: run::Id, tag: &str, frame: &Frame) -> bool {
        if !matches!(self.trial, Trial::Begun) || !self.is_query() {
            return false;
        }
        self.trial = Trial::Passed(Passed {
            run,
            tag: tag.to_owned(),
            frame: frame.clone(),
        });
        true
    }

    /// The upstream is ready, in our transaction: ends that. `Ok(false)`: there is none.
    pub(super) fn end_trial(
        &mut self,
        status: TransactionStatus,
        out: &mut Outbox,
    ) -> Result<bool, Error> {
        let (next, sql) = match (std::mem::take(&mut self.trial), status) {
            (Trial::None, _) => return Ok(false),
            (Trial::Passed(passed), TransactionStatus::Open) => {
                (Trial::Committing(passed), "COMMIT")
            }
            (Trial::Begun, TransactionStatus::Open | TransactionStatus::Failed) => {
                (Trial::Undoing, "ROLLBACK")
            }
            _ => return Err(Error::Upstream("a transaction that is not as it was left")),
        };
        self.trial = next;
        self.voice = Voice::Speaking;
        self.ledger.push(Owed::Trial);
        send(&Message::Query { sql }, out);
        Ok(true)
    }

    /// `COMMIT` or `ROLLBACK` has been carried out: the client is told.
    pub(super) fn tried(&mut self, tag: &str, out: &mut Outbox) -> Result<(), Error> {
        match std::mem::take(&mut self.trial) {
            Trial::Committing(passed) if tag == "COMMIT" => {
                let Passed { run, tag, frame } = passed;
                self.tell(&frame, out);
                self.runs.finish(run, Outcome::Done(tag), self.now, out);
                self.runs.remove(run, self.now, out);
                Ok(())
            }
            Trial::Undoing => Ok(()),
            Trial::None | Trial::Begun | Trial::Passed(_) | Trial::Committing(_) => Err(
                Error::Upstream("another end of a transaction than was asked for"),
            ),
        }
    }

    /// `COMMIT` has failed, as by a deferred constraint.
    pub(in crate::gateway::session) fn trial_failed(
        &mut self,
        fields: Fields,
        out: &mut Outbox,
    ) -> Result<(), Error> {
        let Some(run) = self.committing() else {
            return Err(Error::Upstream("a ROLLBACK that fails"));
        };
        let (told, outcome) = self.told(run, fields);
        self.trial = Trial::None;
        self.report(&told, out);
        self.runs.finish(run, outcome, self.now, out);
        self.runs.remove(run, self.now, out);
        Ok(())
    }
}
