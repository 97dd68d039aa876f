//! Messages a server sends.

use crate::wire::error::{Error, Fields};
use crate::wire::frame::{Frame, MAX_LENGTH, MAX_SMALL_BACKEND};
use crate::wire::reader::Reader;
use crate::wire::row::{self, DataRow, Format, RowDescription};
use crate::wire::startup::Version;
use crate::wire::writer;

/// The first byte of each kind of message.
pub mod kind {
    /// All `Authentication…` messages.
    pub const AUTHENTICATION: u8 = b'R';
    /// `BackendKeyData`.
    pub const BACKEND_KEY_DATA: u8 = b'K';
    /// `BindComplete`.
    pub const BIND_COMPLETE: u8 = b'2';
    /// `CloseComplete`.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// `CommandComplete`.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// `CopyBothResponse`.
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    /// `CopyData`.
    pub const COPY_DATA: u8 = b'd';
    /// `CopyDone`.
    pub const COPY_DONE: u8 = b'c';
    /// `CopyInResponse`.
    pub const COPY_IN_RESPONSE: u8 = b'G';
    /// `CopyOutResponse`.
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    /// `DataRow`.
    pub const DATA_ROW: u8 = b'D';
    /// `EmptyQueryResponse`.
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    /// `ErrorResponse`.
    pub const ERROR_RESPONSE: u8 = b'E';
    /// `FunctionCallResponse`.
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    /// `NegotiateProtocolVersion`.
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    /// `NoData`.
    pub const NO_DATA: u8 = b'n';
    /// `NoticeResponse`.
    pub const NOTICE_RESPONSE: u8 = b'N';
    /// `NotificationResponse`.
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    /// `ParameterDescription`.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// `ParameterStatus`.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// `ParseComplete`.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// `PortalSuspended`.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// `ReadyForQuery`.
    pub const READY_FOR_QUERY: u8 = b'Z';
    /// `RowDescription`.
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// The longest message of this kind from a server that let us in; `None` when it may send none.
pub(in crate::wire) const fn limit(kind: u8) -> Option<u32> {
    match kind {
        kind::DATA_ROW
        | kind::COPY_DATA
        | kind::ROW_DESCRIPTION
        | kind::ERROR_RESPONSE
        | kind::NOTICE_RESPONSE
        | kind::NOTIFICATION_RESPONSE
        | kind::FUNCTION_CALL_RESPONSE
        | kind::PARAMETER_DESCRIPTION
        | kind::PARAMETER_STATUS
        | kind::COPY_IN_RESPONSE
        | kind::COPY_OUT_RESPONSE
        | kind::COPY_BOTH_RESPONSE => Some(MAX_LENGTH),
        kind::BACKEND_KEY_DATA
        | kind::BIND_COMPLETE
        | kind::CLOSE_COMPLETE
        | kind::COMMAND_COMPLETE
        | kind::COPY_DONE
        | kind::EMPTY_QUERY_RESPONSE
        | kind::NO_DATA
        | kind::PARSE_COMPLETE
        | kind::PORTAL_SUSPENDED
        | kind::READY_FOR_QUERY => Some(MAX_SMALL_BACKEND),
        _ => None,
    }
}

/// Whether a transaction is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// None.
    Idle,
    /// One is open.
    Open,
    /// One is open and has failed.
    Failed,
}

impl TransactionStatus {
    /// Its letter on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What a server asks of who wants in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Nothing more.
    Ok,
    /// The password in clear.
    CleartextPassword,
    /// An MD5 hash of the password.
    Md5Password {
        /// Of which salt.
        salt: [u8; 4],
    },
    /// One of these SASL mechanisms.
    Sasl {
        /// Their names, the preferred one first.
        mechanisms: Vec<&'a str>,
    },
    /// The next SASL message.
    SaslContinue(&'a [u8]),
    /// The last SASL message.
    SaslFinal(&'a [u8]),
    /// A method dbgate does not speak (Kerberos, GSS, SSPI, SCM): its code and data.
    Other(u32, &'a [u8]),
}

/// How `COPY` data is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFormat {
    /// As a whole.
    pub overall: Format,
    /// Column by column; all text when the whole is text.
    pub columns: Vec<Format>,
}

/// A message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A step of letting the client in.
    Authentication(Authentication<'a>),
    /// What a cancel request must name.
    BackendKeyData {
        /// The process.
        pid: i32,
        /// The secret, 4 bytes in protocol 3.0, up to 256 in 3.2.
        key: &'a [u8],
    },
    /// `Bind` is done.
    BindComplete,
    /// `Close` is done.
    CloseComplete,
    /// A statement is done.
    CommandComplete {
        /// What it did.
        tag: &'a str,
    },
    /// Replication begins.
    CopyBothResponse(CopyFormat),
    /// Waits for data.
    CopyInResponse(CopyFormat),
    /// Data follows.
    CopyOutResponse(CopyFormat),
    /// Data.
    CopyData(&'a [u8]),
    /// The data is complete.
    CopyDone,
    /// A row.
    DataRow(DataRow<'a>),
    /// There was no statement in the string.
    EmptyQueryResponse,
    /// Something failed.
    ErrorResponse(Fields),
    /// What a function returned; never sent on.
    FunctionCallResponse(Option<&'a [u8]>),
    /// The client's protocol is newer than the server's.
    NegotiateProtocolVersion {
        /// The newest the server speaks.
        newest: Version,
        /// Options it does not know.
        unknown: Vec<&'a str>,
    },
    /// The statement returns no rows.
    NoData,
    /// Something worth knowing.
    NoticeResponse(Fields),
    /// Somebody called `NOTIFY`.
    NotificationResponse {
        /// Whose process.
        pid: i32,
        /// On which channel.
        channel: &'a str,
        /// With which text.
        payload: &'a str,
    },
    /// The parameters of a statement.
    ParameterDescription {
        /// Their type OIDs.
        types: Vec<u32>,
    },
    /// A setting the client should know.
    ParameterStatus {
        /// Which.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// `Parse` is done.
    ParseComplete,
    /// The portal has more rows than were asked for.
    PortalSuspended,
    /// Waits for the next statement.
    ReadyForQuery(TransactionStatus),
    /// Rows follow.
    RowDescription(RowDescription),
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When the content does not fit its kind, or the kind is none of a server.
    pub fn decode(frame: &'a Frame) -> Result<Self, Error> {
        let mut reader = Reader::new(frame.body());
        let message = match frame.kind() {
            kind::AUTHENTICATION => Self::Authentication(Authentication::decode(&mut reader)?),
            kind::BACKEND_KEY_DATA => Self::BackendKeyData {
                pid: reader.i32()?,
                key: reader.rest(),
            },
            kind::BIND_COMPLETE => Self::BindComplete,
            kind::CLOSE_COMPLETE => Self::CloseComplete,
            kind::COMMAND_COMPLETE => Self::CommandComplete {
                tag: reader.text()?,
            },
            kind::COPY_BOTH_RESPONSE => Self::CopyBothResponse(CopyFormat::decode(&mut reader)?),
            kind::COPY_IN_RESPONSE => Self::CopyInResponse(CopyFormat::decode(&mut reader)?),
            kind::COPY_OUT_RESPONSE => Self::CopyOutResponse(CopyFormat::decode(&mut reader)?),
            kind::COPY_DATA => Self::CopyData(reader.rest()),
            kind::COPY_DONE => Self::CopyDone,
            kind::DATA_ROW => Self::DataRow(DataRow::decode(reader.rest())?),
            kind::EMPTY_QUERY_RESPONSE => Self::EmptyQueryResponse,
            kind::ERROR_RESPONSE => Self::ErrorResponse(Fields::decode(reader.rest())?),
            kind::FUNCTION_CALL_RESPONSE => Self::FunctionCallResponse(reader.value()?),
            kind::NEGOTIATE_PROTOCOL_VERSION => negotiate(&mut reader)?,
            kind::NO_DATA => Self::NoData,
            kind::NOTICE_RESPONSE => Self::NoticeResponse(Fields::decode(reader.rest())?),
            kind::NOTIFICATION_RESPONSE => Self::NotificationResponse {
                pid: reader.i32()?,
                channel: reader.text()?,
                payload: reader.text()?,
            },
            kind::PARAMETER_DESCRIPTION => {
                let count = reader.count(4)?;
                let types = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
                Self::ParameterDescription { types }
            }
            kind::PARAMETER_STATUS => Self::ParameterStatus {
                name: reader.text()?,
                value: reader.text()?,
            },
            kind::PARSE_COMPLETE => Self::ParseComplete,
            kind::PORTAL_SUSPENDED => Self::PortalSuspended,
            kind::READY_FOR_QUERY => Self::ReadyForQuery(TransactionStatus::decode(reader.u8()?)?),
            kind::ROW_DESCRIPTION => Self::RowDescription(RowDescription::decode(reader.rest())?),
            other => return Err(Error::UnexpectedKind(other)),
        };
        reader.end()?;
        Ok(message)
    }

    /// Its first byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Authentication(_) => kind::AUTHENTICATION,
            Self::BackendKeyData { .. } => kind::BACKEND_KEY_DATA,
            Self::BindComplete => kind::BIND_COMPLETE,
            Self::CloseComplete => kind::CLOSE_COMPLETE,
            Self::CommandComplete { .. } => kind::COMMAND_COMPLETE,
            Self::CopyBothResponse(_) => kind::COPY_BOTH_RESPONSE,
            Self::CopyInResponse(_) => kind::COPY_IN_RESPONSE,
            Self::CopyOutResponse(_) => kind::COPY_OUT_RESPONSE,
            Self::CopyData(_) => kind::COPY_DATA,
            Self::CopyDone => kind::COPY_DONE,
            Self::DataRow(_) => kind::DATA_ROW,
            Self::EmptyQueryResponse => kind::EMPTY_QUERY_RESPONSE,
            Self::ErrorResponse(_) => kind::ERROR_RESPONSE,
            Self::FunctionCallResponse(_) => kind::FUNCTION_CALL_RESPONSE,
            Self::NegotiateProtocolVersion { .. } => kind::NEGOTIATE_PROTOCOL_VERSION,
            Self::NoData => kind::NO_DATA,
            Self::NoticeResponse(_) => kind::NOTICE_RESPONSE,
            Self::NotificationResponse { .. } => kind::NOTIFICATION_RESPONSE,
            Self::ParameterDescription { .. } => kind::PARAMETER_DESCRIPTION,
            Self::ParameterStatus { .. } => kind::PARAMETER_STATUS,
            Self::ParseComplete => kind::PARSE_COMPLETE,
            Self::PortalSuspended => kind::PORTAL_SUSPENDED,
            Self::ReadyForQuery(_) => kind::READY_FOR_QUERY,
            Self::RowDescription(_) => kind::ROW_DESCRIPTION,
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
            Self::Authentication(step) => return step.encode(out),
            Self::BackendKeyData { pid, key } => {
                out.extend_from_slice(&pid.to_be_bytes());
                out.extend_from_slice(key);
            }
            Self::CommandComplete { tag } => return writer::text(out, tag),
            Self::CopyBothResponse(format)
            | Self::CopyInResponse(format)
            | Self::CopyOutResponse(format) => return format.encode(out),
            Self::CopyData(bytes) => out.extend_from_slice(bytes),
            Self::DataRow(row) => return row.encode(out),
            Self::ErrorResponse(fields) | Self::NoticeResponse(fields) => fields.encode(out),
            Self::FunctionCallResponse(value) => return writer::value(out, *value),
            Self::NegotiateProtocolVersion { newest, unknown } => {
                out.extend_from_slice(&newest.code().to_be_bytes());
                writer::long_count(out, unknown.len())?;
                return unknown.iter().try_for_each(|name| writer::text(out, name));
            }
            Self::NotificationResponse {
                pid,
                channel,
                payload,
            } => {
                out.extend_from_slice(&pid.to_be_bytes());
                writer::text(out, channel)?;
                return writer::text(out, payload);
            }
            Self::ParameterDescription { types } => {
                writer::count(out, types.len())?;
                out.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
            }
            Self::ParameterStatus { name, value } => {
                writer::text(out, name)?;
                return writer::text(out, value);
            }
            Self::ReadyForQuery(status) => out.push(status.code()),
            Self::RowDescription(description) => return description.encode(out),
            Self::BindComplete
            | Self::CloseComplete
            | Self::CopyDone
            | Self::EmptyQueryResponse
            | Self::NoData
            | Self::ParseComplete
            | Self::PortalSuspended => {}
        }
        Ok(())
    }
}

fn negotiate<'a>(reader: &mut Reader<'a>) -> Result<Message<'a>, Error> {
    let newest = Version::from_code(reader.u32()?);
    let count = reader.long_count(1)?;
    let unknown = (0..count)
        .map(|_| reader.text())
        .collect::<Result<_, _>>()?;
    Ok(Message::NegotiateProtocolVersion { newest, unknown })
}

impl TransactionStatus {
    fn decode(code: u8) -> Result<Self, Error> {
        match code {
            b'I' => Ok(Self::Idle),
            b'T' => Ok(Self::Open),
            b'E' => Ok(Self::Failed),
            other => Err(Error::Meaningless {
                what: "the transaction status",
                value: i64::from(other),
            }),
        }
    }
}

impl<'a> Authentication<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match reader.u32()? {
            0 => Self::Ok,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password {
                salt: reader.u32()?.to_be_bytes(),
            },
            10 => {
                let mut mechanisms = Vec::new();
                loop {
                    match reader.text()? {
                        "" => break,
                        name => mechanisms.push(name),
                    }
                }
                Self::Sasl { mechanisms }
            }
            11 => Self::SaslContinue(reader.rest()),
            12 => Self::SaslFinal(reader.rest()),
            other => Self::Other(other, reader.rest()),
        })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (code, data): (u32, &[u8]) = match self {
            Self::Ok => (0, &[]),
            Self::CleartextPassword => (3, &[]),
            Self::Md5Password { salt } => (5, salt),
            Self::Sasl { .. } => (10, &[]),
            Self::SaslContinue(data) => (11, data),
            Self::SaslFinal(data) => (12, data),
            Self::Other(code, data) => (*code, data),
        };
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(data);
        if let Self::Sasl { mechanisms } = self {
            for name in mechanisms {
                writer::text(out, name)?;
            }
            out.push(0);
        }
        Ok(())
    }
}

impl CopyFormat {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let overall = match reader.u8()? {
            0 => Format::Text,
            1 => Format::Binary,
            other => {
                return Err(Error::Meaningless {
                    what: "the format of COPY",
                    value: i64::from(other),
                });
            }
        };
        let columns = row::read_formats(reader)?;
        Ok(Self { overall, columns })
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.push(match self.overall {
            Format::Text => 0,
            Format::Binary => 1,
        });
        row::write_formats(out, &self.columns)
    }
}

/// How many rows a command tag counts, when it counts some: `SELECT 3`, `INSERT 0 3`.
#[must_use]
pub fn rows(tag: &str) -> Option<u64> {
    let (_, count) = tag.rsplit_once(' ')?;
    count.parse().ok()
}
