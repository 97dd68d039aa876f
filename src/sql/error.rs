//! Why a text could not be analyzed at all.

/// A text that PostgreSQL's grammar rejects, or that is beyond the limits of the analysis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, in the server's words where it has some.
    pub message: String,
    /// Where, in bytes from the start of the text, when the parser says so.
    pub position: Option<usize>,
    /// The SQLSTATE that the server would use.
    pub sqlstate: &'static str,
}

impl Error {
    /// The grammar rejects the text.
    pub(super) fn syntax(message: String, position: Option<usize>) -> Self {
        Self {
            message,
            position,
            sqlstate: "42601",
        }
    }

    /// Too deeply nested.
    pub(super) fn too_deep() -> Self {
        Self {
            message: "statement is nested too deeply".to_owned(),
            position: None,
            sqlstate: "54001",
        }
    }

    /// Too long or too many parts.
    pub(super) fn too_large(what: &str) -> Self {
        Self {
            message: format!("statement is too large: {what}"),
            position: None,
            sqlstate: "54000",
        }
    }
}
