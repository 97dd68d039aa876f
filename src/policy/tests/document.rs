//! Policy files: what is read, and every mistake at once.

use crate::config::problem::Source;
use crate::policy::compile;
use crate::policy::tests::policy;

#[test]
fn the_demo_policy_has_no_mistake() {
    let policy = policy(include_str!("../../demo/policy.toml"));
    assert_eq!(policy.allows().len(), 4);
    assert_eq!(policy.hash().len(), 64);
}

#[test]
fn the_red_team_policy_has_no_mistake() {
    policy(include_str!("../../../tests/redteam/policy.toml"));
}

#[test]
fn all_mistakes_come_at_once_with_line_and_suggestion() {
    let text = r#"
[[allow]]
grups = ["engineers"]
everyone = true
databases = ["prod"]
do = ["reed"]
roles = ["dbgate_read"]

[[protect]]
columns = ["customers.email"]
mask = "emial"

[[rule]]
name = "x"
effect = "deny"
statements = ["dorp"]
hazards = ["no-were"]

[[rule]]
name = "x"
effect = "review"
writes_protected = true
"#;
    let problems = compile(&[Source::new("p.toml", text)]).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "p.toml:3:1: there is no setting `grups` here (did you mean `groups`?)",
        "p.toml:6:7: `reed` is no thing to do; did you mean `read`?",
        "p.toml:10:12: `customers.email` does not have the form `schema.table.column`",
        "p.toml:11:8: `emial` is no mask; did you mean `email`?",
        "p.toml:16:15: `dorp` is no word known here; did you mean `drop`?",
        "p.toml:17:12: `no-were` is no word known here; did you mean `no-where`?",
        "p.toml:19:1: `approvers` is missing",
        "p.toml:19:1: there are two entries `x`",
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown}\n{expected}");
    }
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
}

#[test]
fn text_that_is_no_toml_is_a_problem_with_a_place() {
    let problems = compile(&[Source::new("p.toml", "[[allow]\nname = \n")]).unwrap_err();
    assert!(problems.iter().all(|problem| problem.line >= 1));
    assert!(!problems.is_empty());
}

#[test]
fn files_are_one_policy_and_their_order_is_in_the_hash() {
    let one = Source::new("a.toml", "[limits]\nrows = 5\n");
    let two = Source::new("b.toml", "[limits]\nrows = 3\n");
    let forth = compile(&[one.clone(), two.clone()]).unwrap();
    let back = compile(&[two, one]).unwrap();
    let kind = crate::model::subject::Kind::Person;
    assert_eq!(forth.limits().of(kind).rows, Some(3));
    assert_ne!(forth.hash(), back.hash());
}
