//! Encryption: how it begins, what may not come before it, and where each first byte leads (rows A5 to A7).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use dbgate::model::secret::Secret;
use dbgate::upstream::connect;

use crate::badinput::{Said, check};
use crate::harness::long;
use crate::harness::peer::{self, GSS, Peer, SSL, V3_0, frame, startup};
use crate::harness::postgres::Server;
use crate::harness::site::Site;
use crate::protocol::{log_all, logged, words};

const PG: &[u8] = b"postgresql";
const HTTP: &[u8] = b"http/1.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_in_by_direct_tls_by_negotiated_tls_and_on_loopback_in_clear() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let (port, ca) = (broker.port(), site.path("ca.pem"));
    let ways: [(&str, Peer); 3] = [
        ("direct", Peer::direct(port, &ca, &[PG]).unwrap()),
        ("negotiated", Peer::negotiated(port, &ca).unwrap()),
        ("in clear", Peer::dial(port)),
    ];
    for (way, mut peer) in ways {
        let asked = peer.hello(&[("user", &granted.user), ("database", &offer.name)]);
        // Channel binding is offered wherever there is something to bind to.
        let offered = String::from_utf8_lossy(&asked[0].1).contains("SCRAM-SHA-256-PLUS");
        assert_eq!(offered, way != "in clear", "{way}");
        assert_eq!(peer.prove(&granted.secret).last().unwrap().0, b'Z', "{way}");
        assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ", "{way}");
        // A cancel of an idle connection is heard in clear, whatever the connection itself is.
        let mut cancel = Peer::dial(port);
        cancel.send(&peer::cancel(&peer.key)).unwrap();
        assert!(cancel.rest().is_empty(), "{way}");
        assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ", "{way}");
    }
}

/// An address of this machine that is not on loopback; nothing is sent to find it.
fn outside() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().unwrap().ip();
    (!address.is_loopback()).then_some(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_nothing_is_taken_in_clear_but_a_cancel() {
    let Some(address) = outside() else {
        println!("NOT TRIED: this machine has no address but loopback");
        return;
    };
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.edit(
        "address = \"127.0.0.1:0\"",
        "address = \"0.0.0.0:0\"\npublic_host = \"127.0.0.1\"",
    );
    let mut broker = site.run();
    broker.url = broker.url.replace("0.0.0.0", "127.0.0.1");
    let granted = site.engineer(&broker).await.grant(600).await;
    let dial =
        || Peer::over(std::net::TcpStream::connect((address, granted.gateway.port)).unwrap());
    let parameters = [("user", &*granted.user), ("database", &*offer.name)];
    let refused = dial().hello(&parameters);
    check("plain text from elsewhere", Said::on_wire(&refused));
    // By TLS the same client gets in; its cancel comes in clear, as of an older libpq.
    let mut peer = dial();
    peer.send(SSL).unwrap();
    let mut yes = [0];
    peer.read_exact(&mut yes).unwrap();
    let mut peer = peer.encrypt(&site.path("ca.pem"), &[]).unwrap();
    peer.login(&granted.user, &granted.secret, &offer.name);
    peer.say(b'Q', b"SELECT pg_sleep(20)\0");
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut cancel = dial();
    cancel.send(&peer::cancel(&peer.key)).unwrap();
    assert!(cancel.rest().is_empty());
    assert_eq!(words(&peer.until(b'Z')), ["T", "E(ERROR 57014)", "Z(I)"]);
}

/// Row A5, the client's side.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_before_tls_are_never_run() {
    let server = Server::shared();
    let offer = server.offer().await;
    log_all(&server, &offer).await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let (port, ca) = (broker.port(), site.path("ca.pem"));
    let injected = frame(b'Q', b"SELECT 'injected'\0");
    let hello = startup(V3_0, &[("user", &granted.user), ("database", &offer.name)]);
    for early in [injected.clone(), [hello, injected].concat()] {
        // In one piece with the request; right behind it; after the answer; before TLS without a request.
        let mut peer = Peer::dial(port);
        peer.send(&[SSL, &early].concat()).unwrap();
        let answer = peer.until(0);
        assert_eq!(peer::kinds(&answer), "E", "not even an `S` goes out");
        let mut peer = Peer::dial(port);
        peer.send(SSL).unwrap();
        peer.send(&early).ok();
        let answer = peer.rest();
        // It came before the answer, or after it and so into the handshake of TLS.
        assert!(matches!(answer.first(), Some(b'S' | b'E')), "{answer:?}");
        let mut peer = Peer::dial(port);
        peer.send(SSL).unwrap();
        let mut yes = [0];
        peer.read_exact(&mut yes).unwrap();
        peer.send(&early).ok();
        let answer = peer.rest();
        assert!(
            answer.is_empty() || answer[0] == 0x15,
            "more than an alert: {answer:?}"
        );
        let mut peer = Peer::dial(port);
        peer.send(&early).unwrap();
        assert!(peer.encrypt(&ca, &[PG]).is_err());
    }
    // The same bytes inside TLS do run, so that their absence means something.
    let mut peer = Peer::direct(port, &ca, &[PG]).unwrap();
    peer.login(&granted.user, &granted.secret, &offer.name);
    peer.query("SELECT 'inside'");
    assert_eq!(
        (logged(&server, "'injected'"), logged(&server, "'inside'")),
        (0, 1)
    );
}

/// Row A5, the server's side: what a server, or somebody before it, sends in clear behind its `S` is not taken for its words inside TLS.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_server_before_tls_are_never_believed() {
    let server = Server::shared();
    let offer = server.offer().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = server.tls_target(&offer);
    target.address = dbgate::upstream::target::Address::Tcp {
        host: "localhost".to_owned(),
        port: listener.local_addr().unwrap().port(),
    };
    let ready = [
        frame(b'R', &[0; 4]),
        frame(b'K', &[0, 0, 0, 7, 1, 2, 3, 4]),
        frame(b'Z', b"I"),
    ];
    let scripts: [Vec<u8>; 5] = [
        [&b"S"[..], &ready.concat()].concat(),
        [&b"S"[..], &frame(b'E', b"SFATAL\0C28000\0Mlies\0\0")].concat(),
        b"N".to_vec(),
        ready.concat(),
        frame(b'E', b"SFATAL\0C28000\0Mlies\0\0"),
    ];
    for script in scripts {
        let listener = listener.try_clone().unwrap();
        let sent = script.clone();
        let liar = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(asked, SSL);
            stream.write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).ok();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).ok();
            rest
        });
        let password = Secret::from("correct horse");
        let error = connect::open(&target, "role", &password, &[])
            .await
            .unwrap_err();
        assert!(!error.to_string().contains("lies"), "{script:?}: {error}");
        let heard = liar.join().unwrap();
        let clear = heard.windows(4).any(|part| part == b"role");
        assert!(!clear, "{script:?}: it was told who wants in");
    }
}

/// Row A6.
#[tokio::test(flavor = "multi_thread")]
async fn encryption_that_is_asked_for_again_and_again_ends_at_the_second_of_a_kind() {
    let connections = if long() { 1_000 } else { 50 };
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let before = (broker.descriptors(), broker.memory());
    let mut answers = 0;
    for _ in 0..connections {
        // GSS is declined and TLS is not begun: it is asked for it all over again.
        let mut peer = Peer::dial(broker.port());
        let asked = [GSS, GSS, SSL].repeat(334).concat();
        peer.send(&asked[..8_000]).ok();
        let rest = peer.rest();
        assert!(
            rest.starts_with(b"N") && rest.iter().filter(|b| **b == b'N').count() < 8,
            "{rest:?}"
        );
        answers += 1;
    }
    broker.settle(before.0);
    let grown = broker.memory().saturating_sub(before.1);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes more");
    println!(
        "{} requests on {connections} connections, {answers} answered, {} KiB more",
        connections * 1000,
        grown / 1024
    );
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Postgres,
    Http,
    /// An alert of TLS.
    Alert,
    Nobody,
}

fn answer(bytes: &[u8]) -> Answer {
    match bytes {
        [] => Answer::Nobody,
        [b'R' | b'E', 0, ..] => Answer::Postgres,
        [0x15, 3, ..] => Answer::Alert,
        _ if bytes.starts_with(b"HTTP/1.1 ") => Answer::Http,
        _ => panic!("who says {bytes:?}?"),
    }
}

/// What is answered to bytes, after which nothing comes.
fn ask(mut peer: Peer, bytes: &[u8]) -> Answer {
    peer.send(bytes).ok();
    peer.finish();
    let all = peer.rest();
    let first = answer(&all);
    // One room or the other, never both.
    let http = all.windows(9).any(|part| part == b"HTTP/1.1 ");
    assert!(!(http && first == Answer::Postgres), "{all:?}");
    first
}

/// Row A7.
#[tokio::test(flavor = "multi_thread")]
async fn each_first_byte_leads_to_one_room_or_to_none() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let (port, ca) = (broker.port(), site.path("ca.pem"));
    let tls = |alpn: &[&[u8]]| Peer::direct(port, Path::new(&ca), alpn);
    let mut cases = 0;
    for first in 0..=u8::MAX {
        let mut packet = startup(V3_0, &[("user", "nobody")]);
        packet[0] = first;
        let request = [
            &[first][..],
            b"ET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ]
        .concat();
        let plain = match first {
            0 => Answer::Postgres,
            0x16 => Answer::Alert,
            b'G' | b'P' | b'D' | b'H' | b'O' | b'C' | b'T' => Answer::Http,
            _ => Answer::Nobody,
        };
        for bytes in [&packet, &request] {
            let came = ask(Peer::dial(port), bytes);
            // A TLS record that is none may also end without an alert.
            let silent = plain == Answer::Alert && came == Answer::Nobody;
            assert!(came == plain || silent, "{first:#04x} in clear: {came:?}");
            assert_eq!(
                ask(tls(&[PG]).unwrap(), bytes),
                Answer::Postgres,
                "{first:#04x} by ALPN postgresql"
            );
            for alpn in [&[HTTP][..], &[]] {
                let came = ask(tls(alpn).unwrap(), bytes);
                assert!(
                    matches!(came, Answer::Http | Answer::Nobody),
                    "{first:#04x} by HTTP: {came:?}"
                );
            }
            cases += 4;
        }
    }
    // Who offers both gets PostgreSQL; who offers neither gets nowhere.
    let hello = startup(V3_0, &[("user", "nobody")]);
    for alpn in [[HTTP, PG], [PG, HTTP]] {
        assert_eq!(ask(tls(&alpn).unwrap(), &hello), Answer::Postgres);
    }
    for alpn in [
        &[&b"h2"[..]][..],
        &[b"postgres"],
        &[b"POSTGRESQL"],
        &[b"x", b"smtp"],
    ] {
        assert!(tls(alpn).is_err(), "{alpn:?}");
    }
    println!("{cases} cases of 256 first bytes");
}
