//! A server that is hostile or broken while it asks the broker for a password (row B2): refused at once, at no cost.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dbgate::model::secret::Secret;
use dbgate::model::time::Clock as _;
use dbgate::net::clock;
use dbgate::net::tls::authority::Authority;
use dbgate::upstream::connect;
use dbgate::upstream::target::{Address, Target, Tls};
use dbgate::wire::scram::{Binding, LEASE_ITERATIONS, Server, Verifier};
use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::peer::{SSL, frame, text};

const PASSWORD: &str = "0123456789abcdef0123456789abcdef";

/// Words that depend on the client's.
type Says<T> = Box<dyn Fn(&T) -> Vec<u8> + Send>;

/// What a server says.
struct Script {
    name: &'static str,
    /// Instead of the wish for SCRAM.
    hello: Vec<u8>,
    /// To the client's first message; gets its nonce.
    first: Says<str>,
    /// To its proof; gets what an honest server would say.
    last: Says<[u8]>,
}

fn authentication(kind: u32, more: &[u8]) -> Vec<u8> {
    frame(b'R', &[&kind.to_be_bytes()[..], more].concat())
}

/// The wish for one of these mechanisms.
fn wish(mechanisms: &[&str]) -> Vec<u8> {
    let names: Vec<u8> = mechanisms.iter().flat_map(|name| text(name)).collect();
    authentication(10, &[&names[..], &[0]].concat())
}

fn challenge(text: &str) -> Vec<u8> {
    authentication(11, text.as_bytes())
}

fn ready() -> Vec<u8> {
    [
        authentication(0, &[]),
        frame(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
        frame(b'Z', b"I"),
    ]
    .concat()
}

/// An honest one, whose words can be replaced.
fn honest(name: &'static str, plus: bool) -> Script {
    let mechanisms: &[&str] = if plus {
        &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    } else {
        &["SCRAM-SHA-256"]
    };
    Script {
        name,
        hello: wish(mechanisms),
        first: Box::new(|nonce| {
            challenge(&format!(
                "r={nonce}server,s={},i=1",
                STANDARD.encode("salt salt salt")
            ))
        }),
        last: Box::new(|signature| [authentication(12, signature), ready()].concat()),
    }
}

/// Scripts that differ from the honest one in the wish for a mechanism.
fn wishes(plus: bool, scripts: &mut Vec<Script>) {
    let mut add = |name, hello| {
        scripts.push(Script {
            hello,
            ..honest(name, plus)
        });
    };
    add("no mechanisms", wish(&[]));
    add("SCRAM-SHA-1", wish(&["SCRAM-SHA-1"]));
    add("another case", wish(&["scram-sha-256"]));
    add(
        "SCRAM-SHA-256 with more behind it",
        wish(&["SCRAM-SHA-256-PLUS2"]),
    );
    if plus {
        add("without PLUS", wish(&["SCRAM-SHA-256"]));
        add(
            "PLUS of another hash",
            wish(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"]),
        );
    } else {
        add("PLUS without TLS", wish(&["SCRAM-SHA-256-PLUS"]));
    }
    add("in without a password", ready());
    add("a password in clear", authentication(3, &[]));
    add("MD5", authentication(5, b"salt"));
    add("GSS", authentication(7, &[]));
    add("the challenge at once", challenge("r=x,s=eA==,i=1"));
    add("the signature at once", authentication(12, b"v=eA=="));
    add("an unknown kind", authentication(99, &[]));
    add("half a kind", frame(b'R', &[0, 0]));
    add("an error without a code", frame(b'E', b"Mno\0\0"));
    add("an error without anything", frame(b'E', b"\0"));
    add(
        "an error of 1 MB",
        frame(
            b'E',
            &[&b"C28000\0M"[..], &vec![b'x'; 1 << 20], b"\0\0"].concat(),
        ),
    );
    add("a message of no length", b"R\0\0\0\x00".to_vec());
    add("a message of 2 GiB", b"R\x7f\xff\xff\xff".to_vec());
    add("a message of 4 GiB", b"R\xff\xff\xff\xff".to_vec());
    add("ready at once", frame(b'Z', b"I"));
    add("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    add("nothing", Vec::new());
}

/// Those that differ in the challenge or in the signature.
fn answers(plus: bool, scripts: &mut Vec<Script>) {
    let salt = STANDARD.encode("salt salt salt");
    let counts = [
        "2147483648",
        "2147483647",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "1000000",
        "4096",
        "2",
        "0",
        "-1",
        "",
        "1x",
        "01",
        "1.0",
    ];
    for count in counts {
        let salt = salt.clone();
        let name = Box::leak(format!("{count} iterations").into_boxed_str());
        let first = move |nonce: &str| challenge(&format!("r={nonce}server,s={salt},i={count}"));
        scripts.push(Script {
            first: Box::new(first),
            ..honest(name, plus)
        });
    }
    type First = fn(&str, &str) -> String;
    let firsts: [(&'static str, First); 14] = [
        ("a nonce that is not prefixed", |_, salt| {
            format!("r=somebodyelses,s={salt},i=1")
        }),
        ("a nonce that is ours alone", |nonce, salt| {
            format!("r={nonce},s={salt},i=1")
        }),
        ("no nonce", |_, salt| format!("r=,s={salt},i=1")),
        ("a nonce of 60 KB", |nonce, salt| {
            format!("r={nonce}{},s={salt},i=1", "x".repeat(60_000))
        }),
        ("a nonce of 1 MB", |nonce, salt| {
            format!("r={nonce}{},s={salt},i=1", "x".repeat(1 << 20))
        }),
        ("a nonce with a space", |nonce, salt| {
            format!("r={nonce} x,s={salt},i=1")
        }),
        ("a salt that is no base64", |nonce, _| {
            format!("r={nonce}server,s=!!!,i=1")
        }),
        ("no salt", |nonce, _| format!("r={nonce}server,i=1")),
        ("the order turned", |nonce, salt| {
            format!("s={salt},r={nonce}server,i=1")
        }),
        ("an extension that must be known", |nonce, salt| {
            format!("m=x,r={nonce}server,s={salt},i=1")
        }),
        ("an error", |_, _| "e=unknown-user".to_owned()),
        ("nothing at all", |_, _| String::new()),
        ("two counts", |nonce, salt| {
            format!("r={nonce}server,s={salt},i=4096,i=1")
        }),
        ("bytes that are no text", |nonce, salt| {
            format!("r={nonce}\u{fffd},s={salt},i=1")
        }),
    ];
    for (name, text) in firsts {
        let salt = salt.clone();
        let first = move |nonce: &str| challenge(&text(nonce, &salt));
        scripts.push(Script {
            first: Box::new(first),
            ..honest(name, plus)
        });
    }
    type Last = fn(&[u8]) -> Vec<u8>;
    let lasts: [(&'static str, Last); 11] = [
        ("a wrong signature", |_| {
            authentication(12, format!("v={}", STANDARD.encode([7; 32])).as_bytes())
        }),
        ("a signature with a wrong bit", |right| {
            let mut bytes = STANDARD.decode(&right[2..]).unwrap();
            bytes[31] ^= 1;
            authentication(12, format!("v={}", STANDARD.encode(bytes)).as_bytes())
        }),
        ("a short signature", |right| {
            let bytes = STANDARD.decode(&right[2..]).unwrap();
            authentication(
                12,
                format!("v={}", STANDARD.encode(&bytes[..31])).as_bytes(),
            )
        }),
        ("an empty signature", |_| authentication(12, b"v=")),
        ("a signature that is no base64", |_| {
            authentication(12, b"v=!!!")
        }),
        ("no signature", |_| authentication(12, b"")),
        ("an error in its place", |_| {
            authentication(12, b"e=invalid-proof")
        }),
        ("an error and a signature", |right| {
            authentication(12, &[&b"e=x,"[..], right].concat())
        }),
        ("no signature, but in", |_| Vec::new()),
        ("another challenge", |_| challenge("r=x,s=eA==,i=1")),
        ("the good-bye", |_| frame(b'E', b"SFATAL\0C28P01\0Mno\0\0")),
    ];
    for (name, bytes) in lasts {
        let last = move |right: &[u8]| [bytes(right), ready()].concat();
        scripts.push(Script {
            last: Box::new(last),
            ..honest(name, plus)
        });
    }
}

/// A server's certificate, and who trusts it.
struct Identity {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
    binding: Vec<u8>,
}

fn identity() -> Identity {
    let now = clock::System::new().now();
    let authority = Authority::new("test", now.before(Duration::from_secs(3600)), 2).unwrap();
    let leaf = authority.issue(&["localhost"], now, 2).unwrap();
    let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap();
    let binding = dbgate::net::tls::binding::end_point(&certificate).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key.expose().as_bytes()).unwrap();
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap())
        .unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Identity {
        server: Arc::new(server),
        client: Arc::new(client),
        binding,
    }
}

trait Line: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> Line for T {}

/// Plays a server by its script, as far as the client goes along.
fn serve(
    mut stream: TcpStream,
    identity: Option<(Arc<rustls::ServerConfig>, Vec<u8>)>,
    script: &Script,
) -> Option<()> {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut binding = Binding::None;
    let mut line: Box<dyn Line> = match identity {
        None => Box::new(stream),
        Some((config, end_point)) => {
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).ok()?;
            assert_eq!(asked, SSL);
            stream.write_all(b"S").ok()?;
            binding = Binding::EndPoint(end_point);
            let tls = rustls::ServerConnection::new(config).ok()?;
            Box::new(rustls::StreamOwned::new(tls, stream))
        }
    };
    let startup = body(&mut line)?;
    assert!(startup.len() > 8);
    send(&mut line, &script.hello)?;
    let first = message(&mut line)?;
    let (mechanism, data) = split(&first)?;
    let client = String::from_utf8(data.to_vec()).ok()?;
    let (_, nonce) = client.rsplit_once("r=")?;
    let password = Secret::from(PASSWORD);
    let verifier = Verifier::new(&password, b"salt salt salt", LEASE_ITERATIONS).ok()?;
    // What it would say itself is the base of what is said wrongly later.
    let (honest, _) = Server::new(verifier, binding)
        .first(mechanism, data, "server")
        .ok()?;
    send(&mut line, &(script.first)(nonce))?;
    let proof = message(&mut line)?;
    let (_, signature) = honest.last(&proof).ok()?;
    send(&mut line, &(script.last)(&signature))?;
    let mut rest = Vec::new();
    line.read_to_end(&mut rest).ok();
    Some(())
}

fn send(line: &mut Box<dyn Line>, bytes: &[u8]) -> Option<()> {
    line.write_all(bytes).ok()?;
    line.flush().ok()
}

fn body(line: &mut Box<dyn Line>) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    line.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    line.read_exact(&mut body).ok()?;
    Some(body)
}

fn message(line: &mut Box<dyn Line>) -> Option<Vec<u8>> {
    let mut kind = [0];
    line.read_exact(&mut kind).ok()?;
    assert_eq!(kind, *b"p");
    body(line)
}

/// Mechanism and data of a client's first message.
fn split(body: &[u8]) -> Option<(&str, &[u8])> {
    let end = body.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&body[..end]).ok()?, &body[end + 5..]))
}

/// What this thread has used of the processor.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// Connects to a server with a script: what came of it, and what it cost.
async fn meet(script: Script, identity: Option<&Identity>) -> (Result<(), String>, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target {
        name: "prod".parse().unwrap(),
        address: Address::Tcp {
            host: "localhost".to_owned(),
            port: listener.local_addr().unwrap().port(),
        },
        database: "prod".to_owned(),
        admin: "admin".to_owned(),
        password: None,
        tls: identity.map_or(Tls::Off, |identity| Tls::On(Arc::clone(&identity.client))),
    };
    let shown = identity.map(|identity| (Arc::clone(&identity.server), identity.binding.clone()));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        serve(stream, shown, &script);
    });
    let before = used();
    let came = connect::open(&target, "role", &Secret::from(PASSWORD), &[]).await;
    let cost = used().saturating_sub(before);
    let came = came.map(drop).map_err(|error| error.to_string());
    server.join().unwrap();
    (came, cost)
}

#[tokio::test]
async fn a_server_that_breaks_scram_is_refused_at_once() {
    let identity = identity();
    let mut count = 0;
    let mut most = Duration::ZERO;
    for plus in [false, true] {
        let identity = plus.then_some(&identity);
        // An honest one is believed, so that it is the difference that counts.
        let (came, _) = meet(honest("honest", plus), identity).await;
        assert_eq!(came, Ok(()), "an honest server, PLUS {plus}");
        let mut scripts = Vec::new();
        wishes(plus, &mut scripts);
        answers(plus, &mut scripts);
        for script in scripts {
            let name = script.name;
            let (came, cost) = meet(script, identity).await;
            let error = came.expect_err(name);
            assert!(
                error.len() < 1_000,
                "{name}: {} bytes of error",
                error.len()
            );
            // TLS itself takes a few; a count of iterations that is believed would take minutes.
            assert!(cost < Duration::from_millis(100), "{name}: {cost:?}");
            most = most.max(cost);
            count += 1;
        }
    }
    assert!(count >= 60, "{count}");
    println!(
        "{count} servers that break SCRAM, all refused, at most {most:?} of processor time each"
    );
}
