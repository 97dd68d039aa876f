//! Cancels (row A9): only who holds the key of a connection cancels what runs on it, and only while it runs.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::long;
use crate::harness::peer::{self, Message, Peer, V3_0, startup, text};
use crate::protocol::{Stage, Way, words};

/// Protocol 3.2: keys are long.
const V3_2: u32 = 0x0003_0002;
/// Statements that are canceled.
const LONG: &str = "SELECT pg_sleep(20)";
/// What came of one that was.
const CANCELED: [&str; 3] = ["T", "E(ERROR 57014)", "Z(I)"];

/// From another address of this machine.
fn from(source: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))?;
    // The port is free again at once, however many there are.
    socket.set_linger(None)?;
    socket.connect(&SockAddr::from(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        port,
    ))))?;
    Ok(socket.into())
}

/// Sends a cancel, and waits until it has been dealt with: then the connection is closed.
fn cancel(source: Ipv4Addr, port: u16, key: &[u8]) {
    let mut peer = Peer::over(from(source, port).unwrap());
    peer.send(&peer::cancel(key)).unwrap();
    assert!(peer.rest().is_empty(), "a cancel is not answered");
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A source that nobody has used.
fn fresh() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0x7f01_0001);
    Ipv4Addr::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Stage {
    /// A connection that speaks that version.
    fn enter_as(&self, version: u32) -> Peer {
        let (user, secret) = self.credential(Way::Gateway);
        let mut peer = self.dial(Way::Gateway);
        let parameters = [("user", user), ("database", &*self.offer.name)];
        peer.send(&startup(version, &parameters)).unwrap();
        peer.until(b'R');
        assert_eq!(peer.prove(secret).last().unwrap().0, b'Z');
        peer
    }

    /// How many statements sleep at the database.
    async fn sleeping(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'";
        self.watcher.query_one(sql, &[]).await.unwrap().get(0)
    }

    pub(super) async fn sleeps(&self, count: i64) {
        let since = Instant::now();
        while self.sleeping().await != count {
            assert!(
                since.elapsed() < Duration::from_secs(10),
                "not {count} sleep"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn outcome(messages: &[Message]) -> Vec<String> {
    words(messages)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_a_key_cancels_and_nobody_else() {
    let stage = Stage::new().await;
    let port = stage.broker.port();
    for (version, length) in [(V3_0, 4), (V3_2, 32)] {
        let mut peer = stage.enter_as(version);
        let mut other = stage.enter_as(version);
        assert_eq!(peer.key.len(), 4 + length);
        peer.say(b'Q', &text(LONG));
        other.say(b'Q', &text("SELECT pg_sleep(1), 'unhurt'"));
        stage.sleeps(2).await;
        let (right, pid) = (peer.key.clone(), peer.key[..4].to_vec());
        let mut wrong: Vec<Vec<u8>> = vec![
            // The process with the other's secret; the secret of another process; one bit off; all zero; too long; too short.
            [&pid[..], &other.key[4..]].concat(),
            [&other.key[..4], &right[4..]].concat(),
            right
                .iter()
                .enumerate()
                .map(|(at, byte)| if at == 7 { byte ^ 1 } else { *byte })
                .collect(),
            [&pid[..], &vec![0; length]].concat(),
            [&right[..], &[0]].concat(),
            right[..7].to_vec(),
            [&pid[..], &vec![1; 256]].concat(),
            [&pid[..], &vec![1; 257]].concat(),
        ];
        wrong.push([&pid[..], &right[4..6]].concat());
        for key in &wrong {
            let mut forger = Peer::over(from(fresh(), port).unwrap());
            forger.send(&peer::cancel(key)).unwrap();
            forger.rest();
        }
        // A short key could be guessed: it counts only from where its connection came.
        if length == 4 {
            cancel(fresh(), port, &right);
        }
        assert_eq!(
            words(&other.until(b'Z')),
            ["T", "D", "C", "Z(I)"],
            "the other was hurt"
        );
        stage.sleeps(1).await;
        cancel(if length == 4 { HERE } else { fresh() }, port, &right);
        let since = Instant::now();
        assert_eq!(outcome(&peer.until(b'Z')), CANCELED);
        assert!(
            since.elapsed() < Duration::from_secs(2),
            "{:?}",
            since.elapsed()
        );

        // Used again, it finds nothing, and what comes next is not hit.
        cancel(HERE, port, &right);
        assert_eq!(
            outcome(&peer.query("SELECT pg_sleep(0.02)")),
            ["T", "D", "C", "Z(I)"]
        );
        // With the connection gone it is nobody's, whoever has got the process number since.
        peer.say(b'X', &[]);
        assert!(peer.until(0).is_empty());
        let mut next = stage.enter_as(version);
        next.say(b'Q', &text("SELECT pg_sleep(0.3)"));
        stage.sleeps(1).await;
        cancel(HERE, port, &right);
        cancel(HERE, port, &[&next.key[..4], &right[4..]].concat());
        assert_eq!(outcome(&next.until(b'Z')), ["T", "D", "C", "Z(I)"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cancels_at_once_hit_one_statement_and_not_the_next() {
    let rounds = if long() { 1_000 } else { 15 };
    let stage = Stage::new().await;
    let port = stage.broker.port();
    let mut peer = stage.enter_as(V3_2);
    let mut other = stage.enter_as(V3_2);
    for round in 0..rounds {
        peer.say(b'Q', &text(LONG));
        stage.sleeps(1).await;
        // It runs while the cancels arrive.
        other.say(b'Q', &text("SELECT pg_sleep(0.15), 'unhurt'"));
        let crowd = if long() || round % 5 == 0 { 100 } else { 10 };
        let mut senders: Vec<Peer> = (0..crowd)
            .map(|_| {
                let mut sender = Peer::dial(port);
                sender.send(&peer::cancel(&peer.key)).unwrap();
                sender
            })
            .collect();
        assert_eq!(outcome(&peer.until(b'Z')), CANCELED, "round {round}");
        for sender in &mut senders {
            assert!(sender.rest().is_empty());
        }
        // All of them are dealt with by now: none of them is left for the next statement.
        for _ in 0..3 {
            assert_eq!(
                outcome(&peer.query("SELECT pg_sleep(0.002)")),
                ["T", "D", "C", "Z(I)"],
                "round {round}"
            );
        }
        assert_eq!(
            outcome(&other.until(b'Z')),
            ["T", "D", "C", "Z(I)"],
            "round {round}: the other was hurt"
        );
    }
    println!(
        "{rounds} rounds of {} cancels",
        if long() { "100" } else { "10 to 100" }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_of_what_is_over_does_not_hit_what_follows() {
    let rounds = if long() { 1_000 } else { 200 };
    let stage = Stage::new().await;
    let port = stage.broker.port();
    let mut peer = stage.enter_as(V3_0);
    for round in 0..rounds {
        cancel(HERE, port, &peer.key.clone());
        let came = outcome(&peer.query("SELECT 1"));
        assert_eq!(came, ["T", "D", "C", "Z(I)"], "round {round}");
    }
    println!("{rounds} cancels of an idle connection, each with a statement right behind it");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_cancels_have_no_effect_however_many_there_are() {
    let count: u32 = if long() { 1_000_000 } else { 10_000 };
    let stage = Stage::new().await;
    let port = stage.broker.port();
    let before = stage.broker.descriptors();
    let mut short = stage.enter_as(V3_0);
    let mut long_key = stage.enter_as(V3_2);
    let keys = [short.key.clone(), long_key.key.clone()];
    let sleep = format!("SELECT pg_sleep({})", if long() { 280 } else { 5 });
    short.say(b'Q', &text(&sleep));
    long_key.say(b'Q', &text(&sleep));
    stage.sleeps(2).await;
    let since = Instant::now();
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    // Half with the process number of one that runs; each from one of many addresses, so that few are kept from guessing.
                    let victim = &keys[usize::from(number.is_multiple_of(2))];
                    let mut key = victim.clone();
                    key[4..8].copy_from_slice(&(number.wrapping_mul(2_654_435_761)).to_be_bytes());
                    if number % 4 > 1 {
                        key[2] ^= 1;
                    }
                    if key == *victim {
                        continue;
                    }
                    let source = Ipv4Addr::from(0x7f02_0000 + number % 60_000 + 1);
                    let mut stream = from(source, port).unwrap();
                    std::io::Write::write_all(&mut stream, &peer::cancel(&key)).unwrap();
                    let mut byte = [0];
                    let end = std::io::Read::read(&mut stream, &mut byte);
                    assert!(!matches!(end, Ok(1..)), "a cancel is not answered");
                }
            });
        }
    });
    let took = since.elapsed();
    assert_eq!(
        stage.sleeping().await,
        2,
        "a forged cancel had an effect within {took:?}"
    );
    // The owner is still heard, though thousands were not.
    cancel(HERE, port, &keys[0]);
    cancel(HERE, port, &keys[1]);
    assert_eq!(outcome(&short.until(b'Z')), CANCELED);
    assert_eq!(outcome(&long_key.until(b'Z')), CANCELED);
    stage.broker.settle(before);
    println!(
        "{count} forged cancels, 0 effects, {:.0}/s",
        f64::from(count) / took.as_secs_f64()
    );
}

/// Whoever guesses is not listened to for a while, not even with the right key; everybody else is.
#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_keys_is_not_listened_to_for_a_while() {
    let stage = Stage::new().await;
    let port = stage.broker.port();
    let mut peer = stage.enter_as(V3_2);
    let guesser = fresh();
    for number in 0..10_u8 {
        cancel(guesser, port, &[&peer.key[..4], &[number; 32]].concat());
    }
    peer.say(b'Q', &text("SELECT pg_sleep(0.5)"));
    stage.sleeps(1).await;
    cancel(guesser, port, &peer.key.clone());
    assert_eq!(outcome(&peer.until(b'Z')), ["T", "D", "C", "Z(I)"]);
    peer.say(b'Q', &text(LONG));
    stage.sleeps(1).await;
    cancel(fresh(), port, &peer.key.clone());
    assert_eq!(outcome(&peer.until(b'Z')), CANCELED);
    // A connection of another session does not help either.
    let granted = stage.site.engineer(&stage.broker).await.grant(600).await;
    let mut stranger = stage.dial(Way::Gateway);
    stranger.login(&granted.user, &granted.secret, &stage.offer.name);
    peer.say(b'Q', &text("SELECT pg_sleep(0.3)"));
    stage.sleeps(1).await;
    cancel(HERE, port, &stranger.key.clone());
    assert_eq!(outcome(&peer.until(b'Z')), ["T", "D", "C", "Z(I)"]);
}
