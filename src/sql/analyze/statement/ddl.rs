//! Tables and views made, changed and dropped.

use std::rc::Rc;
use std::sync::Arc;

use crate::model::name::ObjectName;
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::hook::Evaluated;
use crate::sql::analyze::query::from::rename_fields;
use crate::sql::analyze::query::names::Env;
use crate::sql::analyze::statement::Outcome;
use crate::sql::analyze::statement::dml::all_columns;
use crate::sql::analyze::statement::temporary::{is_temporary, result_columns};
use crate::sql::catalog::{Column, FIRST_NORMAL, Relation, RelationKind};
use crate::sql::error::Error;
use crate::sql::footprint::{Effect, Hazard, Kind};
use crate::sql::lineage::{How, Origin, Sink};
use crate::sql::parse::nodes::{AlterTableType, ObjectType};
use crate::sql::parse::{List, Node, nodes};

impl Analyzer<'_> {
    /// `SELECT … INTO t`
    pub(in crate::sql) fn new_table(
        &mut self,
        into: &nodes::IntoClause,
        mut fields: Vec<Field>,
    ) -> Result<Outcome, Error> {
        rename_fields(
            &mut fields,
            into.col_names().iter().filter_map(Node::as_str),
        );
        for field in &fields {
            self.flow(&field.value.origin, Sink::NewRelation, -1);
        }
        let Some(range) = into.rel() else {
            self.opaque("a new table without a name", -1);
            return Ok(Outcome::new(Kind::Create, Effect::Catalog));
        };
        let effect = if is_temporary(range) {
            self.with_temporary(range, RelationKind::Table, result_columns(&fields))
        } else {
            Effect::Catalog
        };
        let name = self.new_name(range);
        self.define("table", name);
        Ok(Outcome::new(Kind::Create, effect))
    }

    pub(in crate::sql) fn create_table_as(
        &mut self,
        create: &nodes::CreateTableAsStmt,
    ) -> Result<Outcome, Error> {
        let fields = match create.query() {
            Node::ExecuteStmt(execute) => self.execute(execute)?.outputs,
            query => self.query(query, &Env::default())?,
        };
        let Some(into) = create.into() else {
            self.opaque("a new table without a name", -1);
            return Ok(Outcome::new(Kind::Create, Effect::Catalog));
        };
        self.new_table(into, fields)
    }

    pub(in crate::sql) fn create_view(&mut self, view: &nodes::ViewStmt) -> Result<Outcome, Error> {
        let fields = self.query(view.query(), &Env::default())?;
        for field in &fields {
            self.flow(&field.value.origin, Sink::NewRelation, -1);
        }
        if let Some(range) = view.view() {
            if is_temporary(range) {
                self.opaque("temporary views", range.location);
            }
            let name = self.new_name(range);
            self.define("view", name);
        }
        Ok(Outcome::new(Kind::Create, Effect::Catalog))
    }

    pub(in crate::sql) fn create_table(
        &mut self,
        create: &nodes::CreateStmt,
    ) -> Result<Outcome, Error> {
        let Some(range) = create.relation() else {
            self.opaque("a new table without a name", -1);
            return Ok(Outcome::new(Kind::Create, Effect::Catalog));
        };
        for parent in create.inh_relations() {
            if let Node::RangeVar(parent) = parent {
                self.changed_relation(parent);
            }
        }
        let columns = self.defined_columns(create.table_elts());
        let mut fields = own(&columns);
        for parent in create.inh_relations() {
            if let Node::RangeVar(parent) = parent
                && let Some(parent) = self.resolve(parent)
            {
                fields.extend(own(&parent.columns));
            }
        }
        if let Some(name) = create.of_typename() {
            let row = self.type_oid(name).unwrap_or(0);
            fields.extend(self.composite_fields(row).unwrap_or_default());
        }
        self.column_expressions(create, fields)?;
        let inherits = !create.inh_relations().is_empty() || create.of_typename().is_some();
        let effect = if is_temporary(range) {
            if inherits {
                self.opaque("temporary tables that inherit columns", range.location);
            }
            self.with_temporary(range, RelationKind::Table, columns)
        } else {
            Effect::Catalog
        };
        let name = self.new_name(range);
        self.define("table", name);
        Ok(Outcome::new(Kind::Create, effect))
    }

    /// Defaults, checks and generation expressions: what they read goes into the new table.
    fn column_expressions(
        &mut self,
        create: &nodes::CreateStmt,
        fields: Vec<Field>,
    ) -> Result<(), Error> {
        let item = crate::sql::analyze::query::names::Item::derived(String::new(), fields);
        let mut env = Env::default();
        env.items.push(Rc::new(item));
        self.partition_bound(create.partbound())?;
        for part in create.partspec().iter().flat_map(|spec| spec.part_params()) {
            self.stored_expression(part.expr(), &env)?;
        }
        for element in create.table_elts() {
            match element {
                Node::ColumnDef(column) => self.column_expression(column, &env)?,
                Node::Constraint(constraint) => self.constraint(constraint, &env)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn column_expression(&mut self, column: &nodes::ColumnDef, env: &Env<'_>) -> Result<(), Error> {
        self.stored_expression(column.raw_default(), env)?;
        for constraint in column.constraints() {
            if let Node::Constraint(constraint) = constraint {
                self.constraint(constraint, env)?;
            }
        }
        Ok(())
    }

    /// The bounds of a partition are computed when it is made, and can be read in the catalog.
    fn partition_bound(&mut self, bound: Option<&nodes::PartitionBoundSpec>) -> Result<(), Error> {
        let Some(bound) = bound else { return Ok(()) };
        let env = Env {
            variables: vec!["minvalue".to_owned(), "maxvalue".to_owned()],
            ..Env::default()
        };
        for list in [bound.listdatums(), bound.lowerdatums(), bound.upperdatums()] {
            for node in list {
                self.stored_expression(node, &env)?;
            }
        }
        Ok(())
    }

    fn constraint(&mut self, constraint: &nodes::Constraint, env: &Env<'_>) -> Result<(), Error> {
        self.stored_expression(constraint.raw_expr(), env)?;
        self.stored_expression(constraint.where_clause(), env)?;
        // `EXCLUDE (f(a) WITH =)`: pairs of an element and its operator.
        for pair in constraint.exclusions() {
            let Some(pair) = pair.as_node_list() else {
                continue;
            };
            if let Some(Node::IndexElem(element)) = pair.get(0) {
                self.stored_expression(element.expr(), env)?;
            }
            if let Some(Node::NodeList(name)) = pair.get(1) {
                self.called_operator(name, constraint.location)?;
            }
        }
        if let Some(referenced) = constraint.pktable()
            && let Some(relation) = self.resolve(referenced)
        {
            self.read_relation(relation.oid);
            // A foreign key tells which values are there.
            for name in constraint.pk_attrs().iter().filter_map(Node::as_str) {
                if let Some(column) = relation.column(name) {
                    let id =
                        crate::sql::analyze::query::names::column_id(relation.oid, column.number);
                    self.usage(&Origin::plain(id), How::SuppliedJoin, constraint.location);
                }
            }
        }
        Ok(())
    }

    /// An expression that the server keeps and evaluates later.
    pub(in crate::sql) fn stored_expression(
        &mut self,
        node: Node<'_>,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        let value = self.expression(node, env)?;
        self.consume(&value, -1);
        self.flow(&value.origin, Sink::NewRelation, -1);
        Ok(())
    }

    pub(in crate::sql) fn alter_table(
        &mut self,
        alter: &nodes::AlterTableStmt,
    ) -> Result<Outcome, Error> {
        let relation = alter
            .relation()
            .and_then(|range| self.changed_relation(range));
        let mut env = Env::default();
        if let Some(relation) = &relation {
            env.items.push(Rc::new(self.stored_item(relation)?));
        }
        for command in alter.cmds() {
            let Node::AlterTableCmd(command) = command else {
                continue;
            };
            self.alter_command(command, &env)?;
        }
        let temporary = relation.and_then(|relation| self.altered_temporary(alter, &relation));
        let effect = temporary.map_or(Effect::Catalog, Effect::Temporary);
        Ok(Outcome::new(Kind::Alter, effect))
    }

    fn alter_command(
        &mut self,
        command: &nodes::AlterTableCmd,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        use AlterTableType as Type;
        match command.subtype {
            Type::AT_DropColumn
            | Type::AT_DropConstraint
            | Type::AT_DropNotNull
            | Type::AT_DropExpression
            | Type::AT_DropIdentity
            | Type::AT_DropInherit
            | Type::AT_DropCluster
            | Type::AT_DropOf
            | Type::AT_DetachPartition
            | Type::AT_DetachPartitionFinalize => self.hazard(Hazard::AlterDrop),
            Type::AT_ColumnDefault if matches!(command.def(), Node::None) => {
                self.hazard(Hazard::AlterDrop);
            }
            Type::AT_ChangeOwner => self.hazard(Hazard::RoleChange),
            Type::AT_EnableTrig
            | Type::AT_EnableAlwaysTrig
            | Type::AT_EnableReplicaTrig
            | Type::AT_DisableTrig
            | Type::AT_EnableTrigAll
            | Type::AT_DisableTrigAll
            | Type::AT_EnableTrigUser
            | Type::AT_DisableTrigUser
            | Type::AT_EnableRule
            | Type::AT_EnableAlwaysRule
            | Type::AT_EnableReplicaRule
            | Type::AT_DisableRule
            | Type::AT_EnableRowSecurity
            | Type::AT_DisableRowSecurity
            | Type::AT_ForceRowSecurity
            | Type::AT_NoForceRowSecurity => self.hazard(Hazard::SystemChange),
            _ => {}
        }
        match command.def() {
            Node::ColumnDef(column) => self.column_expression(column, env),
            Node::Constraint(constraint) => self.constraint(constraint, env),
            Node::PartitionCmd(partition) => {
                if let Some(range) = partition.name() {
                    self.changed_relation(range);
                }
                self.partition_bound(partition.bound())
            }
            Node::RangeVar(range) => {
                self.changed_relation(range);
                Ok(())
            }
            node if command.subtype == Type::AT_ColumnDefault => self.stored_expression(node, env),
            _ => Ok(()),
        }
    }

    /// A relation whose definition is changed, or that something is hung onto: each of its columns may show in
    /// what comes of it.
    pub(in crate::sql) fn changed_relation(
        &mut self,
        range: &nodes::RangeVar,
    ) -> Option<Arc<Relation>> {
        let found = self.look_up(range.schemaname(), range.relname().unwrap_or_default(), -1);
        let Some(relation) = found else {
            let name = self.object_name(range);
            self.define("relation", name);
            return None;
        };
        self.define(what(relation.kind), relation.name.clone());
        if relation.oid < FIRST_NORMAL {
            self.hazard(Hazard::SystemChange);
        }
        self.stored_code(&relation, Evaluated::Always);
        self.all_indirect(&relation, range.location);
        Some(relation)
    }

    /// Notes that every column of a relation, and of what is behind it, may show indirectly.
    pub(in crate::sql) fn all_indirect(&mut self, relation: &Arc<Relation>, location: i32) {
        for column in all_columns(relation) {
            self.usage(&Origin::plain(column), How::Indirect, location);
        }
    }

    pub(in crate::sql) fn drop_objects(&mut self, drop: &nodes::DropStmt) -> Outcome {
        let what = object_kind(drop.remove_type);
        let mut temporary = self.scope.temporary.clone();
        let mut stored = false;
        for object in drop.objects() {
            let name = match object {
                Node::NodeList(list) => self.dropped_name(list),
                Node::ObjectWithArgs(object) => self.listed_name(object.objname()),
                Node::TypeName(name) => self.listed_name(name.names().iter().map(Node::String)),
                Node::String(text) => ObjectName::new("", text.sval().unwrap_or_default()),
                _ => ObjectName::new("", ""),
            };
            if name.schema == "pg_temp" {
                // A rollback may bring it back, so only its rows are gone.
                temporary.0.remove(&name.name);
            } else {
                stored = true;
            }
            self.define(what, name);
        }
        match drop.remove_type {
            ObjectType::OBJECT_USER_MAPPING
            | ObjectType::OBJECT_FDW
            | ObjectType::OBJECT_FOREIGN_SERVER => self.hazard(Hazard::Network),
            ObjectType::OBJECT_EXTENSION | ObjectType::OBJECT_LANGUAGE => {
                self.hazard(Hazard::LoadsCode);
            }
            _ => {}
        }
        let effect = if stored {
            Effect::Catalog
        } else {
            Effect::Temporary(temporary)
        };
        Outcome::new(Kind::Drop, effect)
    }

    fn dropped_name(&mut self, list: &List) -> ObjectName {
        let parts: Vec<&str> = list.iter().filter_map(Node::as_str).collect();
        match parts.as_slice() {
            [name] => match self.look_up(None, name, -1) {
                Some(relation) => relation.name.clone(),
                None => ObjectName::new(self.creation_schema(), *name),
            },
            _ => self.listed_name(list),
        }
    }

    /// The full name that a new relation gets.
    fn new_name(&self, range: &nodes::RangeVar) -> ObjectName {
        let name = range.relname().unwrap_or_default();
        if is_temporary(range) {
            return ObjectName::new("pg_temp", name);
        }
        match range.schemaname() {
            Some(schema) => ObjectName::new(schema, name),
            None => ObjectName::new(self.creation_schema(), name),
        }
    }
}

/// What a relation is called in the footprint.
pub(in crate::sql) const fn what(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::Partitioned => "table",
        RelationKind::View => "view",
        RelationKind::Materialized => "materialized view",
        RelationKind::Foreign => "foreign table",
        RelationKind::Sequence => "sequence",
        RelationKind::Composite => "type",
        RelationKind::Other => "relation",
    }
}

/// What a kind of object is called in the footprint.
pub(in crate::sql) const fn object_kind(kind: ObjectType::Type) -> &'static str {
    match kind {
        ObjectType::OBJECT_TABLE => "table",
        ObjectType::OBJECT_VIEW => "view",
        ObjectType::OBJECT_MATVIEW => "materialized view",
        ObjectType::OBJECT_FOREIGN_TABLE => "foreign table",
        ObjectType::OBJECT_SEQUENCE => "sequence",
        ObjectType::OBJECT_INDEX => "index",
        ObjectType::OBJECT_SCHEMA => "schema",
        ObjectType::OBJECT_FUNCTION
        | ObjectType::OBJECT_PROCEDURE
        | ObjectType::OBJECT_ROUTINE
        | ObjectType::OBJECT_AGGREGATE => "function",
        ObjectType::OBJECT_TYPE => "type",
        ObjectType::OBJECT_DOMAIN => "domain",
        ObjectType::OBJECT_TRIGGER => "trigger",
        ObjectType::OBJECT_RULE => "rule",
        ObjectType::OBJECT_POLICY => "policy",
        ObjectType::OBJECT_EXTENSION => "extension",
        ObjectType::OBJECT_COLUMN => "column",
        ObjectType::OBJECT_ROLE => "role",
        ObjectType::OBJECT_DATABASE => "database",
        _ => "object",
    }
}

/// Columns whose values are the new table's own.
fn own(columns: &[Column]) -> Vec<Field> {
    let field = |column: &Column| Field::new(column.name.clone(), Value::supplied(column.type_oid));
    columns.iter().map(field).collect()
}
