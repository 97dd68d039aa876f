//! What comes with an allow: masks for what is shown, limits for what may run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// How the values of a protected column are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mask")]
pub enum Mask {
    /// `***` where the type can hold it, else NULL.
    Redact,
    /// NULL.
    Null,
    /// The first and last characters, `*` between.
    Partial {
        /// How many characters to keep at the start.
        first: u16,
        /// How many to keep at the end.
        last: u16,
    },
    /// The first letter and the top-level domain of a mail address.
    Email,
    /// A keyed pseudonym of the same type: equal values give equal tokens within the scope.
    Token {
        /// Names the key; different names give unrelated tokens.
        key: Arc<str>,
        /// How far tokens can be compared.
        scope: Scope,
    },
    /// Numbers rounded down to a multiple.
    Bucket {
        /// The multiple, at least 1.
        size: u64,
    },
    /// Dates and times cut down to a unit.
    Truncate {
        /// The unit.
        unit: Unit,
    },
    /// Always the same value.
    Constant {
        /// The value, in the text form of the column's type.
        value: Arc<str>,
    },
}

/// How far tokens can be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Within one session.
    Session,
    /// Within one database, for everyone.
    Database,
    /// In all databases of this broker.
    Everywhere,
}

/// What dates and times are cut down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// January 1st of the year.
    Year,
    /// The first of the quarter.
    Quarter,
    /// The first of the month.
    Month,
    /// The day.
    Day,
    /// The hour.
    Hour,
}

impl Mask {
    /// The word for it in a policy.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Redact => "redact",
            Self::Null => "null",
            Self::Partial { .. } => "partial",
            Self::Email => "email",
            Self::Token { .. } => "token",
            Self::Bucket { .. } => "bucket",
            Self::Truncate { .. } => "truncate",
            Self::Constant { .. } => "constant",
        }
    }

    /// The mask for a value that may come from columns with either mask.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        if self == other {
            self.clone()
        } else {
            Self::Redact
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What may run, and how much it may return. `None` = no limit by policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Rows one statement may return.
    pub rows: Option<u64>,
    /// Bytes of values one statement may return.
    pub bytes: Option<u64>,
    /// How long one statement may run.
    pub statement_time: Option<Duration>,
    /// Statements of one session.
    pub statements: Option<u64>,
    /// Statements of one session within an hour.
    pub statements_per_hour: Option<u64>,
    /// Comparisons of protected columns with given values, of one session within an hour.
    pub probes_per_hour: Option<u64>,
    /// What all statements of one session may return and take.
    pub session: Totals,
    /// What all statements of one session may return and take within an hour.
    pub hour: Totals,
}

/// What several statements together may return and take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes of values.
    pub bytes: Option<u64>,
    /// The time they run.
    pub time: Option<Duration>,
}

impl Totals {
    fn and(self, other: Self) -> Self {
        Self {
            rows: tighter(self.rows, other.rows),
            bytes: tighter(self.bytes, other.bytes),
            time: tighter(self.time, other.time),
        }
    }
}

impl Limits {
    /// Whether there is a limit that the rows of several statements together may reach.
    #[must_use]
    pub fn bounds_results(&self) -> bool {
        let totals = [&self.session, &self.hour];
        let bounds = |totals: &&Totals| totals.rows.is_some() || totals.bytes.is_some();
        totals.iter().any(bounds)
    }

    /// The tighter of both in every respect.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rows: tighter(self.rows, other.rows),
            bytes: tighter(self.bytes, other.bytes),
            statement_time: tighter(self.statement_time, other.statement_time),
            statements: tighter(self.statements, other.statements),
            statements_per_hour: tighter(self.statements_per_hour, other.statements_per_hour),
            probes_per_hour: tighter(self.probes_per_hour, other.probes_per_hour),
            session: self.session.and(other.session),
            hour: self.hour.and(other.hour),
        }
    }
}

fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (limit, None) | (None, limit) => limit,
    }
}

/// What a token begins with, in columns of text.
pub const TOKEN_PREFIX: &str = "tok_";

/// How many characters follow the prefix.
pub const TOKEN_LENGTH: usize = 26;

/// Whether the text has a form that only tokens have: the prefix (also somewhere inside), or a UUID of version 8.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let in_text = text.split(TOKEN_PREFIX).skip(1).any(|rest| {
        let letters = rest.bytes().take_while(u8::is_ascii_alphanumeric);
        letters.count() == TOKEN_LENGTH
    });
    let text = text.trim_matches('"');
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    let is_uuid = bare.len() == 32 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    in_text || (is_uuid && bare.as_bytes().get(12) == Some(&b'8'))
}
