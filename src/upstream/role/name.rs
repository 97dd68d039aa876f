//! The name of a lease's role: `dbgate_<person>_<session>`, so that the database's own logs name the person.

use std::fmt;
use std::str::FromStr;

use crate::model::session::SessionId;

/// How every lease's name begins.
pub const PREFIX: &str = "dbgate_";

/// How the name of a role that `broker check` tries things on begins: no person's lease is ever called so.
pub const SCRATCH: &str = "dbgate__check_";

/// PostgreSQL's names have at most this many bytes.
const LONGEST: usize = 63;

/// The name of a lease's role: the prefix, then `a-z`, `0-9` and `_` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// For a session of somebody; `number` tells the leases of one session apart, the first is 1.
    #[must_use]
    pub fn new(display: &str, session: &SessionId, number: u32) -> Self {
        let tail = if number > 1 {
            format!("_{session}_{number}")
        } else {
            format!("_{session}")
        };
        let room = LONGEST.saturating_sub(PREFIX.len() + tail.len());
        let person: String = person(display).chars().take(room).collect();
        Self(format!("{PREFIX}{}{tail}", person.trim_end_matches('_')))
    }

    /// For a role that is made to be tried and ended, by whoever checks the database of that OID.
    #[must_use]
    pub fn scratch(database: u32, session: &SessionId) -> Self {
        Self(format!("{SCRATCH}{database}_{session}"))
    }

    /// Whose lease it is.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        session(self.0.strip_prefix(PREFIX)?)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What of a display name can stand in a role's name; the domain of an e-mail address is left out.
fn person(display: &str) -> String {
    let local = display.split('@').next().unwrap_or_default();
    let mut name = String::new();
    for c in local.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    if name.is_empty() {
        "someone".to_owned()
    } else {
        name.to_owned()
    }
}

/// The session in the part after the prefix, which is `person_session` or `person_session_number`.
fn session(rest: &str) -> Option<SessionId> {
    let rest = match rest.rsplit_once('_') {
        Some((before, number)) if number.bytes().all(|b| b.is_ascii_digit()) => before,
        _ => rest,
    };
    rest.rsplit_once('_')?.1.parse().ok()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        match text.strip_prefix(PREFIX) {
            // Roles of other purposes may share the prefix; a session's id they do not have.
            Some(rest)
                if text.len() <= LONGEST && rest.bytes().all(ok) && session(rest).is_some() =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Error(text.to_owned())),
        }
    }
}

/// Text that is no name of a lease's role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a lease's role")]
pub struct Error(String);
