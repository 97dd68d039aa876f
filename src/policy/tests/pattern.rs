//! Patterns fit what they say and nothing else.

use crate::model::name::ObjectName;
use crate::policy::pattern::{self, Glob};

fn check(pattern: &str, name: &str, fits: bool) {
    assert_eq!(
        Glob::new(pattern).matches(name),
        fits,
        "{pattern} on {name}"
    );
}

#[test]
fn stars_and_question_marks_fit_as_in_a_shell() {
    check("*", "", true);
    check("*", "customers", true);
    check("cust*", "customers", true);
    check("cust*", "discustomers", false);
    check("*mer*", "customers", true);
    check("c?t", "cat", true);
    check("c?t", "cöt", true);
    check("c?t", "coat", false);
    check("a*b*c", "aXbYc", true);
    check("a*b*c", "aXbY", false);
    check("Customers", "customers", false);
    check("секрет*", "секреты", true);
    check(&"*a".repeat(40), &"a".repeat(39), false);
}

#[test]
fn quoted_parts_are_taken_as_they_are() {
    let pattern: pattern::Column = r#"public."User Data"."Secret.Key*""#.parse().unwrap();
    let table = ObjectName::new("public", "User Data");
    assert!(pattern.matches(&table, "Secret.Key*"));
    assert!(!pattern.matches(&table, "Secret.Keys"));
    assert_eq!(pattern.to_string(), r#"public."User Data"."Secret.Key*""#);
}

#[test]
fn a_pattern_with_too_few_parts_says_what_is_wanted() {
    let error = "customers.email".parse::<pattern::Column>().unwrap_err();
    assert!(error.to_string().contains("schema.table.column"), "{error}");
    for text in ["", "a.", ".b", "a.\"b", "a.b\"c", "\"a\"b.c"] {
        assert!(text.parse::<pattern::Object>().is_err(), "{text}");
    }
}
