//! What a statement touches, in names: the catalog's numbers mean nothing to an auditor a year later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::event::private::Private;
use crate::model::name::ObjectName;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Facts, Kind};

/// What a statement touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// What kind of statement it is.
    pub kind: Kind,
    /// The relations, by `schema.name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, Touched>,
    /// What is created or otherwise named for the first time, one name a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defines: Option<Private>,
    /// The functions, by `schema.name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// What makes it dangerous, in the words of policy rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hazards: Vec<String>,
    /// What was not understood, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<String>,
}

/// What happens to one relation.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the log's format: a table can be read, written, or both"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Rows are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read: bool,
    /// Rows are written, deleted or truncated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub written: bool,
    /// The columns read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// The columns written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
}

impl Footprint {
    /// A footprint of which only the kind is known.
    #[must_use]
    pub const fn of_kind(kind: Kind) -> Self {
        Self {
            kind,
            tables: BTreeMap::new(),
            defines: None,
            functions: Vec::new(),
            hazards: Vec::new(),
            opaque: None,
        }
    }

    /// Says in names what the facts say in numbers.
    #[must_use]
    pub fn describe(facts: &Facts, catalog: &Catalog) -> Self {
        let mut all = Self::of_kind(facts.kind);
        all.tables = tables(facts, catalog);
        let defines = names(facts, catalog);
        all.defines = (!defines.is_empty()).then(|| defines.join("\n").into());
        all.functions = facts
            .footprint
            .calls
            .iter()
            .map(|oid| match catalog.functions.get(oid) {
                Some(function) => function.name.to_string(),
                None => format!("function {oid}"),
            })
            .collect();
        all.functions.sort();
        all.functions.dedup();
        all.hazards = facts.hazards.iter().filter_map(word).collect();
        all.opaque = facts.opaque.as_ref().map(|opaque| match &opaque.failure {
            // The name is the client's, and in the text of the statement.
            Some(_) => "a name that does not resolve".to_owned(),
            None => opaque.what.chars().take(200).collect(),
        });
        all
    }
}

fn tables(facts: &Facts, catalog: &Catalog) -> BTreeMap<String, Touched> {
    let name = |oid: u32| match catalog.relations.get(&oid) {
        Some(relation) => relation.name.to_string(),
        None => format!("relation {oid}"),
    };
    let column = |oid: u32, number: i16| {
        catalog
            .relations
            .get(&oid)
            .and_then(|relation| {
                relation
                    .columns
                    .iter()
                    .find(|column| column.number == number)
            })
            .map_or_else(|| format!("column {number}"), |column| column.name.clone())
    };
    let mut tables: BTreeMap<String, Touched> = BTreeMap::new();
    let footprint = &facts.footprint;
    for oid in &footprint.relations_read {
        tables.entry(name(*oid)).or_default().read = true;
    }
    for oid in &footprint.relations_written {
        tables.entry(name(*oid)).or_default().written = true;
    }
    for id in &footprint.reads {
        let touched = tables.entry(name(id.relation)).or_default();
        touched.read = true;
        touched.reads.push(column(id.relation, id.number));
    }
    for id in &footprint.writes {
        let touched = tables.entry(name(id.relation)).or_default();
        touched.written = true;
        touched.writes.push(column(id.relation, id.number));
    }
    let known = |name: &ObjectName| catalog.relations.values().any(|of| of.name == *name);
    for (_, defined) in footprint.defines.iter().filter(|(_, name)| known(name)) {
        tables.entry(defined.to_string()).or_default().written = true;
    }
    tables
}

/// Names that the catalog does not have yet: whoever wrote the statement made them, and they may say anything.
fn names(facts: &Facts, catalog: &Catalog) -> Vec<String> {
    let known = |name: &ObjectName| catalog.relations.values().any(|of| of.name == *name);
    let defines = facts.footprint.defines.iter();
    let new = defines.filter(|(_, name)| !known(name));
    new.map(|(_, name)| name.to_string()).collect()
}

/// The word policy uses for a hazard.
fn word<T: Serialize>(hazard: &T) -> Option<String> {
    match serde_json::to_value(hazard) {
        Ok(serde_json::Value::String(word)) => Some(word),
        _ => None,
    }
}
