//! Reads a message body, checking every length before it believes it.

use crate::wire::error::Error;

/// What is left to read of a message body.
///
/// **Invariant:** no method panics, none reserves memory by a number from the wire.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `body`.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// At the end.
    pub fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    /// Two bytes with a sign.
    ///
    /// # Errors
    /// At the end.
    pub fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// At the end.
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four bytes with a sign.
    ///
    /// # Errors
    /// At the end.
    pub fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    /// A two-byte count of things that take at least `size` bytes each, all of which must still be there.
    ///
    /// # Errors
    /// When the message is too short for that many.
    pub fn count(&mut self, size: usize) -> Result<usize, Error> {
        let count = usize::from(self.u16()?);
        self.room(count, size)
    }

    /// A four-byte count, likewise.
    ///
    /// # Errors
    /// When it is negative or the message is too short for that many.
    pub fn long_count(&mut self, size: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.i32()?).map_err(|_| Error::Truncated)?;
        self.room(count, size)
    }

    fn room(&self, count: usize, size: usize) -> Result<usize, Error> {
        match count.checked_mul(size) {
            Some(total) if total <= self.rest.len() => Ok(count),
            _ => Err(Error::Truncated),
        }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub const fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        match self.rest.split_at_checked(length) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(Error::Truncated),
        }
    }

    /// A length of four bytes and as many bytes; `None` for -1, which is `NULL`.
    ///
    /// # Errors
    /// When there are fewer bytes, or the length is below -1.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Error::Meaningless {
                    what: "a value's length",
                    value: i64::from(length),
                })?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// The bytes before the next zero byte, which is skipped.
    ///
    /// # Errors
    /// When there is no zero byte.
    pub fn raw_text(&mut self) -> Result<&'a [u8], Error> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let text = self.bytes(end.ok_or(Error::Unterminated)?)?;
        self.u8()?;
        Ok(text)
    }

    /// A text that ends with a zero byte.
    ///
    /// # Errors
    /// When there is no zero byte, or the text is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.raw_text()?).map_err(|_| Error::NotUtf8)
    }

    /// All that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// When something is.
    pub const fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::TrailingBytes)
        }
    }
}
