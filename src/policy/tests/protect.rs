//! Which columns are protected, from whom, and how strictly.

use std::sync::Arc;

use crate::model::name::ColumnId;
use crate::model::subject;
use crate::policy::Guard;
use crate::policy::decide::Decision;
use crate::policy::tests::STARTER;
use crate::policy::tests::shop::{Shop, person};
use crate::sql::catalog::{Catalog, Relation};
use crate::sql::lineage::How;

const ALLOW: &str = "
[[allow]]
roles = [\"shop_write\"]
name = \"all\"
everyone = true
databases = [\"prod\"]
do = [\"read\", \"write\", \"define\"]
";

fn shop(protects: &str) -> Shop {
    Shop::new(&format!("{ALLOW}{protects}"))
}

fn guard<'a>(shop: &'a Shop, table: &str, column: &str) -> Option<&'a Guard> {
    let relation = shop.catalog.relation("public", table).unwrap();
    shop.protection.guard(ColumnId {
        relation: relation.oid,
        number: relation.column(column).unwrap().number,
    })
}

fn masks(shop: &Shop, sql: &str) -> Vec<String> {
    match shop.decide(sql) {
        Decision::Allow(permit) => permit
            .masks()
            .iter()
            .map(|mask| mask.as_ref().map_or_else(String::new, ToString::to_string))
            .collect(),
        Decision::Deny(denial) => vec![format!("denied: {}", denial.message)],
        Decision::Review(_) => vec!["held".to_owned()],
    }
}

#[test]
fn named_and_tagged_columns_are_protected_and_no_other() {
    let shop = Shop::new(STARTER);
    let mut all: Vec<&str> = shop
        .protection
        .columns()
        .map(|(_, guard)| guard.column.as_str())
        .collect();
    all.sort_unstable();
    let expected = [
        "public.customers.card",
        "public.customers.email",
        "public.customers.phone",
        "public.payments.card",
        "public.payments_2024.card",
        "public.vault.secret",
    ];
    assert_eq!(all, expected);
    assert!(shop.protection.unmatched().is_empty());
}

#[test]
fn a_pattern_that_fits_no_column_is_told() {
    let shop = shop("[[protect]]\ncolumns = [\"public.customers.emial\"]\nmask = \"redact\"\n");
    assert!(shop.protection.is_empty());
    assert_eq!(shop.protection.unmatched(), ["public.customers.emial"]);
}

#[test]
fn a_tag_is_a_whole_word() {
    for (tag, fits) in [("secret", true), ("secre", false), ("secrets", false)] {
        let shop = shop(&format!(
            "[[protect]]\ntags = [\"{tag}\"]\nmask = \"redact\"\n"
        ));
        assert_eq!(guard(&shop, "vault", "secret").is_some(), fits, "{tag}");
    }
}

#[test]
fn protection_goes_down_to_partitions_and_up_to_their_parents() {
    let shop = shop("[[protect]]\ncolumns = [\"public.payments_2024.amount\"]\nmask = \"null\"\n");
    assert!(guard(&shop, "payments", "amount").is_some());
    assert!(guard(&shop, "payments", "id").is_none());
    assert!(guard(&Shop::new(STARTER), "payments_2024", "card").is_some());
}

#[test]
fn of_two_entries_the_stricter_counts_in_every_respect() {
    let shop = shop(
        r#"
[[protect]]
name = "one"
columns = ["public.customers.email"]
mask = "email"
clear_for = ["support", "billing"]
predicates = ["equality", "null-test"]

[[protect]]
name = "two"
columns = ["public.customers.*"]
mask = "null"
clear_for = ["billing"]
predicates = ["equality", "range"]
"#,
    );
    let both = guard(&shop, "customers", "email").unwrap();
    assert_eq!(both.mask.to_string(), "redact");
    assert_eq!(both.clear_for, person(&["billing"]).groups);
    assert_eq!(both.predicates, [How::Equality].into());
}

#[test]
fn who_is_cleared_sees_the_column_unless_it_is_an_agent() {
    let mut shop = shop(
        "[[protect]]\ncolumns = [\"public.customers.email\"]\nmask = \"redact\"\nclear_for = [\"billing\"]\n",
    );
    let sql = "select id, email from customers";
    assert_eq!(masks(&shop, sql), ["", "redact"]);
    shop.subject = person(&["billing"]);
    assert_eq!(masks(&shop, sql), ["", ""]);
    shop.subject.kind = subject::Kind::Agent;
    assert_eq!(masks(&shop, sql), ["", "redact"]);
}

#[test]
fn a_plain_column_is_masked_however_it_is_reached() {
    let shop = Shop::new(STARTER);
    for sql in [
        "select email from customers",
        "select c.email as id from customers c",
        "select x from (select email as x from customers) s",
        "with w as (select email from customers) select email from w",
        "select email from customers union all select name from customers",
        "table customers",
    ] {
        let masks = masks(&shop, sql);
        assert!(masks.contains(&"email".to_owned()), "{sql}: {masks:?}");
    }
}

#[test]
fn a_column_is_used_as_its_protection_lets_it_and_not_otherwise() {
    Shop::new(STARTER).check(
        "
        select id from customers where email = 'x' => allow engineers
        select id from customers where email is null => allow engineers
        select id from customers where email like 'g%' => deny protected
        select id from customers where email < 'm' => deny protected
        select id from customers order by email => deny protected
        select upper(email) from customers => deny protected
        ",
    );
}

#[test]
fn a_guess_is_counted() {
    let shop = Shop::new(STARTER);
    for (sql, probes) in [
        ("select id from customers where email = 'x'", 1),
        ("select id from customers where name = 'x'", 0),
    ] {
        let Decision::Allow(permit) = shop.decide(sql) else {
            panic!("{sql}");
        };
        assert_eq!(permit.probes(), probes, "{sql}");
    }
}

#[test]
fn values_do_not_flow_to_where_they_are_not_kept() {
    let mut shop = Shop::new(STARTER);
    let flows = "
        insert into support_notes (body) select email from customers => deny protected
        update orders set note = c.card from customers c where c.id = orders.id and orders.id = '1' => deny protected
        create table stolen as select email from customers => deny protected
        copy customers from stdin => deny protected
        ";
    shop.check(flows);
    shop.subject = person(&["engineers", "billing"]);
    shop.check(flows);
    shop.check(
        "insert into payments (card) select card from payments_2024 => review review-payments",
    );
}

#[test]
fn a_column_stays_protected_under_another_name() {
    let shop = shop("[[protect]]\ncolumns = [\"public.customers.email\"]\nmask = \"redact\"\n");
    let before = shop.catalog.relation("public", "customers").unwrap();
    let id = ColumnId {
        relation: before.oid,
        number: before.column("email").unwrap().number,
    };
    let mut catalog = Catalog::clone(&shop.catalog);
    let mut renamed = Relation::clone(before);
    "people".clone_into(&mut renamed.name.name);
    for column in &mut renamed.columns {
        column.name += "_old";
    }
    catalog.relations.insert(renamed.oid, Arc::new(renamed));
    let database = "prod".parse().unwrap();
    let after = shop.protection.again(&shop.policy, &database, &catalog);
    assert!(after.guard(id).is_some());
    // A policy that no longer has the pattern lets it go.
    let other = Shop::new(ALLOW);
    let after = after.again(&other.policy, &database, &catalog);
    assert!(after.guard(id).is_none());
}
