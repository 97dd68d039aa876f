//! A stream to a database server: TCP, TLS over TCP, or a unix socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::net::socket::{self, Patience};
use crate::upstream::target::{Address, Target, Tls};
use crate::upstream::{Error, within};

/// `SSLRequest`: length 8, code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// When a database that does not answer is given up.
const PATIENCE: Patience = Patience {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    unacknowledged: Duration::from_secs(20),
};

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Stream {
    /// The server's certificate, when there is one.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => {
                let certificates = stream.get_ref().1.peer_certificates()?;
                certificates.first().map(AsRef::as_ref)
            }
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }
}

/// Connects, and encrypts where the target says so. Not cancel-safe: a dropped call drops the connection.
///
/// # Errors
/// When the server cannot be reached, does not speak TLS, or its certificate is not trusted.
pub async fn open(target: &Target) -> Result<Stream, Error> {
    let stream = plain(target).await?;
    match (stream, &target.tls, &target.address) {
        (Stream::Tcp(stream), Tls::On(config), Address::Tcp { host, .. }) => {
            within("TLS", encrypt(stream, host, config, &target.address)).await
        }
        // There is no TLS on unix sockets.
        (stream, _, _) => Ok(stream),
    }
}

/// Connects, and no more: for a driver that asks for TLS itself.
///
/// # Errors
/// When the server cannot be reached.
pub async fn plain(target: &Target) -> Result<Stream, Error> {
    match &target.address {
        Address::Unix { directory, port } => {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            let dialled = within("a connection", async {
                UnixStream::connect(&path)
                    .await
                    .map_err(|source| failed(&target.address, source))
            });
            dialled.await.map(Stream::Unix)
        }
        Address::Tcp { host, port } => {
            let dialled = within("a connection", tcp(&target.address, host, *port));
            dialled.await.map(Stream::Tcp)
        }
    }
}

/// A TCP stream with the socket options every connection to a database has.
async fn tcp(address: &Address, host: &str, port: u16) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|source| failed(address, source))?;
    socket::tune(&stream, PATIENCE)?;
    Ok(stream)
}

async fn encrypt(
    mut stream: TcpStream,
    host: &str,
    config: &std::sync::Arc<rustls::ClientConfig>,
    address: &Address,
) -> Result<Stream, Error> {
    let refuse = |reason: String| Error::Tls {
        address: address.to_string(),
        reason,
    };
    stream.write_all(&SSL_REQUEST).await?;
    // One byte is read and no more: bytes that came before TLS are never taken for bytes inside it
    // (CVE-2021-23222). Those that follow the `S` are read as TLS and fail there.
    let answer = stream.read_u8().await?;
    if answer != b'S' {
        return Err(refuse("the server does not offer it".to_owned()));
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| refuse(format!("`{host}` is no name a certificate can carry")))?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(config));
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| refuse(error.to_string()))?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn failed(address: &Address, source: io::Error) -> Error {
    Error::Dial {
        address: address.to_string(),
        source,
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
