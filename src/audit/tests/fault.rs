//! A disk that fails or is full: nothing is acknowledged that is not there, and the log resumes by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::world::{Fault, Memory, intended, open};
use crate::audit::event::Action;
use crate::audit::log::{Error, Extent, Log, Readiness, check};

#[expect(clippy::disallowed_methods, reason = "waits for a thread of its own")]
pub(super) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kinds(log: &Log) -> Vec<String> {
    let records = log.read(0).unwrap().next_many(usize::MAX).unwrap();
    let name = |action: &Action| crate::audit::search::name(action).unwrap();
    records
        .iter()
        .map(|record| name(&record.event.action))
        .collect()
}

#[test]
fn a_failing_disk_stops_everything_and_the_log_resumes_by_itself() {
    for fault in [
        Fault::Write(Errno::IO),
        Fault::Write(Errno::NOSPC),
        Fault::Write(Errno::DQUOT),
        Fault::Sync(Errno::IO),
        Fault::Sync(Errno::NOSPC),
    ] {
        for spared in 0..6 {
            let storage = Arc::new(Memory::default());
            let (log, _) = open(&storage);
            log.append_blocking(intended("ann", "select 1")).unwrap();
            storage.break_with(fault, spared, None);
            let mut acknowledged = 1;
            let error = loop {
                match log.append_blocking(intended("ann", "select 2")) {
                    Ok(_) => acknowledged += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            assert!(matches!(log.readiness(), Readiness::Failing { .. }));
            assert!(log.append_blocking(intended("ann", "select 3")).is_err());
            log.enqueue(intended("ann", "what had run already"))
                .unwrap();
            storage.heal();
            until("ready again", || log.readiness() == Readiness::Ready);
            log.append_blocking(intended("ann", "select 4")).unwrap();
            let kinds = kinds(&log);
            assert!(kinds.len() >= acknowledged + 3, "{fault:?}: {kinds:?}");
            assert_eq!(kinds[acknowledged], "log_repaired", "{fault:?}: {kinds:?}");
            log.close();
            let durable = Memory::with(&storage.durable());
            let report = check(durable.as_ref(), &Extent::All).unwrap();
            let lines = |finding: &crate::audit::verify::Finding| finding.file != "head";
            assert!(
                !report.findings.iter().any(lines),
                "{fault:?}: {:?}",
                report.findings
            );
        }
    }
}

#[test]
fn after_a_failed_sync_the_file_is_not_trusted_again() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    log.append_blocking(intended("ann", "select 1")).unwrap();
    storage.break_with(Fault::Sync(Errno::IO), 0, Some(1));
    assert!(log.append_blocking(intended("ann", "select 2")).is_err());
    until("ready again", || log.readiness() == Readiness::Ready);
    log.append_blocking(intended("ann", "select 3")).unwrap();
    log.close();
    let files = storage.files();
    assert!(files.contains_key("log/00000000000000000001.log"));
    let text = String::from_utf8_lossy(&files["payload/00000000000000000000.dat"]).into_owned();
    assert!(!text.contains("select 2"), "{text}");
}

#[test]
fn a_full_disk_refuses_and_room_lets_it_go_on() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    storage.state.lock().unwrap().room = Some(20_000);
    let mut acknowledged = 0;
    while log.append_blocking(intended("ann", "select 1")).is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 100);
    }
    for _ in 0..100 {
        assert!(log.append_blocking(intended("ann", "select 2")).is_err());
    }
    let Readiness::Failing { reason, .. } = log.readiness() else {
        panic!("ready on a full disk");
    };
    assert!(reason.contains("No space left"), "{reason}");
    storage.heal();
    until("ready again", || log.readiness() == Readiness::Ready);
    log.append_blocking(intended("ann", "select 3")).unwrap();
    let records = log.read(0).unwrap().next_many(usize::MAX).unwrap();
    let texts: Vec<_> = records
        .iter()
        .filter_map(|record| crate::audit::search::statement(&record.event.action))
        .map(|statement| statement.statement.text().unwrap())
        .collect();
    assert_eq!(
        texts.iter().filter(|text| **text == "select 1").count(),
        acknowledged
    );
    assert!(!texts.contains(&"select 2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_wait_share_a_sync() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut indexes = Vec::new();
                for _ in 0..20 {
                    indexes.push(log.append(intended("ann", "select 1")).await.unwrap());
                }
                indexes
            })
        })
        .collect();
    let mut indexes = Vec::new();
    for task in tasks {
        indexes.extend(task.await.unwrap());
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..4000).collect::<Vec<_>>());
    let syncs = storage.state.lock().unwrap().syncs;
    assert!(syncs < 6000, "{syncs} syncs for 4000 records with texts");
    log.close();
    assert!(check(storage.as_ref(), &Extent::All).unwrap().is_intact());
}
