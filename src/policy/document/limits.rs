//! `[limits]`: rows, bytes, statements, time; tighter ones for jobs and agents.

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::subject;
use crate::model::time::parse_span;
use crate::policy::obligation::{Limits, Totals};

/// The limits for everyone and those of each kind of subject, which are combined.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitSet {
    all: Limits,
    person: Limits,
    job: Limits,
    agent: Limits,
}

impl LimitSet {
    /// The limits that hold for such a subject: the tighter of those for everyone and those of its kind.
    #[must_use]
    pub fn of(&self, kind: subject::Kind) -> Limits {
        let own = match kind {
            subject::Kind::Person => self.person,
            subject::Kind::Job => self.job,
            subject::Kind::Agent => self.agent,
        };
        self.all.and(own)
    }

    /// The tighter of both in every respect, when several files have limits.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            all: self.all.and(other.all),
            person: self.person.and(other.person),
            job: self.job.and(other.job),
            agent: self.agent.and(other.agent),
        }
    }

    pub(super) fn read(mut table: Table<'_>, problems: &mut Problems) -> Self {
        let mut of = |key, problems: &mut Problems| {
            let mut inner = table.table(key, problems)?;
            let limits = limits(&mut inner, problems);
            inner.finish(problems);
            Some(limits)
        };
        let set = Self {
            person: of("person", problems).unwrap_or_default(),
            job: of("job", problems).unwrap_or_default(),
            agent: of("agent", problems).unwrap_or_default(),
            all: Limits::default(),
        };
        let set = Self {
            all: limits(&mut table, problems),
            ..set
        };
        table.finish(problems);
        set
    }
}

fn limits(table: &mut Table<'_>, problems: &mut Problems) -> Limits {
    const MOST: u64 = 1 << 50;
    Limits {
        rows: table.number("rows", 1..MOST, problems),
        bytes: table.number("bytes", 1..MOST, problems),
        statement_time: table.read("statement_time", parse_span, problems),
        statements: table.number("statements", 1..MOST, problems),
        statements_per_hour: table.number("statements_per_hour", 1..MOST, problems),
        probes_per_hour: table.number("probes_per_hour", 0..MOST, problems),
        session: Totals {
            rows: table.number("rows_per_session", 1..MOST, problems),
            bytes: table.number("bytes_per_session", 1..MOST, problems),
            time: table.read("time_per_session", parse_span, problems),
        },
        hour: Totals {
            rows: table.number("rows_per_hour", 1..MOST, problems),
            bytes: table.number("bytes_per_hour", 1..MOST, problems),
            time: table.read("time_per_hour", parse_span, problems),
        },
    }
}
