//! A broker that is killed at any of its system calls while it makes a session (row C4): nothing is left after the next start, and what
//! it had is there.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dbgate::api::types::Granted;
use dbgate::store::sqlite;

use crate::harness::long;
use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Site, connect};

/// Kinds of system calls, each counted by itself, and how many moments of them the short form tries.
const CALLS: [(&str, u32); 4] = [
    ("all", 10),
    ("pwrite64", 4),
    ("fdatasync,fsync", 4),
    ("write,writev,sendto,sendmsg", 6),
];

/// A broker whose tasks share one thread, so that a count means the same each time.
fn start(site: &Site) -> Broker {
    let log = site.path("broker.log");
    let mut command = site.command(&log);
    command.env("TOKIO_WORKER_THREADS", "1");
    Broker::wait(command.spawn().unwrap(), log)
}

/// Traces a broker, or tampers with it.
fn strace(broker: &Broker, arguments: &[String]) -> Child {
    let pid = broker.child.id();
    for _ in 0..10 {
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-p", &pid.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            if is_traced(pid) {
                return strace;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // A thread that was made while it attached to the others is missed for good: once more.
        strace.kill().unwrap();
        strace.wait().unwrap();
    }
    panic!("strace does not attach");
}

/// Whether every thread of a process is traced; a process that is gone has none that is not.
fn is_traced(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return true;
    };
    tasks.flatten().all(|task| {
        std::fs::read_to_string(task.path().join("status"))
            .is_ok_and(|status| !status.contains("TracerPid:\t0"))
    })
}

/// How many calls of that kind one thread makes at most, while a session is made, used and ended.
fn count(site: &Site, calls: &str) -> u32 {
    let broker = start(site);
    let trace = site.path("trace");
    let arguments = [
        "-o".to_owned(),
        trace.display().to_string(),
        "-e".to_owned(),
        format!("trace={calls}"),
    ];
    let mut strace = strace(&broker, &arguments);
    assert!(site.exec(&broker, "SELECT 1").status.success());
    broker.kill();
    strace.wait().unwrap();
    let mut threads = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let thread = line.split(' ').next().unwrap().to_owned();
        if !line.contains(" resumed>") {
            *threads.entry(thread).or_insert(0) += 1;
        }
    }
    threads.values().copied().max().unwrap_or(0)
}

/// A session that was granted by an earlier broker goes on with this one.
async fn works(broker: &Broker, granted: &Granted) {
    let mut granted = granted.clone();
    granted.gateway.port = broker.port();
    let entered = connect(&granted, &granted.session.database).await;
    let (client, _) = entered.expect("a session of before is there");
    let rows = client.query("SELECT id FROM customers", &[]).await.unwrap();
    assert_eq!(rows.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_broker_killed_at_any_system_call_of_a_grant_leaves_nothing_behind() {
    let server = Server::shared();
    let offer = server.offer().await;
    let postgres = server.superuser(&offer.name).await;
    let site = Site::new(&server, &offer);
    let sql = "SELECT count(DISTINCT m.member) FROM pg_auth_members m \
               WHERE m.roleid = $1::text::regrole AND m.member::regrole::text LIKE 'dbgate%'";
    let writer = offer.role("writer");
    let left = async || -> i64 {
        let row = postgres.query_one(sql, &[&writer]).await.unwrap();
        row.get(0)
    };
    // A session of before all kills, which is to be there after each of them.
    let broker = start(&site);
    let kept = site.engineer(&broker).await.grant_read(7200).await;
    broker.kill();
    let (mut kills, mut total, mut hits, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (calls, short) in CALLS {
        let most = count(&site, calls);
        let step = if long() {
            1
        } else {
            most.div_ceil(short).max(1)
        };
        total += most;
        for nth in (1..=most).rev().step_by(step as usize) {
            let mut broker = start(&site);
            slowest = slowest.max(broker.started);
            let found = left().await;
            assert_eq!(
                found, 0,
                "leases are left when the port opens, {calls} {nth}"
            );
            works(&broker, &kept).await;
            let arguments = [
                "-o".to_owned(),
                "/dev/null".to_owned(),
                "-e".to_owned(),
                format!("trace={calls}"),
                "-e".to_owned(),
                format!("inject={calls}:signal=KILL:when={nth}"),
            ];
            let mut strace = strace(&broker, &arguments);
            let output = site.exec(&broker, "SELECT 1");
            let through = output.status.success() && broker.child.try_wait().unwrap().is_none();
            broker.kill();
            strace.wait().unwrap();
            kills += u32::from(!through);
            hits += i64::from(left().await > 0);
        }
    }
    assert!(
        kills >= 8 && hits > 0,
        "{kills} kills, {hits} of them left a lease: the test shows little"
    );
    let broker = site.run();
    assert_eq!(left().await, 0);
    works(&broker, &kept).await;
    let engineer = site.engineer(&broker).await;
    engineer.remote.end_session(&kept.session.id).await.unwrap();
    let output = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(output.status.success(), "{output:?}");
    // A creation that was sent and not answered is kept in mind for a minute, because it may still arrive; nothing else is.
    let deadline = Instant::now() + Duration::from_secs(80);
    loop {
        let kept = sqlite::peek(&site.path("data")).unwrap();
        let under_way = |error: Option<&str>| error == Some("its creation may still be under way");
        let mut others = kept.iter().filter(|l| !under_way(l.error.as_deref()));
        let settled = if long() {
            kept.is_empty()
        } else {
            others.next().is_none()
        };
        if settled {
            break;
        }
        assert!(Instant::now() < deadline, "{kept:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "{kills} kills at {total} system calls, {hits} left a lease; each start ended them, the slowest in {slowest:?}"
    );
}
