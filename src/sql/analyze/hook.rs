//! What the server does by itself as rows are written: triggers run, rules rewrite, constraints compare.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::name::{ColumnId, ObjectName};
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::query::names::column_id;
use crate::sql::catalog::{ConstraintKind, Function, Relation, Trigger};
use crate::sql::footprint::Kind;
use crate::sql::known;
use crate::sql::known::function::Verdict;
use crate::sql::lineage::{How, Origin, Sink};

/// Bits of `tgtype`.
const INSERT: i16 = 4;
const DELETE: i16 = 8;
const UPDATE: i16 = 16;
const TRUNCATE: i16 = 32;

/// When expressions that belong to a relation are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Evaluated {
    /// Rows are written, or all of them are looked at.
    Always,
    /// A query is planned: what cannot change is computed in advance.
    Planning,
}

impl Analyzer<'_> {
    /// Notes what comes with the writes that were noted.
    pub(in crate::sql) fn follow_writes(&mut self, kind: Kind) {
        self.constrained();
        for (relation, events) in self.affected(kind) {
            if relation.has_rules {
                self.opaque(format!("what the rules of {} do", relation.name), -1);
            }
            if relation.row_security {
                self.found.own_code = true;
            }
            for trigger in &relation.triggers {
                if trigger.events & events != 0 {
                    self.trigger(&relation, trigger);
                }
            }
            self.stored_code(&relation, Evaluated::Always);
        }
        let read = self.found.footprint.relations_read.iter();
        let relations = &self.catalog.relations;
        let read: Vec<&Arc<Relation>> = read.filter_map(|oid| relations.get(oid)).collect();
        for relation in read {
            if relation.row_security {
                self.found.own_code = true;
            }
            self.stored_code(relation, Evaluated::Planning);
        }
    }

    /// What the functions do that the expressions of a relation call: they may have another body by now, and find other tables.
    pub(in crate::sql) fn stored_code(&mut self, relation: &Relation, when: Evaluated) {
        for oid in &relation.calls {
            let Some(function) = self.catalog.functions.get(oid) else {
                self.opaque(format!("what an expression of {} calls", relation.name), -1);
                return;
            };
            let runs = when == Evaluated::Always || function.volatility == 'i';
            if runs && !self.is_vouched(function) {
                self.found.own_code = true;
                let mut open = BTreeSet::new();
                self.mentioned(function, relation, &mut open);
            }
        }
    }

    /// Functions of the server and of known extensions only compute, or refuse a row; others may be named in the policy.
    fn is_vouched(&self, function: &Function) -> bool {
        known::function::verdict(function) == Verdict::Harmless
            || self.scope.trusted.contains(&function.name)
    }

    /// What is done to rows, by the statement or inside of it.
    fn events(&self, kind: Kind) -> i16 {
        let parts = &self.found.parts;
        let mut events = match kind {
            Kind::CopyIn => INSERT,
            Kind::Truncate => TRUNCATE,
            _ => 0,
        };
        for (part, event) in [
            (Kind::Insert, INSERT),
            (Kind::Update, UPDATE),
            (Kind::Delete, DELETE),
            (Kind::Merge, INSERT | UPDATE | DELETE),
        ] {
            if parts.contains(&part) {
                events |= event;
            }
        }
        // Rows that `ON CONFLICT` changes.
        if !self.found.updated.is_empty() {
            events |= UPDATE;
        }
        events
    }

    /// The relations whose triggers may fire, and at what: those written, their partitions and children, and those that changes
    /// cascade to.
    fn affected(&self, kind: Kind) -> Vec<(Arc<Relation>, i16)> {
        let catalog = self.catalog;
        let events = self.events(kind);
        let written = self.found.footprint.relations_written.iter();
        let mut next: Vec<(u32, i16)> = written.map(|oid| (*oid, events)).collect();
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        while let Some((oid, events)) = next.pop() {
            let Some(relation) = catalog.relations.get(&oid) else {
                continue;
            };
            if !seen.insert((oid, events)) {
                continue;
            }
            next.extend(relation.children.iter().map(|child| (*child, events)));
            let parents = relation.parents.iter().copied();
            for referenced in parents.chain([oid]) {
                next.extend(cascades(catalog.relations.values(), referenced, events));
            }
            all.push((Arc::clone(relation), events));
        }
        all
    }

    fn trigger(&mut self, relation: &Relation, trigger: &Trigger) {
        let Some(function) = self.catalog.functions.get(&trigger.function) else {
            self.opaque(format!("what a trigger of {} does", relation.name), -1);
            return;
        };
        // Whether a row counts as changed tells whether what is written is what was stored.
        if known::function::suppresses(function) {
            let written = self.found.updated.iter().copied();
            let written: Vec<ColumnId> = written.filter(|of| of.relation == relation.oid).collect();
            self.compared(written.into_iter(), 1);
            return;
        }
        if self.is_vouched(function) {
            return;
        }
        self.found.own_code = true;
        let mut open = BTreeSet::new();
        self.mentioned(function, relation, &mut open);
    }

    /// What a body that cannot be read speaks of: of each relation that it names, every value may go anywhere. The trigger's own
    /// relation is left out: the row is there for the trigger to work with.
    fn mentioned(&mut self, function: &Function, own: &Relation, open: &mut BTreeSet<u32>) {
        if !open.insert(function.oid) {
            return;
        }
        let unclear = || {
            format!(
                "what the function {}, run by a trigger or an expression of a table, does",
                function.name
            )
        };
        let readable = matches!(function.language.as_str(), "plpgsql" | "sql");
        let Some(body) = function.body.as_ref().filter(|_| readable) else {
            self.opaque(unclear(), -1);
            return;
        };
        let body = body.to_lowercase();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let words: BTreeSet<&str> = body.split(|c: char| !is_word(c)).collect();
        // Names can be put together from pieces; what names anything in double quotes may have any letters.
        if words.contains("execute") {
            self.opaque(unclear(), -1);
            return;
        }
        let catalog = self.catalog;
        for relation in catalog.relations.values() {
            let name = relation.name.name.to_lowercase();
            let spoken = words.contains(name.as_str()) || body.contains(&format!("\"{name}\""));
            if !spoken || relation.oid == own.oid || shows_nothing(relation) {
                continue;
            }
            let Ok(fields) = self.relation_fields(relation) else {
                self.opaque(unclear(), -1);
                return;
            };
            self.read_relation(relation.oid);
            for field in fields.iter() {
                self.flow(&field.value.origin.clone().computed(), Sink::Elsewhere, -1);
            }
        }
        for called in catalog.functions.values() {
            let name = called.name.name.to_lowercase();
            if !words.contains(name.as_str()) || self.scope.trusted.contains(&called.name) {
                continue;
            }
            match known::function::verdict(called) {
                Verdict::Harmless | Verdict::Marked(_) => {}
                Verdict::Touches(_) => self.opaque(unclear(), -1),
                Verdict::Unproven if called.origin.is_some() => self.opaque(unclear(), -1),
                Verdict::Unproven => self.mentioned(called, own, open),
            }
        }
    }

    /// What it tells of stored values that a constraint holds, or not.
    fn constrained(&mut self) {
        let updated = std::mem::take(&mut self.found.updated);
        let inserted = std::mem::take(&mut self.found.inserted);
        let relations: BTreeSet<u32> = updated
            .iter()
            .chain(inserted.keys())
            .map(|column| column.relation)
            .collect();
        let catalog = self.catalog;
        for oid in relations {
            let Some(relation) = catalog.relations.get(&oid) else {
                continue;
            };
            for constraint in &relation.constraints {
                let columns = || {
                    constraint
                        .columns
                        .iter()
                        .map(|number| column_id(oid, *number))
                };
                let changed = columns().any(|column| updated.contains(&column));
                let given: Vec<u32> = columns()
                    .filter_map(|column| inserted.get(&column).copied())
                    .collect();
                let values = given.iter().copied().max().unwrap_or(u32::from(changed));
                if values == 0 {
                    continue;
                }
                match &constraint.kind {
                    // Of a new row all values are the client's own; of a changed one what is not written is stored.
                    ConstraintKind::Check if changed => {
                        for column in columns().filter(|column| !updated.contains(column)) {
                            self.usage(&Origin::plain(column), How::Computation, -1);
                        }
                    }
                    ConstraintKind::Check => {}
                    ConstraintKind::Unique | ConstraintKind::Primary => {
                        self.compared(columns(), values);
                    }
                    ConstraintKind::Exclusion => {
                        for column in columns() {
                            self.usage(&Origin::plain(column), How::Range, -1);
                        }
                    }
                    ConstraintKind::Foreign {
                        relation, columns, ..
                    } => {
                        let there = columns.iter().map(|number| column_id(*relation, *number));
                        self.compared(there, values);
                    }
                }
            }
        }
        self.found.updated = updated;
        self.found.inserted = inserted;
    }

    fn compared(&mut self, columns: impl Iterator<Item = ColumnId>, values: u32) {
        for column in columns {
            self.usages(&Origin::plain(column), How::Equality, -1, values);
        }
    }
}

/// What a relation holds that a function may name without harm: the structure of the database.
fn shows_nothing(relation: &Relation) -> bool {
    let ObjectName { schema, .. } = &relation.name;
    let system = schema == "pg_catalog" || schema == "information_schema";
    system && known::relation::hazard(&relation.name).is_none()
}

/// The relations whose rows are changed or deleted along with those of that one.
fn cascades<'r>(
    relations: impl Iterator<Item = &'r Arc<Relation>>,
    oid: u32,
    events: i16,
) -> impl Iterator<Item = (u32, i16)> {
    relations.filter_map(move |known| {
        let along = known
            .constraints
            .iter()
            .any(|constraint| match &constraint.kind {
                ConstraintKind::Foreign {
                    relation,
                    by_delete,
                    by_update,
                    ..
                } => {
                    *relation == oid
                        && (*by_delete && events & DELETE != 0
                            || *by_update && events & UPDATE != 0)
                }
                ConstraintKind::Check
                | ConstraintKind::Unique
                | ConstraintKind::Primary
                | ConstraintKind::Exclusion => false,
            });
        along.then_some((known.oid, UPDATE | DELETE))
    })
}
