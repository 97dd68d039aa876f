//! Text that is kept apart from the log, so that it can be forgotten while the log still verifies.

use serde::{Deserialize, Serialize};

/// Statement text, reasons, parameters, errors, names that clients make, transcripts.
///
/// In an event that is about to be recorded it is clear. In the log there is a commitment in its place; whoever
/// reads the log gets the text back if it has not been erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Private {
    /// What the log holds: a salted hash, and where the text was put.
    Sealed(Commitment),
    /// The text itself.
    Clear {
        /// The text.
        #[serde(rename = "private")]
        text: String,
    },
}

impl Private {
    /// The text, unless it is sealed.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Sealed(_) => None,
            Self::Clear { text } => Some(text),
        }
    }
}

impl<T: Into<String>> From<T> for Private {
    fn from(text: T) -> Self {
        Self::Clear { text: text.into() }
    }
}

/// A promise about a text: nobody can find another text that fits, or the text from the promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// SHA-256 of byte 2, the salt and the text that was kept, in lower-case hex.
    pub sha256: String,
    /// How many bytes were kept.
    pub size: u64,
    /// Where, in bytes from the start of the payload file that belongs to the record's log file.
    pub at: u64,
    /// If only the beginning was kept: the length of the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<u64>,
    /// If only the beginning was kept: SHA-256 of byte 2, the salt and the whole text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_sha256: Option<String>,
}
