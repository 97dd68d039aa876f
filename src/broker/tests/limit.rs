//! What a client's wishes become.

#![expect(clippy::too_many_lines, reason = "a table of cases")]

use std::time::Duration;

use crate::broker::limit::{Caps, merge, parse};
use crate::model::access::Access;

/// `name=value` pairs, in any order.
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn check(access: Access, role: &str, client: &str, name: &str, expected: Option<&str>) {
    let caps = Caps::new(Duration::from_secs(1800), Some(Duration::from_secs(300)));
    let merged = merge(&pairs(role), &pairs(client), &caps, access);
    let mut found = merged
        .parameters
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name));
    assert_eq!(
        found.next().map(|(_, v)| v.as_str()),
        expected,
        "{role} | {client} | {name}"
    );
    assert!(found.next().is_none(), "{name} is there twice");
}

#[test]
fn limits_hold_whatever_the_client_wishes() {
    use Access::{Read, Write};
    check(Read, "", "", "statement_timeout", Some("300000ms"));
    check(
        Read,
        "",
        "statement_timeout=10s",
        "statement_timeout",
        Some("10000ms"),
    );
    check(
        Read,
        "",
        "Statement_Timeout=5min",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "",
        "statement_timeout=0",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "",
        "statement_timeout=-1",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "",
        "statement_timeout=1e9",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "",
        "statement_timeout=5fortnights",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "statement_timeout=1s",
        "",
        "statement_timeout",
        Some("1000ms"),
    );
    check(
        Read,
        "statement_timeout=1h",
        "",
        "statement_timeout",
        Some("300000ms"),
    );
    check(
        Read,
        "",
        "lock_timeout=90s",
        "lock_timeout",
        Some("60000ms"),
    );
    check(Read, "", "", "idle_session_timeout", Some("1802000ms"));
    check(
        Read,
        "",
        "transaction_timeout=1h",
        "transaction_timeout",
        Some("1h"),
    );
    check(Read, "", "", "default_transaction_read_only", Some("on"));
    check(
        Read,
        "",
        "default_transaction_read_only=off",
        "default_transaction_read_only",
        Some("on"),
    );
    check(Write, "", "", "default_transaction_read_only", None);
    check(
        Write,
        "",
        "default_transaction_read_only=on",
        "default_transaction_read_only",
        Some("on"),
    );
    check(
        Read,
        "",
        "client_encoding=LATIN1",
        "client_encoding",
        Some("UTF8"),
    );
    check(
        Read,
        "",
        "standard_conforming_strings=off",
        "standard_conforming_strings",
        Some("on"),
    );
    check(
        Read,
        "",
        "client_connection_check_interval=0",
        "client_connection_check_interval",
        Some("1s"),
    );
    check(Read, "work_mem=8MB", "", "work_mem", Some("8MB"));
    check(
        Read,
        "work_mem=8MB",
        "work_mem=4MB",
        "work_mem",
        Some("4MB"),
    );
    for name in [
        "user",
        "database",
        "options",
        "replication",
        "role",
        "session_authorization",
        "_pq_.x",
    ] {
        check(
            Write,
            &format!("{name}=a"),
            &format!("{name}=b"),
            name,
            None,
        );
    }
}

#[test]
fn a_wish_that_was_cut_down_is_told() {
    let caps = Caps::new(Duration::from_secs(60), None);
    let merged = merge(
        &[],
        &pairs("statement_timeout=5min lock_timeout=1s"),
        &caps,
        Access::Read,
    );
    assert_eq!(
        merged.notices,
        ["statement_timeout is at most 60000ms in this session"]
    );
}

#[test]
fn a_session_without_time_left_has_no_unlimited_statements() {
    let caps = Caps::new(Duration::ZERO, None);
    let merged = merge(&[], &[], &caps, Access::Read);
    let limit = merged
        .parameters
        .iter()
        .find(|(n, _)| n == "statement_timeout");
    assert_eq!(limit.map(|(_, v)| v.as_str()), Some("1ms"));
}

#[test]
fn times_are_read_as_postgresql_reads_them() {
    for (text, expected) in [
        ("5", Some(5)),
        ("5ms", Some(5)),
        (" 5 s ", Some(5_000)),
        ("1.5min", Some(90_000)),
        ("2h", Some(7_200_000)),
        ("1d", Some(86_400_000)),
        ("0", Some(0)),
        ("", None),
        ("s", None),
        ("5 x", None),
        ("1..5s", None),
        ("99999999999999999999d", None),
    ] {
        assert_eq!(parse(text), expected.map(Duration::from_millis), "{text:?}");
    }
}
