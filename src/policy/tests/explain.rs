//! What an explanation says is what a decision does.

use crate::policy::decide::Decision;
use crate::policy::explain::{Explanation, Outcome};
use crate::policy::tests::STARTER;
use crate::policy::tests::shop::Shop;

#[test]
fn the_outcome_is_that_of_the_decision() {
    let shop = Shop::new(STARTER);
    for sql in [
        "select email from customers",
        "drop table orders",
        "update payments set amount = '1' where id = '7'",
        "select upper(email) from customers",
        "select full_name('x')",
        "select id from nowhere",
    ] {
        let decided = match shop.decide(sql) {
            Decision::Allow(_) => Outcome::Allow,
            Decision::Deny(_) => Outcome::Deny,
            Decision::Review(_) => Outcome::Review,
        };
        assert_eq!(shop.explain(sql).outcome, decided, "{sql}");
    }
}

#[test]
fn columns_say_where_they_come_from_and_how_they_are_shown() {
    let shown =
        Shop::new(STARTER).explain("select id, email as contact from customers where phone = '1'");
    assert_eq!(shown.reads, ["public.customers"]);
    assert_eq!(shown.allowed_by.as_deref(), Some("engineers"));
    let contact = &shown.columns[1];
    assert_eq!(
        (contact.name.as_str(), contact.origin.as_str()),
        ("contact", "plain")
    );
    assert_eq!(contact.from, ["public.customers.email"]);
    assert_eq!(contact.mask.as_deref(), Some("email"));
    assert_eq!(shown.columns[0].mask, None);
    assert_eq!(shown.uses.len(), 1);
    assert_eq!(shown.uses[0].column, "public.customers.phone");
    assert!(shown.uses[0].allowed);
}

#[test]
fn every_reason_against_it_is_told_at_once() {
    let shown = Shop::new(STARTER).explain("delete from customers");
    let rules: Vec<(&str, &str)> = shown
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.effect.as_str()))
        .collect();
    let expected = [
        ("no-unrestricted-write", "deny"),
        ("review-protected", "review"),
    ];
    assert_eq!(rules, expected);
    assert_eq!(shown.outcome, Outcome::Deny);
    let review = shown.review.unwrap();
    assert_eq!(review.approvers, ["reviewers"]);
    assert_eq!((review.needed, review.hold_s), (1, 600));
}

#[test]
fn a_parameter_that_is_not_known_yet_is_no_reason() {
    let shop = Shop::new(STARTER);
    let shown = shop.explain("update customers set phone = $1 where id = '7'");
    assert_eq!(shown.outcome, Outcome::Review);
}

#[test]
fn the_text_has_the_answer_first() {
    let shop = Shop::new(STARTER);
    for (sql, start) in [
        (
            "select id from orders",
            "SELECT: would run\n  allowed   by `engineers`",
        ),
        (
            "drop table orders",
            "DROP: would be refused\n  against   `DROP` is denied on `prod`",
        ),
        (
            "update payments set amount = '1' where id = '7'",
            "UPDATE: would wait for 1 of reviewers (rule `review-payments`)",
        ),
    ] {
        let text = shop.explain(sql).to_string();
        assert!(text.starts_with(start), "{text}");
        let is_allowed = start.contains("would run");
        assert_ne!(text.contains("\n  to change "), is_allowed, "{text}");
    }
}

#[test]
fn json_comes_back_as_it_was() {
    let shown = Shop::new(STARTER).explain("select email from customers");
    let json = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), shown);
    assert_eq!(shown.policy.len(), 64);
}
