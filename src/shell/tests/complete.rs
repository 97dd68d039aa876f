//! What could come next, by where the cursor stands.

use crate::shell::complete::{Names, Relation, complete};

fn names() -> Names {
    let relation = |schema: &str, name: &str, columns: &[&str]| Relation {
        schema: schema.to_owned(),
        name: name.to_owned(),
        visible: schema == "public",
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    Names {
        relations: vec![
            relation("public", "customers", &["id", "name", "email"]),
            relation("public", "orders", &["id", "customer_id", "placed_at"]),
            relation("public", "Odd Name", &["Mixed"]),
            relation("sales", "regions", &["region"]),
        ],
        functions: ["count", "pg_sleep", "array_agg"]
            .map(ToOwned::to_owned)
            .to_vec(),
    }
}

/// What the word before `|` could become.
#[track_caller]
fn check(line: &str, expected: &[&str]) {
    let cursor = line.find('|').unwrap();
    let line = line.replacen('|', "", 1);
    let (start, found) = complete(&line, cursor, &names());
    assert_eq!(found, expected, "{line:?}");
    assert!(line.is_char_boundary(start) && start <= cursor);
}

#[test]
fn a_table_comes_after_from() {
    check("select * from cu|", &["customers"]);
    check(
        "select * from |",
        &["\"Odd Name\"", "customers", "orders", "sales.regions"],
    );
    check("select * from sales.|", &["regions"]);
    check("update o|", &["\"Odd Name\"", "orders"]);
}

#[test]
fn columns_are_those_of_the_tables_that_are_named() {
    check("select na| from customers", &["name", "natural"]);
    check("select c.| from customers c", &["id", "name", "email"]);
    check("select * from orders o where o.pl|", &["placed_at"]);
    check("select pl| from customers", &[]);
    // Before a table is named, any of them may be meant.
    check("select ema|", &["email"]);
    check("select reg|", &[]);
}

#[test]
fn keywords_and_functions_are_completed() {
    check("sel|", &["select"]);
    check("SEL|", &["SELECT"]);
    check("select coun|", &["count("]);
    check("select pg_sl|", &["pg_sleep("]);
    check("select array_|", &["array_agg("]);
    check("select 'sel|", &[]);
    check("-- sel|", &[]);
}

#[test]
fn commands_and_what_they_take_are_completed() {
    check("\\tim|", &["\\timing"]);
    check("\\d cust|", &["customers"]);
}

#[test]
fn a_name_that_would_act_on_the_terminal_is_not_offered() {
    let mut names = names();
    for evil in ["ev\x1b]0;owned\x07", "ev\u{9b}2J", "ev\u{202e}il"] {
        names.relations.push(Relation {
            schema: "public".to_owned(),
            name: evil.to_owned(),
            visible: true,
            columns: vec![evil.to_owned()],
        });
        names.functions.push(evil.to_owned());
    }
    for line in ["select * from ev", "select ev", "\\d ev"] {
        let (_, found) = complete(line, line.len(), &names);
        assert_eq!(found, Vec::<String>::new(), "{line}");
    }
}
