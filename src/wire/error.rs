//! What can be wrong with bytes, and the errors and notices that PostgreSQL itself reports.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::wire::reader::Reader;
use crate::wire::writer;

/// Bytes that are no PostgreSQL protocol, or values that cannot become such bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A length word below the smallest possible, or negative.
    #[error("message length {0} is not possible")]
    Length(u32),
    /// A message longer than its kind may be here.
    #[error("{} of {length} bytes is longer than the {limit} allowed", named(*.kind))]
    FrameTooLong {
        /// Its kind; 0 for the first message of a connection, which has none.
        kind: u8,
        /// The length it announces.
        length: u32,
        /// The most it may be.
        limit: u32,
    },
    /// A message kind that the other side never sends at this point.
    #[error("message kind {0:#04x} is not expected here")]
    UnexpectedKind(u8),
    /// The message ends before its content does.
    #[error("the message ends too early")]
    Truncated,
    /// There is more in the message than its content.
    #[error("the message has bytes after its end")]
    TrailingBytes,
    /// A text without its final zero byte.
    #[error("a text in the message has no end")]
    Unterminated,
    /// A text that is not UTF-8.
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    NotUtf8,
    /// A text with a zero byte, which the protocol cannot carry.
    #[error("a text contains a zero byte")]
    EmbeddedZero,
    /// A code, flag or count with a value that has no meaning.
    #[error("{what} has the meaningless value {value}")]
    Meaningless {
        /// Of what.
        what: &'static str,
        /// The value.
        value: i64,
    },
    /// Something is too large for the protocol's own counters.
    #[error("{0} does not fit into a message")]
    TooLarge(&'static str),
    /// A startup packet for another protocol than 3.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// A startup parameter or option that cannot be.
    #[error("invalid startup packet: {0}")]
    Startup(&'static str),
    /// The bytes of one huge message are half forwarded; it must be finished before another is read.
    #[error("the message before is not finished")]
    Unfinished,
    /// A SASL message that breaks RFC 5802.
    #[error("malformed SCRAM message: {0}")]
    Scram(&'static str),
    /// The password or the proof is wrong, or there is no such user: deliberately the same.
    #[error("password authentication failed")]
    WrongProof,
    /// Channel binding is wrong: somebody may sit between client and server.
    #[error("SCRAM channel binding check failed")]
    Binding,
}

/// A message by its kind.
fn named(kind: u8) -> String {
    match kind {
        0 => "a startup packet".to_owned(),
        kind => format!("message `{}`", char::from(kind).escape_default()),
    }
}

impl Error {
    /// The code PostgreSQL would report for this.
    #[must_use]
    pub const fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotUtf8 => SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            Self::WrongProof | Self::Binding => SqlState::INVALID_PASSWORD,
            Self::Version { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::TooLarge(_) | Self::EmbeddedZero => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::Length(_)
            | Self::FrameTooLong { .. }
            | Self::UnexpectedKind(_)
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Unterminated
            | Self::Meaningless { .. }
            | Self::Startup(_)
            | Self::Unfinished
            | Self::Scram(_) => SqlState::PROTOCOL_VIOLATION,
        }
    }
}

/// The five characters that name an error's cause.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

macro_rules! states {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl SqlState {
            $(#[doc = $doc] pub const $name: Self = Self(*$code);)*
        }
    };
}

states! {
    SUCCESSFUL = b"00000", "All is well.";
    WARNING = b"01000", "A warning without a class of its own.";
    CONNECTION_EXCEPTION = b"08000", "Something is wrong with a connection.";
    CONNECTION_DOES_NOT_EXIST = b"08003", "The connection is gone.";
    REJECTED_CONNECTION = b"08004", "The server does not want this connection.";
    CONNECTION_FAILURE = b"08006", "The connection broke.";
    PROTOCOL_VIOLATION = b"08P01", "The peer does not keep to the protocol.";
    FEATURE_NOT_SUPPORTED = b"0A000", "This is not offered.";
    CHARACTER_NOT_IN_REPERTOIRE = b"22021", "Bytes that are no text in the encoding.";
    INVALID_PARAMETER_VALUE = b"22023", "A setting cannot have this value.";
    ACTIVE_TRANSACTION = b"25001", "Not possible in a transaction.";
    READ_ONLY_TRANSACTION = b"25006", "Not possible in a read-only transaction.";
    IN_FAILED_TRANSACTION = b"25P02", "The transaction has failed; only its end is possible.";
    IDLE_IN_TRANSACTION_TIMEOUT = b"25P03", "A transaction was idle for too long.";
    INVALID_STATEMENT_NAME = b"26000", "No prepared statement of this name.";
    INVALID_AUTHORIZATION = b"28000", "This user may not come in.";
    INVALID_PASSWORD = b"28P01", "The password is wrong.";
    INVALID_CURSOR_NAME = b"34000", "No cursor or portal of this name.";
    INVALID_CATALOG_NAME = b"3D000", "No database of this name.";
    INSUFFICIENT_PRIVILEGE = b"42501", "Not allowed.";
    SYNTAX_ERROR = b"42601", "The statement cannot be read.";
    DUPLICATE_CURSOR = b"42P03", "A cursor or portal of this name exists.";
    DUPLICATE_PREPARED_STATEMENT = b"42P05", "A prepared statement of this name exists.";
    UNDEFINED_TABLE = b"42P01", "No such relation.";
    UNDEFINED_COLUMN = b"42703", "No such column.";
    INSUFFICIENT_RESOURCES = b"53000", "Something has run out.";
    OUT_OF_MEMORY = b"53200", "There is no room in memory.";
    DISK_FULL = b"53100", "The disk is full.";
    TOO_MANY_CONNECTIONS = b"53300", "Too many connections.";
    CONFIGURATION_LIMIT_EXCEEDED = b"53400", "A configured limit was reached.";
    PROGRAM_LIMIT_EXCEEDED = b"54000", "Larger than the program can handle.";
    STATEMENT_TOO_COMPLEX = b"54001", "The statement is too complex.";
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000", "Not possible in this state.";
    LOCK_NOT_AVAILABLE = b"55P03", "A lock could not be had in time.";
    QUERY_CANCELED = b"57014", "The statement was canceled.";
    ADMIN_SHUTDOWN = b"57P01", "The connection was ended by an administrator.";
    CANNOT_CONNECT_NOW = b"57P03", "The server cannot take connections now.";
    IDLE_SESSION_TIMEOUT = b"57P05", "The session was idle for too long.";
    SYSTEM_ERROR = b"58000", "The system failed.";
    IO_ERROR = b"58030", "Reading or writing failed.";
    INTERNAL_ERROR = b"XX000", "An error inside the server.";
}

impl SqlState {
    /// Five characters of `0-9A-Z`; anything else is no code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 5] = text.as_bytes().try_into().ok()?;
        let good = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase();
        code.iter().all(good).then_some(Self(code))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }

    /// Its class: the first two characters.
    #[must_use]
    pub fn class(&self) -> &str {
        self.as_str().get(..2).unwrap_or("XX")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
    /// The server ends.
    Panic,
    /// Notices, from here on.
    Warning,
    /// Worth knowing.
    Notice,
    /// For developers of the server.
    Debug,
    /// Asked for.
    Info,
    /// Rather for the server's log.
    Log,
}

impl Severity {
    /// PostgreSQL's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Panic => "PANIC",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Log => "LOG",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Error,
            Self::Fatal,
            Self::Panic,
            Self::Warning,
            Self::Notice,
            Self::Debug,
            Self::Info,
            Self::Log,
        ];
        all.into_iter()
            .find(|severity| text.starts_with(severity.as_str()))
    }
}

/// The content of an `ErrorResponse` or a `NoticeResponse`.
///
/// A server may leave out what the protocol says is always there: a missing severity reads as `ERROR`, a missing code as `XX000`,
/// a missing message as empty. Texts in another encoding than UTF-8 (servers send such before the encoding is agreed) are read with
/// replacement characters. Fields this type does not name are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Box<Content>);

/// The fields by name. They are many: what may fail with them carries a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// How bad it is.
    pub severity: Severity,
    /// The severity in the server's language, where it differs.
    pub localized: Option<String>,
    /// The cause.
    pub code: SqlState,
    /// The one-line message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where in the statement, in characters from 1.
    pub position: Option<u32>,
    /// Where in `internal_query`.
    pub internal_position: Option<u32>,
    /// The statement a function ran.
    pub internal_query: Option<String>,
    /// The call stack.
    pub context: Option<String>,
    /// The schema concerned.
    pub schema: Option<String>,
    /// The table concerned.
    pub table: Option<String>,
    /// The column concerned.
    pub column: Option<String>,
    /// The type concerned.
    pub data_type: Option<String>,
    /// The constraint concerned.
    pub constraint: Option<String>,
    /// The source file of the server.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<String>,
    /// The routine in it.
    pub routine: Option<String>,
}

impl Deref for Fields {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.0
    }
}

impl DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut Content {
        &mut self.0
    }
}

impl Fields {
    /// An error or notice of our own.
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Content {
            severity,
            localized: None,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            internal_position: None,
            internal_query: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
            file: None,
            line: None,
            routine: None,
        }))
    }

    /// With `DETAIL`.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With `HINT`.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a position, in characters from 1.
    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.position = Some(position);
        self
    }

    /// Reads the body of the message.
    ///
    /// # Errors
    /// When a field or the list has no end.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut fields = Self::new(Severity::Error, SqlState::INTERNAL_ERROR, "");
        let mut shown = None;
        let mut plain = None;
        loop {
            let kind = reader.u8()?;
            if kind == 0 {
                break;
            }
            let text = String::from_utf8_lossy(reader.raw_text()?).into_owned();
            match kind {
                b'S' => shown = Some(text),
                b'V' => plain = Severity::parse(&text),
                b'C' => fields.code = SqlState::parse(&text).unwrap_or(SqlState::INTERNAL_ERROR),
                b'M' => fields.message = text,
                b'P' => fields.position = text.parse().ok(),
                b'p' => fields.internal_position = text.parse().ok(),
                other => {
                    if let Some(slot) = fields.slot(other) {
                        *slot = Some(text);
                    }
                }
            }
        }
        reader.end()?;
        fields.severity = plain
            .or_else(|| shown.as_deref().and_then(Severity::parse))
            .unwrap_or(Severity::Error);
        fields.localized = shown.filter(|text| text != fields.severity.as_str());
        Ok(fields)
    }

    fn slot(&mut self, kind: u8) -> Option<&mut Option<String>> {
        Some(match kind {
            b'D' => &mut self.detail,
            b'H' => &mut self.hint,
            b'q' => &mut self.internal_query,
            b'W' => &mut self.context,
            b's' => &mut self.schema,
            b't' => &mut self.table,
            b'c' => &mut self.column,
            b'd' => &mut self.data_type,
            b'n' => &mut self.constraint,
            b'F' => &mut self.file,
            b'L' => &mut self.line,
            b'R' => &mut self.routine,
            _ => return None,
        })
    }

    /// Writes the body of the message. A zero byte in a text, which the protocol cannot carry, is left out: a report must not fail.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let severity = self.severity.as_str();
        field(out, b'S', self.localized.as_deref().unwrap_or(severity));
        field(out, b'V', severity);
        field(out, b'C', self.code.as_str());
        field(out, b'M', &self.message);
        let texts = [
            (b'D', &self.detail),
            (b'H', &self.hint),
            (b'q', &self.internal_query),
            (b'W', &self.context),
            (b's', &self.schema),
            (b't', &self.table),
            (b'c', &self.column),
            (b'd', &self.data_type),
            (b'n', &self.constraint),
            (b'F', &self.file),
            (b'L', &self.line),
            (b'R', &self.routine),
        ];
        for (kind, text) in texts {
            if let Some(text) = text {
                field(out, kind, text);
            }
        }
        for (kind, number) in [(b'P', self.position), (b'p', self.internal_position)] {
            if let Some(number) = number {
                field(out, kind, &number.to_string());
            }
        }
        out.push(0);
    }
}

fn field(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    writer::text_without_zeros(out, text);
}
