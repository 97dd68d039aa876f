//! A broker that runs out of file descriptors: it keeps answering whom it has, does not spin, and goes on when some come free.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::peer::{self, Peer};
use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Site};

/// How much processor time a process has used, in hundredths of a second.
fn used(broker: &Broker) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", broker.child.id())).unwrap();
    let (_, rest) = text.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_free_descriptors_keeps_answering_and_recovers() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::with(&server, &offer, "[limits]\nhandshake = \"4s\"\n");
    let log = site.path("broker.log");
    let inner = site.command(&log);
    let child = Command::new("prlimit")
        .arg("--nofile=100:100")
        .arg(inner.get_program())
        .args(inner.get_args())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .expect("prlimit is installed");
    let broker = Broker::wait(child, log);
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");

    // More than it can take; the rest waits in the system's queue.
    let crowd: Vec<Peer> = (0..200).map(|_| Peer::dial(broker.port())).collect();
    let since = Instant::now();
    while broker.descriptors() < 100 {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{} descriptors",
            broker.descriptors()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (before, since) = (used(&broker), Instant::now());
    let mut slowest = Duration::ZERO;
    let mut answers = 0;
    while since.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        let answer = peer.query("SELECT count(*) FROM customers");
        assert_eq!(peer::kinds(&answer), "TDCZ", "{answer:?}");
        slowest = slowest.max(asked.elapsed());
        answers += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spent = used(&broker) - before;
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // 40 statements and their records take some of it; a loop that does not wait would take all of the 200.
    assert!(spent < 80, "{spent} hundredths of a second in two seconds");
    let told = |broker: &Broker| {
        let lines = broker.lines();
        lines
            .iter()
            .filter(|line| line["message"] == "cannot accept connections")
            .count()
    };
    let complaints = told(&broker);
    assert!(
        (1..=5).contains(&complaints),
        "{complaints} lines in two seconds"
    );

    // The silent ones are parted from when their time is over, or leave: then others get in.
    drop(crowd);
    let since = Instant::now();
    let mut next = Peer::dial(broker.port());
    next.login(&granted.user, &granted.secret, &offer.name);
    let back = since.elapsed();
    assert!(back < Duration::from_secs(5), "{back:?}");
    let rows = site.exec(&broker, "SELECT 1");
    assert!(rows.status.success(), "{rows:?}");
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    println!(
        "{answers} answers without free descriptors, slowest {slowest:?}, {} ms of processor time; in again after {back:?}",
        spent * 10
    );
}
