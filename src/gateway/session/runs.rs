//! The statements of a connection that are under way.

use std::collections::HashMap;
use std::time::Duration;

use crate::gateway::session::run::{self, Outcome, Run};
use crate::gateway::session::{Act, Outbox};

/// Bytes of transcripts that statements of one connection may hold before their ends: a client may open any number of portals.
const MOST_KEPT: usize = 4 * 1024 * 1024;

/// The runs that somebody may still ask about.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) by_id: HashMap<run::Id, Run>,
    last: u64,
    /// Bytes that are kept for the log by runs that have not ended.
    kept: usize,
    /// Whether one of them ever had a maximum of rows.
    pub(super) bounded: bool,
}

impl Runs {
    pub(super) fn add(&mut self, run: Run) -> run::Id {
        self.last += 1;
        self.bounded |= run.most().is_some();
        let id = run::Id(self.last);
        self.by_id.insert(id, run);
        id
    }

    /// A newer permit takes the place of a run's.
    pub(super) fn renew(&mut self, id: run::Id, renewed: Run) {
        self.bounded |= renewed.most().is_some();
        if let Some(run) = self.by_id.get_mut(&id) {
            run.renew(renewed);
        }
    }

    pub(super) fn get(&self, id: run::Id) -> Option<&Run> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: run::Id) -> Option<&mut Run> {
        self.by_id.get_mut(&id)
    }

    /// Does something that may keep more for the log, as long as all of them together do not keep too much.
    pub(super) fn keeping<T>(
        &mut self,
        id: run::Id,
        work: impl FnOnce(&mut Run) -> T,
    ) -> Option<T> {
        let run = self.by_id.get_mut(&id)?;
        if self.kept > MOST_KEPT {
            run.keep_no_more();
        }
        let before = run.kept();
        let done = work(run);
        self.kept += run.kept().saturating_sub(before);
        Some(done)
    }

    /// Reports what came of a run, once.
    pub(super) fn finish(
        &mut self,
        id: run::Id,
        outcome: Outcome,
        now: Duration,
        out: &mut Outbox,
    ) {
        let Some(run) = self.by_id.get_mut(&id) else {
            return;
        };
        out.acts.extend(run.take_shown().map(Act::Shown));
        self.kept = self.kept.saturating_sub(run.kept());
        if let Some(report) = run.finish(outcome, now) {
            out.acts.push(Act::Finished(Box::new(report)));
        }
    }

    /// Nobody can ask about it any more.
    pub(super) fn remove(&mut self, id: run::Id, now: Duration, out: &mut Outbox) {
        self.finish(id, Outcome::Skipped, now, out);
        self.by_id.remove(&id);
    }
}
