//! A refusal: why, by which rule, where in the statement, and what would help.

use std::fmt;

use serde::Serialize;

use crate::policy::document::Place;

/// Why a statement or a session is refused. The texts are for the client: they name what the client named, and no
/// values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Denial {
    /// `42501`, unless the database would have said something else.
    pub sqlstate: &'static str,
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// The rule, its file and line.
    pub detail: Option<String>,
    /// What would help.
    pub hint: Option<String>,
    /// Where in the query string: in characters, from 1.
    pub position: Option<usize>,
    /// Which part of the policy says no.
    pub reason: Reason,
}

/// Which part of the policy says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// A rule with `effect = "deny"`.
    Rule {
        /// Its name.
        name: String,
        /// Where it stands.
        place: Place,
    },
    /// No `[[allow]]` covers it.
    NotAllowed,
    /// No `[[allow]]` fits who asks.
    NoRoleMatched,
    /// An `[[allow]]` fits, its conditions (reason, hours) do not hold.
    Condition,
    /// The session was opened for reading.
    ReadOnly,
    /// A protected column would be shown or used in a way that its protection does not allow.
    Protected {
        /// The column, where one can be named.
        column: Option<String>,
        /// The `[[protect]]` that says so, when it is one.
        rule: Option<String>,
    },
    /// A mask would be written over the real value.
    WriteBack {
        /// The column.
        column: String,
        /// The `[[protect]]` that says so.
        rule: String,
    },
    /// The statement is not understood.
    NotUnderstood,
    /// A name does not resolve: the catalog at hand may be older than the database.
    Unresolved,
    /// It would change what the gateway relies on.
    Pinned,
    /// Several rules want approvals that nobody could give together.
    NoApprover,
}

impl Reason {
    /// The entry of the policy behind it, by name.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        match self {
            Self::Rule { name, .. } => Some(name),
            Self::Protected { rule, .. } => rule.as_deref(),
            Self::WriteBack { rule, .. } => Some(rule),
            Self::NotAllowed
            | Self::NoRoleMatched
            | Self::Condition
            | Self::ReadOnly
            | Self::NotUnderstood
            | Self::Unresolved
            | Self::Pinned
            | Self::NoApprover => None,
        }
    }

    /// The rule behind it and where it stands, as the log names both.
    #[must_use]
    pub fn rule(&self) -> Option<String> {
        match self {
            Self::Rule { name, place } => Some(format!("{name} ({place})")),
            Self::NotAllowed
            | Self::NoRoleMatched
            | Self::Condition
            | Self::ReadOnly
            | Self::Protected { .. }
            | Self::WriteBack { .. }
            | Self::NotUnderstood
            | Self::Unresolved
            | Self::Pinned
            | Self::NoApprover => None,
        }
    }

    /// The word for it, as in `--output json`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rule { .. } => "rule",
            Self::NotAllowed => "not-allowed",
            Self::NoRoleMatched => "no-role-matched",
            Self::Condition => "condition",
            Self::ReadOnly => "read-only",
            Self::Protected { .. } => "protected",
            Self::WriteBack { .. } => "write-back",
            Self::NotUnderstood => "not-understood",
            Self::Unresolved => "unresolved",
            Self::Pinned => "pinned",
            Self::NoApprover => "no-approver",
        }
    }
}

/// `insufficient_privilege`
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";

impl Denial {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            sqlstate: INSUFFICIENT_PRIVILEGE,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            reason,
        }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `byte` is counted from the start of `text`, the whole query string.
    pub(super) fn at(mut self, text: &str, byte: Option<usize>) -> Self {
        self.position = byte
            .and_then(|byte| text.get(..byte))
            .map(|before| before.chars().count() + 1);
        self
    }
}

/// `Rule` or `Protection`, with name and place, as a sentence.
pub(super) fn by(what: &str, name: &str, place: &Place) -> String {
    struct Sentence<'a>(&'a str, &'a str, &'a Place);
    impl fmt::Display for Sentence<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self(what, name, place) = self;
            if name.ends_with(&place.to_string()) {
                write!(f, "{what} at {place}.")
            } else {
                write!(f, "{what} `{name}` at {place}.")
            }
        }
    }
    Sentence(what, name, place).to_string()
}
