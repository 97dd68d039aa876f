//! A stream as messages: reads by frame or by run, writes through a buffer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::net::Error;
use crate::wire;
use crate::wire::frame::{Deframer, Frame, Run};
use crate::wire::startup::Initial;

/// What one read asks for at first; doubled while reads come back full, up to [`MOST`].
const LEAST: usize = 8 * 1024;
const MOST: usize = 256 * 1024;
/// Forwarded bytes shorter than this are copied next to their neighbors instead of written by themselves.
const SMALL: usize = 4 * 1024;
/// How long, and for how many reads, a client that is being turned away is listened to.
const PARTING: Duration = Duration::from_millis(500);
const PARTING_READS: usize = 64;

/// A stream of PostgreSQL messages.
///
/// All methods that read or flush are cancel-safe: nothing that was read is lost and nothing is written twice, so that one task can
/// wait for both of its sides at once.
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    deframer: Deframer,
    reading: usize,
    /// Being written, in order; the last one may still grow.
    queue: VecDeque<Bytes>,
    /// What is encoded next, behind the queue.
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Framed<S> {
    /// A connection to a client whose first message is still to come.
    pub fn frontend(stream: S) -> Self {
        Self::new(stream, Deframer::frontend())
    }

    /// A connection to a server that is to be sent a startup packet.
    pub fn backend(stream: S) -> Self {
        Self::new(stream, Deframer::backend())
    }

    /// A connection whose bytes so far are in `deframer`.
    pub const fn new(stream: S, deframer: Deframer) -> Self {
        Self {
            stream,
            deframer,
            reading: LEAST,
            queue: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Authentication is through: messages may be long from now on.
    pub const fn authenticated(&mut self) {
        self.deframer.authenticated();
    }

    /// The stream beneath, for what it knows of itself.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether bytes came that nobody has looked at.
    pub fn has_unread(&self) -> bool {
        self.deframer.buffered() > 0
    }

    /// How many bytes came that nobody has looked at.
    pub fn unread(&self) -> usize {
        self.deframer.buffered()
    }

    /// Takes the stream out; fails when bytes wait that belong to it.
    ///
    /// # Errors
    /// [`Error::EarlyData`] when bytes were read that the caller has not seen.
    pub fn into_stream(self) -> Result<S, Error> {
        if self.has_unread() {
            return Err(Error::EarlyData);
        }
        Ok(self.stream)
    }

    /// Stream and deframer, to be put together again around another stream.
    pub fn into_parts(self) -> (S, Deframer) {
        (self.stream, self.deframer)
    }

    /// The first message of a connection; `None` when the peer closed before it.
    ///
    /// # Errors
    /// When the connection breaks or the bytes are no such message.
    pub async fn read_initial(&mut self) -> Result<Option<Initial>, Error> {
        loop {
            if let Some(initial) = self.deframer.next_initial()? {
                return Ok(Some(initial));
            }
            if self.fill().await? == 0 {
                return self.end();
            }
        }
    }

    /// The next message; `None` when the peer closed in good order.
    ///
    /// # Errors
    /// When the connection breaks or the bytes are no message that may come here.
    pub async fn read(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.deframer.next_frame()? {
                return Ok(Some(frame));
            }
            if self.fill().await? == 0 {
                return self.end();
            }
        }
    }

    /// The next message, if it has been read already: waits for nothing.
    ///
    /// # Errors
    /// When the bytes are no message that may come here.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, wire::error::Error> {
        self.deframer.next_frame()
    }

    /// The messages that have been read already, in one piece, up to the first whose kind `passes` refuses: waits for nothing.
    ///
    /// # Errors
    /// When the bytes are no messages that may come here.
    pub fn next_run(
        &mut self,
        passes: impl Fn(u8) -> bool,
    ) -> Result<Option<Run>, wire::error::Error> {
        self.deframer.next_run(passes)
    }

    /// Kind and size of the message whose beginning was read, if it is not complete.
    pub fn incomplete(&self) -> Option<(u8, usize)> {
        self.deframer.incomplete()
    }

    /// Throws that message away, also what of it is still to come.
    pub fn skip(&mut self) {
        self.deframer.skip();
    }

    /// Whether a message that was forwarded by runs is still incomplete.
    pub const fn is_within_message(&self) -> bool {
        self.deframer.is_within_message()
    }

    /// Reads what there is, at least one byte; 0 at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn fill(&mut self) -> io::Result<usize> {
        let buffer = self.deframer.buffer();
        buffer.reserve(self.reading);
        // At most what was asked for, however much room the buffer has.
        let count = (&mut self.stream)
            .take(u64::try_from(self.reading).unwrap_or(u64::MAX))
            .read_buf(buffer)
            .await?;
        if count == self.reading {
            self.reading = self.reading.saturating_mul(2).min(MOST);
        } else if count < LEAST {
            self.reading = LEAST;
        }
        Ok(count)
    }

    fn end<T>(&self) -> Result<Option<T>, Error> {
        if self.has_unread() || self.is_within_message() {
            Err(Error::Closed)
        } else {
            Ok(None)
        }
    }

    /// The buffer to encode messages into; [`Self::flush`] sends it.
    pub const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Queues bytes that are messages already.
    pub fn forward(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL {
            self.out.extend_from_slice(&bytes);
            return;
        }
        self.seal();
        self.queue.push_back(bytes);
    }

    /// How many bytes wait to be sent: whoever forwards keeps this small by flushing.
    pub fn pending(&self) -> usize {
        let queued: usize = self.queue.iter().map(Bytes::len).sum();
        queued.saturating_add(self.out.len())
    }

    /// Throws away all that waits.
    pub fn discard(&mut self) {
        self.queue.clear();
        self.out.clear();
    }

    /// Sends all that waits.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.seal();
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
            }
            let count = self.stream.write_vectored(&slices).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(count);
        }
        self.stream.flush().await
    }

    /// Sends all that waits, and says that no more comes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// As [`Self::close`], then reads on for a moment and throws away what comes: a connection that is closed with bytes unread is reset,
    /// and the last words would be lost with it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn part(&mut self) -> io::Result<()> {
        self.close().await?;
        let mut scratch = [0; 4096];
        let reading = async {
            for _ in 0..PARTING_READS {
                if self.stream.read(&mut scratch).await? == 0 {
                    break;
                }
            }
            Ok(())
        };
        let read = tokio::time::timeout(PARTING, reading).await;
        read.unwrap_or(Ok(()))
    }

    /// Moves what was encoded behind the queue.
    fn seal(&mut self) {
        if !self.out.is_empty() {
            self.queue
                .push_back(Bytes::from(std::mem::take(&mut self.out)));
        }
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.queue.front_mut() {
            if first.len() > count {
                first.advance(count);
                return;
            }
            count = count.saturating_sub(first.len());
            self.queue.pop_front();
        }
    }
}
