//! A PostgreSQL client that may do anything: raw bytes on a port, in clear or inside TLS, and what comes back.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dbgate::upstream::connect::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// Protocol 3.0.
pub(crate) const V3_0: u32 = 0x0003_0000;
pub(crate) const SSL: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
pub(crate) const GSS: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a peer is connected by.
enum Line {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

/// A connection.
pub(crate) struct Peer {
    line: Line,
    /// What `BackendKeyData` said.
    pub(crate) key: Vec<u8>,
}

/// A message: its kind and its body.
pub(crate) type Message = (u8, Vec<u8>);

impl Peer {
    /// In clear.
    pub(crate) fn dial(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// On a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            line: Line::Plain(stream),
            key: Vec::new(),
        }
    }

    /// By TLS from the first byte, with these names of ALPN.
    pub(crate) fn direct(port: u16, ca: &Path, alpn: &[&[u8]]) -> io::Result<Self> {
        Self::dial(port).encrypt(ca, alpn)
    }

    /// By an `SSLRequest`.
    pub(crate) fn negotiated(port: u16, ca: &Path) -> io::Result<Self> {
        let mut peer = Self::dial(port);
        peer.send(SSL)?;
        let mut answer = [0];
        peer.read_exact(&mut answer)?;
        assert_eq!(answer, *b"S");
        peer.encrypt(ca, &[b"postgresql"])
    }

    /// Begins TLS on the connection.
    pub(crate) fn encrypt(self, ca: &Path, alpn: &[&[u8]]) -> io::Result<Self> {
        let Line::Plain(mut stream) = self.line else {
            panic!("it is encrypted already");
        };
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(ca).unwrap())
            .unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        let line = Line::Tls(Box::new(rustls::StreamOwned::new(tls, stream)));
        Ok(Self {
            line,
            key: Vec::new(),
        })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.line {
            Line::Plain(stream) => stream.write_all(bytes),
            Line::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    /// Sends no more; still listens.
    pub(crate) fn finish(&mut self) {
        match &mut self.line {
            Line::Plain(stream) => stream.shutdown(Shutdown::Write).ok(),
            Line::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().ok();
                stream.sock.shutdown(Shutdown::Write).ok()
            }
        };
    }

    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match &mut self.line {
            Line::Plain(stream) => stream.read_exact(bytes),
            Line::Tls(stream) => stream.read_exact(bytes),
        }
    }

    /// All that comes until the other side closes. A reset counts as that.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut scratch = [0; 4096];
        loop {
            let read = match &mut self.line {
                Line::Plain(stream) => stream.read(&mut scratch),
                Line::Tls(stream) => stream.read(&mut scratch),
            };
            match read {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nobody closes; so far came {bytes:?}")
                }
                Err(_) => return bytes,
            }
        }
    }

    /// The next message; `None` at the end.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        if let Err(error) = self.read_exact(&mut header) {
            assert!(
                error.kind() != io::ErrorKind::WouldBlock,
                "nothing is answered"
            );
            return None;
        }
        let length = u32::from_be_bytes(header[1..].try_into().unwrap());
        let mut body = vec![0; length as usize - 4];
        self.read_exact(&mut body).ok()?;
        Some((header[0], body))
    }

    /// The messages up to one of that kind, which is the last of them; all, when it does not come.
    pub(crate) fn until(&mut self, kind: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.message() {
            let last = message.0 == kind;
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }

    /// Sends a message.
    pub(crate) fn say(&mut self, kind: u8, body: &[u8]) {
        self.send(&frame(kind, body)).unwrap();
    }

    /// Runs a query string; what is answered.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Message> {
        self.say(b'Q', &text(sql));
        self.until(b'Z')
    }

    /// Begins a login: the startup packet, and what is answered to it up to the wish for a password.
    pub(crate) fn hello(&mut self, parameters: &[(&str, &str)]) -> Vec<Message> {
        self.send(&startup(V3_0, parameters)).unwrap();
        self.until(b'R')
    }

    /// Proves who we are, by SCRAM; the answers up to `ReadyForQuery`.
    pub(crate) fn prove(&mut self, password: &str) -> Vec<Message> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut initial = text(SCRAM_SHA_256);
        let first = scram.message();
        initial.extend_from_slice(&u32::try_from(first.len()).unwrap().to_be_bytes());
        initial.extend_from_slice(first);
        self.say(b'p', &initial);
        let (kind, body) = self.message().expect("a challenge");
        if kind != b'R' {
            return vec![(kind, body)];
        }
        scram.update(&body[4..]).unwrap();
        self.say(b'p', scram.message());
        let messages = self.until(b'Z');
        for (kind, body) in &messages {
            if *kind == b'K' {
                self.key.clone_from(body);
            }
        }
        messages
    }

    /// Gets in.
    pub(crate) fn login(&mut self, user: &str, password: &str, database: &str) {
        self.hello(&[("user", user), ("database", database)]);
        let messages = self.prove(password);
        let last = messages.last();
        assert_eq!(last.map(|(kind, _)| *kind), Some(b'Z'), "{messages:?}");
    }
}

/// A message's bytes.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A startup packet's bytes.
pub(crate) fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(text(name));
        body.extend(text(value));
    }
    body.push(0);
    packet(&body)
}

/// A message without a kind.
pub(crate) fn packet(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len() + 4)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// A text with its zero.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// A `CancelRequest` with what `BackendKeyData` said.
pub(crate) fn cancel(key: &[u8]) -> Vec<u8> {
    packet(&[&80_877_102_u32.to_be_bytes(), key].concat())
}

/// A field of an `ErrorResponse` or `NoticeResponse`.
pub(crate) fn field(body: &[u8], kind: u8) -> String {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&kind))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .unwrap_or_default()
}

/// The kinds of messages, as text.
pub(crate) fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|(kind, _)| char::from(*kind)).collect()
}
