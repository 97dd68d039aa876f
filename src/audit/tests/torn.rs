//! A log that was cut anywhere opens again, says what it lost, and goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{Memory, intended, open, options};
use crate::audit::event::Action;
use crate::audit::log::{Error, Extent, Log, check};

type Files = BTreeMap<String, Vec<u8>>;

fn honest(records: usize) -> Files {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    for number in 0..records {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    log.close();
    storage.files()
}

fn last_log(files: &Files) -> String {
    let mut names = files.keys().filter(|name| name.starts_with("log/"));
    names.next_back().unwrap().clone()
}

/// Cuts the last file to `length` bytes and opens the log.
fn reopen_cut(files: &Files, name: &str, length: usize, whole: u64) {
    let mut cut = files.clone();
    cut.get_mut(name).unwrap().truncate(length);
    let storage = Memory::with(&cut);
    let (log, recovery) = Log::open(options(&storage, 1 << 20)).unwrap();
    let repair = recovery.repair.expect("a repair");
    let kept = files[name][..length]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count() as u64;
    assert_eq!(repair.kept, kept.saturating_sub(1), "cut to {length}");
    assert_eq!(repair.lost, whole - repair.kept, "cut to {length}");
    assert_eq!(
        log.append_blocking(intended("ann", "select 'on'")),
        Ok(repair.kept + 1)
    );
    log.close();
    let report = check(storage.as_ref(), &Extent::All).unwrap();
    assert!(report.is_intact(), "cut to {length}: {:?}", report.findings);
    assert_eq!(report.repairs.len(), 1);
}

#[test]
fn a_log_cut_at_any_byte_of_its_tail_opens_and_says_what_is_lost() {
    // The short form; the long one covers 64 KiB.
    let long = std::env::var_os("DBGATE_TEST_LONG").is_some_and(|value| value == "1");
    let storage = Arc::new(Memory::default());
    let (log, _) = Log::open(options(&storage, 1 << 20)).unwrap();
    let records = if long { 100 } else { 8 };
    for number in 0..records {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    log.close();
    let files = storage.files();
    let name = last_log(&files);
    let header = files[&name].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let end = files[&name].len();
    let start = header.max(end.saturating_sub(65_536));
    for length in start..end {
        reopen_cut(&files, &name, length, records);
    }
    println!("{} openings", end - start);
}

#[test]
fn what_was_not_acknowledged_may_be_cut_even_if_it_looks_odd() {
    let files = honest(4);
    let name = last_log(&files);
    for garbage in [
        &b"\0\0\0\0"[..],
        b"garbage\n",
        b"0123\n\n\n",
        b"\xff\xfe\n\0\0\0",
        &[b'\n'; 700],
    ] {
        let mut odd = files.clone();
        odd.get_mut(&name).unwrap().extend_from_slice(garbage);
        let storage = Memory::with(&odd);
        let (log, recovery) = open(&storage);
        let repair = recovery.repair.expect("a repair");
        assert_eq!(
            (repair.kept, repair.lost, repair.cut),
            (4, 0, garbage.len() as u64)
        );
        log.close();
        assert!(check(storage.as_ref(), &Extent::All).unwrap().is_intact());
        let saved = storage.files();
        let kept = saved.iter().find(|(name, _)| name.starts_with("cut/"));
        assert_eq!(kept.unwrap().1, garbage);
    }
}

#[test]
fn a_log_that_no_crash_can_have_damaged_does_not_open() {
    let files = honest(6);
    let name = last_log(&files);
    let second = files[&name].iter().position(|byte| *byte == b'\n').unwrap() + 100;
    let mut changed = files.clone();
    changed.get_mut(&name).unwrap()[second] ^= 1;
    let error = Log::open(options(&Memory::with(&changed), 1 << 20)).unwrap_err();
    assert!(matches!(error, Error::Damaged { record: 0, .. }), "{error}");
    let mut gone = files;
    gone.remove(&name);
    assert!(Log::open(options(&Memory::with(&gone), 1 << 20)).is_err());
}

#[test]
fn texts_that_were_not_written_take_their_record_along() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    log.append_blocking(intended("ann", "select 1")).unwrap();
    let before = storage.files();
    log.append_blocking(intended("ann", "select 2")).unwrap();
    log.close();
    let mut files = storage.files();
    // As a power cut leaves it: the record is there, its texts are not, and it was never acknowledged.
    files.insert("head".to_owned(), before["head"].clone());
    let texts = files
        .keys()
        .find(|name| name.starts_with("payload/"))
        .unwrap()
        .clone();
    let length = before[&texts].len() + 30;
    files.get_mut(&texts).unwrap().truncate(length);
    let storage = Memory::with(&files);
    let (log, recovery) = open(&storage);
    assert_eq!(
        recovery.repair.map(|repair| (repair.kept, repair.lost)),
        Some((1, 0))
    );
    log.close();
    assert!(check(storage.as_ref(), &Extent::All).unwrap().is_intact());
}

#[test]
fn a_power_cut_leaves_at_least_what_was_acknowledged() {
    // Any part of what was written after the last sync may be on the disk, in any order of 512-byte blocks.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    for number in 0..20 {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    let durable = storage.durable();
    let acknowledged = log.position();
    for number in 20..30 {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    log.close();
    let written = storage.files();
    for _ in 0..2000 {
        let mut disk = durable.clone();
        for (name, bytes) in &written {
            let file = disk.entry(name.clone()).or_default();
            let reach = file.len()
                + usize::try_from(random()).unwrap_or(0) % (bytes.len() - file.len() + 1);
            file.resize(reach, 0);
            for (block, bytes) in bytes.chunks(512).enumerate() {
                let start = block * 512;
                if random() % 2 == 0 && start < file.len() && name != "head" {
                    let end = (start + bytes.len()).min(file.len());
                    file[start..end].copy_from_slice(&bytes[..end - start]);
                }
            }
        }
        // The note of what was acknowledged was never synced: it may be gone.
        if random() % 2 == 0 {
            disk.insert("head".to_owned(), Vec::new());
        }
        let storage = Memory::with(&disk);
        let (log, recovery) = open(&storage);
        let kept = recovery
            .repair
            .map_or(recovery.records, |repair| repair.kept);
        assert!(kept >= acknowledged.count, "{kept}");
        log.close();
        let report = check(storage.as_ref(), &Extent::All).unwrap();
        assert!(report.is_intact(), "{:?}", report.findings);
    }
}

#[test]
fn the_repair_is_the_first_thing_in_the_log_afterwards() {
    let files = honest(3);
    let name = last_log(&files);
    let mut odd = files.clone();
    odd.get_mut(&name).unwrap().extend_from_slice(b"half a rec");
    let (log, _) = open(&Memory::with(&odd));
    let record = log.read(3).unwrap().advance().unwrap().unwrap();
    let Action::LogRepaired { repair } = record.event.action else {
        panic!("{record:?}");
    };
    assert_eq!((repair.cut, repair.kept), (10, 3));
}
