//! What dbgate itself says in an `ErrorResponse` or `NoticeResponse`, told apart by the field `routine`.
//!
//! PostgreSQL puts the name of a C function there, which no client acts on; the gateway passes on none of the
//! upstream's. So dbgate's own shell can tell a refusal by policy from a missing privilege, and any other client
//! sees an ordinary error or notice.

use crate::wire::error::Fields;

/// Prefix of the field.
const PREFIX: &str = "dbgate_";

/// What kind of thing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An error: the policy refuses the statement.
    Denied,
    /// A notice: the statement waits for an approval; the id of the request is a word of its text.
    Waiting,
    /// An error: the approval was denied, or did not come in time.
    Rejected,
    /// A notice before the rows, for clients that asked for it: the detail lists the masked columns of the result, as `2 email, 5 phone`.
    Masked,
    /// An error: the session has ended.
    Ended,
    /// An error: a limit of the policy was reached.
    Limit,
}

impl Origin {
    /// All of them.
    const ALL: [Self; 6] = [
        Self::Denied,
        Self::Waiting,
        Self::Rejected,
        Self::Masked,
        Self::Ended,
        Self::Limit,
    ];

    /// The word for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
            Self::Masked => "masked",
            Self::Ended => "ended",
            Self::Limit => "limit",
        }
    }

    /// Which of them a report is, if dbgate made it.
    #[must_use]
    pub fn of(fields: &Fields) -> Option<Self> {
        let word = fields.routine.as_deref()?.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|origin| origin.word() == word)
    }

    /// The same report, marked as dbgate's.
    #[must_use]
    pub fn mark(self, mut fields: Fields) -> Fields {
        fields.routine = Some(format!("{PREFIX}{}", self.word()));
        fields
    }
}

/// Whether a routine's name is one that only dbgate may give.
#[must_use]
pub fn is_ours(routine: &str) -> bool {
    routine.starts_with(PREFIX)
}

/// The detail of a [`Origin::Masked`] notice: result columns by number, from 1, and name.
#[must_use]
pub fn masked_detail<'a>(columns: impl IntoIterator<Item = (usize, &'a str)>) -> String {
    let one = |(number, name): (usize, &str)| format!("{number} {}", name.replace(',', " "));
    columns.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The numbers of the masked columns, from 1.
#[must_use]
pub fn masked_columns(fields: &Fields) -> Vec<usize> {
    let detail = fields.detail.as_deref().unwrap_or_default();
    detail
        .split(',')
        .filter_map(|item| item.split_whitespace().next()?.parse().ok())
        .collect()
}
