//! Whoever changes the log is found out, and the place is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{Memory, context, intended, open};
use crate::audit::log::{Extent, check};
use crate::audit::verify::Report;

type Files = BTreeMap<String, Vec<u8>>;

/// A log of a few records over several files, as it is after a clean end.
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

fn verify(files: &Files) -> Report {
    check(Memory::with(files).as_ref(), &Extent::All).unwrap()
}

#[test]
fn an_honest_log_is_intact() {
    for records in [0, 1, 2, 7, 300] {
        let report = verify(&honest(records));
        assert!(report.is_intact(), "{:?}", report.findings);
        assert_eq!(report.records, records as u64);
        assert_eq!(report.texts, 2 * records as u64);
    }
}

#[test]
fn every_single_bit_counts() {
    let files = honest(3);
    let mut bits = 0;
    for (name, bytes) in &files {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = files.clone();
                changed.get_mut(name).unwrap()[at] ^= 1 << bit;
                let report = verify(&changed);
                let finding = report.findings.first();
                let finding = finding.unwrap_or_else(|| panic!("bit {bit} of byte {at} of {name}"));
                // A changed head shows in the record it speaks of, everything else where it is.
                if name != "head" {
                    assert_eq!(&finding.file, name, "byte {at}: {finding:?}");
                    let line = bytes[..at].iter().rposition(|byte| *byte == b'\n');
                    let line = line.map_or(0, |end| end as u64 + 1);
                    assert!(finding.offset <= line.max(1), "byte {at}: {finding:?}");
                }
                bits += 1;
            }
        }
    }
    println!("{bits} bits");
    assert!(bits > 20_000);
}

#[test]
fn every_truncation_is_found() {
    let files = honest(5);
    for (name, bytes) in &files {
        for length in 0..bytes.len() {
            let mut changed = files.clone();
            changed.get_mut(name).unwrap().truncate(length);
            let report = verify(&changed);
            // The two slots of the head say almost the same; one of them is enough.
            assert!(
                !report.is_intact() || name == "head",
                "{name} cut to {length}"
            );
        }
        let mut changed = files.clone();
        changed.remove(name);
        assert!(!verify(&changed).is_intact(), "{name} removed");
    }
}

#[test]
fn records_swapped_doubled_dropped_or_put_in_are_found() {
    let files = honest(6);
    let name = files.keys().find(|name| name.starts_with("log/")).unwrap();
    let lines: Vec<Vec<u8>> = files[name]
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let other = honest(9);
    let foreign: Vec<Vec<u8>> = other[name]
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let check = |lines: Vec<Vec<u8>>, record: u64| {
        let mut changed = files.clone();
        changed.insert(name.clone(), lines.concat());
        let report = verify(&changed);
        let first = report.findings.first().expect("found");
        assert_eq!(first.record, Some(record), "{first:?}");
    };
    for at in 1..lines.len() - 1 {
        let record = at as u64 - 1;
        let mut swapped = lines.clone();
        swapped.swap(at, at + 1);
        check(swapped, record);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        check(doubled, record + 1);
        let mut dropped = lines.clone();
        dropped.remove(at);
        check(dropped, record);
        let mut put_in = lines.clone();
        put_in.insert(at, foreign[8].clone());
        check(put_in, record);
    }
}

#[test]
fn erased_texts_are_fine_if_the_log_says_so() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    for number in 0..3 {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    assert_eq!(log.erase(context("eve"), 1), Ok(2));
    let record = log.read(1).unwrap().advance().unwrap().unwrap();
    assert_eq!(record.event.context.reason.unwrap().text(), None);
    log.close();
    let files = storage.files();
    assert!(
        !files
            .values()
            .any(|file| file.windows(8).any(|part| part == b"select 1"))
    );
    let report = verify(&files);
    assert_eq!(
        (report.findings, report.erased, report.records),
        (vec![], 1, 4)
    );
    let live = check(storage.as_ref(), &Extent::Durable(log.position())).unwrap();
    assert!(live.is_intact());
}

#[test]
fn a_log_that_is_written_to_is_checked_as_far_as_it_was_acknowledged() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    for number in 0..300 {
        log.append_blocking(intended("ann", &format!("select {number}")))
            .unwrap();
    }
    let mut files = storage.files();
    let last = |folder: &str, files: &Files| {
        let mut names = files.keys().filter(|name| name.starts_with(folder));
        names.next_back().unwrap().clone()
    };
    for folder in ["log/", "payload/"] {
        let name = last(folder, &files);
        files
            .get_mut(&name)
            .unwrap()
            .extend_from_slice(b"half of a rec");
    }
    let report = check(Memory::with(&files).as_ref(), &Extent::Acknowledged).unwrap();
    assert_eq!((report.findings, report.records), (vec![], 300));
    let first = files
        .keys()
        .find(|name| name.starts_with("log/"))
        .unwrap()
        .clone();
    files.get_mut(&first).unwrap()[500] ^= 1;
    assert!(
        !check(Memory::with(&files).as_ref(), &Extent::Acknowledged)
            .unwrap()
            .is_intact()
    );
}

#[test]
fn one_unreadable_record_is_one_place_not_a_flood() {
    let files = honest(50);
    let name = files.keys().find(|name| name.starts_with("log/")).unwrap();
    let at = files[name].iter().position(|byte| *byte == b'\n').unwrap() + 70;
    let mut changed = files.clone();
    changed.get_mut(name).unwrap()[at] = b'\x01';
    let findings = verify(&changed).findings;
    assert!(findings.len() <= 2, "{findings:?}");
    assert!(
        findings.iter().all(|finding| finding.record == Some(0)),
        "{findings:?}"
    );
}
