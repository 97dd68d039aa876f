//! Messages a client sends.

use crate::wire::error::Error;
use crate::wire::frame::{Frame, MAX_LENGTH, MAX_SMALL, MAX_STATEMENT};
use crate::wire::reader::Reader;
use crate::wire::row::{self, Format};
use crate::wire::writer;

/// The first byte of each kind of message.
pub mod kind {
    /// `Bind`.
    pub const BIND: u8 = b'B';
    /// `Close`.
    pub const CLOSE: u8 = b'C';
    /// `CopyData`.
    pub const COPY_DATA: u8 = b'd';
    /// `CopyDone`.
    pub const COPY_DONE: u8 = b'c';
    /// `CopyFail`.
    pub const COPY_FAIL: u8 = b'f';
    /// `Describe`.
    pub const DESCRIBE: u8 = b'D';
    /// `Execute`.
    pub const EXECUTE: u8 = b'E';
    /// `Flush`.
    pub const FLUSH: u8 = b'H';
    /// `FunctionCall`.
    pub const FUNCTION_CALL: u8 = b'F';
    /// `Parse`.
    pub const PARSE: u8 = b'P';
    /// `PasswordMessage`, `SASLInitialResponse`, `SASLResponse`.
    pub const PASSWORD: u8 = b'p';
    /// `Query`.
    pub const QUERY: u8 = b'Q';
    /// `Sync`.
    pub const SYNC: u8 = b'S';
    /// `Terminate`.
    pub const TERMINATE: u8 = b'X';
}

/// The longest message of this kind that a client which is in may send; `None` when it may send none.
pub(in crate::wire) const fn limit(kind: u8) -> Option<u32> {
    match kind {
        kind::QUERY | kind::PARSE | kind::FUNCTION_CALL => Some(MAX_STATEMENT),
        kind::BIND | kind::COPY_DATA => Some(MAX_LENGTH),
        kind::CLOSE
        | kind::COPY_DONE
        | kind::COPY_FAIL
        | kind::DESCRIBE
        | kind::EXECUTE
        | kind::FLUSH
        | kind::SYNC
        | kind::TERMINATE => Some(MAX_SMALL),
        _ => None,
    }
}

/// What `Describe` and `Close` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target<'a> {
    /// A prepared statement; the empty name is the unnamed one.
    Statement(&'a str),
    /// A portal, likewise.
    Portal(&'a str),
}

/// A message of a client that is in, or the body of what it sends to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Run a string of statements.
    Query {
        /// The statements.
        sql: &'a str,
    },
    /// Prepare a statement.
    Parse {
        /// Its name, empty for the unnamed one.
        name: &'a str,
        /// The statement.
        sql: &'a str,
        /// Type OIDs of the first parameters; 0 leaves one open.
        types: Vec<u32>,
    },
    /// Make a portal from a prepared statement.
    Bind {
        /// The portal's name, empty for the unnamed one.
        portal: &'a str,
        /// The statement's.
        statement: &'a str,
        /// Formats of the parameters: none for text, one for all, or one each.
        formats: Vec<Format>,
        /// The parameters; `None` is `NULL`.
        parameters: Vec<Option<&'a [u8]>>,
        /// Formats of the result columns, likewise.
        results: Vec<Format>,
    },
    /// Describe a statement or portal.
    Describe(Target<'a>),
    /// Run a portal.
    Execute {
        /// Its name.
        portal: &'a str,
        /// The most rows to send; 0 or less for all.
        limit: i32,
    },
    /// Forget a statement or portal.
    Close(Target<'a>),
    /// Send what you have.
    Flush,
    /// End of a pipeline.
    Sync,
    /// Data of a `COPY … FROM STDIN`.
    CopyData(&'a [u8]),
    /// The data is complete.
    CopyDone,
    /// The data cannot be completed.
    CopyFail {
        /// Why.
        reason: &'a str,
    },
    /// Call a function by OID; its content is not looked at, for it is never allowed.
    FunctionCall(&'a [u8]),
    /// A password, a SASL choice or a SASL message: which one depends on what was asked.
    Password(&'a [u8]),
    /// Good-bye.
    Terminate,
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When the content does not fit its kind, or the kind is none of a client.
    pub fn decode(frame: &'a Frame) -> Result<Self, Error> {
        let mut reader = Reader::new(frame.body());
        let message = match frame.kind() {
            kind::QUERY => Self::Query {
                sql: reader.text()?,
            },
            kind::PARSE => parse(&mut reader)?,
            kind::BIND => bind(&mut reader)?,
            kind::DESCRIBE => Self::Describe(Target::decode(&mut reader)?),
            kind::EXECUTE => Self::Execute {
                portal: reader.text()?,
                limit: reader.i32()?,
            },
            kind::CLOSE => Self::Close(Target::decode(&mut reader)?),
            kind::FLUSH => Self::Flush,
            kind::SYNC => Self::Sync,
            kind::COPY_DATA => Self::CopyData(reader.rest()),
            kind::COPY_DONE => Self::CopyDone,
            kind::COPY_FAIL => Self::CopyFail {
                reason: reader.text()?,
            },
            kind::FUNCTION_CALL => Self::FunctionCall(reader.rest()),
            kind::PASSWORD => Self::Password(reader.rest()),
            // Old clients send something behind it; nobody minds at a good-bye.
            kind::TERMINATE => {
                reader.rest();
                Self::Terminate
            }
            other => return Err(Error::UnexpectedKind(other)),
        };
        reader.end()?;
        Ok(message)
    }

    /// Its first byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Query { .. } => kind::QUERY,
            Self::Parse { .. } => kind::PARSE,
            Self::Bind { .. } => kind::BIND,
            Self::Describe(_) => kind::DESCRIBE,
            Self::Execute { .. } => kind::EXECUTE,
            Self::Close(_) => kind::CLOSE,
            Self::Flush => kind::FLUSH,
            Self::Sync => kind::SYNC,
            Self::CopyData(_) => kind::COPY_DATA,
            Self::CopyDone => kind::COPY_DONE,
            Self::CopyFail { .. } => kind::COPY_FAIL,
            Self::FunctionCall(_) => kind::FUNCTION_CALL,
            Self::Password(_) => kind::PASSWORD,
            Self::Terminate => kind::TERMINATE,
        }
    }

    /// Writes the message behind what `out` holds; after an error `out` is as it was.
    ///
    /// # Errors
    /// When a text contains a zero byte or something is too large for the protocol.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        writer::message(out, self.kind(), |out| self.body(out))
    }

    fn body(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Query { sql } => writer::text(out, sql),
            Self::Parse { name, sql, types } => {
                writer::text(out, name)?;
                writer::text(out, sql)?;
                writer::count(out, types.len())?;
                out.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
                Ok(())
            }
            Self::Bind {
                portal,
                statement,
                formats,
                parameters,
                results,
            } => {
                writer::text(out, portal)?;
                writer::text(out, statement)?;
                row::write_formats(out, formats)?;
                writer::count(out, parameters.len())?;
                for parameter in parameters {
                    writer::value(out, *parameter)?;
                }
                row::write_formats(out, results)
            }
            Self::Describe(target) | Self::Close(target) => target.encode(out),
            Self::Execute { portal, limit } => {
                writer::text(out, portal)?;
                out.extend_from_slice(&limit.to_be_bytes());
                Ok(())
            }
            Self::CopyFail { reason } => writer::text(out, reason),
            Self::CopyData(bytes) | Self::FunctionCall(bytes) | Self::Password(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Self::Flush | Self::Sync | Self::CopyDone | Self::Terminate => Ok(()),
        }
    }
}

fn parse<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Error> {
    let name = reader.text()?;
    let sql = reader.text()?;
    let count = reader.count(4)?;
    let types = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
    Ok(Message::Parse { name, sql, types })
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Error> {
    let portal = reader.text()?;
    let statement = reader.text()?;
    let formats = row::read_formats(reader)?;
    let count = reader.count(4)?;
    let parameters = (0..count)
        .map(|_| reader.value())
        .collect::<Result<_, _>>()?;
    let results = row::read_formats(reader)?;
    Ok(Message::Bind {
        portal,
        statement,
        formats,
        parameters,
        results,
    })
}

impl<'a> Target<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            b'S' => reader.text().map(Self::Statement),
            b'P' => reader.text().map(Self::Portal),
            other => Err(Error::Meaningless {
                what: "the subtype of Describe or Close",
                value: i64::from(other),
            }),
        }
    }

    fn encode(self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (kind, name) = match self {
            Self::Statement(name) => (b'S', name),
            Self::Portal(name) => (b'P', name),
        };
        out.push(kind);
        writer::text(out, name)
    }
}

/// The first SASL message: which mechanism the client chose, and its first data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslInitial<'a> {
    /// The mechanism's name.
    pub mechanism: &'a str,
    /// The data, when there is some.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitial<'a> {
    /// Reads the body of a [`Message::Password`] that answers `AuthenticationSASL`.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mechanism = reader.text()?;
        let data = reader.value()?;
        reader.end()?;
        Ok(Self { mechanism, data })
    }

    /// Writes the body of that message.
    ///
    /// # Errors
    /// When the name contains a zero byte.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        writer::text(out, self.mechanism)?;
        writer::value(out, self.data)
    }
}
