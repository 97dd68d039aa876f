//! One statement's account with the budget of its session.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::budget::{Budget, Sent};
use crate::policy::obligation::Limits;
use crate::wire::error::Fields;

/// Where nothing bounds them, so many rows are told to the budget at a time: telling takes two locks that all connections of an owner share.
const AT_ONCE: u64 = 1024;

/// One statement's account with the budget of its session.
#[derive(Debug)]
pub struct Account {
    budget: Arc<Budget>,
    /// How long the statement may run.
    time: Option<Duration>,
    /// What has passed and the budget does not know yet.
    untold: Sent,
}

impl Account {
    /// An account with this budget, for a statement that is about to run.
    #[must_use]
    pub fn new(budget: &Arc<Budget>, limits: &Limits, now: Duration) -> Self {
        let (_, time) = budget.left(limits, now);
        Self {
            budget: Arc::clone(budget),
            time,
            untold: Sent::default(),
        }
    }

    /// For how long the statement may run.
    #[must_use]
    pub const fn time(&self) -> Option<Duration> {
        self.time
    }

    /// How much may pass.
    pub fn left(&self, limits: &Limits, now: Duration) -> Sent {
        self.budget.left(limits, now).0
    }

    /// Counts what passes to the client, or nothing.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn pass(&mut self, limits: &Limits, sent: Sent, now: Duration) -> Result<(), Fields> {
        if limits.bounds_results() {
            return self.budget.pass(limits, sent, now);
        }
        self.untold.rows = self.untold.rows.saturating_add(sent.rows);
        self.untold.bytes = self.untold.bytes.saturating_add(sent.bytes);
        if self.untold.rows >= AT_ONCE {
            self.settle(limits, now);
        }
        Ok(())
    }

    /// Tells the budget what it does not know yet.
    pub fn settle(&mut self, limits: &Limits, now: Duration) {
        let sent = std::mem::take(&mut self.untold);
        if sent != Sent::default() {
            // It has passed: there is nothing left to refuse.
            self.budget.pass(limits, sent, now).ok();
        }
    }

    /// Why the statement was stopped that has used up the time there was.
    pub fn out_of_time(&self, limits: &Limits, now: Duration) -> Fields {
        self.budget.out_of_time(limits, now)
    }
}
