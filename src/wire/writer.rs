//! Writes messages, refusing what the protocol's length words and zero-ended texts cannot carry.

use crate::wire::error::Error;
use crate::wire::frame::MAX_LENGTH;

/// Writes one message: its kind, its length and what `body` writes. After an error `out` is as it was.
///
/// # Errors
/// Those of `body`, or when the message is longer than any may be.
pub fn message(
    out: &mut Vec<u8>,
    kind: u8,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let start = out.len();
    out.push(kind);
    sized(out, body).inspect_err(|_| out.truncate(start))
}

/// Writes a length of four bytes, which counts itself, and what `body` writes. After an error `out` is as it was.
///
/// # Errors
/// Those of `body`, or when the whole is longer than any message may be.
pub fn sized(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = body(out).and_then(|()| close(out, start));
    written.inspect_err(|_| out.truncate(start))
}

/// Puts the length of everything behind `start` into the four bytes there.
///
/// # Errors
/// When it is longer than any message may be.
pub fn close(out: &mut [u8], start: usize) -> Result<(), Error> {
    let length = out.len().saturating_sub(start);
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_LENGTH)
        .ok_or(Error::TooLarge("a message"))?;
    let slot = out
        .get_mut(start..)
        .and_then(<[u8]>::first_chunk_mut)
        .ok_or(Error::Truncated)?;
    *slot = length.to_be_bytes();
    Ok(())
}

/// Writes a text and its zero byte.
///
/// # Errors
/// When the text contains one itself.
pub fn text(out: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    if text.as_bytes().contains(&0) {
        return Err(Error::EmbeddedZero);
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

/// Writes a text and its zero byte, leaving out zero bytes within.
pub fn text_without_zeros(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

/// Writes a count of two bytes.
///
/// # Errors
/// When there are more than 65,535.
pub fn count(out: &mut Vec<u8>, count: usize) -> Result<(), Error> {
    let count = u16::try_from(count).map_err(|_| Error::TooLarge("a list"))?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Writes a count of four bytes.
///
/// # Errors
/// When there are more than 2³¹ - 1.
pub fn long_count(out: &mut Vec<u8>, count: usize) -> Result<(), Error> {
    let count = i32::try_from(count).map_err(|_| Error::TooLarge("a list"))?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Writes a value's length of four bytes and the value; -1 for `NULL`.
///
/// # Errors
/// When it is longer than any value may be.
pub fn value(out: &mut Vec<u8>, value: Option<&[u8]>) -> Result<(), Error> {
    let Some(value) = value else {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    };
    long_count(out, value.len())?;
    out.extend_from_slice(value);
    Ok(())
}
