//! What a terminal may not be sent.

use crate::model::escape;

#[track_caller]
fn check(input: &str, expected: &str) {
    assert_eq!(escape::line(input), expected);
}

#[test]
fn escapes_are_shown_not_sent() {
    check("plain, ünïcode 日本 🎉", "plain, ünïcode 日本 🎉");
    check("\x1b]0;title\x07", "\\x1b]0;title\\x07");
    check("\u{9b}31m", "\\x9b31m");
    check("a\nb\tc\r", "a\\nb\\tc\\r");
    check("user\u{202e}gpj", "user\\u{202e}gpj");
    check("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c");
    check("\u{7f}\u{85}", "\\x7f\\x85");
}

#[test]
fn a_block_keeps_its_lines() {
    assert_eq!(escape::block("a\n\tb\x1b[2J"), "a\n\tb\\x1b[2J");
}

#[test]
fn bytes_that_are_no_text_are_shown_one_by_one() {
    assert_eq!(escape::bytes(b"ok \xff\xfe\x1b"), "ok \\xff\\xfe\\x1b");
}

#[test]
fn json_reads_back_the_same() {
    let text = "\x1b\u{9b}\u{202e}\u{e0041}\n\"é";
    let shown = serde_json::to_string(text).expect("a string is JSON");
    let shown = escape::json(&shown).into_owned();
    assert!(!shown.chars().any(escape::is_unsafe));
    assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(5_000))]

    #[test]
    fn nothing_unsafe_comes_out(text in ".{0,40}", control in "[\\x00-\\x1f\\x7f-\\x9f\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2066}-\u{2069}]{0,8}") {
        let whole = format!("{text}{control}{text}");
        let shown = escape::line(&whole);
        proptest::prop_assert!(!shown.chars().any(escape::is_unsafe));
        proptest::prop_assert!(!escape::block(&whole).chars().any(|c| escape::is_unsafe(c) && c != '\n' && c != '\t'));
    }

    #[test]
    fn any_bytes_become_safe_text(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        proptest::prop_assert!(!escape::bytes(&bytes).chars().any(escape::is_unsafe));
    }
}
