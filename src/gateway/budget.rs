//! What a session has used up, across all its connections: statements, guesses, and the masked values it was shown.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::broker::session::Session;
use crate::gateway::reply;
use crate::gateway::session::run::Sent;
use crate::model::session::SessionId;
use crate::policy::Shown;
use crate::policy::obligation::Limits;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Effect, Facts};
use crate::wire::error::{Fields, SqlState};

const HOUR: Duration = Duration::from_secs(3600);
/// Uses are counted by the minute: an hour is 60 numbers, however many statements it has.
const MINUTE: Duration = Duration::from_secs(60);

/// The budgets of all sessions.
#[derive(Debug, Default)]
pub struct Budgets {
    by_session: Mutex<HashMap<SessionId, Entry>>,
}

/// A budget, for as long as its session is there.
type Entry = (Weak<Session>, Arc<Budget>);

/// What one session has used up.
#[derive(Debug, Default)]
pub struct Budget {
    used: Mutex<Used>,
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
    seen: Option<u64>,
}

#[derive(Debug, Default)]
struct Used {
    statements: u64,
    recent: Window,
    probes: Window,
    rows: Total,
    bytes: Total,
    /// In microseconds.
    time: Total,
}

/// What all results together came to.
#[derive(Debug, Default)]
struct Total {
    session: u64,
    hour: Window,
}

/// The two limits of a total: of the session, and of an hour.
type Bounds = (Option<u64>, Option<u64>);

/// A sliding hour.
#[derive(Debug, Default)]
struct Window {
    minutes: VecDeque<(Duration, u64)>,
    total: u64,
}

impl Budgets {
    /// The budget of a session; it lasts as long as the session does, not as a connection.
    #[must_use]
    pub fn of(&self, session: &Arc<Session>) -> Arc<Budget> {
        let mut all = self
            .by_session
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (session, _)| session.strong_count() > 0);
        let (_, budget) = all
            .entry(session.id.clone())
            .or_insert_with(|| (Arc::downgrade(session), Arc::default()));
        Arc::clone(budget)
    }
}

impl Budget {
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
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = used.statements.saturating_add(statements);
        if let Some(limit) = limits.statements.filter(|limit| after > *limit) {
            return Err(reached("statement limit of this session", limit));
        }
        let after = used.recent.total(now).saturating_add(statements);
        if let Some(limit) = limits.statements_per_hour.filter(|limit| after > *limit) {
            return Err(reached("statement limit of an hour", limit));
        }
        let after = used.probes.total(now).saturating_add(probes);
        if let Some(limit) = limits
            .probes_per_hour
            .filter(|limit| probes > 0 && after > *limit)
        {
            return Err(reached(
                "limit of comparisons with protected columns in an hour",
                limit,
            ));
        }
        used.left(limits, now, 1)?;
        used.statements = used.statements.saturating_add(statements);
        used.recent.add(statements, now);
        used.probes.add(probes, now);
        Ok(())
    }

    /// Counts what passes to the client, or nothing.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn pass(&self, limits: &Limits, sent: Sent, now: Duration) -> Result<(), Fields> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let left = used.left(limits, now, 0)?;
        if sent.rows > left.rows {
            return Err(used.rows.used_up(rows_of(limits), "rows"));
        }
        if sent.bytes > left.bytes {
            return Err(used.bytes.used_up(bytes_of(limits), "bytes"));
        }
        used.rows.add(sent.rows, now);
        used.bytes.add(sent.bytes, now);
        Ok(())
    }

    /// How many rows and bytes may pass, and for how long a statement may run.
    pub fn left(&self, limits: &Limits, now: Duration) -> (Sent, Option<Duration>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let left = used.left(limits, now, 0).unwrap_or_default();
        let time = used.time.left(time_of(limits), now);
        (left, (time < u64::MAX).then(|| Duration::from_micros(time)))
    }

    /// A statement has run for so long.
    pub fn ran(&self, took: Duration, now: Duration) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.time.add(micros(took), now);
    }

    /// Why a statement was stopped that has used up the time there was.
    pub fn out_of_time(&self, limits: &Limits, now: Duration) -> Fields {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.time.left(time_of(limits), now);
        used.time.used_up(time_of(limits), "of running time")
    }

    /// A statement is about to write, or to create what rows are written to.
    pub fn writes(&self, facts: &Facts, catalog: &Arc<Catalog>) {
        let written = &facts.footprint.relations_written;
        let defines = defines(&facts.effect) || facts.opaque.is_some();
        if written.is_empty() && !defines {
            return;
        }
        let mut known = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        known.relations.extend(written.iter().copied());
        if defines {
            known.before.get_or_insert_with(|| Arc::clone(catalog));
        }
    }

    /// Relations whose rows the session has written, over any of its connections, and those that are newer than its first definition.
    pub fn written(&self, catalog: &Catalog) -> Vec<u32> {
        let mut known = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        known.compare(catalog);
        known.relations.iter().copied().collect()
    }

    /// The masked values the session was shown.
    pub fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Used {
    /// How many rows and bytes are left, when at least so many are, and time.
    fn left(&mut self, limits: &Limits, now: Duration, least: u64) -> Result<Sent, Fields> {
        let left = Sent {
            rows: self.rows.left(rows_of(limits), now),
            bytes: self.bytes.left(bytes_of(limits), now),
        };
        if left.rows < least {
            return Err(self.rows.used_up(rows_of(limits), "rows"));
        }
        if left.bytes < least {
            return Err(self.bytes.used_up(bytes_of(limits), "bytes"));
        }
        if self.time.left(time_of(limits), now) < least {
            return Err(self.time.used_up(time_of(limits), "of running time"));
        }
        Ok(left)
    }
}

impl Total {
    fn left(&mut self, (session, hour): Bounds, now: Duration) -> u64 {
        let left =
            |limit: Option<u64>, used| limit.map_or(u64::MAX, |most| most.saturating_sub(used));
        let hour = left(hour, self.hour.total(now));
        left(session, self.session).min(hour)
    }

    fn add(&mut self, count: u64, now: Duration) {
        self.session = self.session.saturating_add(count);
        if count > 0 {
            self.hour.add(count, now);
        }
    }

    /// Which of the limits it is that is used up.
    fn used_up(&self, (session, hour): Bounds, what: &'static str) -> Fields {
        let left =
            |limit: Option<u64>, used| limit.map_or(u64::MAX, |most| most.saturating_sub(used));
        match (session, hour) {
            (Some(most), _) if left(session, self.session) <= left(hour, self.hour.total) => {
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

fn reached(what: &str, limit: u64) -> Fields {
    reply::error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        format!("dbgate: {what} reached ({limit})"),
    )
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
