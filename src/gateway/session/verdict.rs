//! What the session asks before a statement goes on, and what it is told.

use std::sync::Arc;

use crate::gateway::reply;
use crate::gateway::session::run::{self, Run};
use crate::sql::footprint::Facts;
use crate::wire;
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend;
use crate::wire::row::Format;

/// A question: may this go to the upstream?
#[derive(Debug, Clone)]
pub struct Ask {
    /// What.
    pub purpose: Purpose,
    /// In which transaction.
    pub transaction: Transaction,
    /// Whether the upstream owes nothing: only then its state is known and may be asked for.
    pub settled: Settled,
}

/// What shall go to the upstream.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// A query string, to be run at once.
    Query {
        /// All of it.
        text: Arc<str>,
    },
    /// A statement, to be prepared only.
    Prepare {
        /// Its name.
        name: Arc<str>,
        /// Its text.
        text: Arc<str>,
        /// The parameter types the client declared.
        types: Arc<[u32]>,
    },
    /// A prepared statement with its parameters: to be planned, then run.
    Bind {
        /// Its text.
        text: Arc<str>,
        /// The parameter types the client declared.
        types: Arc<[u32]>,
        /// What it was when it was prepared; `None` when it was prepared in SQL.
        known: Option<Arc<Facts>>,
        /// The whole `Bind`, which has the parameters.
        frame: Frame,
    },
    /// A run that was permitted before, to go on by the policy of this moment.
    Again(run::Id),
}

/// The parameters of a `Bind`, as they came.
#[derive(Debug)]
pub struct Parameters<'a> {
    /// One for each, or one for all, or none: text.
    pub formats: Vec<Format>,
    /// `None` is NULL.
    pub values: Vec<Option<&'a [u8]>>,
}

impl Purpose {
    /// The parameters that come with it.
    #[must_use]
    pub fn parameters(&self) -> Option<Parameters<'_>> {
        let Self::Bind { frame, .. } = self else {
            return None;
        };
        match frontend::Message::decode(frame) {
            Ok(frontend::Message::Bind {
                formats,
                parameters: values,
                ..
            }) => Some(Parameters { formats, values }),
            _ => None,
        }
    }
}

/// Whether the upstream owes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It owes nothing.
    Yes,
    /// Answers are on their way.
    No,
}

/// The transaction a statement would run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// One of its own.
    Own,
    /// That of the pipeline, which holds what ran before it in the pipeline.
    Pipeline,
    /// A block that is open.
    Open,
    /// A block that has failed.
    Failed,
}

/// The answer.
#[derive(Debug)]
pub enum Verdict {
    /// It may run: one run for each statement of a query string, one for a `Bind`.
    Permitted(Vec<Run>),
    /// It may be prepared.
    Prepared(Arc<Facts>),
    /// What was permitted stands.
    Stands,
    /// What was permitted is replaced by a newer permit for the same statement.
    Renewed(Box<Run>),
    /// No.
    Refused(Refusal),
    /// That can only be told when the upstream owes nothing.
    Settle,
}

/// A no, and how to say it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the client is told.
    pub fields: Fields,
    /// For `COPY … FROM STDIN`: how many columns the client shall believe in until it has sent its data.
    ///
    /// Old psql would run the data as commands if the refusal came first (CVE-2026-6464).
    pub copy_columns: Option<u16>,
}

impl From<Fields> for Refusal {
    fn from(fields: Fields) -> Self {
        Self {
            fields,
            copy_columns: None,
        }
    }
}

/// Something of the client's that was refused before it could be read as a statement.
#[derive(Debug)]
pub struct Unasked {
    /// Its text, as far as there is one.
    pub text: String,
    /// The function that was called by its number.
    pub function: Option<u32>,
    /// What the client is told.
    pub fields: Fields,
}

impl Unasked {
    /// A message that can't be read.
    #[must_use]
    pub fn unreadable(frame: &Frame, error: &wire::error::Error) -> Self {
        let mut parts = frame.body().split(|byte| *byte == 0);
        let text = match frame.kind() {
            frontend::kind::QUERY => parts.next(),
            frontend::kind::PARSE => parts.nth(1),
            _ => None,
        };
        Self {
            text: String::from_utf8_lossy(text.unwrap_or_default()).into_owned(),
            function: None,
            fields: reply::ForClient::fields(error),
        }
    }

    /// Bytes that are no message, or too many of them.
    #[must_use]
    pub fn unframed(error: &wire::error::Error) -> Self {
        Self {
            text: String::new(),
            function: None,
            fields: reply::ForClient::fields(error),
        }
    }

    /// A message that there was no room for.
    #[must_use]
    pub const fn unread(fields: Fields) -> Self {
        Self {
            text: String::new(),
            function: None,
            fields,
        }
    }

    /// A function that is called by its number.
    #[must_use]
    pub fn function_call(body: &[u8]) -> Self {
        Self {
            text: String::new(),
            function: body.first_chunk().copied().map(u32::from_be_bytes),
            fields: reply::function_call(),
        }
    }
}
