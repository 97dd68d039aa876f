//! A client with a good session and a driver of its own tries to make the broker large or slow: it stays small, and others are served.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dbgate::api::types::Granted;

use crate::harness::long;
use crate::harness::peer::{self, Peer, frame, text};
use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, Site};

/// What one client may cost, whatever it does.
const MOST: usize = 24 * 1024 * 1024;

struct Stage {
    site: Site,
    offer: Offer,
    broker: Broker,
    granted: Granted,
}

impl Stage {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With more of the broker's configuration.
    async fn with(config: &str) -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        let site = Site::with(&server, &offer, config);
        let broker = site.run();
        let granted = site.engineer(&broker).await.grant(3600).await;
        Self {
            site,
            offer,
            broker,
            granted,
        }
    }

    /// A connection, and its socket.
    fn enter(&self) -> (Peer, TcpStream) {
        let stream = TcpStream::connect(("127.0.0.1", self.broker.port())).unwrap();
        let socket = stream.try_clone().unwrap();
        let mut peer = Peer::over(stream);
        let Granted { user, secret, .. } = &self.granted;
        peer.login(user, secret, &self.offer.name);
        (peer, socket)
    }

    /// Sends the same bytes again and again without reading an answer; how many, and how much memory that took at most.
    fn flood(&self, begin: &[u8], again: &[u8]) -> (usize, usize) {
        let (_peer, mut socket) = self.enter();
        let pause = Duration::from_millis(200);
        socket.set_write_timeout(Some(pause)).unwrap();
        let before = self.broker.memory();
        socket.write_all(begin).unwrap();
        let since = Instant::now();
        let (mut sent, mut most) = (0, 0);
        let span = Duration::from_secs(if long() { 20 } else { 2 });
        while since.elapsed() < span {
            // Refused for now: it is not read any more.
            match socket.write(&again[sent % again.len()..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
            most = most.max(self.broker.memory().saturating_sub(before));
        }
        // Somebody else is served in the meantime.
        let since = Instant::now();
        let (mut other, _) = self.enter();
        assert_eq!(peer::kinds(&other.query("SELECT 1")), "TDCZ");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        (sent, most)
    }
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    frame(b'B', &[text(portal), text(statement), vec![0; 6]].concat())
}

fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', &[text(portal), vec![0; 4]].concat())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    frame(b'P', &[text(name), text(sql), vec![0, 0]].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_and_never_reads_costs_little() {
    let stage = Stage::new().await;
    let sync = frame(b'S', &[]);
    let close = frame(b'C', &[b"S".to_vec(), text("x")].concat());
    let rows = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)";
    let data = frame(b'd', &vec![b'1'; 8_000]);
    let floods: [(&str, Vec<u8>, Vec<u8>); 11] = [
        ("syncs", vec![], sync.clone()),
        ("flushes", vec![], frame(b'H', &[])),
        ("closes without a sync", vec![], close.clone()),
        ("closes with syncs", vec![], [close, sync.clone()].concat()),
        ("empty queries", vec![], frame(b'Q', &[0])),
        ("queries", vec![], frame(b'Q', &text("SELECT 1"))),
        ("rows", frame(b'Q', &text(rows)), sync.clone()),
        (
            "the same statement",
            vec![],
            [parse("", "SELECT 1"), bind("", ""), execute("")].concat(),
        ),
        ("data that nobody wants", vec![], data.clone()),
        (
            "data",
            frame(b'Q', &text("COPY customers (name) FROM STDIN")),
            data,
        ),
        (
            "a statement that never ends",
            vec![b'Q', 0, 0xff, 0xff, 0xff],
            text("SELECT "),
        ),
    ];
    for (name, begin, again) in floods {
        // A piece as large as what is written at once.
        let again = again.repeat((64 * 1024 / again.len()).max(1));
        let (sent, most) = stage.flood(&begin, &again);
        println!("{name}: {sent} bytes sent, {} KiB more", most / 1024);
        assert!(most < MOST, "{name}: {most} bytes more for {sent} sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_recorded_and_holds_up_nobody() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.enter();
    // version(), by its OID.
    let call = frame(b'F', &[&89_u32.to_be_bytes()[..], &[0; 6]].concat());
    let count = if long() { 200_000 } else { 20_000 };
    let (mut other, _) = stage.enter();
    let (answers, slowest) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut answers = 0;
            for _ in 0..count / 1000 {
                peer.send(&call.repeat(1000)).unwrap();
                for _ in 0..1000 {
                    let answer = peer.until(b'Z');
                    answers += usize::from(peer::kinds(&answer) == "EZ");
                }
            }
            answers
        });
        let mut slowest = Duration::ZERO;
        while !flood.is_finished() {
            let since = Instant::now();
            assert_eq!(peer::kinds(&other.query("SELECT 1")), "TDCZ");
            slowest = slowest.max(since.elapsed());
        }
        (flood.join().unwrap(), slowest)
    });
    assert_eq!(answers, count);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    drop(peer);
    let lost: Vec<_> = stage.broker.lines();
    let lost = lost.iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(lost, 0, "not all of it could be recorded");
    // As many refusals are on record as the client was told.
    let folder = stage.site.path("data");
    let found = crate::audit::holding(&folder, "\"statement_refused\"");
    let recorded: usize = found
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.matches("\"statement_refused\"").count()
        })
        .sum();
    assert_eq!(recorded, count);
    println!("{count} function calls refused and recorded; another waited {slowest:?} at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_too_much_is_told_so_and_goes_on() {
    let stage = Stage::new().await;
    let (mut peer, _) = stage.enter();
    let sync = frame(b'S', &[]);
    let before = stage.broker.memory();
    let full = |peer: &mut Peer, sql: &str, number: usize| -> bool {
        peer.send(&[parse(&format!("s{number}"), sql), sync.clone()].concat())
            .unwrap();
        let answer = peer.until(b'Z');
        match answer.first() {
            Some((b'1', _)) => false,
            Some((b'E', body)) => {
                assert_eq!(peer::field(body, b'C'), "53400", "{answer:?}");
                assert!(peer::field(body, b'H').contains("DEALLOCATE"));
                true
            }
            other => panic!("{other:?}"),
        }
    };
    let large = format!("SELECT '{}'", "x".repeat(2 * 1024 * 1024));
    let kept = (0..100)
        .find(|number| full(&mut peer, &large, *number))
        .unwrap();
    assert!((10..40).contains(&kept), "{kept}");
    let most = stage.broker.memory().saturating_sub(before);
    assert!(most < 256 << 20, "{most}");
    assert_eq!(peer::kinds(&peer.query("DEALLOCATE ALL")), "CZ");
    assert!(!full(&mut peer, &large, 0));
    assert_eq!(peer::kinds(&peer.query("DEALLOCATE ALL")), "CZ");
    // Small ones in a pipeline, more than any driver keeps.
    let mut refused = 0;
    for start in (0..21_000).step_by(500) {
        let many = (start..start + 500).flat_map(|number| parse(&format!("p{number}"), "SELECT 1"));
        peer.send(&[many.collect(), sync.clone()].concat()).unwrap();
        refused += peer
            .until(b'Z')
            .iter()
            .filter(|(kind, _)| *kind == b'E')
            .count();
    }
    assert!(refused > 0, "all of them were taken");
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    // The same by SQL.
    let answer = peer.query("PREPARE one_more AS SELECT 1");
    assert_eq!(peer::field(&answer[0].1, b'C'), "53400", "{answer:?}");
    println!("{kept} statements of 2 MiB, {} MiB more", most >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_statements_keep_nobody_waiting() {
    let stage = Stage::new().await;
    let long = format!("SELECT {}1", "1+".repeat(60_000));
    let secret = format!("SELEC password 'x' {}", "abcd efg ".repeat(20_000));
    let huge = vec![b'x'; 17 * 1024 * 1024];
    // Beyond what the guard reads, and beyond what is read at all.
    let (mut peer, _) = stage.enter();
    let before = stage.broker.memory();
    let middling = format!("SELECT '{}'", "y".repeat(5 * 1024 * 1024));
    let answer = peer.query(&middling);
    assert_eq!(
        peer::field(&answer[0].1, b'C'),
        "54000",
        "{:?}",
        answer.last()
    );
    assert!(!peer::field(&answer[0].1, b'H').is_empty(), "no next step");
    let header = frame(b'Q', &huge);
    peer.send(&header[..5]).unwrap();
    let (kind, body) = peer.message().unwrap();
    assert_eq!((kind, &*peer::field(&body, b'C')), (b'E', "08P01"));
    let grown = stage.broker.memory().saturating_sub(before);
    assert!(grown < 96 << 20, "{grown}");
    let (mut other, _) = stage.enter();
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        for sql in [&long, &secret, &long, &secret] {
            let (mut peer, _) = stage.enter();
            scope.spawn(move || {
                for _ in 0..2 {
                    peer.query(sql);
                }
            });
        }
        (0..20)
            .map(|_| {
                let since = Instant::now();
                assert_eq!(peer::kinds(&other.query("SELECT 1")), "TDCZ");
                since.elapsed()
            })
            .collect()
    });
    waits.sort_unstable();
    assert!(waits[10] < Duration::from_secs(1), "{waits:?}");
    println!(
        "beside four long statements: median {:?}, most {:?}",
        waits[10], waits[19]
    );
}

/// `Parse`, `Bind` with one parameter of so many bytes, `Execute`, `Sync`.
fn large(bytes: usize) -> Vec<u8> {
    let size = u32::try_from(bytes).unwrap().to_be_bytes();
    let body = [&[0, 0, 0, 0, 0, 1][..], &size, &vec![b'x'; bytes], &[0, 0]].concat();
    [
        frame(
            b'P',
            &[text(""), text("SELECT length($1::text)"), vec![0, 0]].concat(),
        ),
        frame(b'B', &body),
        frame(b'E', &[text(""), vec![0; 4]].concat()),
        frame(b'S', &[]),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_share_what_room_there_is() {
    const MIB: usize = 1 << 20;
    let stage = Stage::with("[limits]\nmessages = 16777216\n").await;
    let (mut one, _) = stage.enter();
    let (mut other, _) = stage.enter();
    // The first holds ten of sixteen, and its message is not complete.
    let first = large(10 * MIB);
    let (begin, rest) = first.split_at(first.len() - 100);
    one.send(begin).unwrap();
    let mut full = 0;
    for _ in 0..100 {
        other.send(&large(10 * MIB)).unwrap();
        let answers = other.until(b'Z');
        let error = answers.iter().find(|(kind, _)| *kind == b'E');
        let Some((_, body)) = error else {
            // The first one's bytes were still on their way.
            assert_eq!(peer::kinds(&answers), "12DCZ");
            continue;
        };
        assert_eq!(peer::field(body, b'C'), "53200");
        assert!(peer::field(body, b'H').contains("limits.messages"));
        full += 1;
        if full == 3 {
            break;
        }
    }
    assert_eq!(full, 3);
    // Its session goes on, small messages need no room, and what is longer than all of it is told so.
    assert_eq!(peer::kinds(&other.query("SELECT 1")), "TDCZ");
    other.send(&large(MIB / 2)).unwrap();
    assert_eq!(peer::kinds(&other.until(b'Z')), "12DCZ");
    let before = stage.broker.memory();
    other.send(&large(64 * MIB)).unwrap();
    let answers = other.until(b'Z');
    let error = answers.iter().find(|(kind, _)| *kind == b'E').unwrap();
    assert_eq!(peer::field(&error.1, b'C'), "54000", "{answers:?}");
    let grown = stage.broker.memory().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown}");
    // The first has not noticed; once it is through there is room.
    one.send(rest).unwrap();
    assert_eq!(peer::kinds(&one.until(b'Z')), "12DCZ");
    other.send(&large(10 * MIB)).unwrap();
    assert_eq!(peer::kinds(&other.until(b'Z')), "12DCZ");
}
