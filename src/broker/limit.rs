//! What goes into the startup packet of a lease's connection: the limits of its session, above what the client wishes.
//!
//! Values in the startup packet are where `RESET ALL` and `DISCARD ALL` lead back to.
//!
//! **Invariant:** a time limit of the result is never longer than the session's, and what is pinned is never the
//! client's.

use std::time::Duration;

use crate::model::access::Access;

/// What a connection of a session may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// One statement.
    pub statement: Duration,
    /// Waiting for a lock.
    pub lock: Duration,
    /// Doing nothing inside a transaction.
    pub idle_in_transaction: Duration,
    /// Doing nothing outside one.
    pub idle: Duration,
    policy: Option<Duration>,
}

/// How long a session may wait for a lock when nobody says less.
const LOCK: Duration = Duration::from_secs(60);
/// How long a transaction may be left open with nothing happening in it.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(600);

/// The broker ends a session and says why; the database ends it by itself only when the broker is dead.
const GRACE: Duration = Duration::from_secs(2);

impl Caps {
    /// The caps of a session with so much time left; `statement` is the policy's limit.
    #[must_use]
    pub fn new(left: Duration, statement: Option<Duration>) -> Self {
        // Zero would mean "no limit" to PostgreSQL.
        let left = left.max(Duration::from_millis(1));
        Self {
            statement: statement.map_or(left, |limit| limit.min(left)),
            lock: LOCK.min(left),
            idle_in_transaction: IDLE_IN_TRANSACTION.min(left.saturating_add(GRACE)),
            idle: left.saturating_add(GRACE),
            policy: statement,
        }
    }

    /// Those of the same connection now that its session has so much time left.
    #[must_use]
    pub fn renewed(&self, left: Duration) -> Self {
        Self::new(left, self.policy)
    }

    /// Whether a value, as PostgreSQL shows it, is a cap of theirs.
    #[must_use]
    pub fn has_set(&self, name: &str, value: &str) -> bool {
        let set = self.of(name).map(milliseconds);
        set.is_some_and(|set| parse(&set) == parse(value))
    }

    /// The cap of a setting that is a time limit of ours.
    #[must_use]
    pub fn of(&self, setting: &str) -> Option<Duration> {
        match setting.to_ascii_lowercase().as_str() {
            "statement_timeout" => Some(self.statement),
            "lock_timeout" => Some(self.lock),
            "idle_in_transaction_session_timeout" => Some(self.idle_in_transaction),
            "idle_session_timeout" => Some(self.idle),
            _ => None,
        }
    }
}

/// The time limits every connection gets, in PostgreSQL's words. `transaction_timeout` is not among them: PostgreSQL 17 brought
/// it, and a transaction ends with its session.
pub const LIMITED: [&str; 4] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
];

/// Settings that a client cannot choose: how text is read, and how the server notices that we are gone.
const PINNED: [(&str, &str); 8] = [
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("client_encoding", "UTF8"),
    ("client_connection_check_interval", "1s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
];

/// Names of the startup packet that are no settings, and settings that would make the session somebody else.
const LEFT_OUT: [&str; 6] = [
    "user",
    "database",
    "options",
    "replication",
    "role",
    "session_authorization",
];

/// Parameters of a startup packet, and what the client is to be told about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Name and value, each name once.
    pub parameters: Vec<(String, String)>,
    /// One sentence for each wish that was cut down.
    pub notices: Vec<String>,
}

/// Puts together what the grant's role has set, what the client wishes, and what the session's limits are.
#[must_use]
pub fn merge(
    role: &[(String, String)],
    client: &[(String, String)],
    caps: &Caps,
    access: Access,
) -> Merged {
    let mut merged = Merged::default();
    for (name, value) in role {
        if takes(name) {
            merged.put(name, cut(name, value, caps).0);
        }
    }
    for (name, value) in client {
        if takes(name) {
            let (value, notice) = cut(name, value, caps);
            merged.put(name, value);
            merged.notices.extend(notice);
        }
    }
    for name in LIMITED {
        if let (false, Some(cap)) = (merged.has(name), caps.of(name)) {
            merged.put(name, milliseconds(cap));
        }
    }
    for (name, value) in PINNED {
        merged.put(name, value.to_owned());
    }
    if access == Access::Read {
        merged.put("default_transaction_read_only", "on".to_owned());
    }
    merged
}

impl Merged {
    /// Later values replace earlier ones; PostgreSQL's names do not differ by case.
    fn put(&mut self, name: &str, value: String) {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        self.parameters.retain(|(other, _)| !same(other));
        self.parameters.push((name.to_owned(), value));
    }

    fn has(&self, name: &str) -> bool {
        self.parameters
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}

fn takes(name: &str) -> bool {
    let is = |other: &str| other.eq_ignore_ascii_case(name);
    !name.starts_with("_pq_.") && !LEFT_OUT.iter().any(|other| is(other))
}

/// A time limit looser than the session's becomes the session's; what cannot be read does, too.
fn cut(name: &str, value: &str, caps: &Caps) -> (String, Option<String>) {
    if caps.of(name).is_none() {
        return (value.to_owned(), None);
    }
    match looser(name, value, caps) {
        None => (
            parse(value).map_or_else(|| value.to_owned(), milliseconds),
            None,
        ),
        Some(Looser { limit, sentence }) => (limit, Some(sentence)),
    }
}

/// A time limit that is looser than the session's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looser {
    /// What it becomes.
    pub limit: String,
    /// What its owner is told.
    pub sentence: String,
}

/// Whether a value, as PostgreSQL reads it, is a looser limit than the session's; one that cannot be read counts as looser.
#[must_use]
pub fn looser(name: &str, value: &str, caps: &Caps) -> Option<Looser> {
    let cap = caps.of(name)?;
    // PostgreSQL's zero is "no limit".
    if parse(value).is_some_and(|wish| !wish.is_zero() && wish <= cap) {
        return None;
    }
    let limit = milliseconds(cap);
    let sentence = format!("{name} is at most {limit} in this session");
    Some(Looser { limit, sentence })
}

/// PostgreSQL's way to write it, with its unit.
#[must_use]
pub fn milliseconds(span: Duration) -> String {
    // Its settings are 32-bit integers: a longer limit is 24 days, which no session lasts.
    format!("{}ms", span.as_millis().clamp(1, 2_147_483_647))
}

/// Reads a time as PostgreSQL does: a number, perhaps with a fraction, and a unit; milliseconds without one.
#[must_use]
pub fn parse(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "us" => 0.000_001,
        "" | "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}
