//! Temporary relations: their effect on the connection is foreseen, because no catalog of the broker's shows them.

use std::sync::Arc;

use crate::model::name::ObjectName;
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::Field;
use crate::sql::catalog::{Column, Relation, RelationKind};
use crate::sql::footprint::{Effect, Kind};
use crate::sql::parse::nodes::AlterTableType;
use crate::sql::parse::{Node, nodes};
use crate::sql::scope::Temporaries;

/// Stand-in numbers of temporary relations start here; the server's own are far below.
const FIRST: u32 = 0xFFFF_0000;

/// Whether a relation to be made is temporary.
pub(in crate::sql) fn is_temporary(range: &nodes::RangeVar) -> bool {
    u8::try_from(range.relpersistence).is_ok_and(|letter| letter == b't')
        || range.schemaname() == Some("pg_temp")
}

impl Analyzer<'_> {
    /// With the temporary schema first in the path everything that is made is temporary, and hides what the analysis would find.
    pub(in crate::sql) fn temporary_creation(&mut self, kind: Kind) {
        let mut path = self.scope.search_path.iter();
        let first = path.find(|schema| {
            *schema == "pg_temp" || *schema == "$user" || self.catalog.schemas.contains(schema)
        });
        if kind == Kind::Create && first.is_some_and(|schema| schema == "pg_temp") {
            self.opaque(
                "what is made while the temporary schema comes first in the path",
                -1,
            );
        }
    }

    /// What the connection has after a temporary relation was made.
    pub(in crate::sql) fn with_temporary(
        &mut self,
        range: &nodes::RangeVar,
        kind: RelationKind,
        columns: Vec<Column>,
    ) -> Effect {
        let name = range.relname().unwrap_or_default();
        let hidden = self.path.iter().any(|schema| {
            let name = ObjectName::new(schema.clone(), name);
            self.catalog.relation_names.contains_key(&name)
                || self.catalog.type_names.contains_key(&name)
        });
        if hidden {
            self.opaque(
                "a temporary table that hides another of that name",
                range.location,
            );
        }
        let mut after = self.scope.temporary.clone();
        let oid = after
            .0
            .values()
            .map(|relation| relation.oid.saturating_add(1))
            .max()
            .unwrap_or(FIRST);
        let relation = Relation {
            oid,
            name: ObjectName::new("pg_temp", name),
            kind,
            columns,
            definition: None,
            parents: Vec::new(),
            row_security: false,
            has_rules: false,
            triggers: Vec::new(),
            constraints: Vec::new(),
            hooks: None,
            children: Vec::new(),
            calls: Vec::new(),
        };
        // IF NOT EXISTS keeps the one that is there.
        let entry = after.0.entry(name.to_owned());
        entry.or_insert_with(|| Arc::new(relation));
        Effect::Temporary(after)
    }

    /// Columns of a new relation from a table definition.
    pub(in crate::sql) fn defined_columns(
        &mut self,
        elements: &crate::sql::parse::List,
    ) -> Vec<Column> {
        let mut columns = Vec::new();
        for element in elements {
            match element {
                Node::ColumnDef(definition) => {
                    columns.push(self.defined_column(definition, columns.len()));
                }
                Node::TableLikeClause(like) => {
                    let found = like.relation().and_then(|range| self.resolve(range));
                    for column in found.iter().flat_map(|relation| &relation.columns) {
                        let mut column = column.clone();
                        column.number = number(columns.len());
                        column.generated = None;
                        columns.push(column);
                    }
                }
                _ => {}
            }
        }
        columns
    }

    fn defined_column(&self, definition: &nodes::ColumnDef, index: usize) -> Column {
        Column {
            number: number(index),
            name: definition.colname().unwrap_or_default().to_owned(),
            type_oid: definition
                .type_name()
                .and_then(|name| self.type_oid(name))
                .unwrap_or(0),
            generated: None,
            not_null: definition.is_not_null,
            comment: None,
        }
    }

    /// What `ALTER TABLE` makes of a temporary relation; `None` when it is none.
    pub(in crate::sql) fn altered_temporary(
        &mut self,
        alter: &nodes::AlterTableStmt,
        relation: &Relation,
    ) -> Option<Temporaries> {
        if relation.name.schema != "pg_temp" {
            return None;
        }
        let mut changed = relation.clone();
        for command in alter.cmds() {
            let Node::AlterTableCmd(command) = command else {
                continue;
            };
            match (command.subtype, command.def()) {
                (AlterTableType::AT_AddColumn, Node::ColumnDef(definition)) => {
                    let highest = changed.columns.iter().map(|column| column.number).max();
                    let index = usize::try_from(highest.unwrap_or(0)).unwrap_or(0);
                    let column = self.defined_column(definition, index);
                    changed.columns.push(column);
                }
                // A rollback may bring it back, so it stays known.
                (AlterTableType::AT_DropColumn, _) => {}
                _ => {}
            }
        }
        let mut after = self.scope.temporary.clone();
        after.0.insert(changed.name.name.clone(), Arc::new(changed));
        Some(after)
    }
}

/// The columns that a query's result would have as a table.
pub(in crate::sql) fn result_columns(fields: &[Field]) -> Vec<Column> {
    fields
        .iter()
        .enumerate()
        .map(|(index, field)| Column {
            number: number(index),
            name: field.name.clone(),
            type_oid: field.value.type_oid,
            generated: None,
            not_null: false,
            comment: None,
        })
        .collect()
}

fn number(index: usize) -> i16 {
    i16::try_from(index.saturating_add(1)).unwrap_or(i16::MAX)
}
