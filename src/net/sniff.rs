//! Which protocol a connection speaks, by its first byte and, inside TLS, by what was agreed there.

use std::io;

use tokio::net::TcpStream;

/// The ALPN name of PostgreSQL's protocol.
pub const POSTGRESQL: &[u8] = b"postgresql";
/// The ALPN name of HTTP/1.1.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// What the first byte of a connection tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// The length word of a PostgreSQL startup packet, which is always below 2²⁴.
    Postgres,
    /// A TLS handshake record.
    Tls,
    /// A method of plain HTTP.
    Http,
    /// Nothing that is spoken here.
    Unknown,
}

impl Opening {
    /// Judges the first byte.
    #[must_use]
    pub const fn of(byte: u8) -> Self {
        match byte {
            0x00 => Self::Postgres,
            0x16 => Self::Tls,
            // The first letters of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS, CONNECT, TRACE.
            b'G' | b'P' | b'D' | b'H' | b'O' | b'C' | b'T' => Self::Http,
            _ => Self::Unknown,
        }
    }
}

/// What is spoken inside TLS that began without a PostgreSQL `SSLRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inside {
    /// ALPN said `postgresql`.
    Postgres,
    /// ALPN said `http/1.1`, or nothing: clients of HTTP need not use ALPN, those of PostgreSQL must.
    Http,
}

impl Inside {
    /// Judges what ALPN agreed on. An ALPN without one of our names never comes here: the handshake fails.
    #[must_use]
    pub fn of(alpn: Option<&[u8]>) -> Self {
        if alpn == Some(POSTGRESQL) {
            Self::Postgres
        } else {
            Self::Http
        }
    }
}

/// Looks at the first byte of a connection and leaves it there; `None` when the peer sent nothing and closed. The caller limits the time.
/// Cancel-safe.
///
/// # Errors
/// When the connection breaks.
pub async fn peek(stream: &TcpStream) -> io::Result<Option<Opening>> {
    let mut byte = [0];
    let count = stream.peek(&mut byte).await?;
    let [byte] = byte;
    Ok((count > 0).then(|| Opening::of(byte)))
}
