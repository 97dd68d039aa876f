//! A policy's patterns and tags become columns of one database.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use crate::model::name::{ColumnId, DatabaseName};
use crate::model::subject::{self, Subject};
use crate::policy::document::protect::Protect;
use crate::policy::document::{Place, Policy};
use crate::policy::obligation::Mask;
use crate::sql::catalog::{Catalog, Column, Relation};
use crate::sql::lineage::How;

/// What is protected in one database, by the policy and the catalog of one moment.
///
/// **Invariant:** when two entries fit one column the stricter counts in every respect, so that one entry more
/// never shows more.
#[derive(Debug, Clone, Default)]
pub struct Protection {
    columns: HashMap<ColumnId, Arc<Guard>>,
    relations: HashSet<u32>,
    unmatched: Vec<String>,
    /// Which patterns of which entries fit a column, now or under the name it had before.
    bound: HashMap<ColumnId, BTreeSet<(String, String)>>,
}

/// How one column is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// The column, as `schema.table.column`.
    pub column: String,
    /// The entry that protects it (the first, when several do).
    pub rule: String,
    /// Where that entry stands.
    pub place: Place,
    /// How its values are shown.
    pub mask: Mask,
    /// Groups whose members see it as it is.
    pub clear_for: BTreeSet<String>,
    /// How it may be used without being shown.
    pub predicates: BTreeSet<How>,
}

impl Guard {
    /// Whether the subject sees the column as it is. Agents never do, whatever groups they are in: what they read
    /// may have been written by somebody else to make them tell it.
    #[must_use]
    pub fn is_clear_for(&self, subject: &Subject) -> bool {
        match subject.kind {
            subject::Kind::Person | subject::Kind::Job => {
                self.clear_for.iter().any(|g| subject.groups.contains(g))
            }
            subject::Kind::Agent => false,
        }
    }

    /// Whether whoever reads that column sees at most what readers of this one see.
    #[must_use]
    pub fn is_kept_by(&self, other: &Self) -> bool {
        self.mask == other.mask
            && other.clear_for.is_subset(&self.clear_for)
            && other.predicates.is_subset(&self.predicates)
    }

    fn of(entry: &Protect, relation: &Relation, column: &Column) -> Self {
        Self {
            column: format!("{}.{}", relation.name, column.name),
            rule: entry.name.clone(),
            place: entry.place.clone(),
            mask: entry.mask.clone(),
            clear_for: entry.clear_for.iter().cloned().collect(),
            predicates: entry.predicates.clone(),
        }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            mask: self.mask.or(&other.mask),
            clear_for: &self.clear_for & &other.clear_for,
            predicates: &self.predicates & &other.predicates,
            ..self.clone()
        }
    }
}

impl Protection {
    /// Finds the columns that the policy protects, and those of partitions and children by inheritance.
    #[must_use]
    pub fn resolve(policy: &Policy, database: &DatabaseName, catalog: &Catalog) -> Self {
        Self::default().again(policy, database, catalog)
    }

    /// The same, after this one: a column that has another name now, or is in a table with another name, stays protected for as long
    /// as the policy has the pattern that fitted it. Who has renamed it did not mean to show it.
    #[must_use]
    pub fn again(&self, policy: &Policy, database: &DatabaseName, catalog: &Catalog) -> Self {
        let entries: Vec<&Protect> = policy
            .protects()
            .iter()
            .filter(|entry| entry.concerns(database))
            .collect();
        let mut protection = Self::default();
        let mut matched = HashSet::new();
        for relation in catalog.relations.values().filter(|r| !is_system(r)) {
            for column in &relation.columns {
                for (index, entry) in entries.iter().enumerate() {
                    if fits(entry, relation, column, &mut matched, index) {
                        protection.add(relation, column, Guard::of(entry, relation, column));
                    }
                }
            }
        }
        protection.bind(&self.bound, &entries, catalog);
        protection.hand_down(catalog);
        protection.hand_up(catalog);
        protection.relations = protection.columns.keys().map(|c| c.relation).collect();
        protection.unmatched = entries
            .iter()
            .enumerate()
            .flat_map(|(index, entry)| entry.columns.iter().map(move |p| (index, p.to_string())))
            .filter(|key| !matched.contains(key))
            .map(|(_, pattern)| pattern)
            .collect();
        protection
    }

    /// Nothing is protected, for anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// How the column is protected, from anybody.
    #[must_use]
    pub fn guard(&self, column: ColumnId) -> Option<&Guard> {
        self.columns.get(&column).map(|guard| &**guard)
    }

    /// How the column is protected from this subject.
    #[must_use]
    pub fn guard_for(&self, column: ColumnId, subject: &Subject) -> Option<&Guard> {
        self.guard(column)
            .filter(|guard| !guard.is_clear_for(subject))
    }

    /// Whether anything is protected from this subject.
    #[must_use]
    pub fn concerns(&self, subject: &Subject) -> bool {
        self.columns
            .values()
            .any(|guard| !guard.is_clear_for(subject))
    }

    /// Whether the relation has a protected column.
    #[must_use]
    pub fn has_table(&self, relation: u32) -> bool {
        self.relations.contains(&relation)
    }

    /// All protected columns, in no order.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, &Guard)> {
        self.columns
            .iter()
            .map(|(column, guard)| (*column, &**guard))
    }

    /// Patterns that fit no column of this database: misspelled, perhaps.
    #[must_use]
    pub fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    fn add(&mut self, relation: &Relation, column: &Column, guard: Guard) {
        let id = ColumnId {
            relation: relation.oid,
            number: column.number,
        };
        let guard = match self.columns.get(&id) {
            Some(first) => first.and(&guard),
            None => guard,
        };
        self.columns.insert(id, Arc::new(guard));
    }

    /// Protects what was protected under another name, and remembers which pattern fits what.
    fn bind(
        &mut self,
        before: &HashMap<ColumnId, BTreeSet<(String, String)>>,
        entries: &[&Protect],
        catalog: &Catalog,
    ) {
        let mut bound = before.clone();
        bound.retain(|id, fitted| {
            fitted.retain(|(name, pattern)| {
                let has = |entry: &&&Protect| {
                    entry.name == *name && entry.columns.iter().any(|p| p.to_string() == *pattern)
                };
                entries.iter().find(has).is_some_and(|entry| {
                    let relation = catalog.relations.get(&id.relation);
                    let column = relation.and_then(|relation| {
                        let mut columns = relation.columns.iter();
                        columns.find(|column| column.number == id.number)
                    });
                    let (Some(relation), Some(column)) = (relation, column) else {
                        return false;
                    };
                    self.add(relation, column, Guard::of(entry, relation, column));
                    true
                })
            });
            !fitted.is_empty()
        });
        for relation in catalog.relations.values().filter(|r| !is_system(r)) {
            for column in &relation.columns {
                let id = ColumnId {
                    relation: relation.oid,
                    number: column.number,
                };
                for entry in entries {
                    let fitting = entry.columns.iter();
                    let fitting = fitting.filter(|p| p.matches(&relation.name, &column.name));
                    for pattern in fitting {
                        let fitted = bound.entry(id).or_default();
                        fitted.insert((entry.name.clone(), pattern.to_string()));
                    }
                }
            }
        }
        self.bound = bound;
    }

    /// What is protected in a table is protected in its partitions and children.
    fn hand_down(&mut self, catalog: &Catalog) {
        for relation in catalog.relations.values() {
            for ancestor in ancestors(catalog, relation) {
                self.copy(ancestor, relation);
            }
        }
    }

    /// Who reads a parent reads its children's rows, so what is protected in a child is protected there, too.
    fn hand_up(&mut self, catalog: &Catalog) {
        for relation in catalog.relations.values() {
            for ancestor in ancestors(catalog, relation) {
                self.copy(relation, ancestor);
            }
        }
    }

    fn copy(&mut self, from: &Relation, to: &Relation) {
        for column in &from.columns {
            let id = ColumnId {
                relation: from.oid,
                number: column.number,
            };
            let (Some(guard), Some(same)) = (self.columns.get(&id), to.column(&column.name)) else {
                continue;
            };
            let guard = Guard {
                column: format!("{}.{}", to.name, same.name),
                ..Guard::clone(guard)
            };
            self.add(to, same, guard);
        }
    }
}

fn fits(
    entry: &Protect,
    relation: &Relation,
    column: &Column,
    matched: &mut HashSet<(usize, String)>,
    index: usize,
) -> bool {
    let mut fits = entry
        .tags
        .iter()
        .any(|tag| has_tag(column.comment.as_deref(), tag));
    for pattern in &entry.columns {
        if pattern.matches(&relation.name, &column.name) {
            matched.insert((index, pattern.to_string()));
            fits = true;
        }
    }
    fits
}

/// Whether the comment has the tag as a word behind an `@`.
fn has_tag(comment: Option<&str>, tag: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == ':';
    comment.unwrap_or_default().split('@').skip(1).any(|rest| {
        rest.strip_prefix(tag)
            .is_some_and(|after| !after.starts_with(is_word))
    })
}

fn is_system(relation: &Relation) -> bool {
    let schema = relation.name.schema.as_str();
    schema == "pg_catalog" || schema == "information_schema" || schema == "pg_toast"
}

/// All ancestors, however far up; each once, also when the catalog has a cycle, which it must not.
fn ancestors<'a>(catalog: &'a Catalog, relation: &Relation) -> Vec<&'a Relation> {
    let mut seen = HashSet::new();
    let mut next = relation.parents.clone();
    let mut all = Vec::new();
    while let Some(oid) = next.pop() {
        let Some(parent) = catalog.relations.get(&oid) else {
            continue;
        };
        if seen.insert(oid) {
            next.extend(&parent.parents);
            all.push(&**parent);
        }
    }
    all
}

/// The relation itself and all its ancestors: the names under which rules may speak of it.
pub(super) fn lineage_of(catalog: &Catalog, oid: u32) -> Vec<&Relation> {
    let Some(relation) = catalog.relations.get(&oid) else {
        return Vec::new();
    };
    let mut all = ancestors(catalog, relation);
    all.push(relation);
    all
}
