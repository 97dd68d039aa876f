//! Bytes on the port that are no PostgreSQL protocol, or too slow, or from the wrong place: the connection ends with a reason, and nobody
//! else notices.

use std::time::{Duration, Instant};

use dbgate::api::types;

use crate::badinput::{Said, check};
use crate::harness::peer::{self, Message, Peer, V3_0, frame, packet, startup};
use crate::harness::postgres::Server;
use crate::harness::site::Site;

const USER: (&str, &str) = ("user", "nobody");

/// What is answered to bytes after which nothing comes.
fn told(port: u16, bytes: &[u8]) -> Vec<Message> {
    let mut peer = Peer::dial(port);
    peer.send(bytes).unwrap();
    peer.finish();
    peer.until(0)
}

/// First packets, by their row.
fn first_packets() -> Vec<(&'static str, Vec<u8>)> {
    let cut = startup(V3_0, &[USER]);
    let wants = |name, value| startup(V3_0, &[USER, (name, value)]);
    vec![
        ("startup length too small", b"\0\0\0\x07\0\x03\0".to_vec()),
        (
            "startup length huge",
            [&10_001_u32.to_be_bytes()[..], &[b'x'; 9_997]].concat(),
        ),
        (
            "startup length negative",
            b"\0\xff\xff\xff\0\x03\0\0".to_vec(),
        ),
        ("startup packet cut", cut[..cut.len() - 3].to_vec()),
        (
            "startup packet without an end",
            packet(b"\0\x03\0\0user\0nobody"),
        ),
        ("startup packet without a user", startup(V3_0, &[])),
        (
            "startup parameter twice",
            startup(V3_0, &[USER, ("user", "somebody")]),
        ),
        ("startup option without a name", wants("options", "-c=")),
        (
            "startup packet of protocol 2",
            startup(0x0002_0000, &[USER]),
        ),
        (
            "startup text not UTF-8",
            packet(b"\0\x03\0\0user\0\xff\xfe\0\0"),
        ),
        ("startup wants replication", wants("replication", "true")),
        ("startup wants a role", wants("role", "postgres")),
        ("TLS asked for twice", [peer::GSS, peer::GSS].concat()),
        (
            "bytes before TLS",
            [peer::SSL, &frame(b'Q', b"select 1\0")].concat(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_packet_that_is_none_is_told_so() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let before = broker.descriptors();
    for (input, bytes) in first_packets() {
        let mut answer = told(broker.port(), &bytes);
        // The GSS request that came first is declined by one byte.
        if input == "TLS asked for twice" {
            let mut peer = Peer::dial(broker.port());
            peer.send(&bytes).unwrap();
            let mut declined = [0];
            peer.read_exact(&mut declined).unwrap();
            assert_eq!(declined, *b"N");
            answer = peer.until(0);
        }
        check(input, Said::on_wire(&answer));
    }
    let rows = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(rows.status.success(), "the broker does not go on: {rows:?}");
    broker.settle(before);
}

/// Messages after the login, by their row.
fn later_messages() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("message length negative", b"Q\xff\xff\xff\xff".to_vec()),
        ("message length too small", b"Q\0\0\0\x03".to_vec()),
        ("message length huge", b"B\x3f\xff\xff\xff".to_vec()),
        ("message of an unknown kind", frame(b'z', b"")),
        ("query not UTF-8", frame(b'Q', b"select '\xff'\0")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_none_ends_its_connection_with_a_reason() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let enter = || enter(&granted, &offer.name);
    let mut other = enter();
    for (input, bytes) in later_messages() {
        let mut peer = enter();
        peer.send(&bytes).unwrap();
        let answer = peer.until(0);
        check(input, Said::on_wire(&answer));
        assert_eq!(
            peer::kinds(&other.query("select 1")),
            "TDCZ",
            "after {input}"
        );
    }
    // Cut at each of its bytes: nothing of it runs, and others go on.
    let whole = frame(b'Q', b"INSERT INTO customers VALUES (1000)\0");
    for length in 1..whole.len() {
        let mut peer = enter();
        peer.send(&whole[..length]).unwrap();
        peer.finish();
        assert!(peer.until(0).is_empty(), "{length}");
    }
    let count = other.query("SELECT count(*) FROM customers WHERE id = 1000");
    let row = count.iter().find(|(kind, _)| *kind == b'D').unwrap();
    assert!(row.1.ends_with(b"0"), "{row:?}");
    println!(
        "{} messages that are none, {} cuts",
        later_messages().len(),
        whole.len() - 1
    );
}

fn enter(granted: &types::Granted, database: &str) -> Peer {
    let mut peer = Peer::dial(granted.gateway.port);
    peer.login(&granted.user, &granted.secret, database);
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_parted_from_in_time() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::with(&server, &offer, "[limits]\nhandshake = \"1s\"\n");
    let broker = site.run();
    let before = broker.descriptors();
    let since = Instant::now();
    let mut silent = Peer::dial(broker.port());
    let mut hesitant = Peer::dial(broker.port());
    hesitant.hello(&[USER]);
    let mut half = Peer::dial(broker.port());
    half.send(&startup(V3_0, &[USER])[..7]).unwrap();
    let mut tls = Peer::dial(broker.port());
    tls.send(peer::SSL).unwrap();
    let mut mute = Peer::dial(broker.port());
    mute.send(b"\x16\x03\x01").unwrap();
    check("client that sends nothing", Said::on_wire(&silent.until(0)));
    check(
        "client that does not prove itself",
        Said::on_wire(&hesitant.until(0)),
    );
    // These speak something that has no words for it yet.
    assert!(half.rest().is_empty());
    assert_eq!(tls.rest(), b"S");
    assert!(mute.rest().is_empty());
    let took = since.elapsed();
    assert!(took > Duration::from_millis(900), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    broker.settle(before);
    let rows = site.exec(&broker, "SELECT 1");
    assert!(rows.status.success(), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_taken_from_nowhere_unless_the_configuration_says_so() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.edit("plain_text = \"loopback\"", "plain_text = \"never\"");
    let broker = site.run();
    let answer = told(broker.port(), &startup(V3_0, &[USER]));
    check("plain text from elsewhere", Said::on_wire(&answer));
}
