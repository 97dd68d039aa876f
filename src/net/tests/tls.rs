//! Both ends of TLS with an authority of our own.

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::model::time::Clock;
use crate::net::clock::SystemClock;
use crate::net::sniff::{HTTP_1_1, Inside, POSTGRESQL};
use crate::net::tls::authority::Authority;
use crate::net::tls::{Roots, Server, client};
use crate::wire::scram::Binding;

fn server() -> (Server, Roots) {
    let now = SystemClock::new().now();
    let authority = Authority::new("dbgate test", now, 7).unwrap();
    let leaf = authority
        .issue(&["localhost", "127.0.0.1"], now, 7)
        .unwrap();
    let server = Server::new(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes()).unwrap();
    (server, Roots::Only(authority.certificate().into()))
}

/// What a client with these ALPN names gets: the protocol inside, or an error.
async fn handshake(alpn: &[&[u8]]) -> Option<Inside> {
    let (server, roots) = server();
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
    let (server, _) = server();
    assert!(matches!(server.binding(), Binding::EndPoint(hash) if hash.len() == 32));
}

#[test]
fn what_is_no_certificate_is_refused() {
    assert!(Server::new(b"", b"").is_err());
    assert!(client(&Roots::Only(b"nothing".into()), &[]).is_err());
    assert!(client(&Roots::System, &[]).is_ok());
}
