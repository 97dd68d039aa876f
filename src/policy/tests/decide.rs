//! Deny beats review, review beats allow, and whatever is not known is denied.

use crate::model::access::Access;
use crate::model::subject;
use crate::model::time::Timestamp;
use crate::policy::decide::{Approval, Consent, Decision};
use crate::policy::tests::STARTER;
use crate::policy::tests::shop::{Shop, person};

const ALLOW: &str = r#"
[[allow]]
roles = ["shop_write"]
name = "all"
groups = ["engineers"]
databases = ["prod"]
do = ["read", "write", "define"]
"#;

const REVIEW: &str = r#"
[[rule]]
name = "look"
effect = "review"
writes = ["public.orders"]
approvers = ["reviewers", "leads"]
needed = 1
"#;

const DENY: &str = r#"
[[rule]]
name = "stop"
effect = "deny"
statements = ["delete"]
"#;

#[test]
fn deny_beats_review_and_review_beats_allow_in_any_order() {
    for text in [[ALLOW, REVIEW, DENY], [DENY, REVIEW, ALLOW]] {
        Shop::new(&text.concat()).check(
            "
            delete from orders where id = '1' => deny stop
            update orders set note = 'x' where id = '1' => review look
            update products set price = '1' where id = '1' => allow all
            ",
        );
    }
}

#[test]
fn a_denied_kind_is_denied_inside_of_another_statement() {
    Shop::new(&[ALLOW, DENY].concat()).check(
        "
        prepare p as delete from orders where id = '1' => deny stop
        explain delete from orders where id = '1' => deny stop
        explain analyze delete from orders where id = '1' => deny stop
        with d as (delete from orders where id = '1' returning id) select id from d => deny stop
        with d as (delete from orders where id = '1' returning id) insert into products (id) select id from d => deny stop
        explain select id from orders => allow all
        with d as (select id from orders) select id from d => allow all
        ",
    );
}

#[test]
fn what_nothing_allows_is_denied() {
    Shop::new("").check("select 1 => deny not-allowed");
    Shop::at("other", STARTER).check("select 1 => deny not-allowed");
    let mut shop = Shop::new(STARTER);
    shop.subject = person(&["strangers"]);
    shop.check("select 1 => deny not-allowed");
    shop.subject = person(&["reviewers"]);
    shop.check(
        "
        select id from orders => allow engineers-read
        update orders set note = 'x' where id = '1' => deny not-allowed
        create table t (a text) => deny not-allowed
        ",
    );
}

#[test]
fn an_entry_covers_the_tables_it_names_and_no_other() {
    let narrow = ALLOW.replace("do =", "tables = [\"public.orders\"]\ndo =");
    Shop::new(&narrow).check(
        "
        select id from orders => allow all
        select id from products => deny not-allowed
        select o.id from orders o join products p on p.id = o.id => deny not-allowed
        insert into orders (id) select id from products => deny not-allowed
        ",
    );
}

#[test]
fn a_session_for_reading_does_not_write() {
    let mut shop = Shop::new(STARTER);
    shop.access = Access::Read;
    shop.check(
        "
        select id from orders => allow engineers
        update orders set note = 'x' where id = '1' => deny read-only
        with u as (update orders set note = 'x' where id = '1' returning id) select id from u => deny read-only
        select id from orders for update => deny read-only
        ",
    );
}

#[test]
fn conditions_hold_at_every_statement() {
    let strict = ALLOW.replace("do =", "require_reason = true\ndo =");
    let mut shop = Shop::new(&strict);
    shop.check("select 1 => deny not-allowed");
    shop.reason = Some("  ");
    shop.check("select 1 => deny not-allowed");
    shop.reason = Some("INC-7");
    shop.check("select 1 => allow all");
    let asked = ALLOW.replace("do =", "approvers = [\"leads\"]\ndo =");
    let mut shop = Shop::new(&asked);
    shop.check("select 1 => deny not-allowed");
    shop.opened_with_approval = true;
    shop.check("select 1 => allow all");
}

#[test]
fn what_is_not_understood_is_refused_where_something_is_protected() {
    Shop::new(STARTER).check(
        "
        do $$ begin end $$ => deny not-allowed
        select full_name('x') => deny not-understood
        select no_such_function('x') => deny unresolved
        select id from nowhere => deny unresolved
        select upper(email) from customers => deny protected
        set session_replication_role = 'replica' => deny pinned
        ",
    );
}

#[test]
fn what_is_not_understood_passes_where_no_rule_could_fit() {
    Shop::new(ALLOW).check("select full_name('x') => allow all");
    let other = [ALLOW, DENY].concat();
    Shop::new(&other).check("select full_name('x') => allow all");
}

#[test]
fn what_is_not_understood_is_refused_where_a_rule_could_fit() {
    Shop::new(&[ALLOW, DENY].concat()).check(
        "
        explain delete from orders where note = full_name(note) => deny stop
        prepare p as delete from orders where note = full_name(note) => deny stop
        ",
    );
    let reads = DENY
        .replace("delete", "update")
        .replace("statements", "reads = [\"public.payments\"]\nstatements");
    Shop::new(&[ALLOW, reads.as_str()].concat()).check(
        "
        update orders set note = full_name(note) where id = '1' => deny not-understood
        explain update orders set note = full_name(note) where id = '1' => deny not-understood
        with u as (update orders set note = full_name(note) where id = '1' returning id) select id from u => deny not-understood
        delete from orders where note = full_name(note) => allow all
        ",
    );
}

#[test]
fn two_reviews_need_somebody_who_is_good_for_both() {
    let second = REVIEW
        .replace("look", "look-again")
        .replace("\"reviewers\", \"leads\"", "\"leads\"")
        .replace("needed = 1", "needed = 2");
    let shop = Shop::new(&[ALLOW, REVIEW, &second].concat());
    let Decision::Review(held) = shop.decide("delete from orders where id = '1'") else {
        panic!("it must wait");
    };
    let approvers: Vec<&str> = held.demand().approvers.iter().map(String::as_str).collect();
    assert_eq!(approvers, ["leads"]);
    assert_eq!(held.demand().needed, 2);
    let apart = second.replace("\"leads\"", "\"auditors\"");
    Shop::new(&[ALLOW, REVIEW, &apart].concat())
        .check("delete from orders where id = '1' => deny no-approver");
}

#[test]
fn an_approver_waits_for_somebody_else() {
    let mut shop = Shop::new(STARTER);
    shop.subject = person(&["engineers", "reviewers"]);
    shop.check("update payments set amount = '1' where id = '7' => review review-payments");
}

#[test]
fn an_approval_is_good_for_what_was_approved_and_nothing_else() {
    let mut shop = Shop::new(STARTER);
    let sql = "update payments set amount = '1' where id = '7'";
    let Decision::Review(held) = shop.decide(sql) else {
        panic!("it must wait");
    };
    shop.approved = Some(Approval {
        request: "r0123456789ab".parse().unwrap(),
        binding: held.binding().clone(),
        max_rows: Some(3),
        given: given(&["reviewers"]),
    });
    let Decision::Allow(permit) = shop.decide(sql) else {
        panic!("it was approved");
    };
    assert_eq!(
        permit.approval().unwrap().request.to_string(),
        "r0123456789ab"
    );
    assert_eq!(permit.limits().rows, Some(3));
    shop.check(
        "
        update payments set amount = '2' where id = '7' => review review-payments
        delete from payments where id = '7' => review review-payments
        delete from payments => deny no-unrestricted-write
        ",
    );
    shop.subject.id.sub = "linus".to_owned();
    assert_eq!(shop.outcome(sql), "review review-payments");
}

fn given(groups: &[&str]) -> Vec<Consent> {
    let mut by = person(groups);
    by.id.sub = "grace".to_owned();
    vec![Consent {
        by,
        at: Timestamp::from_micros(0),
        max_rows: None,
    }]
}

#[test]
fn an_approval_by_others_than_the_policy_asks_for_by_now_is_not_good() {
    let sql = "update payments set amount = '1' where id = '7'";
    for (policy, groups) in [
        (STARTER.to_owned(), "auditors"),
        (
            STARTER.replace(
                "approvers = [\"reviewers\"]",
                "approvers = [\"reviewers\"]\nneeded = 2",
            ),
            "reviewers",
        ),
    ] {
        let mut shop = Shop::new(&policy);
        let Decision::Review(held) = shop.decide(sql) else {
            panic!("it must wait");
        };
        shop.approved = Some(Approval {
            request: "r0123456789ab".parse().unwrap(),
            binding: held.binding().clone(),
            max_rows: None,
            given: given(&[groups]),
        });
        assert_eq!(shop.outcome(sql), "review review-payments", "{groups}");
    }
}

#[test]
fn a_maximum_of_rows_that_cannot_be_kept_is_no_maximum() {
    let mut shop = Shop::new(STARTER);
    let twice = "with gone as (delete from payments where id = '1' returning id) \
                 update payments set amount = '1' where id = '7'";
    for (sql, countable) in [
        ("update payments set amount = '1' where id = '7'", true),
        ("delete from payments where id = '7'", true),
        ("insert into payments (id) values ('7')", true),
        (twice, false),
        ("explain analyze delete from payments where id = '7'", false),
    ] {
        shop.approved = None;
        let Decision::Review(held) = shop.decide(sql) else {
            panic!("it must wait: {sql}");
        };
        shop.approved = Some(Approval {
            request: "r0123456789ab".parse().unwrap(),
            binding: held.binding().clone(),
            max_rows: Some(3),
            given: given(&["reviewers"]),
        });
        match shop.decide(sql) {
            Decision::Allow(_) => assert!(countable, "{sql}"),
            Decision::Deny(denial) => {
                assert!(!countable, "{sql}: {denial:?}");
                assert!(denial.message.contains("maximum of rows"), "{denial:?}");
            }
            Decision::Review(_) => panic!("it was approved: {sql}"),
        }
    }
}

#[test]
fn an_approval_lifts_no_limit() {
    let mut shop = Shop::new(&format!("{ALLOW}{REVIEW}[limits]\nrows = 5\n"));
    let sql = "update orders set note = 'x' where id = '1'";
    let Decision::Review(held) = shop.decide(sql) else {
        panic!("it must wait");
    };
    shop.approved = Some(Approval {
        request: "r0123456789ab".parse().unwrap(),
        binding: held.binding().clone(),
        max_rows: Some(1_000),
        given: given(&["reviewers"]),
    });
    let Decision::Allow(permit) = shop.decide(sql) else {
        panic!("it was approved");
    };
    assert_eq!(permit.limits().rows, Some(5));
}

#[test]
fn a_denial_says_which_rule_where_and_what_would_help() {
    let Decision::Deny(denial) = Shop::new(STARTER).decide("drop table orders") else {
        panic!("it must be denied");
    };
    assert_eq!(denial.sqlstate, "42501");
    assert_eq!(denial.message, "`DROP` is denied on `prod`");
    let line = STARTER.lines().position(|l| l == "name = \"no-drop\"");
    let expected = format!("Rule `no-drop` at policy.toml:{}.", line.unwrap());
    assert_eq!(denial.detail.as_deref(), Some(expected.as_str()));
    assert!(denial.hint.as_deref().unwrap().contains("migration"));
}

#[test]
fn a_denial_names_what_was_in_the_way_and_not_what_is_allowed_otherwise() {
    let mut shop = Shop::new(STARTER);
    let message = |shop: &Shop, sql: &str| match shop.decide(sql) {
        Decision::Deny(denial) => {
            assert!(denial.hint.is_some(), "{sql}");
            denial.message
        }
        Decision::Allow(_) | Decision::Review(_) => panic!("{sql} is not denied"),
    };
    for (sql, begins) in [
        ("delete from products", "`DELETE` without a `WHERE`"),
        (
            "with gone as (delete from products returning id) select id from gone",
            "changing all rows by `SELECT`",
        ),
        (
            "explain analyze delete from products",
            "changing all rows by `EXPLAIN`",
        ),
        (
            "set client_encoding = 'latin1'",
            "this setting is pinned by dbgate",
        ),
    ] {
        let message = message(&shop, sql);
        assert!(message.starts_with(begins), "{sql}: {message}");
    }
    shop.access = Access::Read;
    for (sql, begins) in [
        ("begin read write", "making the transaction writable"),
        (
            "delete from products where id = '7'",
            "`DELETE` is not allowed",
        ),
    ] {
        let message = message(&shop, sql);
        assert!(message.starts_with(begins), "{sql}: {message}");
    }
}

#[test]
fn a_mask_does_not_come_back_and_a_parameter_nobody_knows_is_taken_for_one() {
    Shop::new(STARTER).check(
        "
        update customers set phone = '***55' where id = '7' => deny write-back
        update customers set phone = $1 where id = '7' => deny write-back
        update customers set phone = '030 1' where id = '7' => review review-protected
        update customers set phone = null where id = '7' => review review-protected
        ",
    );
}

#[test]
fn an_agent_has_the_limits_of_agents() {
    let mut shop = Shop::new(STARTER);
    for (kind, rows) in [
        (subject::Kind::Person, 100_000),
        (subject::Kind::Agent, 1_000),
    ] {
        shop.subject.kind = kind;
        let Decision::Allow(permit) = shop.decide("select id from orders") else {
            panic!("it must pass");
        };
        assert_eq!(permit.limits().rows, Some(rows));
    }
}

fn above(effect: &str, most: u64) -> String {
    format!(
        "[[rule]]\nname = \"few-{most}\"\nwrites = [\"public.orders\"]\nrows_above = {most}\n{effect}\n"
    )
}

const REFUSES: &str = "effect = \"deny\"";
const ASKS: &str = "effect = \"review\"\napprovers = [\"reviewers\"]";

/// The maximum that comes with what may run, and whether an approval lifts it.
fn bound(shop: &Shop, sql: &str) -> Option<(u64, bool)> {
    let Decision::Allow(permit) = shop.decide(sql) else {
        panic!("{sql}");
    };
    let ceiling = permit.ceiling()?;
    Some((ceiling.rows, ceiling.review))
}

#[test]
fn a_rule_above_a_number_of_rows_binds_what_is_counted_to_the_smallest() {
    let rules = [
        ALLOW,
        &above(REFUSES, 9),
        &above(ASKS, 5),
        &above(REFUSES, 7),
    ]
    .concat();
    let shop = Shop::new(&rules);
    for sql in [
        "update orders set note = 'x'",
        "delete from orders where id = '1'",
        "insert into orders (id) select id from products",
        "copy orders (id) from stdin",
    ] {
        assert_eq!(bound(&shop, sql), Some((5, true)), "{sql}");
    }
    for sql in ["select id from orders", "update products set price = '1'"] {
        assert_eq!(bound(&shop, sql), None, "{sql}");
    }
    let told = shop.explain("delete from orders").to_string();
    assert!(told.starts_with("DELETE: would run"), "{told}");
    assert!(told.contains("`few-5` (review) at policy.toml:"), "{told}");
    assert!(told.contains("above 5 rows"), "{told}");
}

#[test]
fn a_rule_above_a_number_of_rows_fits_at_once_what_is_not_counted() {
    let twice = "with gone as (delete from orders where id = '1' returning id) select id from gone";
    for (rule, came) in [(REFUSES, "deny"), (ASKS, "review")] {
        Shop::new(&[ALLOW, &above(rule, 5)].concat()).check(&format!(
            "
            {twice} => {came} few-5
            truncate orders => {came} few-5
            explain analyze delete from orders => {came} few-5
            select id from orders => allow all
            create table mine (id text) => allow all
            "
        ));
    }
    Shop::new(&[ALLOW, &above(REFUSES, 5)].concat()).check(&format!(
        "
        prepare p as {twice} => deny few-5
        prepare p as delete from orders => allow all
        "
    ));
    let Decision::Deny(denial) = Shop::new(&[ALLOW, &above(REFUSES, 5)].concat()).decide(twice)
    else {
        panic!("it must be denied");
    };
    assert!(denial.detail.unwrap().contains("can't be told beforehand"));
}

#[test]
fn a_function_that_may_write_can_t_be_counted_wherever_it_is_called() {
    let call = ALLOW.replace("\"define\"", "\"define\", \"call\"");
    let rule = "[[rule]]\nname = \"few\"\nrows_above = 5\neffect = \"deny\"\n";
    let shop = Shop::new(&[&call, rule].concat());
    let volatile = shop.catalog.functions.values().find(|function| {
        function.origin.is_none() && function.volatility == 'v' && function.arguments.len() == 1
    });
    let name = &volatile.unwrap().name;
    shop.check(&format!(
        "
        select upper('x') => allow all
        update orders set note = upper('x') => allow all
        select {name}('x') => deny few
        update orders set note = {name}('x') => deny few
        "
    ));
}

#[test]
fn an_approval_lifts_a_review_s_maximum_and_its_own_holds() {
    let sql = "delete from orders";
    let mut shop = Shop::new(&[ALLOW, &above(ASKS, 5)].concat());
    assert_eq!(bound(&shop, sql), Some((5, true)));
    let Decision::Review(held) = shop.ask(sql) else {
        panic!("it is asked for");
    };
    assert_eq!(held.demand().rule, "few-5");
    for (by, most, lifted) in [
        ("reviewers", Some(40), true),
        ("reviewers", None, true),
        ("auditors", Some(40), false),
    ] {
        shop.approved = Some(Approval {
            request: "r0123456789ab".parse().unwrap(),
            binding: held.binding().clone(),
            max_rows: most,
            given: given(&[by]),
        });
        let Decision::Allow(permit) = shop.decide(sql) else {
            panic!("{by}");
        };
        assert_eq!(permit.ceiling().is_none(), lifted, "{by}");
        let used = permit.approval().map(|approval| approval.max_rows);
        assert_eq!(used, lifted.then_some(most), "{by}");
        // An approval is for its statement alone.
        assert_eq!(
            bound(&shop, "delete from orders where id <> '1'"),
            Some((5, true))
        );
    }
    let denies = Shop::new(&[ALLOW, &above(ASKS, 5), &above(REFUSES, 7)].concat());
    let denies = Shop {
        approved: shop.approved.take().map(|approved| Approval {
            given: given(&["reviewers"]),
            ..approved
        }),
        ..denies
    };
    assert_eq!(bound(&denies, sql), Some((7, false)), "a denial stays");
}
