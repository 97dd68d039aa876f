//! What a session has used up, across all its connections: statements, rows, and the masked values it was shown; and what its owner has
//! used up within an hour, across all sessions on that database.

pub mod account;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::broker::session::Session;
use crate::gateway::reply;
use crate::model::name::DatabaseName;
use crate::model::session::SessionId;
use crate::model::subject;
use crate::policy::Shown;
use crate::policy::obligation::Limits;
use crate::sql::catalog::{self, Catalog};
use crate::sql::footprint::{Effect, Facts};
use crate::wire::error::{Fields, SqlState};

const HOUR: Duration = Duration::from_secs(3600);
/// Uses are counted by the minute: an hour is 60 numbers, however many statements it has.
const MINUTE: Duration = Duration::from_secs(60);

/// The budgets of all sessions.
#[derive(Debug, Default)]
pub struct Budgets {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<SessionId, Entry>,
    hours: HashMap<Owner, Arc<Mutex<Hour>>>,
}

/// A budget, for as long as its session is there.
type Entry = (Weak<Session>, Arc<Budget>);

/// Whose hour it is, and where: who opens a new session does not begin a new hour.
type Owner = (subject::Id, DatabaseName);

/// What one session has used up.
#[derive(Debug, Default)]
pub struct Budget {
    used: Mutex<Used>,
    hour: Arc<Mutex<Hour>>,
    shown: Mutex<Shown>,
    written: Mutex<Written>,
}

/// What the session has put into the database.
#[derive(Debug, Default)]
struct Written {
    relations: BTreeSet<u32>,
    /// The catalog before the session defined something: whatever is newer may be its own.
    before: Option<Arc<Catalog>>,
    /// The last catalog that was compared with that one.
    seen: Option<catalog::Version>,
}

/// What all statements of a session came to.
#[derive(Debug, Default)]
struct Used {
    statements: u64,
    rows: u64,
    bytes: u64,
    /// In microseconds.
    time: u64,
}

/// What all statements of its owner came to within an hour.
#[derive(Debug, Default)]
struct Hour {
    statements: Window,
    probes: Window,
    rows: Window,
    bytes: Window,
    /// In microseconds.
    time: Window,
}

/// Both, for as long as they are looked at; always taken in this order.
struct Totals<'b> {
    used: MutexGuard<'b, Used>,
    hour: MutexGuard<'b, Hour>,
}

/// What all results together came to, in one respect.
struct Total<'t> {
    session: &'t mut u64,
    hour: &'t mut Window,
}

/// The two limits of a total: of the session, and of an hour.
type Bounds = (Option<u64>, Option<u64>);

/// A sliding hour.
#[derive(Debug, Default)]
struct Window {
    minutes: VecDeque<(Duration, u64)>,
    total: u64,
}

/// How much has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Rows or lines.
    pub rows: u64,
    /// Bytes of messages.
    pub bytes: u64,
}

impl Budgets {
    /// The budget of a session; it lasts as long as the session does, not as a connection.
    #[must_use]
    pub fn of(&self, session: &Arc<Session>, now: Duration) -> Arc<Budget> {
        let mut known = lock(&self.known);
        let Known { sessions, hours } = &mut *known;
        sessions.retain(|_, (session, _)| session.strong_count() > 0);
        hours.retain(|_, hour| Arc::strong_count(hour) > 1 || lock(hour).is_used(now));
        let owner = (session.subject.id.clone(), session.database.clone());
        let hour = hours.entry(owner).or_default();
        let (_, budget) = sessions.entry(session.id.clone()).or_insert_with(|| {
            let budget = Budget::within(Arc::clone(hour));
            (Arc::downgrade(session), Arc::new(budget))
        });
        Arc::clone(budget)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Budget {
    /// A budget that counts toward somebody's hour.
    fn within(hour: Arc<Mutex<Hour>>) -> Self {
        Self {
            hour,
            ..Self::default()
        }
    }

    /// The budget of one more session of the same owner.
    #[cfg(test)]
    pub(super) fn of_another_session(&self) -> Self {
        Self::within(Arc::clone(&self.hour))
    }

    fn totals(&self) -> Totals<'_> {
        Totals {
            used: lock(&self.used),
            hour: lock(&self.hour),
        }
    }

    /// Uses up what `statements` with so many guesses take, or nothing.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn spend(
        &self,
        limits: &Limits,
        statements: u64,
        probes: u64,
        now: Duration,
    ) -> Result<(), Fields> {
        let mut totals = self.totals();
        let after = totals.used.statements.saturating_add(statements);
        if let Some(limit) = limits.statements.filter(|limit| after > *limit) {
            return Err(reached(
                "statement limit of this session",
                limit,
                reply::SESSION,
            ));
        }
        let after = totals.hour.statements.total(now).saturating_add(statements);
        if let Some(limit) = limits.statements_per_hour.filter(|limit| after > *limit) {
            return Err(reached("statement limit of an hour", limit, reply::HOUR));
        }
        let after = totals.hour.probes.total(now).saturating_add(probes);
        if let Some(limit) = limits
            .probes_per_hour
            .filter(|limit| probes > 0 && after > *limit)
        {
            return Err(reached(
                "limit of comparisons with protected columns in an hour",
                limit,
                reply::HOUR,
            ));
        }
        totals.left(limits, now, 1)?;
        totals.used.statements = totals.used.statements.saturating_add(statements);
        totals.hour.statements.add(statements, now);
        totals.hour.probes.add(probes, now);
        Ok(())
    }

    /// Counts what passes to the client, or nothing.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn pass(&self, limits: &Limits, sent: Sent, now: Duration) -> Result<(), Fields> {
        let mut totals = self.totals();
        let left = totals.left(limits, now, 0)?;
        if sent.rows > left.rows {
            return Err(totals.rows().used_up(rows_of(limits), "rows"));
        }
        if sent.bytes > left.bytes {
            return Err(totals.bytes().used_up(bytes_of(limits), "bytes"));
        }
        totals.rows().add(sent.rows, now);
        totals.bytes().add(sent.bytes, now);
        Ok(())
    }

    /// How many rows and bytes may pass, and for how long a statement may run.
    pub fn left(&self, limits: &Limits, now: Duration) -> (Sent, Option<Duration>) {
        let mut totals = self.totals();
        let left = totals.left(limits, now, 0).unwrap_or_default();
        let time = totals.time().left(time_of(limits), now);
        (left, (time < u64::MAX).then(|| Duration::from_micros(time)))
    }

    /// A statement has run for so long.
    pub fn ran(&self, took: Duration, now: Duration) {
        self.totals().time().add(micros(took), now);
    }

    /// Why a statement was stopped that has used up the time there was.
    pub fn out_of_time(&self, limits: &Limits, now: Duration) -> Fields {
        let mut totals = self.totals();
        totals.time().left(time_of(limits), now);
        totals.time().used_up(time_of(limits), "of running time")
    }

    /// A statement is about to write, or to create what rows are written to.
    pub fn writes(&self, facts: &Facts, catalog: &Arc<Catalog>) {
        let written = &facts.footprint.relations_written;
        let defines = defines(&facts.effect) || facts.opaque.is_some();
        if written.is_empty() && !defines {
            return;
        }
        let mut known = lock(&self.written);
        known.relations.extend(written.iter().copied());
        if defines {
            known.before.get_or_insert_with(|| Arc::clone(catalog));
        }
    }

    /// Relations whose rows the session has written, over any of its connections, and those that are newer than its first definition.
    pub fn written(&self, catalog: &Catalog) -> Vec<u32> {
        let mut known = lock(&self.written);
        known.compare(catalog);
        known.relations.iter().copied().collect()
    }

    /// The masked values the session was shown.
    pub fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }
}

impl Sent {
    /// The smaller of both in either respect.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        let (rows, bytes) = (self.rows.min(other.rows), self.bytes.min(other.bytes));
        Self { rows, bytes }
    }
}

impl Hour {
    /// Whether anything of the last hour is in it.
    fn is_used(&mut self, now: Duration) -> bool {
        [
            &mut self.statements,
            &mut self.probes,
            &mut self.rows,
            &mut self.bytes,
            &mut self.time,
        ]
        .into_iter()
        .any(|window| window.total(now) > 0)
    }
}

impl Totals<'_> {
    fn rows(&mut self) -> Total<'_> {
        Total {
            session: &mut self.used.rows,
            hour: &mut self.hour.rows,
        }
    }

    fn bytes(&mut self) -> Total<'_> {
        Total {
            session: &mut self.used.bytes,
            hour: &mut self.hour.bytes,
        }
    }

    fn time(&mut self) -> Total<'_> {
        Total {
            session: &mut self.used.time,
            hour: &mut self.hour.time,
        }
    }

    /// How many rows and bytes are left, when at least so many are, and time.
    fn left(&mut self, limits: &Limits, now: Duration, least: u64) -> Result<Sent, Fields> {
        let left = Sent {
            rows: self.rows().left(rows_of(limits), now),
            bytes: self.bytes().left(bytes_of(limits), now),
        };
        if left.rows < least {
            return Err(self.rows().used_up(rows_of(limits), "rows"));
        }
        if left.bytes < least {
            return Err(self.bytes().used_up(bytes_of(limits), "bytes"));
        }
        if self.time().left(time_of(limits), now) < least {
            return Err(self.time().used_up(time_of(limits), "of running time"));
        }
        Ok(left)
    }
}

impl Total<'_> {
    fn left(&mut self, (session, hour): Bounds, now: Duration) -> u64 {
        let left =
            |limit: Option<u64>, used| limit.map_or(u64::MAX, |most| most.saturating_sub(used));
        let hour = left(hour, self.hour.total(now));
        left(session, *self.session).min(hour)
    }

    fn add(&mut self, count: u64, now: Duration) {
        *self.session = self.session.saturating_add(count);
        if count > 0 {
            self.hour.add(count, now);
        }
    }

    /// Which of the limits it is that is used up.
    fn used_up(&self, (session, hour): Bounds, what: &'static str) -> Fields {
        let left =
            |limit: Option<u64>, used| limit.map_or(u64::MAX, |most| most.saturating_sub(used));
        match (session, hour) {
            (Some(most), _) if left(session, *self.session) <= left(hour, self.hour.total) => {
                reply::used_up("the session's limit", (most, what), "")
            }
            (_, most) => {
                reply::used_up("the limit", (most.unwrap_or_default(), what), " in an hour")
            }
        }
    }
}

const fn rows_of(limits: &Limits) -> Bounds {
    (limits.session.rows, limits.hour.rows)
}

const fn bytes_of(limits: &Limits) -> Bounds {
    (limits.session.bytes, limits.hour.bytes)
}

fn time_of(limits: &Limits) -> Bounds {
    (
        limits.session.time.map(micros),
        limits.hour.time.map(micros),
    )
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Written {
    fn compare(&mut self, catalog: &Catalog) {
        let Some(before) = &self.before else {
            return;
        };
        if self.seen.replace(catalog.version) == Some(catalog.version) {
            return;
        }
        let new = catalog.relations.keys();
        let new = new.filter(|oid| !before.relations.contains_key(oid));
        self.relations.extend(new.copied());
    }
}

/// Whether a statement may create relations.
const fn defines(effect: &Effect) -> bool {
    matches!(effect, Effect::Catalog | Effect::Temporary(_))
}

fn reached(what: &str, limit: u64, hint: &str) -> Fields {
    reply::error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        format!("dbgate: {what} reached ({limit})"),
    )
    .with_hint(hint)
}

impl Window {
    fn total(&mut self, now: Duration) -> u64 {
        while let Some((minute, count)) = self.minutes.front().copied() {
            if now.saturating_sub(minute) < HOUR {
                break;
            }
            self.minutes.pop_front();
            self.total = self.total.saturating_sub(count);
        }
        self.total
    }

    fn add(&mut self, count: u64, now: Duration) {
        match self.minutes.back_mut() {
            Some((minute, known)) if now.saturating_sub(*minute) < MINUTE => {
                *known = known.saturating_add(count);
            }
            _ => self.minutes.push_back((now, count)),
        }
        self.total = self.total.saturating_add(count);
    }
}
