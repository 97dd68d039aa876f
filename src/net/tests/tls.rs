//! Both ends of TLS with an authority of our own.

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::net::sniff::{HTTP_1_1, Inside, POSTGRESQL};
use crate::net::tests::certificate;
use crate::net::tls::{Roots, Server, client};
use crate::wire::scram::Binding;

/// What a client with these ALPN names gets: the protocol inside, or an error.
async fn handshake(alpn: &[&[u8]]) -> Option<Inside> {
    let (server, roots) = certificate();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let config = client(&roots, alpn).unwrap();
    let dialing = async move {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(config).connect(name, near).await.ok()?;
        stream.write_all(b"x").await.ok()?;
        stream.flush().await.ok()?;
        // Dropped only after the other end is through.
        Some(stream)
    };
    let accepting = async move {
        let (mut stream, inside) = server.accept_direct(far).await.ok()?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await.ok()?;
        Some(inside)
    };
    tokio::join!(dialing, accepting).1
}

#[tokio::test]
async fn alpn_tells_the_protocol_or_fails() {
    assert_eq!(handshake(&[POSTGRESQL]).await, Some(Inside::Postgres));
    assert_eq!(handshake(&[HTTP_1_1]).await, Some(Inside::Http));
    assert_eq!(handshake(&[b"h2", HTTP_1_1]).await, Some(Inside::Http));
    assert_eq!(handshake(&[]).await, Some(Inside::Http));
    assert_eq!(handshake(&[b"h2"]).await, None);
    assert_eq!(handshake(&[b"postgresql2"]).await, None);
}

#[test]
fn our_own_certificates_can_be_bound_to() {
    let (server, _) = certificate();
    assert!(matches!(server.binding(), Binding::EndPoint(hash) if hash.len() == 32));
}

#[test]
fn what_is_no_certificate_is_refused() {
    assert!(Server::new(b"", b"").is_err());
    assert!(client(&Roots::Only(b"nothing".into()), &[]).is_err());
    assert!(client(&Roots::System, &[]).is_ok());
}
