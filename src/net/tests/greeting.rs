//! The first words: encryption once, nothing before it, and the same rule whichever way it began.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio_rustls::TlsConnector;

use crate::net::Error;
use crate::net::framed::Framed;
use crate::net::greeting::{Greeting, hear, inside};
use crate::net::sniff::{HTTP_1_1, POSTGRESQL};
use crate::net::stream::Stream;
use crate::net::tests::certificate;
use crate::net::tls::{Server, client};

const SSL: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
const STARTUP: &[u8] = b"\0\0\0\x10\0\x03\0\0user\0a\0\0";
const CANCEL: &[u8] = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07key!";
const QUERY: &[u8] = b"Q\0\0\0\x0dselect 1\0";

/// What comes of bytes sent at once, and what is answered to them.
async fn say(
    wire: &[u8],
    tls: Option<&Server>,
) -> (Result<Greeting<DuplexStream>, Error>, Vec<u8>) {
    let (near, mut far) = duplex(1 << 20);
    far.write_all(wire).await.unwrap();
    far.shutdown().await.unwrap();
    let outcome = wrong(hear(near, tls).await);
    let mut answer = Vec::new();
    if outcome.is_err() {
        far.read_to_end(&mut answer).await.unwrap();
    }
    (outcome, answer)
}

/// What is wrong, also where it can still be told.
fn wrong<S>(outcome: Result<Greeting<S>, Error>) -> Result<Greeting<S>, Error> {
    match outcome {
        Ok(Greeting::Malformed { error, .. }) => Err(error),
        other => other,
    }
}

#[tokio::test]
async fn encryption_can_be_asked_for_once_of_each_kind() {
    for wire in [
        [SSL, GSS, STARTUP].concat(),
        [GSS, SSL, STARTUP].concat(),
        STARTUP.to_vec(),
    ] {
        let (outcome, _) = say(&wire, None).await;
        assert!(matches!(outcome, Ok(Greeting::Startup { .. })), "{wire:?}");
    }
    for wire in [
        [SSL, SSL].concat(),
        [GSS, GSS].concat(),
        [SSL, GSS, SSL].concat(),
        [GSS, SSL, GSS].concat(),
    ] {
        let (outcome, _) = say(&wire, None).await;
        assert!(matches!(outcome, Err(Error::Again)), "{wire:?}");
    }
}

/// A client that asks for one encryption after the other, as often as it is read from.
#[derive(Debug, Default)]
struct Insisting {
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl AsyncRead for &Insisting {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked < 1_000_000 {
            buf.put_slice(if asked.is_multiple_of(2) { SSL } else { GSS });
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for &Insisting {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.answered.fetch_add(buf.len(), Ordering::Relaxed);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_million_requests_for_encryption_end_at_the_third() {
    let insisting = Insisting::default();
    let outcome = wrong(hear(&insisting, None).await);
    assert!(matches!(outcome, Err(Error::Again)));
    assert_eq!(insisting.asked.load(Ordering::Relaxed), 3);
    assert_eq!(insisting.answered.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn bytes_before_tls_are_never_taken_for_bytes_inside_it() {
    let (server, _) = certificate();
    for early in [QUERY, STARTUP, SSL, GSS, CANCEL, &[0x16, 3, 1], b"\0"] {
        let (outcome, answer) = say(&[SSL, early].concat(), Some(&server)).await;
        assert!(
            matches!(outcome, Err(Error::EarlyData)),
            "{early:?}: {outcome:?}"
        );
        assert!(answer.is_empty(), "not even an `S` goes out");
    }
}

#[tokio::test]
async fn a_client_gets_in_through_negotiated_tls() {
    let (server, roots) = certificate();
    // Old clients offer no ALPN; HTTP's must not get here.
    let cases: [(&[&[u8]], bool); 4] = [
        (&[POSTGRESQL], true),
        (&[], true),
        (&[HTTP_1_1], false),
        (&[b"x"], false),
    ];
    for (alpn, expected) in cases {
        let (near, mut far) = duplex(1 << 16);
        let config = client(&roots, alpn).unwrap();
        let dialing = async move {
            far.write_all(SSL).await.ok()?;
            (far.read_u8().await.ok()? == b'S').then_some(())?;
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(config).connect(name, far).await.ok()?;
            stream.write_all(STARTUP).await.ok()?;
            stream.flush().await.ok()?;
            Some(stream)
        };
        let (_client, outcome) = tokio::join!(dialing, hear(near, Some(&server)));
        let through = matches!(&outcome, Ok(Greeting::Startup { framed, .. }) if framed.stream().is_encrypted());
        assert_eq!(through, expected, "{alpn:?}");
    }
}

#[tokio::test]
async fn a_cancel_comes_in_clear_and_tells_so() {
    let (server, _) = certificate();
    let (outcome, _) = say(CANCEL, Some(&server)).await;
    let Ok(Greeting::Cancel { framed, cancel }) = outcome else {
        panic!("no cancel")
    };
    assert_eq!(
        (
            cancel.pid,
            cancel.key.as_slice(),
            framed.stream().is_encrypted()
        ),
        (7, &b"key!"[..], false)
    );
}

#[tokio::test]
async fn who_says_nothing_is_told_nothing() {
    assert!(matches!(say(b"", None).await.0, Ok(Greeting::Nothing)));
    assert!(matches!(say(SSL, None).await.0, Ok(Greeting::Nothing)));
    assert!(matches!(say(b"\0\0", None).await.0, Err(Error::Closed)));
}

#[tokio::test]
async fn inside_tls_there_is_no_second_encryption_and_no_http() {
    let hear_inside = |wire: Vec<u8>| async move {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(&wire).await.unwrap();
        far.shutdown().await.unwrap();
        wrong(inside(Framed::frontend(Stream::Plain(near))).await)
    };
    for wire in [SSL, GSS] {
        assert!(matches!(
            hear_inside(wire.to_vec()).await,
            Err(Error::Again)
        ));
    }
    // Whatever the first byte is, only a startup packet passes.
    for first in 0..=u8::MAX {
        let mut wire = STARTUP.to_vec();
        wire[0] = first;
        let passes = matches!(hear_inside(wire).await, Ok(Greeting::Startup { .. }));
        assert_eq!(passes, first == 0, "{first}");
        let http = [&[first], &b"ET / HTTP/1.1\r\n\r\n"[..]].concat();
        let passes = matches!(hear_inside(http).await, Ok(Greeting::Startup { .. }));
        assert!(!passes, "{first}");
    }
}
