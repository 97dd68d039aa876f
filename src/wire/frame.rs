//! Cuts a stream of bytes into messages, keeping every length within what its kind may be at this point of a connection.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::wire::backend;
use crate::wire::error::Error;
use crate::wire::frontend;
use crate::wire::startup::Initial;

/// The longest first message of a connection: PostgreSQL's own `MAX_STARTUP_PACKET_LENGTH`.
pub const MAX_STARTUP: u32 = 10_000;
/// The longest password or SASL message.
pub const MAX_AUTHENTICATION: u32 = 4096;
/// The longest error or notice before authentication is through.
pub const MAX_EARLY_REPORT: u32 = 30_000;
/// The longest message of a kind that is never long: PostgreSQL's own `PQ_SMALL_MESSAGE_LIMIT` for clients, libpq's 30,000 for servers.
pub const MAX_SMALL: u32 = 10_000;
/// The longest small message of a server.
pub const MAX_SMALL_BACKEND: u32 = 30_000;
/// The longest message with a statement in it: four times what the guard reads, which says so for what is shorter. No client makes the
/// broker hold more than this for a statement that will not run.
pub const MAX_STATEMENT: u32 = 16 * 1024 * 1024;
/// The longest message at all, 1 GiB as in PostgreSQL.
pub const MAX_LENGTH: u32 = 0x3fff_fffe;

/// A partly read message is forwarded piece by piece above this size.
const LARGE: usize = 64 * 1024;
const HEADER: usize = 5;

/// One whole message as it came: kind, length and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
}

impl Frame {
    /// Makes a message from its parts.
    ///
    /// # Errors
    /// When it is longer than any message may be.
    pub fn new(kind: u8, body: &[u8]) -> Result<Self, Error> {
        let length = u32::try_from(body.len())
            .ok()
            .and_then(|length| length.checked_add(4))
            .filter(|length| *length <= MAX_LENGTH)
            .ok_or(Error::TooLarge("a message"))?;
        let mut bytes = BytesMut::with_capacity(body.len().saturating_add(HEADER));
        bytes.extend_from_slice(&[kind]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        let bytes = bytes.freeze();
        Ok(Self { bytes })
    }

    /// What kind of message it is.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }

    /// What follows kind and length.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or(&[])
    }

    /// All of it, to be sent on unchanged.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Messages in one piece, cut off together to be forwarded unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The bytes. They end within a message only when that one is large; the next run begins with its rest.
    pub bytes: Bytes,
    /// How many messages begin in them.
    pub frames: u64,
}

/// Whose messages are read, and how far the connection has come. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A client's first messages, which have no kind.
    Startup,
    /// A client proves who it is.
    Authenticating,
    /// A client is in.
    Frontend,
    /// A server asks who we are.
    Challenging,
    /// A server has let us in.
    Backend,
}

/// Collects bytes and gives out messages.
///
/// **Invariant:** nothing is reserved by a length from the wire, and a length that is too large is refused when its header is there. Who
/// takes out all messages before feeding more holds at most one message of the cap and what was fed last.
#[derive(Debug)]
pub struct Deframer {
    phase: Phase,
    buffer: BytesMut,
    /// Bytes of a large message whose beginning a run has given out.
    owed: usize,
    /// Bytes of a message that is thrown away, still to come.
    unwanted: usize,
}

impl Deframer {
    /// Reads what a client sends, from the first byte on.
    #[must_use]
    pub fn frontend() -> Self {
        Self::starting(Phase::Startup)
    }

    /// Reads what a server sends after a startup packet.
    #[must_use]
    pub fn backend() -> Self {
        Self::starting(Phase::Challenging)
    }

    fn starting(phase: Phase) -> Self {
        Self {
            phase,
            buffer: BytesMut::new(),
            owed: 0,
            unwanted: 0,
        }
    }

    /// Authentication is through: messages may be long from now on.
    pub const fn authenticated(&mut self) {
        self.phase = match self.phase {
            Phase::Authenticating | Phase::Frontend => Phase::Frontend,
            Phase::Challenging | Phase::Backend => Phase::Backend,
            // Nobody is authenticated without having said who he is.
            Phase::Startup => Phase::Startup,
        };
    }

    /// Takes bytes that were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a socket may read to directly; append only.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// How many bytes wait. After `SSLRequest` there must be none before TLS begins.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes out the first message of a connection. After a startup packet no other is accepted.
    ///
    /// # Errors
    /// When the bytes are none, or after a startup packet.
    pub fn next_initial(&mut self) -> Result<Option<Initial>, Error> {
        if self.phase != Phase::Startup {
            return Err(Error::Unfinished);
        }
        let Some(word) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*word);
        if length < 8 {
            return Err(Error::Length(length));
        }
        let kind = 0;
        let limit = MAX_STARTUP;
        if length > limit {
            return Err(Error::FrameTooLong {
                kind,
                length,
                limit,
            });
        }
        let total = usize::try_from(length).map_err(|_| Error::Length(length))?;
        if self.buffer.len() < total {
            return Ok(None);
        }
        let packet = self.buffer.split_to(total);
        let initial = Initial::decode(packet.get(4..).unwrap_or(&[]))?;
        if matches!(initial, Initial::Startup(_)) {
            self.phase = Phase::Authenticating;
        }
        Ok(Some(initial))
    }

    /// Takes out the next message, if it is there as a whole.
    ///
    /// # Errors
    /// When the bytes are no message that may come here, or a large one is half forwarded.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        if self.owed > 0 {
            return Err(Error::Unfinished);
        }
        if !self.pass_over() {
            return Ok(None);
        }
        match self.header(0)? {
            Some((_, total)) if self.buffer.len() >= total => {
                let bytes = self.buffer.split_to(total).freeze();
                Ok(Some(Frame { bytes }))
            }
            _ => Ok(None),
        }
    }

    /// The kind of the next message, as soon as its header is there.
    ///
    /// # Errors
    /// As [`Self::next_frame`].
    pub fn next_kind(&self) -> Result<Option<u8>, Error> {
        if self.owed > 0 {
            return Err(Error::Unfinished);
        }
        Ok(self.header(0)?.map(|(kind, _)| kind))
    }

    /// Takes out, in one piece, all messages up to the first whose kind `passes` refuses. A large one need not be complete: its rest
    /// comes with the next runs, and only runs can follow until it is.
    ///
    /// # Errors
    /// When a header is reached that may not come here; the messages before it are not lost.
    pub fn next_run(&mut self, passes: impl Fn(u8) -> bool) -> Result<Option<Run>, Error> {
        if !self.pass_over() {
            return Ok(None);
        }
        let mut end = self.owed;
        let mut frames = 0;
        while end < self.buffer.len() {
            let (kind, total) = match self.header(end) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) if end == 0 => return Err(error),
                Err(_) => break,
            };
            let next = end.saturating_add(total);
            let whole = next <= self.buffer.len();
            if !passes(kind) || !(whole || total > LARGE) {
                break;
            }
            end = next;
            frames = u64::saturating_add(frames, 1);
        }
        let cut = end.min(self.buffer.len());
        self.owed = end.saturating_sub(cut);
        if cut == 0 {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(cut).freeze();
        Ok(Some(Run { bytes, frames }))
    }

    /// Whether a large message is half forwarded, or half thrown away.
    #[must_use]
    pub const fn is_within_message(&self) -> bool {
        self.owed > 0 || self.unwanted > 0
    }

    /// Kind and size of the message whose beginning is there; [`Self::next_frame`] has said that it is not complete.
    #[must_use]
    pub fn incomplete(&self) -> Option<(u8, usize)> {
        if self.is_within_message() {
            return None;
        }
        self.header(0).ok().flatten()
    }

    /// Throws that message away, also what of it is still to come, and gives the memory back.
    pub fn skip(&mut self) {
        let Some((_, total)) = self.incomplete() else {
            return;
        };
        self.unwanted = total;
        self.pass_over();
        self.buffer = BytesMut::from(self.buffer.as_ref());
    }

    /// Throws away what is there of an unwanted message; whether that is all of it.
    fn pass_over(&mut self) -> bool {
        let count = self.unwanted.min(self.buffer.len());
        self.buffer.advance(count);
        self.unwanted = self.unwanted.saturating_sub(count);
        self.unwanted == 0
    }

    /// Kind and whole size of the message at `offset`, once its header is there.
    fn header(&self, offset: usize) -> Result<Option<(u8, usize)>, Error> {
        let Some((kind, rest)) = self.buffer.get(offset..).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let kind = *kind;
        // The kind is judged before its length has come, as in PostgreSQL.
        let limit = self.phase.limit(kind).ok_or(Error::UnexpectedKind(kind))?;
        let Some(word) = rest.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*word);
        if length < 4 {
            return Err(Error::Length(length));
        }
        if length > limit {
            return Err(Error::FrameTooLong {
                kind,
                length,
                limit,
            });
        }
        let total = usize::try_from(length).map_err(|_| Error::Length(length))?;
        Ok(Some((kind, total.saturating_add(1))))
    }
}

impl Phase {
    /// The longest message of this kind that may come now; `None` when none may.
    const fn limit(self, kind: u8) -> Option<u32> {
        match self {
            Self::Startup => None,
            Self::Authenticating => match kind {
                frontend::kind::PASSWORD => Some(MAX_AUTHENTICATION),
                frontend::kind::TERMINATE => Some(MAX_SMALL),
                _ => None,
            },
            Self::Frontend => frontend::limit(kind),
            Self::Challenging => match kind {
                backend::kind::AUTHENTICATION | backend::kind::NEGOTIATE_PROTOCOL_VERSION => {
                    Some(MAX_AUTHENTICATION)
                }
                backend::kind::ERROR_RESPONSE | backend::kind::NOTICE_RESPONSE => {
                    Some(MAX_EARLY_REPORT)
                }
                _ => None,
            },
            Self::Backend => backend::limit(kind),
        }
    }
}
