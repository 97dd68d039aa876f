//! What a client's startup packet asks for: settings, read safely, and the few that are not for a client to set.
//!
//! Only settings on the list reach the upstream: in a startup packet a role, a library or a way of reading strings can be set, too.

use crate::gateway::reply::{self, ForClient};
use crate::wire::error::{Fields, SqlState};
use crate::wire::startup::{self, Startup};

/// More settings than any client needs.
const MAX_SETTINGS: usize = 64;

/// What a client is told beside what PostgreSQL would tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Nothing: it knows only PostgreSQL.
    Nothing,
    /// Which columns of a result are masked.
    Masks,
}

impl Tells {
    /// What the one who sent this packet wants.
    #[must_use]
    pub fn of(startup: &Startup) -> Self {
        if startup.wants_masks() {
            Self::Masks
        } else {
            Self::Nothing
        }
    }
}

/// The settings a client wants for its connection, in their order; each name once, in lower case where PostgreSQL does not care.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Names and values.
    pub values: Vec<(String, String)>,
    /// One sentence for each wish that was not taken.
    pub notices: Vec<String>,
}

impl Settings {
    /// Reads them from a startup packet.
    ///
    /// # Errors
    /// When one is not for a client to set, or `options` can't be read.
    pub fn read(startup: &Startup) -> Result<Self, Fields> {
        let mut settings = Self::default();
        if let Some(value) = startup.parameter("replication") {
            refuse_replication(value)?;
        }
        if let Some(text) = startup.parameter("options") {
            let options = startup::options(text).map_err(|error| error.fields())?;
            for (name, value) in options {
                settings.set(&name, value)?;
            }
        }
        for (name, value) in startup.settings() {
            settings.set(name, value.to_owned())?;
        }
        Ok(settings)
    }

    /// A setting's value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Fields> {
        let name = name.to_ascii_lowercase();
        let value = match judge(&name, &value) {
            Judgment::Pass => value,
            // The gateway sets it itself.
            Judgment::Drop => return Ok(()),
            Judgment::Refuse => {
                let message = format!("setting \"{name}\" can't be chosen for a dbgate connection");
                return Err(reply::fatal(SqlState::INSUFFICIENT_PRIVILEGE, message)
                    .with_hint("Leave it out of the connection's parameters."));
            }
            Judgment::Pin(pinned) => {
                // A client that insists finds out by `ParameterStatus`, and from this.
                self.notices.push(format!(
                    "setting \"{name}\" stays \"{pinned}\": dbgate relies on it"
                ));
                return Ok(());
            }
        };
        // The later one counts, as in PostgreSQL.
        self.values.retain(|(known, _)| *known != name);
        if self.values.len() >= MAX_SETTINGS {
            return Err(reply::fatal(
                SqlState::PROTOCOL_VIOLATION,
                "invalid startup packet: too many settings",
            ));
        }
        self.values.push((name, value));
        Ok(())
    }
}

enum Judgment {
    Pass,
    Drop,
    Refuse,
    /// It keeps this value.
    Pin(&'static str),
}

fn judge(name: &str, value: &str) -> Judgment {
    match name {
        "client_encoding" if is_utf8(value) => Judgment::Drop,
        "client_encoding" => Judgment::Pin("UTF8"),
        "standard_conforming_strings" if is_on(value) => Judgment::Drop,
        "standard_conforming_strings" => Judgment::Pin("on"),
        "backslash_quote" if value == "safe_encoding" => Judgment::Drop,
        "backslash_quote" => Judgment::Pin("safe_encoding"),
        // A session that may write can be told not to; one that may only read stays so by its lease.
        "default_transaction_read_only" if is_on(value) => Judgment::Pass,
        "default_transaction_read_only" => Judgment::Drop,
        "application_name"
        | "fallback_application_name"
        | "datestyle"
        | "intervalstyle"
        | "timezone"
        | "extra_float_digits"
        | "bytea_output"
        | "xmlbinary"
        | "xmloption"
        | "search_path"
        | "client_min_messages"
        | "statement_timeout"
        | "lock_timeout"
        | "idle_in_transaction_session_timeout"
        | "idle_session_timeout"
        | "transaction_timeout"
        | "default_transaction_isolation"
        | "default_transaction_deferrable"
        | "plan_cache_mode"
        | "work_mem"
        | "geqo"
        | "jit"
        | "random_page_cost"
        | "synchronous_commit"
        | "lc_messages"
        | "lc_monetary"
        | "lc_numeric"
        | "lc_time" => Judgment::Pass,
        _ if name.starts_with("enable_") => Judgment::Pass,
        _ => Judgment::Refuse,
    }
}

fn is_on(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "on" | "true" | "yes" | "1" | "t" | "y"
    )
}

/// UTF-8 by all its names; and "no conversion", which psql asks for in the C locale: it gets UTF-8, and is told so.
fn is_utf8(value: &str) -> bool {
    let name: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    matches!(name.as_str(), "utf8" | "unicode" | "sqlascii")
}

fn refuse_replication(value: &str) -> Result<(), Fields> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(reply::fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            "replication connections do not pass through dbgate",
        )
        .with_hint("Back up and replicate beside dbgate, with a role of your own for it.")),
    }
}
