//! Places are counted as people count them, and suggestions are near.

use crate::config::problem::{Problem, Problems, Source, nearest};

#[test]
fn a_place_is_counted_in_lines_and_characters() {
    let source = Source::new("a.toml", "ä = 1\nöö = x\n");
    let problem = Problem::at(&source, 14..15, "no value");
    assert_eq!((problem.line, problem.column), (2, 6));
    assert_eq!(problem.to_string(), "a.toml:2:6: no value");
}

#[test]
fn a_span_inside_a_character_or_past_the_end_is_widened_or_cut() {
    let source = Source::new("a", "äb");
    assert_eq!(Problem::at(&source, 1..1, "x").span, 0..2);
    assert_eq!(Problem::at(&source, 0..1, "x").span, 0..2);
    assert_eq!(Problem::at(&source, 9..12, "x").span, 3..3);
}

#[test]
fn all_mistakes_come_in_the_order_of_the_text_and_once() {
    let source = Source::new("a", "one two");
    let mut problems = Problems::new();
    problems.push(Problem::at(&source, 4..7, "second"));
    problems.push(Problem::at(&source, 0..3, "first"));
    problems.push(Problem::at(&source, 4..7, "second"));
    let text = problems.or(()).unwrap_err().to_string();
    assert_eq!(text, "a:1:1: first\na:1:5: second");
}

#[test]
fn only_a_near_name_is_suggested() {
    let known = ["databases", "groups", "roles"];
    assert_eq!(nearest("database", known), Some("databases"));
    assert_eq!(nearest("Rolse", known), Some("roles"));
    assert_eq!(nearest("colour", known), None);
}
