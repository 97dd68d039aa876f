//! Both streams of a connection at once: neither waits for the other to be read or written.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::framed::Framed;

/// A side that has so much to send is not fed any more.
const HIGH: usize = 1024 * 1024;

/// A side whose messages are not wanted yet is read so far ahead: its end must be noticed, and what it sends must not pile up.
const AHEAD: usize = 64 * 1024;

/// A stream and whether what was written to it has all left.
#[derive(Debug)]
pub(super) struct Side<S> {
    /// The messages.
    pub(super) framed: Framed<S>,
    flush: Flush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Done,
    Owed,
}

/// Which sides may be read.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a yes or no for each of two sides"
)]
pub(super) struct Reading {
    /// The client's.
    pub(super) client: bool,
    /// The upstream's.
    pub(super) upstream: bool,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Turn {
    /// Something was read or written.
    Progress,
    /// The client is gone.
    ClientGone,
    /// The upstream is gone.
    UpstreamGone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// A side that owes nothing.
    pub(super) const fn new(framed: Framed<S>) -> Self {
        Self {
            framed,
            flush: Flush::Done,
        }
    }

    /// Something was put into the buffer.
    pub(super) fn written(&mut self) {
        if self.framed.pending() > 0 {
            self.flush = Flush::Owed;
        }
    }

    /// Throws away what was put into the buffer: nobody is there to take it.
    pub(super) fn discard(&mut self) {
        self.framed.discard();
        self.flush = Flush::Done;
    }

    /// Whether no more should be put into the buffer for now.
    pub(super) fn is_full(&self) -> bool {
        self.framed.pending() >= HIGH
    }

    /// Whether it may be read although nothing is wanted from it now.
    pub(super) fn may_read_ahead(&self) -> bool {
        self.framed.unread() < AHEAD
    }

    /// Reads and writes what is possible at once. `Err`: the stream is gone.
    fn poll(&mut self, read: bool, cx: &mut Context<'_>) -> Result<bool, Option<io::Error>> {
        let mut progress = false;
        if self.flush == Flush::Owed {
            let before = self.framed.pending();
            let flushed = pin!(self.framed.flush()).poll(cx);
            match flushed {
                Poll::Ready(Ok(())) => {
                    self.flush = Flush::Done;
                    progress = true;
                }
                Poll::Ready(Err(error)) => return Err(Some(error)),
                Poll::Pending => progress = before >= HIGH && self.framed.pending() < HIGH,
            }
        }
        if read {
            match pin!(self.framed.fill()).poll(cx) {
                Poll::Ready(Ok(0)) => return Err(None),
                Poll::Ready(Ok(_)) => progress = true,
                Poll::Ready(Err(error)) => return Err(Some(error)),
                Poll::Pending => {}
            }
        }
        Ok(progress)
    }
}

/// Waits until something was read or written. Cancel-safe.
pub(super) async fn turn<C, U>(client: &mut Side<C>, upstream: &mut Side<U>, read: Reading) -> Turn
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        // The upstream first: its last words say why it is gone.
        let Ok(from_upstream) = upstream.poll(read.upstream, cx) else {
            return Poll::Ready(Turn::UpstreamGone);
        };
        match client.poll(read.client, cx) {
            Ok(progress) if progress || from_upstream => Poll::Ready(Turn::Progress),
            Ok(_) => Poll::Pending,
            Err(_) => Poll::Ready(Turn::ClientGone),
        }
    })
    .await
}
