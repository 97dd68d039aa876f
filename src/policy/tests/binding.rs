//! An approval is bound to everything its approver saw.

use std::collections::HashSet;

use crate::model::access::Access;
use crate::model::subject;
use crate::policy::binding::{Binding, Parameter};
use crate::policy::decide::Decision;
use crate::policy::tests::STARTER;
use crate::policy::tests::shop::Shop;
use crate::sql::catalog::Relation;
use crate::wire::row::Format;

const SQL: &str = "update payments set amount = $1 where id = $2";

fn text(value: Option<&[u8]>) -> Parameter<'_> {
    Parameter {
        type_oid: 25,
        format: Format::Text,
        value,
    }
}

fn bound(shop: &Shop, sql: &str, parameters: &[Parameter<'_>]) -> Binding {
    let decision = shop.decide_with(sql, parameters);
    let Decision::Review(held) = decision else {
        panic!("{sql}: {decision:?}")
    };
    held.binding().clone()
}

fn given() -> [Parameter<'static>; 2] {
    [text(Some(b"1")), text(Some(b"7"))]
}

#[test]
fn the_same_question_has_the_same_binding() {
    let one = bound(&Shop::new(STARTER), SQL, &given());
    assert_eq!(one, bound(&Shop::new(STARTER), SQL, &given()));
}

#[test]
fn whatever_changes_changes_the_binding() {
    let plain = Shop::new(STARTER);
    let mut all = HashSet::from([bound(&plain, SQL, &given())]);
    let mut differs = |binding, what| assert!(all.insert(binding), "{what}");
    differs(bound(&plain, &SQL.replace("set", "SET"), &given()), "text");
    let [one, two] = given();
    differs(bound(&plain, SQL, &[two, one]), "order");
    differs(bound(&plain, SQL, &[one]), "number of parameters");
    differs(
        bound(&plain, SQL, &[text(Some(b"17")), text(Some(b""))]),
        "borders",
    );
    differs(bound(&plain, SQL, &[text(None), two]), "NULL");
    differs(bound(&plain, SQL, &[text(Some(b"")), two]), "an empty text");
    let other = Parameter {
        type_oid: 23,
        ..one
    };
    differs(bound(&plain, SQL, &[other, two]), "type");
    let other = Parameter {
        format: Format::Binary,
        ..one
    };
    differs(bound(&plain, SQL, &[other, two]), "format");
    let mut shop = Shop::new(STARTER);
    shop.reason = Some("INC-7");
    differs(bound(&shop, SQL, &given()), "reason");
    let mut shop = Shop::new(STARTER);
    shop.subject.id.sub = "linus".to_owned();
    differs(bound(&shop, SQL, &given()), "subject");
    shop.subject.id.issuer = "https://other".to_owned();
    differs(bound(&shop, SQL, &given()), "issuer");
    shop.subject.behalf = Some(subject::Id {
        issuer: "https://issuer".to_owned(),
        sub: "grace".to_owned(),
    });
    differs(bound(&shop, SQL, &given()), "on whose behalf");
    let two = STARTER.replace("[\"prod\"]", "[\"prod\", \"copy\"]");
    differs(bound(&Shop::at("copy", &two), SQL, &given()), "database");
}

#[test]
fn another_table_under_the_same_name_is_noticed() {
    let mut shop = Shop::new(STARTER);
    let before = bound(&shop, SQL, &given());
    let payments = crate::model::name::ObjectName::new("public", "payments");
    let other = shop
        .catalog
        .relation("public", "payments_2024")
        .unwrap()
        .oid;
    shop.catalog.relation_names.insert(payments, other);
    assert_ne!(before, bound(&shop, SQL, &given()));
}

#[test]
fn what_was_altered_since_is_noticed() {
    let plain = bound(&Shop::new(STARTER), SQL, &given());
    let altered = |alter: fn(&mut Relation)| {
        let mut shop = Shop::new(STARTER);
        let oid = shop.catalog.relation("public", "payments").unwrap().oid;
        let payments = shop.catalog.relations.get_mut(&oid).unwrap();
        alter(std::sync::Arc::make_mut(payments));
        bound(&shop, SQL, &given())
    };
    let alterations: [fn(&mut Relation); 4] = [
        |payments| payments.columns[3].type_oid = 16,
        |payments| payments.hooks = Some("another trigger".to_owned()),
        |payments| payments.row_security = true,
        |payments| payments.definition = Some("select 1".to_owned()),
    ];
    let mut all = HashSet::from([plain]);
    for (number, alter) in alterations.into_iter().enumerate() {
        assert!(all.insert(altered(alter)), "alteration {number}");
    }
}

#[test]
fn the_kind_of_session_is_bound() {
    let reads = "
[[allow]]
roles = [\"shop_write\"]
name = \"all\"
everyone = true
databases = [\"prod\"]
do = [\"read\", \"write\"]

[[rule]]
name = \"look\"
effect = \"review\"
reads = [\"public.orders\"]
approvers = [\"reviewers\"]
";
    let mut shop = Shop::new(reads);
    let before = bound(&shop, "select id from orders", &[]);
    shop.access = Access::Read;
    assert_ne!(before, bound(&shop, "select id from orders", &[]));
}

#[test]
fn a_binding_is_read_as_it_is_written_and_nothing_else_is() {
    let binding = bound(&Shop::new(STARTER), SQL, &given());
    let text = binding.to_string();
    assert_eq!(text.parse::<Binding>().unwrap(), binding);
    let json = serde_json::to_string(&binding).unwrap();
    assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding);
    let first = text.chars().next().unwrap();
    for wrong in [
        "",
        text.strip_prefix(first).unwrap(),
        &format!("{text}0"),
        &text.replace(first, "g"),
        &"é".repeat(32),
    ] {
        assert!(wrong.parse::<Binding>().is_err(), "{wrong}");
    }
}
