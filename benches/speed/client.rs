//! A client that does as little as it can: it logs in, sends what it is given, and counts the bytes that come back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use dbgate::wire::backend::{Authentication, Message};
use dbgate::wire::frame::Deframer;
use dbgate::wire::frontend::{self, SaslInitial};
use dbgate::wire::startup::{Initial, Startup, Version};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::site::Peer;

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// `ReadyForQuery` outside a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection that is ready for a query.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    chunk: Vec<u8>,
}

impl Client {
    /// Logs in.
    pub(crate) fn open(peer: &Peer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", peer.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let stream: Box<dyn Stream> = if peer.tls {
            stream.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").unwrap();
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"S", "TLS is offered");
            let name = "127.0.0.1".try_into().unwrap();
            let session = rustls::ClientConnection::new(trusting(peer), name).unwrap();
            Box::new(rustls::StreamOwned::new(session, stream))
        } else {
            Box::new(stream)
        };
        let mut client = Self {
            stream,
            chunk: vec![0; CHUNK],
        };
        client.log_in(peer);
        client
    }

    fn log_in(&mut self, peer: &Peer) {
        let named = [("user", peer.user.as_str()), ("database", "prod")];
        let startup = Startup {
            version: Version::V3_0,
            parameters: named
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        let mut out = Vec::new();
        Initial::Startup(startup).encode(&mut out).unwrap();
        let mut scram = ScramSha256::new(peer.password.as_bytes(), ChannelBinding::unsupported());
        let mut deframer = Deframer::backend();
        loop {
            self.stream.write_all(&out).unwrap();
            self.stream.flush().unwrap();
            out.clear();
            let frame = loop {
                if let Some(frame) = deframer.next_frame().unwrap() {
                    break frame;
                }
                let count = self.stream.read(&mut self.chunk).unwrap();
                assert!(count > 0, "{} closed the connection", peer.name);
                deframer.feed(&self.chunk[..count]);
            };
            match Message::decode(&frame).unwrap() {
                Message::Authentication(Authentication::Sasl { .. }) => {
                    let mut initial = Vec::new();
                    let data = Some(scram.message());
                    let mechanism = SCRAM_SHA_256;
                    SaslInitial { mechanism, data }
                        .encode(&mut initial)
                        .unwrap();
                    frontend::Message::Password(&initial)
                        .encode(&mut out)
                        .unwrap();
                }
                Message::Authentication(Authentication::SaslContinue(challenge)) => {
                    scram.update(challenge).unwrap();
                    let message = frontend::Message::Password(scram.message());
                    message.encode(&mut out).unwrap();
                }
                Message::Authentication(Authentication::SaslFinal(proof)) => {
                    scram.finish(proof).unwrap();
                }
                Message::Authentication(Authentication::Ok) => deframer.authenticated(),
                Message::ReadyForQuery(_) => return,
                Message::ErrorResponse(fields) => panic!("{}: {}", peer.name, fields.message),
                _ => {}
            }
        }
    }

    /// Sends messages of which the last is answered by `ReadyForQuery`, and throws the answer away; returns its bytes.
    pub(crate) fn ask(&mut self, messages: &[u8]) -> u64 {
        self.stream.write_all(messages).unwrap();
        self.stream.flush().unwrap();
        let (mut bytes, mut tail) = (0, Vec::new());
        while !tail.ends_with(READY) {
            let count = self.stream.read(&mut self.chunk).unwrap();
            assert!(count > 0, "the connection was closed");
            let chunk = &self.chunk[..count];
            assert!(
                bytes > 0 || chunk[0] != b'E',
                "{}",
                String::from_utf8_lossy(chunk)
            );
            bytes += count as u64;
            tail.extend_from_slice(&chunk[count.saturating_sub(READY.len())..]);
            tail.drain(..tail.len().saturating_sub(READY.len()));
        }
        bytes
    }

    /// Runs a query string.
    pub(crate) fn query(&mut self, sql: &str) -> u64 {
        let mut out = Vec::new();
        frontend::Message::Query { sql }.encode(&mut out).unwrap();
        self.ask(&out)
    }
}

/// TLS that trusts the demo.
fn trusting(peer: &Peer) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(&peer.trusted).unwrap();
    roots.add(certificate).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
