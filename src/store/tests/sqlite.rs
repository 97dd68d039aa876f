//! What is particular to SQLite.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::{Counter, at, open, session};
use crate::store::Error;
use crate::store::lease::{self, Lease};
use crate::store::sqlite::{Sqlite, peek};

#[test]
fn the_linked_sqlite_is_without_the_wal_reset_race() {
    assert!(rusqlite::version_number() >= 3_051_003);
}

#[test]
fn a_state_of_a_later_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let connection = Connection::open(directory.path().join("state.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = Sqlite::open(directory.path()).unwrap_err();
    assert_eq!(
        error,
        Error::Newer {
            found: 99,
            known: 1
        }
    );
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.sqlite");
    fs::write(&path, "my notes, not a database at all; do not touch").unwrap();
    let error = Sqlite::open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("my notes"));
}

#[test]
fn nobody_else_may_read_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("data");
    let store = open(&inner);
    store
        .add_session(&session(&Counter::default(), "ann"))
        .wait()
        .unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for entry in fs::read_dir(&inner).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_call_that_fails_takes_nothing_of_its_neighbors_along() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    let one = session(&entropy, "ann");
    let answers: Vec<_> = (0..50)
        .map(|number| match number % 2 {
            0 => store.add_session(&session(&entropy, "bob")),
            _ => store.add_session(&one),
        })
        .collect();
    let kept = answers
        .into_iter()
        .filter_map(|answer| answer.wait().ok())
        .count();
    assert_eq!(kept, 26);
    assert_eq!(
        store.sessions(&Default::default()).wait().unwrap().len(),
        26
    );
}

#[test]
fn who_looks_at_the_state_sees_its_leases_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let files = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(peek(directory.path()), Ok(Vec::new()));
    assert!(files().is_empty(), "looking made {:?}", files());
    let store = open(directory.path());
    let owner = session(&Counter::default(), "ann");
    store.add_session(&owner).wait().unwrap();
    let lease = Lease {
        role: "dbgate_ann_x".to_owned(),
        session: owner.id.clone(),
        database: owner.database.clone(),
        state: lease::State::Intent,
        created: at(0),
        ends: at(60),
        tries: 0,
        error: None,
        next: None,
        detail: String::new(),
    };
    store.add_lease(&lease).wait().unwrap();
    store
        .stick_lease(&lease.role, "in the way", at(5))
        .wait()
        .unwrap();
    // Beside who works on it, and after it was closed.
    for _ in 0..2 {
        let seen = peek(directory.path()).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].error.as_deref(), Some("in the way"));
    }
    assert_eq!(store.trouble(), None);
    drop(store);
    let before = files();
    assert_eq!(peek(directory.path()).unwrap().len(), 1);
    assert_eq!(files(), before);
}

#[test]
fn an_answer_nobody_waits_for_is_carried_out_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let one = session(&Counter::default(), "ann");
    drop(store.add_session(&one));
    drop(store.open_session(&one.id));
    drop(store);
    let found = open(directory.path()).session(&one.id).wait().unwrap();
    assert!(found.unwrap().state.is_live());
}

#[tokio::test]
async fn answers_can_be_awaited() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(store.use_once("x", at(1)).await, Ok(true));
}
