//! Relations: which one a name means, and where its columns come from.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use crate::model::name::{ColumnId, ObjectName};
use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::from::rename;
use crate::sql::analyze::query::names::{Env, Item, Nature, column_id};
use crate::sql::catalog::{FIRST_NORMAL, Relation, RelationKind};
use crate::sql::error::Error;
use crate::sql::footprint::{Hazard, Opaque};
use crate::sql::known;
use crate::sql::lineage::Origin;
use crate::sql::parse::{self, Node, nodes};

impl Analyzer<'_> {
    /// The item for a relation or for what `WITH` calls so.
    pub(in crate::sql) fn relation_item(
        &mut self,
        range: &nodes::RangeVar,
        env: &Env<'_>,
    ) -> Result<Item, Error> {
        let name = range.relname().unwrap_or_default();
        if range.schemaname().is_none()
            && let Some(table) = env.table(name)
        {
            let mut item = Item::derived(name, Vec::new());
            item.fields = Rc::clone(&table.fields);
            if table.open {
                item.nature = Nature::Open;
            }
            rename(&mut item, range.alias());
            return Ok(item);
        }
        let mut item = match self.resolve(range) {
            Some(relation) => {
                self.read_relation(relation.oid);
                self.stored_item(&relation)?
            }
            None => {
                let mut item = Item::derived(name, Vec::new());
                item.nature = Nature::Open;
                item
            }
        };
        rename(&mut item, range.alias());
        Ok(item)
    }

    /// The item for a relation under its own name.
    pub(in crate::sql) fn stored_item(&mut self, relation: &Arc<Relation>) -> Result<Item, Error> {
        let fields = self.relation_fields(relation)?;
        let temporary = relation.name.schema == "pg_temp";
        let row_type = self
            .catalog
            .type_names
            .get(&relation.name)
            .copied()
            .unwrap_or(0);
        Ok(Item {
            name: relation.name.name.clone(),
            schema: Some(relation.name.schema.clone()),
            fields,
            row_type,
            qualified: true,
            unqualified: true,
            nature: if temporary {
                Nature::Temporary
            } else {
                Nature::Stored
            },
        })
    }

    /// The relation that a name in `FROM` or after `UPDATE` and the like means. Notes it when there is none.
    pub(in crate::sql) fn resolve(&mut self, range: &nodes::RangeVar) -> Option<Arc<Relation>> {
        let name = range.relname().unwrap_or_default();
        let found = self.look_up(range.schemaname(), name, range.location);
        let apart = range
            .schemaname()
            .is_some_and(|schema| schema.starts_with("pg_to") || schema.starts_with("pg_temp_"));
        if found.is_none() && !apart {
            let full = match range.schemaname() {
                Some(schema) => format!("{schema}.{name}"),
                None => name.to_owned(),
            };
            self.failure(
                "42P01",
                format!("relation \"{full}\" does not exist"),
                range.location,
            );
        }
        found
    }

    /// The relation of that name, if there is one.
    pub(in crate::sql) fn look_up(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: i32,
    ) -> Option<Arc<Relation>> {
        match schema {
            Some("pg_temp") => self.temporary(name),
            Some(schema) if schema.starts_with("pg_temp_") => {
                self.opaque("temporary tables named by their schema", at);
                None
            }
            Some("pg_toast") => {
                self.hazard(Hazard::CatalogSecret);
                self.opaque("what TOAST tables hold", at);
                None
            }
            Some(schema) => self.catalog.relation(schema, name).map(Arc::clone),
            None => {
                let stored = self.search(name);
                let Some(temporary) = self.temporary(name) else {
                    return stored;
                };
                // Which of the two the server means depends on what a rollback has undone.
                if stored.is_some() {
                    self.opaque("a temporary table that hides another of that name", at);
                }
                Some(temporary)
            }
        }
    }

    fn search(&self, name: &str) -> Option<Arc<Relation>> {
        self.path
            .iter()
            .find_map(|schema| self.catalog.relation(schema, name))
            .map(Arc::clone)
    }

    fn temporary(&self, name: &str) -> Option<Arc<Relation>> {
        if self.in_definition() {
            return None;
        }
        self.scope.temporary.0.get(name).map(Arc::clone)
    }

    /// The columns of a relation with where they come from. What a view selects is part of its columns'
    /// lineage, beside the view's own columns.
    pub(in crate::sql) fn relation_fields(
        &mut self,
        relation: &Arc<Relation>,
    ) -> Result<Rc<Vec<Field>>, Error> {
        if let Some(known) = self.relations.get(&relation.oid) {
            return Ok(Rc::clone(known));
        }
        let fields = match relation.kind {
            _ if relation.oid < FIRST_NORMAL => self.system_fields(relation),
            RelationKind::View | RelationKind::Materialized => self.view_fields(relation)?,
            _ => self.table_fields(relation)?,
        };
        let fields = Rc::new(fields);
        self.relations.insert(relation.oid, Rc::clone(&fields));
        Ok(fields)
    }

    /// Relations that come with the server are looked at from outside: their columns are their own.
    fn system_fields(&mut self, relation: &Relation) -> Vec<Field> {
        let secret = known::relation::hazard(&relation.name);
        if let Some(hazard) = secret {
            self.hazard(hazard);
        }
        if known::relation::touches_everything(&relation.name) {
            self.opaque(
                format!(
                    "what {} shows of other tables and sessions",
                    relation.name.name
                ),
                -1,
            );
        }
        let mut fields = own_fields(relation);
        for field in &mut fields {
            if known::relation::is_secret(&relation.name, &field.name) {
                field.value = Value::unknown();
            }
        }
        fields
    }

    fn table_fields(&mut self, relation: &Relation) -> Result<Vec<Field>, Error> {
        if known::relation::is_statement_statistics(&relation.name) {
            self.hazard(Hazard::CatalogSecret);
            self.opaque("what other sessions' statements hold", -1);
        }
        let mut fields = own_fields(relation);
        for (index, column) in relation.columns.iter().enumerate() {
            let Some(text) = &column.generated else {
                continue;
            };
            let origin = self.generated(relation, text)?;
            if let Some(field) = fields.get_mut(index) {
                let own = field.value.origin.clone();
                field.value.origin = match origin {
                    Origin::Clean => own,
                    other => own.or(other.computed().stored()),
                };
            }
        }
        self.kept_by_triggers(relation, &mut fields);
        Ok(fields)
    }

    /// Columns that a trigger of the server's own keeps: `tsvector_update_trigger('search', 'pg_catalog.simple', 'title', 'body')`.
    fn kept_by_triggers(&self, relation: &Relation, fields: &mut [Field]) {
        for trigger in &relation.triggers {
            let function = self.catalog.functions.get(&trigger.function);
            let keeps = function.is_some_and(|function| {
                function.oid < FIRST_NORMAL
                    && function.name.name.starts_with("tsvector_update_trigger")
            });
            let [kept, _, from @ ..] = trigger.arguments.as_slice() else {
                continue;
            };
            if !keeps {
                continue;
            }
            let from = from.iter().filter_map(|name| relation.column(name));
            let from: BTreeSet<ColumnId> = from
                .map(|column| column_id(relation.oid, column.number))
                .collect();
            for field in fields.iter_mut().filter(|field| field.name == *kept) {
                let own = field.value.origin.clone();
                field.value.origin = own.or(Origin::Generated(from.clone()));
            }
        }
    }

    /// What a generated column is computed from.
    fn generated(&mut self, relation: &Relation, text: &str) -> Result<Origin, Error> {
        let query = format!("SELECT {text}");
        let Ok(parsed) = parse::parse(&query) else {
            return Ok(Origin::Unknown);
        };
        let mut nested = self.definition();
        let mut env = Env::default();
        let mut item = Item::derived(relation.name.name.clone(), own_fields(relation));
        item.nature = Nature::Stored;
        env.items.push(Rc::new(item));
        let mut origin = Origin::Clean;
        for piece in parsed.pieces() {
            let fields = nested.quietly(|nested| nested.query(piece.node, &env))?;
            for field in fields {
                origin = origin.or(field.value.origin);
            }
        }
        self.rejoin(&nested);
        if nested.found.opaque.is_some() {
            return Ok(Origin::Unknown);
        }
        Ok(origin)
    }

    fn view_fields(&mut self, relation: &Relation) -> Result<Vec<Field>, Error> {
        let mut fields = own_fields(relation);
        let Some(inner) = self.definition_fields(relation)? else {
            self.opaque(format!("the definition of {}", relation.name), -1);
            for field in &mut fields {
                field.value = Value::unknown();
            }
            return Ok(fields);
        };
        for (index, field) in fields.iter_mut().enumerate() {
            let own = field.value.origin.clone();
            field.value = match inner.get(index) {
                Some(inner) => Value {
                    origin: match inner.value.origin.clone() {
                        origin if relation.kind == RelationKind::Materialized => own
                            .or(origin.stored())
                            .or(used(&inner.value).computed().stored()),
                        origin => own.or(origin),
                    },
                    type_oid: field.value.type_oid,
                    ..inner.value.clone()
                },
                None => Value::unknown(),
            };
            field.value.row = None;
            field.value.test = false;
            if relation.kind == RelationKind::Materialized {
                field.value.uses = None;
            }
        }
        Ok(fields)
    }

    /// What the query behind a view gives; `None` when it can't be read.
    fn definition_fields(&mut self, relation: &Relation) -> Result<Option<Vec<Field>>, Error> {
        let Some(text) = &relation.definition else {
            return Ok(None);
        };
        if self.open.contains(&relation.oid) {
            return Ok(None);
        }
        let Ok(parsed) = parse::parse(text) else {
            return Ok(None);
        };
        let mut nested = self.definition();
        if relation.name.schema == "pg_temp" {
            nested.path.clone_from(&self.path);
            nested.place = Place::Body;
        }
        nested.open.push(relation.oid);
        let mut result = None;
        for piece in parsed.pieces() {
            // What a materialized view filtered by was used when it was filled, not now.
            result = Some(if relation.kind == RelationKind::Materialized {
                nested.quietly(|nested| nested.query(piece.node, &Env::default()))?
            } else {
                nested.query(piece.node, &Env::default())?
            });
        }
        self.rejoin(&nested);
        self.absorb(nested, relation.kind == RelationKind::Materialized);
        Ok(result)
    }

    /// An analysis of a definition as the server prints it: all names in it are full, or built in.
    pub(in crate::sql) fn definition(&self) -> Self {
        let mut nested = self.nested(Place::Definition);
        nested.path = vec!["pg_catalog".to_owned()];
        nested
    }

    /// Takes over what could not be understood inside a definition: the server has understood it, so a name
    /// that does not resolve there is no error of the client's.
    pub(in crate::sql) fn absorb_opaque(&mut self, opaque: Option<Opaque>) {
        if self.found.opaque.is_none()
            && let Some(mut opaque) = opaque
        {
            opaque.failure = None;
            self.found.opaque = Some(opaque);
        }
    }

    /// Takes over what a nested analysis found; of a materialized view only what it could not understand.
    fn absorb(&mut self, nested: Self, stored: bool) {
        let found = nested.found;
        self.absorb_opaque(found.opaque);
        if stored {
            return;
        }
        let footprint = &mut self.found.footprint;
        footprint
            .relations_read
            .extend(found.footprint.relations_read);
        footprint.calls.extend(found.footprint.calls);
        self.found.hazards.extend(found.hazards);
        self.found.parts.extend(found.parts);
        self.found.writers = self.found.writers.saturating_add(found.writers);
        if self.quiet == 0 {
            self.found.footprint.reads.extend(found.footprint.reads);
            self.found.usages.extend(found.usages);
        }
    }

    /// The rows of a type that is a relation's.
    pub(in crate::sql) fn composite_fields(&self, type_oid: u32) -> Option<Vec<Field>> {
        let mut r#type = self.catalog.types.get(&type_oid)?;
        if r#type.kind == 'd' {
            r#type = self.catalog.types.get(&r#type.base)?;
        }
        let relation = self.catalog.relations.get(&r#type.relation)?;
        Some(own_fields(relation))
    }

    /// The name of an object to be made or changed, with the schema it has or would get.
    pub(in crate::sql) fn object_name(&mut self, range: &nodes::RangeVar) -> ObjectName {
        let name = range.relname().unwrap_or_default();
        if let Some(schema) = range.schemaname() {
            return ObjectName::new(schema, name);
        }
        if let Some(relation) = self.look_up(None, name, range.location) {
            return relation.name.clone();
        }
        ObjectName::new(self.creation_schema(), name)
    }

    /// Where unqualified new objects go.
    pub(in crate::sql) fn creation_schema(&self) -> String {
        self.path
            .iter()
            .find(|schema| *schema != "pg_catalog" && self.catalog.schemas.contains(schema))
            .cloned()
            .unwrap_or_else(|| "public".to_owned())
    }

    /// A dotted name as it stands in a list of strings.
    pub(in crate::sql) fn listed_name<'n>(
        &self,
        parts: impl IntoIterator<Item = Node<'n>>,
    ) -> ObjectName {
        let parts: Vec<&str> = parts.into_iter().filter_map(Node::as_str).collect();
        match parts.as_slice() {
            [.., schema, name] => ObjectName::new(*schema, *name),
            [name] => ObjectName::new(self.creation_schema(), *name),
            [] => ObjectName::new("", ""),
        }
    }
}

/// What it takes to compute a value, as an origin.
fn used(value: &Value) -> Origin {
    let columns: BTreeSet<ColumnId> = value
        .uses
        .iter()
        .flat_map(|uses| uses.iter())
        .map(|(column, _)| *column)
        .collect();
    if columns.is_empty() {
        Origin::Clean
    } else {
        Origin::Plain(columns)
    }
}

fn own_fields(relation: &Relation) -> Vec<Field> {
    relation
        .columns
        .iter()
        .map(|column| {
            let origin = Origin::plain(column_id(relation.oid, column.number));
            Field::new(column.name.clone(), Value::from(origin, column.type_oid))
        })
        .collect()
}
