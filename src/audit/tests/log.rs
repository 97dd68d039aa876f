//! The log: what goes in comes out, and nothing else is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use super::fault::until;
use super::world::{Memory, Passing, intended, open, options};
use crate::audit::event::{Action, Context, Event};
use crate::audit::log::{Log, Options, Record};
use crate::audit::{Auditable, Recorded};

fn all(log: &Log) -> Vec<Record> {
    log.read(0).unwrap().next_many(usize::MAX).unwrap()
}

#[test]
fn what_was_recorded_is_read_back_also_by_the_next_start() {
    let storage = Arc::new(Memory::default());
    let (log, recovery) = open(&storage);
    assert_eq!((recovery.records, recovery.repair), (0, None));
    let events: Vec<Event> = (0..500)
        .map(|number| intended("ann", &format!("select {number} -- \u{fc}\nfrom t")))
        .collect();
    for (index, event) in (0..).zip(&events) {
        assert_eq!(log.append_blocking(event.clone()), Ok(index));
    }
    let records = all(&log);
    log.close();
    drop(log);
    let (log, recovery) = Log::open(options(&storage, 64 * 1024)).unwrap();
    assert_eq!((recovery.records, recovery.repair), (500, None));
    assert_eq!(all(&log), records);
    let read: Vec<Event> = records.into_iter().map(|record| record.event).collect();
    assert_eq!(read, events);
    let files = storage
        .files()
        .keys()
        .filter(|name| name.starts_with("log/"))
        .count();
    assert!(files > 3, "{files}");
    assert_eq!(
        log.read(321).unwrap().advance().unwrap().unwrap().index,
        321
    );
    assert_eq!(log.read(500).unwrap().advance().unwrap(), None);
}

#[test]
fn what_nobody_waits_for_shares_the_sync_of_what_somebody_waits_for() {
    let storage = Arc::new(Memory::default());
    // The clock of the other tests is always late.
    let (log, _) = Log::open(Options {
        clock: Arc::new(Passing::default()),
        ..options(&storage, 64 * 1024)
    })
    .unwrap();
    let syncs = || storage.state.lock().unwrap().syncs;
    let (before, pairs) = (syncs(), 100);
    for _ in 0..pairs {
        log.enqueue(intended("ann", "what has run")).unwrap();
        // By itself, it would be on the disk before the next one comes.
        std::thread::sleep(Duration::from_micros(100));
        log.append_blocking(intended("ann", "what will run"))
            .unwrap();
    }
    // Texts and records are two files: four syncs a pair without sharing, two with it. A stalled machine may spoil some.
    let used = syncs() - before;
    assert!(used <= pairs * 3, "{used} syncs for {pairs} pairs");
    // Nobody has to come: it is durable by itself, soon.
    log.enqueue(intended("ann", "what has run")).unwrap();
    until("durable", || log.position().count == 2 * pairs + 1);
}

struct Drop(&'static str);

impl Auditable for Drop {
    fn to_event(&self) -> Event {
        intended("ann", self.0)
    }
}

#[tokio::test]
async fn only_what_is_durable_is_recorded() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    let recorded: Recorded<Drop> = log.record(Drop("drop table t")).await.unwrap();
    assert_eq!(recorded.index(), 0);
    let durable = storage.durable();
    let leaf = durable
        .values()
        .find(|file| file.windows(18).any(|part| part == b"statement_intended"));
    assert!(leaf.is_some());
    assert_eq!(recorded.into_inner().0, "drop table t");
}

#[tokio::test]
async fn a_tail_sees_every_record_as_it_comes() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    let mut tail = log.subscribe(0);
    let writer = log.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..1000 {
            let event = Event::new(Context::default(), Action::BrokerStopped);
            writer.append(event).await.unwrap();
        }
    });
    for index in 0..1000 {
        assert_eq!(tail.next().await.unwrap().unwrap().index, index);
    }
    writing.await.unwrap();
    log.close();
    assert_eq!(tail.next().await.unwrap(), None);
}
