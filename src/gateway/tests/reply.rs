//! What clients are told.

use crate::gateway::reply;
use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::origin::{self, Origin};

#[test]
fn a_scrubbed_report_carries_no_text_of_the_server() {
    let mut fields = Fields::new(Severity::Error, SqlState::parse("22P02").unwrap(), "canary");
    fields.detail = Some("canary".to_owned());
    fields.hint = Some("canary".to_owned());
    fields.context = Some("canary".to_owned());
    fields.internal_query = Some("canary".to_owned());
    fields.constraint = Some("canary".to_owned());
    fields.table = Some("canary".to_owned());
    fields.position = Some(8);
    let scrubbed = reply::scrubbed(&fields);
    let mut bytes = Vec::new();
    scrubbed.encode(&mut bytes);
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    assert_eq!(scrubbed.code, fields.code);
    assert_eq!(scrubbed.position, Some(8));
}

#[test]
fn a_flood_of_text_is_clipped_at_a_character() {
    let fields = Fields::new(Severity::Notice, SqlState::WARNING, "ä".repeat(1 << 20));
    let clipped = reply::clipped(fields);
    assert!(clipped.message.len() < 65 * 1024);
    assert!(clipped.message.ends_with('…'));
}

#[test]
fn a_tag_is_words_and_numbers() {
    for tag in ["SELECT 10", "INSERT 0 1", "CREATE TABLE AS", "", "BEGIN"] {
        assert!(reply::is_tag(tag), "{tag}");
    }
    for tag in [
        "SELECT 10\u{1b}[2J",
        "select",
        "SELECT a@b.c",
        &"A".repeat(65),
    ] {
        assert!(!reply::is_tag(tag), "{tag}");
    }
}

#[test]
fn limits_are_told_with_readable_numbers() {
    assert_eq!(
        reply::row_limit(10_000).message,
        "dbgate: row limit of 10 000 reached"
    );
    assert_eq!(
        reply::row_limit(999).message,
        "dbgate: row limit of 999 reached"
    );
}

#[test]
fn every_limit_says_what_helps() {
    let minute = std::time::Duration::from_secs(60);
    for fields in [
        reply::row_limit(9),
        reply::byte_limit(9),
        reply::time_limit(minute),
        reply::used_up("the session's limit", (9, "rows"), ""),
        reply::used_up("the limit", (9, "rows"), " in an hour"),
    ] {
        let hint = fields.hint.as_deref().unwrap_or_default();
        assert!(hint.ends_with('.'), "{}: {hint}", fields.message);
    }
}

#[test]
fn hints_are_sentences_as_those_of_the_server() {
    for (hint, expected) in [
        ("connect to `prod` with it", "Connect to `prod` with it."),
        ("did you mean `prod`?", "Did you mean `prod`?"),
        ("`dbgate ls` shows all", "`dbgate ls` shows all."),
        ("Ask somebody.", "Ask somebody."),
        ("", ""),
    ] {
        assert_eq!(reply::sentence(hint.to_owned()), expected);
    }
}

#[test]
fn what_dbgate_says_is_told_apart_from_what_the_database_says() {
    assert_eq!(Origin::of(&reply::row_limit(9)), Some(Origin::Limit));
    let over = reply::ended(&crate::model::session::CloseReason::Expired);
    assert_eq!(Origin::of(&over), Some(Origin::Ended));
    let masked = reply::masked([(2, "email"), (5, "a, 7 phone")]);
    assert_eq!(Origin::of(&masked), Some(Origin::Masked));
    assert_eq!(origin::masked_columns(&masked), [2, 5]);
    // Somebody wrote a function in C to sound like us.
    let forged = Origin::Denied.mark(reply::error(SqlState::WARNING, "no"));
    assert_eq!(Origin::of(&reply::clipped(forged)), None);
}
