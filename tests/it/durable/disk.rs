//! The disk below the log: how many syncs there are, and what happens when one fails (rows F2, F4).

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{enter, leaves, site, verify};
use crate::harness::peer::{self, Peer};
use crate::harness::postgres::Server;
use crate::harness::site::Broker;
use crate::protocol::{log_all, logged};

/// Traces the system calls of a broker.
fn strace(broker: &Broker, arguments: &[&str]) -> Child {
    let pid = broker.child.id();
    let child = Command::new("strace")
        .args(["-f", "-qq", "-p", &pid.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed");
    let since = Instant::now();
    while !is_traced(pid) {
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(10), "strace does not attach");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Whether every thread of a process is traced.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().all(|task| {
        std::fs::read_to_string(task.path().join("status"))
            .is_ok_and(|status| !status.contains("TracerPid:\t0"))
    })
}

/// Ends a strace, which lets go of what it traces.
fn let_go(mut strace: Child) {
    let pid = rustix::process::Pid::from_child(&strace);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    strace.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_at_the_same_time_share_a_sync() {
    const CLIENTS: usize = 32;
    const EACH: usize = 20;
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peers: Vec<Peer> = (0..CLIENTS)
        .map(|_| {
            let mut peer = Peer::dial(broker.port());
            peer.login(&granted.user, &granted.secret, &offer.name);
            peer.query("SELECT 1");
            peer
        })
        .collect();
    let trace = site.path("trace");
    let output = trace.to_str().unwrap();
    // The disk takes its time, as real ones do.
    let slow = "inject=fdatasync:delay_exit=3000";
    let arguments = ["-e", "trace=fdatasync", "-e", slow, "-o", output];
    let strace = strace(&broker, &arguments);
    std::thread::scope(|scope| {
        for peer in &mut peers {
            scope.spawn(move || {
                for _ in 0..EACH {
                    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
                }
            });
        }
    });
    let_go(strace);
    let text = std::fs::read_to_string(&trace).unwrap();
    let syncs = text
        .lines()
        .filter(|line| line.contains("fdatasync("))
        .count();
    let statements = CLIENTS * EACH;
    let recorded = leaves(&site.path("audit"));
    let intents = recorded
        .iter()
        .filter(|leaf| leaf["event"] == "statement_intended")
        .count();
    assert_eq!(intents, statements + CLIENTS);
    // Two files a batch: without sharing there would be two syncs for each intent.
    assert!(
        syncs > 1 && syncs * 2 < statements,
        "{syncs} syncs for {statements} statements"
    );
    println!("{statements} statements of {CLIENTS} clients, {syncs} syncs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_stops_everything_and_the_log_goes_on_in_a_new_file() {
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    log_all(&server, &offer).await;
    let broker = site.run();
    let mut peer = enter(&site, &broker, &offer).await;
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    let arguments = [
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:error=EIO",
        "-o",
        "/dev/null",
    ];
    let strace = strace(&broker, &arguments);
    for number in 0..5 {
        let sql = format!("INSERT INTO customers VALUES ({}, 'eio')", 7000 + number);
        let answer = peer.query(&sql);
        assert_eq!(peer::kinds(&answer), "EZ", "{answer:?}");
        assert_eq!(peer::field(&answer[0].1, b'C'), "58030");
    }
    assert_eq!(broker.get(&site, "/readyz").0, 503);
    assert_eq!(logged(&server, "'eio'"), 0, "it ran without a record");
    let_go(strace);
    let since = Instant::now();
    while broker.get(&site, "/readyz").0 != 200 || peer::kinds(&peer.query("SELECT 2")) != "TDCZ" {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "it does not resume"
        );
    }
    let took = since.elapsed();
    drop(peer);
    drop(broker);
    let folder = site.path("audit");
    let (code, report) = verify(&folder);
    assert_eq!(code, 0, "{report}");
    let repairs = report["repairs"].as_array().unwrap();
    assert!(
        repairs.iter().any(|repair| repair["cause"]
            .as_str()
            .unwrap()
            .contains("Input/output error")),
        "{report}"
    );
    let segments = std::fs::read_dir(folder.join("log")).unwrap().count();
    assert!(segments > 1, "the file whose sync failed is trusted again");
    println!("resumed {took:?} after the disk worked again");
}
