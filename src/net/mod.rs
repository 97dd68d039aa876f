//! Sockets, TLS, the clock and randomness; knows no judgement.
//!
//! Reading order: `clock`, `entropy` → `socket`, `listener`, `sniff`, `drain` → `tls` → `stream`, `framed` → `greeting`.

pub mod clock;
pub mod drain;
pub mod entropy;
pub mod framed;
pub mod greeting;
pub mod listener;
pub mod sniff;
pub mod socket;
pub mod stream;
pub mod tls;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use crate::wire;

/// What can go wrong on a socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer does not speak PostgreSQL's protocol.
    #[error(transparent)]
    Wire(#[from] wire::error::Error),
    /// The peer closed the connection in the middle of something.
    #[error("the connection was closed")]
    Closed,
    /// The peer asked twice for the same encryption.
    #[error("encryption was asked for twice")]
    Again,
    /// Bytes came before TLS that would have been taken for bytes inside it.
    #[error("received unencrypted data after the TLS request")]
    EarlyData,
    /// An address that cannot be listened on.
    #[error("listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A certificate, a key or a list of roots that cannot be used.
    #[error("{what}: {why}")]
    Tls {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// Whether the peer just went away, which is nobody's fault.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            ),
            Self::Wire(_)
            | Self::Again
            | Self::EarlyData
            | Self::Bind { .. }
            | Self::Tls { .. } => false,
        }
    }
}
