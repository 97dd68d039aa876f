//! `COPY` in binary format: a header, tuples, a trailer, in chunks that may be cut anywhere.

use crate::wire::error::Error;
use crate::wire::frame::MAX_LENGTH;
use crate::wire::row::DataRow;

/// What the data begins with.
pub const SIGNATURE: [u8; 11] = *b"PGCOPY\n\xff\r\n\0";
/// Where the flags stand, and behind them how long the rest of the header is.
const FLAGS: usize = SIGNATURE.len();
const LENGTH: usize = FLAGS + 4;
/// What it ends with, in the place of a tuple's count.
pub const TRAILER: [u8; 2] = [0xff, 0xff];

/// Signature, flags, length of the extension.
const HEADER: usize = 19;
/// No server writes an extension; a few bytes would be believed.
const MAX_EXTENSION: usize = 64 * 1024;

/// One part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The header. Flags that change what follows are refused; an extension says nothing that a reader must know.
    Header,
    /// The values of one row: they are laid out as in a `DataRow`.
    Tuple(DataRow<'a>),
    /// The end.
    Trailer,
}

/// Takes chunks and gives out the parts that are there as a whole.
///
/// **Invariant:** who takes out all parts before feeding more holds at most one tuple and what was fed last.
#[derive(Debug, Default)]
pub struct Tuples {
    buffer: Vec<u8>,
    used: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Within,
    Ended,
}

impl Tuples {
    /// Takes the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The next part; `None`: it is not there as a whole.
    ///
    /// # Errors
    /// When the bytes are no such data, or something follows its end.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        let start = self.used;
        let rest = self.buffer.get(start..).unwrap_or_default();
        let (length, state) = match self.state {
            State::Before => (header(rest)?, State::Within),
            State::Within if rest.starts_with(&TRAILER) => (Some(TRAILER.len()), State::Ended),
            State::Within => (tuple(rest)?, State::Within),
            State::Ended if rest.is_empty() => return Ok(None),
            State::Ended => return Err(Error::TrailingBytes),
        };
        let Some(length) = length else {
            return Ok(None);
        };
        let piece = rest.get(..length).ok_or(Error::Truncated)?;
        self.used = start.saturating_add(length);
        let before = std::mem::replace(&mut self.state, state);
        Ok(Some(match (before, state) {
            (State::Before, _) => Piece::Header,
            (_, State::Ended) => Piece::Trailer,
            (_, _) => Piece::Tuple(DataRow::decode(piece)?),
        }))
    }
}

/// Writes a header without flags and extension.
pub fn write_header(out: &mut Vec<u8>) {
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[0; 8]);
}

/// How long the header is, once that can be told.
fn header(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes.get(..known) != SIGNATURE.get(..known) {
        return Err(Error::Meaningless {
            what: "the signature of COPY data",
            value: bytes.first().copied().unwrap_or_default().into(),
        });
    }
    let Some((flags, length)) = word(bytes, FLAGS).zip(word(bytes, LENGTH)) else {
        return Ok(None);
    };
    // Object ids were dropped in PostgreSQL 12; other flags are unknown.
    if flags != 0 {
        return Err(Error::Meaningless {
            what: "the flags of COPY data",
            value: flags.into(),
        });
    }
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_EXTENSION)
        .ok_or(Error::TooLarge("the header of COPY data"))?;
    let total = HEADER.saturating_add(length);
    Ok((bytes.len() >= total).then_some(total))
}

/// How long the tuple is, once that can be told.
fn tuple(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let Some(count) = bytes.first_chunk() else {
        return Ok(None);
    };
    let count = i16::from_be_bytes(*count);
    let columns = usize::try_from(count).map_err(|_| Error::Meaningless {
        what: "a tuple's count of values",
        value: count.into(),
    })?;
    let mut end = 2_usize;
    for _ in 0..columns {
        let Some(length) = word(bytes, end) else {
            return Ok(None);
        };
        end = end.saturating_add(4);
        if length != -1 {
            let length = usize::try_from(length).map_err(|_| Error::Meaningless {
                what: "a value's length",
                value: length.into(),
            })?;
            end = end.saturating_add(length);
        }
        // Not believed before it has come, and never waited for beyond what a message can hold.
        if u32::try_from(end).is_ok_and(|end| end > MAX_LENGTH) {
            return Err(Error::TooLarge("a tuple"));
        }
    }
    Ok((bytes.len() >= end).then_some(end))
}

fn word(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
