//! A broker that died in the middle of writing: the next one cuts what is torn, says so in the log, and goes on (rows F1, F6).

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{enter, files, foreign, leaves, put, site, verify, work};
use crate::harness::long;
use crate::harness::peer::{self, Peer};
use crate::harness::postgres::Server;
use crate::protocol::log_all;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_cut_anywhere_is_opened_by_the_next_broker_which_says_what_is_gone() {
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    let broker = site.run();
    let mut peer = enter(&site, &broker, &offer).await;
    for _ in 0..if long() { 12 } else { 2 } {
        work(&mut peer);
    }
    broker.kill();
    let folder = site.path("audit");
    let honest = files(&folder);
    let (name, whole) = honest
        .iter()
        .find(|(name, _)| name.starts_with("log"))
        .unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let start = header.max(whole.len().saturating_sub(65_536));
    let places = if long() { 256 } else { 16 };
    let step = ((whole.len() - start) / places).max(1);
    let records = whole.iter().filter(|byte| **byte == b'\n').count() - 1;
    let mut openings = 0;
    // The last byte and the one before are where a write most likely ends.
    for length in (start..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut files = honest.clone();
        let log = files.iter_mut().find(|(of, _)| of == name).unwrap();
        log.1.truncate(length);
        put(&folder, &files);
        let broker = site.run();
        drop(broker);
        let kept = whole[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            - 1;
        let leaves = leaves(&folder);
        let repair = &leaves[kept];
        assert_eq!(repair["event"], "log_repaired", "cut at {length}: {repair}");
        assert_eq!(repair["kept"], kept, "cut at {length}: {repair}");
        assert!(
            repair["cut"].as_u64().unwrap() > 0,
            "cut at {length}: {repair}"
        );
        // What had been acknowledged and is gone is said, too: a crash does not do that.
        let lost = repair["lost"].as_u64().unwrap();
        assert!(lost <= u64::try_from(records - kept).unwrap(), "{repair}");
        let (code, report) = verify(&folder);
        assert_eq!(code, 0, "cut at {length}: {report}");
        assert_eq!(report["repairs"].as_array().unwrap().len(), 1);
        let said = foreign(&folder);
        assert!(said.status.success(), "cut at {length}: {said:?}");
        openings += 1;
    }
    println!(
        "{openings} starts on a log cut in its last {} bytes",
        whole.len() - start
    );
}

/// A client that inserts as fast as it can; what it was told was done.
fn insert(peer: &mut Peer, client: usize, stop: &AtomicBool) -> Vec<String> {
    let mut done = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let sql = format!("INSERT INTO customers VALUES ({client}{number:05}, 'f1')");
        if peer.send(&peer::frame(b'Q', &peer::text(&sql))).is_err() {
            break;
        }
        let answer = peer.until(b'Z');
        if !peer::kinds(&answer).starts_with("CZ") {
            break;
        }
        done.push(sql);
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_before_a_kill_is_in_the_log_whatever_the_moment() {
    let (kills, clients) = if long() { (200, 50) } else { (4, 8) };
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    log_all(&server, &offer).await;
    let (mut acknowledged, mut ran) = (0, 0);
    for kill in 0..kills {
        let broker = site.run();
        let granted = site.engineer(&broker).await.grant(3600).await;
        let mut peers: Vec<Peer> = (0..clients)
            .map(|_| {
                let mut peer = Peer::dial(broker.port());
                peer.login(&granted.user, &granted.secret, &offer.name);
                peer
            })
            .collect();
        let stop = AtomicBool::new(false);
        let done: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = peers
                .iter_mut()
                .enumerate()
                .map(|(client, peer)| {
                    let (stop, client) = (&stop, 1 + kill * clients + client);
                    scope.spawn(move || insert(peer, client, stop))
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(
                150 + (kill * 37 % 200) as u64,
            ));
            broker.kill();
            stop.store(true, Ordering::Relaxed);
            let done = workers.into_iter().map(|worker| worker.join().unwrap());
            done.flatten().collect()
        });
        acknowledged += done.len();
        // The next one opens what is left; its predecessor's backends may still be at work until it has ended them.
        drop(site.run());
        let folder = site.path("audit");
        let payload: String = files(&folder.join("payload"))
            .iter()
            .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        let intended: BTreeSet<&str> = payload
            .lines()
            .filter(|line| line.starts_with("INSERT INTO customers"))
            .collect();
        for sql in &done {
            assert!(
                intended.contains(sql.as_str()),
                "kill {kill}: {sql} was answered and is not in the log"
            );
        }
        let log = fs::read_to_string(server.socket().join("log")).unwrap();
        let mut statements = 0;
        for line in log
            .lines()
            .filter(|line| line.contains("'f1')") && line.contains("statement: "))
        {
            let (_, sql) = line.split_once("statement: ").unwrap();
            assert!(
                intended.contains(sql),
                "kill {kill}: {sql} ran and is not in the log"
            );
            statements += 1;
        }
        assert!(statements >= done.len());
        ran = statements;
        // The whole of it takes longer each time.
        if kill % 20 != 0 && kill + 1 != kills {
            continue;
        }
        let (code, report) = verify(&folder);
        assert_eq!(code, 0, "kill {kill}: {report}");
        assert!(
            report["repairs"]
                .as_array()
                .unwrap()
                .iter()
                .all(|repair| repair["lost"] == 0),
            "{report}"
        );
    }
    assert!(acknowledged > kills * 10, "{acknowledged}");
    println!(
        "{kills} kills under {clients} clients: {acknowledged} answered, {ran} ran, all of them on record"
    );
}
