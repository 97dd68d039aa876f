//! The tests in policy files, and every example of `docs/policy.md`.

use crate::config::problem::Source;
use crate::model::time::Timestamp;
use crate::policy::tests::shop::catalog;
use crate::policy::tests::{STARTER, policy};
use crate::policy::{Policy, compile, trial};

fn faults(policy: &Policy) -> Vec<String> {
    let catalog = catalog();
    // A Tuesday, within the hours of the examples.
    let noon: Timestamp = "2026-11-24T11:00:00Z".parse().unwrap();
    policy
        .cases()
        .iter()
        .map(|case| trial::run(policy, case, &catalog, noon))
        .filter(|verdict| !verdict.passed)
        .map(|verdict| format!("{}: {}", verdict.name, verdict.faults.join("; ")))
        .collect()
}

#[test]
fn the_demo_policy_passes_its_own_tests() {
    let policy = policy(STARTER);
    assert_eq!(policy.cases().len(), 8);
    assert_eq!(faults(&policy), Vec::<String>::new());
}

#[test]
fn a_test_that_does_not_hold_is_told() {
    let wrong = STARTER
        .replace("expect = \"review\"", "expect = \"allow\"")
        .replace(
            "masked = [\"email\", \"phone\", \"card\"]",
            "masked = [\"email\"]",
        )
        .replace("sql = \"drop table orders\"", "sql = \"truncate orders\"");
    let expected = [
        "engineers see masks: expected masked: email; came masked: card, email, phone",
        "nobody drops a table: `no-drop` has no part in it",
        "payments need a reviewer: expected allow, came review",
    ];
    assert_eq!(faults(&policy(&wrong)), expected);
}

/// The fenced blocks of `toml`, with the lines they begin at.
fn examples() -> Vec<Source> {
    let page = include_str!("../../../docs/policy.md");
    let mut examples = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut block, line) {
            (None, "```toml") => block = Some((number, String::new())),
            (Some((start, text)), "```") => {
                examples.push(Source::new(format!("policy.md-{start}"), text.clone()));
                block = None;
            }
            (Some((_, text)), line) => text.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    assert!(block.is_none(), "a block does not end");
    examples
}

#[test]
fn the_examples_of_the_documentation_are_a_policy_that_passes_its_tests() {
    let examples = examples();
    assert_eq!(examples.len(), 4);
    let policy = compile(&examples).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(policy.cases().len(), 1);
    assert!(
        policy
            .rules()
            .iter()
            .any(|rule| rule.name == "review-payments")
    );
    assert_eq!(faults(&policy), Vec::<String>::new());
}
