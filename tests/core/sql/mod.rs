//! Statements and the facts they come to: `corpus/sql`. `UPDATE=1` writes down what comes out now.

mod catalog;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbgate::model::name::ColumnId;
use dbgate::sql::catalog::Catalog;
use dbgate::sql::footprint::{Effect, Facts};
use dbgate::sql::lineage::{Origin, Sink};
use dbgate::sql::{self, Scope};

#[test]
fn queries() {
    check("query.txt");
}

#[test]
fn what_is_learned_from_conditions() {
    check("usage.txt");
}

#[test]
fn changes() {
    check("change.txt");
}

#[test]
fn functions() {
    check("function.txt");
}

#[test]
fn definitions_and_settings() {
    check("utility.txt");
}

#[test]
fn state_of_the_connection() {
    check("connection.txt");
}

/// Each case is a comment, statements, `----`, and the facts; an empty line ends it.
fn check(file: &str) {
    let path = corpus().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let catalog = catalog::read(&std::fs::read_to_string(corpus().join("catalog.txt")).unwrap());
    let mut found = String::new();
    for case in text.split("\n\n").filter(|case| !case.trim().is_empty()) {
        let case = case.trim_matches('\n');
        let input = case.split("\n----").next().unwrap();
        writeln!(found, "{input}\n----\n{}", facts(input, &catalog)).unwrap();
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found.trim_end_matches('\n').to_owned() + "\n").unwrap();
        return;
    }
    for (expected, found) in text.split("\n\n").zip(found.split("\n\n")) {
        assert_eq!(found.trim(), expected.trim());
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/corpus/sql")
}

/// The lines of a case one after the other on one connection, as facts.
fn facts(input: &str, catalog: &Catalog) -> String {
    let mut scope = Scope::new("dbgate_ada_1");
    let mut out = String::new();
    for line in input.lines().filter(|line| !line.starts_with("--")) {
        let text: Arc<str> = line.into();
        match sql::analyze(&text, &[], catalog, &scope) {
            Ok(all) => {
                for one in &all {
                    let facts = one.facts();
                    follow(&mut scope, facts);
                    out += &show(facts, catalog, &scope);
                }
            }
            Err(error) => writeln!(out, "error {} {error}", error.sqlstate).unwrap(),
        }
    }
    out
}

/// What a gateway does after a statement has succeeded.
fn follow(scope: &mut Scope, facts: &Facts) {
    scope.written.extend(&facts.footprint.relations_written);
    match &facts.effect {
        Effect::Prepare { name, inner } => {
            scope.prepared.insert(name.clone(), Arc::clone(inner));
        }
        Effect::Declare { name, inner, .. } => {
            scope.cursors.insert(name.clone(), Arc::clone(inner));
        }
        Effect::SearchPath { path, .. } => scope.search_path.clone_from(path),
        Effect::Temporary(after) => scope.temporary = after.clone(),
        _ => {}
    }
}

fn show(facts: &Facts, catalog: &Catalog, scope: &Scope) -> String {
    let name = |id: &ColumnId| column(*id, catalog, scope);
    let names = |ids: &BTreeSet<ColumnId>| {
        let names: Vec<String> = ids.iter().map(name).collect();
        names.join(" ")
    };
    let origin = |origin: &Origin| match origin {
        Origin::Clean => "clean".to_owned(),
        Origin::Plain(ids) => format!("plain({})", names(ids)),
        Origin::Generated(ids) => format!("generated({})", names(ids)),
        Origin::Computed(ids) => format!("computed({})", names(ids)),
        Origin::Unknown => "unknown".to_owned(),
    };
    let mut out = format!("{}\n", word(&facts.kind));
    for output in &facts.outputs {
        writeln!(out, "  out {} {}", output.name, origin(&output.origin)).unwrap();
    }
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for usage in &facts.usages {
        let columns = uses.entry(word(&usage.how)).or_default();
        columns.insert(name(&usage.column));
    }
    for (how, columns) in uses {
        let columns: Vec<String> = columns.into_iter().collect();
        writeln!(out, "  {how} {}", columns.join(" ")).unwrap();
    }
    for flow in &facts.flows {
        let sink = match &flow.to {
            Sink::Column(id) => name(id),
            other => word(other),
        };
        writeln!(out, "  flow {} -> {sink}", origin(&flow.from)).unwrap();
    }
    if !facts.footprint.writes.is_empty() {
        writeln!(out, "  writes {}", names(&facts.footprint.writes)).unwrap();
    }
    for (what, name) in &facts.footprint.defines {
        writeln!(out, "  defines {what} {name}").unwrap();
    }
    for hazard in &facts.hazards {
        writeln!(out, "  hazard {}", word(hazard)).unwrap();
    }
    if let Some(opaque) = &facts.opaque {
        let code = opaque
            .failure
            .as_ref()
            .map_or("", |failure| failure.sqlstate);
        writeln!(out, "  opaque {code} {}", opaque.what).unwrap();
    }
    out
}

fn column(id: ColumnId, catalog: &Catalog, scope: &Scope) -> String {
    let temporary = scope.temporary.0.values();
    let relation = catalog
        .relations
        .get(&id.relation)
        .or_else(|| temporary.into_iter().find(|known| known.oid == id.relation));
    let Some(relation) = relation else {
        return format!("{id:?}");
    };
    let column = relation
        .columns
        .iter()
        .find(|known| known.number == id.number);
    let schema = match relation.name.schema.as_str() {
        "public" => String::new(),
        other => format!("{other}."),
    };
    format!("{schema}{}.{}", relation.name.name, column.unwrap().name)
}

/// The word under which something is serialized.
fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap();
    text.trim_matches('"').to_owned()
}
