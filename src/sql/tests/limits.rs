//! Size and nesting: an error, never a crash, on a thread with an ordinary stack.

use std::sync::Arc;

use crate::sql::catalog::Catalog;
use crate::sql::{Error, Scope, analyze};

/// Analyzes on a thread with 2 MiB of stack, which is what a worker has.
fn on_a_small_stack(text: String) -> Result<usize, Error> {
    let thread = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            let text: Arc<str> = text.into();
            analyze(&text, &[], &Catalog::default(), &Scope::new("u")).map(|all| all.len())
        });
    thread.unwrap().join().unwrap()
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!(
        "SELECT {}{middle}{}",
        open.repeat(depth),
        close.repeat(depth)
    )
}

#[test]
fn nesting_ends_in_an_error_and_not_in_a_crash() {
    let forms = [
        ("(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("abs(", "1", ")"),
        ("CASE WHEN true THEN ", "1", " END"),
        ("NOT ", "true", ""),
        ("ARRAY[", "1", "]"),
        ("ROW(", "1", ",2)"),
        ("coalesce(", "1", ",2)"),
        ("1 IN (", "1", ")"),
        ("EXISTS (SELECT 1 WHERE ", "true", ")"),
        ("- ", "1", ""),
        ("* FROM (SELECT ", "1", ") x"),
        ("(SELECT * FROM (SELECT ", "1", ") x)"),
        ("* FROM (VALUES ((SELECT ", "1", "))) x"),
        ("(WITH a AS (SELECT ", "1", ") SELECT * FROM a)"),
    ];
    for (open, middle, close) in forms {
        for depth in [10, 60, 100, 300, 1_000, 5_000, 100_000] {
            let result = on_a_small_stack(nested(open, middle, close, depth));
            match result {
                Ok(count) => assert_eq!(count, 1),
                Err(error) => assert!(
                    ["54001", "54000", "42601"].contains(&error.sqlstate),
                    "{open} {depth}: {error:?}"
                ),
            }
            if depth == 10 {
                assert!(
                    on_a_small_stack(nested(open, middle, close, depth)).is_ok(),
                    "{open}"
                );
            }
        }
    }
}

#[test]
fn long_chains_are_followed_without_nesting() {
    for (unit, count) in [(" || 'a'", 5_000), (" + 1", 5_000), (" AND true", 5_000)] {
        let text = format!("SELECT 1{}", unit.repeat(count));
        assert_eq!(on_a_small_stack(text), Ok(1), "{unit}");
    }
    let union = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000));
    assert_eq!(on_a_small_stack(union), Ok(1));
    let casts = format!("SELECT 1{}", "::int".repeat(50_000));
    assert_eq!(on_a_small_stack(casts).unwrap_err().sqlstate, "54001");
    let joins = format!("SELECT 1 FROM a{}", " JOIN b ON true".repeat(20_000));
    assert_eq!(on_a_small_stack(joins).unwrap_err().sqlstate, "54001");
}

#[test]
fn too_much_text_is_refused() {
    let text = format!("SELECT '{}'", "x".repeat(5 << 20));
    assert_eq!(on_a_small_stack(text).unwrap_err().sqlstate, "54000");
    let many = "SELECT 1;".repeat(2_000);
    assert_eq!(on_a_small_stack(many).unwrap_err().sqlstate, "54000");
}

#[test]
fn odd_bytes_are_an_error() {
    for text in [
        "SELECT '\0'",
        "SELECT E'\\xff'",
        "SELECT U&'\\dddd'",
        "SELECT U&'\\+110000'",
        "SELECT \"\"",
        "SELECT '",
        "/*",
        "$a$",
        "SELECT 1 FROM \u{feff}",
    ] {
        let result = on_a_small_stack(text.to_owned());
        assert!(result.is_err() || result == Ok(1), "{text:?}: {result:?}");
    }
    let long = format!("SELECT 1 AS \"{}\"", "ü".repeat(80));
    assert_eq!(on_a_small_stack(long), Ok(1));
    assert_eq!(on_a_small_stack(String::new()), Ok(1));
    assert_eq!(on_a_small_stack(" ; ; -- nothing".to_owned()), Ok(1));
}
