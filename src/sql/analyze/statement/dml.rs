//! `INSERT`, `UPDATE`, `DELETE`, `MERGE`.

use std::rc::Rc;
use std::sync::Arc;

use crate::model::name::ColumnId;
use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::function::literal;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::from::rename;
use crate::sql::analyze::query::names::{Env, Item, Nature, column_id};
use crate::sql::catalog::{FIRST_NORMAL, Relation, RelationKind};
use crate::sql::error::Error;
use crate::sql::footprint::{Assignment, Hazard, Kind, Written};
use crate::sql::lineage::{How, Origin, Sink};
use crate::sql::parse::nodes::{CmdType, OnConflictAction, SetOperation};
use crate::sql::parse::{Node, nodes};

/// More assignments than this are not listed one by one.
const MAX_ASSIGNED: usize = 20_000;

impl Analyzer<'_> {
    pub(in crate::sql) fn insert(
        &mut self,
        insert: &nodes::InsertStmt,
        parent: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.found.writes(Kind::Insert);
        let mut env = Env::within(parent);
        if let Some(with) = insert.with_clause() {
            self.with(with, &mut env)?;
        }
        let Some(target) = self.target(insert.relation())? else {
            self.query_or_nothing(insert.select_stmt(), &env)?;
            return self.returning(insert.returning_clause(), &env);
        };
        let columns = self.insert_columns(insert, &target.relation, &env)?;
        self.insert_rows(insert, &columns, &env)?;
        let rows = match insert.select_stmt() {
            Node::SelectStmt(select) => u32::try_from(select.values_lists().len()).unwrap_or(1),
            _ => 1,
        };
        for column in &columns {
            self.given(*column, rows.max(1));
        }
        env.items.push(Rc::new(target.item.clone()));
        self.on_conflict(insert, &target, &columns, &env)?;
        self.old_and_new(&target.item, &mut env);
        self.returning(insert.returning_clause(), &env)
    }

    /// The columns that an `INSERT` names, or all.
    fn insert_columns(
        &mut self,
        insert: &nodes::InsertStmt,
        relation: &Relation,
        env: &Env<'_>,
    ) -> Result<Vec<ColumnId>, Error> {
        let mut columns = Vec::new();
        for target in insert.cols() {
            let Node::ResTarget(target) = target else {
                continue;
            };
            columns.extend(self.target_column(relation, target, env)?);
        }
        if insert.cols().is_empty() {
            columns.extend(all_columns(relation));
        }
        Ok(columns)
    }

    fn insert_rows(
        &mut self,
        insert: &nodes::InsertStmt,
        columns: &[ColumnId],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for column in columns {
            self.write(*column);
        }
        let Node::SelectStmt(select) = insert.select_stmt() else {
            return Ok(());
        };
        let plain_values = select.op == SetOperation::SETOP_NONE
            && !select.values_lists().is_empty()
            && select.with_clause().is_none();
        let fields = self.query(insert.select_stmt(), env)?;
        for (field, column) in fields.iter().zip(columns) {
            self.flow(&field.value.origin, Sink::Column(*column), -1);
            self.read(&field.value.origin);
            if !plain_values {
                self.assign(*column, Written::Other);
            }
        }
        if plain_values {
            for list in select.values_lists() {
                let Some(list) = list.as_node_list() else {
                    continue;
                };
                for (node, column) in list.iter().zip(columns) {
                    self.assign(*column, written(node));
                }
            }
        } else if fields.len() > columns.len() {
            self.failure(
                "42601",
                "INSERT has more expressions than target columns",
                -1,
            );
        }
        Ok(())
    }

    fn on_conflict(
        &mut self,
        insert: &nodes::InsertStmt,
        target: &Target,
        columns: &[ColumnId],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        let Some(conflict) = insert.on_conflict_clause() else {
            return Ok(());
        };
        // Whether a row is in the way tells that its key is stored.
        let single = matches!(insert.select_stmt(), Node::SelectStmt(select)
            if select.values_lists().len() == 1);
        let how = if single {
            How::Equality
        } else {
            How::SuppliedJoin
        };
        match conflict.infer().filter(|infer| infer.conname().is_none()) {
            Some(infer) => {
                for element in infer.index_elems() {
                    let Node::IndexElem(element) = element else {
                        continue;
                    };
                    match element.name() {
                        Some(name) => {
                            let column = target.relation.column(name);
                            if let Some(column) = column {
                                let id = column_id(target.relation.oid, column.number);
                                self.usage(&Origin::plain(id), how, infer.location);
                            }
                        }
                        None => {
                            self.consume_expression(element.expr(), env)?;
                        }
                    }
                }
                self.predicate(infer.where_clause(), env)?;
            }
            None => {
                for column in columns {
                    self.usage(&Origin::plain(*column), how, conflict.location);
                }
            }
        }
        if conflict.action != OnConflictAction::ONCONFLICT_UPDATE {
            return Ok(());
        }
        let mut env = env.clone();
        let mut excluded = target.item.clone();
        "excluded".clone_into(&mut excluded.name);
        excluded.schema = None;
        excluded.unqualified = false;
        env.items.push(Rc::new(excluded));
        self.assignments(conflict.target_list().iter(), &target.relation, &env)?;
        self.predicate(conflict.where_clause(), &env)
    }

    pub(in crate::sql) fn update(
        &mut self,
        update: &nodes::UpdateStmt,
        parent: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.found.writes(Kind::Update);
        let mut env = Env::within(parent);
        if let Some(with) = update.with_clause() {
            self.with(with, &mut env)?;
        }
        let target = self.target(update.relation())?;
        let Some(target) = target else {
            return Ok(Vec::new());
        };
        self.touch(&target.relation);
        env.items.push(Rc::new(target.item.clone()));
        self.bring_in(update.from_clause(), &mut env)?;
        self.assignments(update.target_list().iter(), &target.relation, &env)?;
        self.predicate(update.where_clause(), &env)?;
        if !self.restricts(update.where_clause(), &target.relation, &env) {
            self.hazard(Hazard::NoWhere);
        }
        self.old_and_new(&target.item, &mut env);
        self.returning(update.returning_clause(), &env)
    }

    pub(in crate::sql) fn delete(
        &mut self,
        delete: &nodes::DeleteStmt,
        parent: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.found.writes(Kind::Delete);
        let mut env = Env::within(parent);
        if let Some(with) = delete.with_clause() {
            self.with(with, &mut env)?;
        }
        let Some(target) = self.target(delete.relation())? else {
            return Ok(Vec::new());
        };
        self.touch(&target.relation);
        env.items.push(Rc::new(target.item.clone()));
        self.bring_in(delete.using_clause(), &mut env)?;
        self.predicate(delete.where_clause(), &env)?;
        if !self.restricts(delete.where_clause(), &target.relation, &env) {
            self.hazard(Hazard::NoWhere);
        }
        self.old_and_new(&target.item, &mut env);
        self.returning(delete.returning_clause(), &env)
    }

    pub(in crate::sql) fn merge(
        &mut self,
        merge: &nodes::MergeStmt,
        parent: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.found.writes(Kind::Merge);
        let mut env = Env::within(parent);
        if let Some(with) = merge.with_clause() {
            self.with(with, &mut env)?;
        }
        let Some(target) = self.target(merge.relation())? else {
            return Ok(Vec::new());
        };
        self.touch(&target.relation);
        let source = self.item_of(merge.source_relation(), &env)?;
        env.items.push(Rc::new(target.item.clone()));
        env.items.extend(source);
        self.predicate(merge.join_condition(), &env)?;
        let mut changes = false;
        for clause in merge.merge_when_clauses() {
            self.predicate(clause.condition(), &env)?;
            let list = || {
                clause.target_list().iter().filter_map(|node| match node {
                    Node::ResTarget(target) => Some(target),
                    _ => None,
                })
            };
            match clause.command_type {
                CmdType::CMD_INSERT => {
                    let mut columns = Vec::new();
                    for target_column in list() {
                        let column = self.target_column(&target.relation, target_column, &env)?;
                        columns.extend(column);
                    }
                    if columns.is_empty() {
                        columns.extend(all_columns(&target.relation));
                    }
                    for (node, column) in clause.values().iter().zip(&columns) {
                        let value = self.expression(node, &env)?;
                        self.assigned(*column, &value, node);
                        self.given(*column, 1);
                    }
                }
                CmdType::CMD_UPDATE => {
                    changes = true;
                    self.assignments(list(), &target.relation, &env)?;
                }
                CmdType::CMD_DELETE => changes = true,
                _ => {}
            }
        }
        if changes && !self.restricts(merge.join_condition(), &target.relation, &env) {
            self.hazard(Hazard::NoWhere);
        }
        self.old_and_new(&target.item, &mut env);
        self.returning(merge.returning_clause(), &env)
    }

    /// The relation that is written to. What `WITH` names can't be.
    fn target(&mut self, range: Option<&nodes::RangeVar>) -> Result<Option<Target>, Error> {
        let Some(range) = range else {
            self.opaque("a change without a table", -1);
            return Ok(None);
        };
        let Some(relation) = self.resolve(range) else {
            return Ok(None);
        };
        let mut item = self.stored_item(&relation)?;
        rename(&mut item, range.alias());
        self.found.footprint.relations_written.insert(relation.oid);
        if relation.oid < FIRST_NORMAL {
            self.hazard(Hazard::SystemChange);
            self.opaque("changes of system tables", range.location);
        }
        if relation.kind == RelationKind::View {
            self.written_through(&relation)?;
        }
        Ok(Some(Target { relation, item }))
    }

    /// Writing to a view writes to what is behind it.
    fn written_through(&mut self, view: &Arc<Relation>) -> Result<(), Error> {
        let fields = self.relation_fields(view)?;
        for field in fields.iter() {
            for column in field.value.origin.columns() {
                self.found
                    .footprint
                    .relations_written
                    .insert(column.relation);
            }
        }
        Ok(())
    }

    /// A change finds rows by reading them.
    fn touch(&mut self, relation: &Relation) {
        self.read_relation(relation.oid);
    }

    /// The column that an assignment names. What stands in its subscripts (`tags[…]`) goes into it.
    fn target_column(
        &mut self,
        relation: &Relation,
        target: &nodes::ResTarget,
        env: &Env<'_>,
    ) -> Result<Option<ColumnId>, Error> {
        let name = target.name().unwrap_or_default();
        let Some(column) = relation.column(name) else {
            self.failure(
                "42703",
                format!(
                    "column \"{name}\" of relation \"{}\" does not exist",
                    relation.name.name
                ),
                target.location,
            );
            return Ok(None);
        };
        let column = column_id(relation.oid, column.number);
        for step in target.indirection() {
            if let Node::A_Indices(indices) = step {
                for node in [indices.lidx(), indices.uidx()] {
                    let value = self.consume_expression(node, env)?;
                    self.flow(&value.origin, Sink::Column(column), -1);
                }
            }
        }
        Ok(Some(column))
    }

    /// `SET a = …, (b, c) = …`
    fn assignments<'n>(
        &mut self,
        list: impl Iterator<Item = &'n nodes::ResTarget>,
        relation: &Relation,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for target in list {
            let column = self.target_column(relation, target, env)?;
            let (node, value) = match target.val() {
                Node::MultiAssignRef(part) => {
                    (Node::MultiAssignRef(part), self.one_of_many(part, env)?)
                }
                node => (node, self.expression(node, env)?),
            };
            if let Some(column) = column {
                self.assigned(column, &value, node);
                let behind = self.behind(column);
                self.found.updated.extend(behind);
                self.found.updated.insert(column);
            }
        }
        Ok(())
    }

    /// One column's part of `(a, b) = (…)` or `(a, b) = (SELECT …)`.
    fn one_of_many(&mut self, part: &nodes::MultiAssignRef, env: &Env<'_>) -> Result<Value, Error> {
        let index = usize::try_from(part.colno).unwrap_or(0).saturating_sub(1);
        let row = match part.source() {
            Node::SubLink(link) => {
                let fields = self.query(link.subselect(), env)?;
                Value::of_row(Rc::new(fields), 0)
            }
            node => self.expression(node, env)?,
        };
        let field = row.row.as_ref().and_then(|fields| fields.get(index));
        Ok(field.map_or_else(|| Value::computed([&row], 0), |field| field.value.clone()))
    }

    /// A value goes into a stored column.
    fn assigned(&mut self, column: ColumnId, value: &Value, node: Node<'_>) {
        self.write(column);
        self.read(&value.origin);
        self.flow(&value.origin, Sink::Column(column), -1);
        self.assign(column, written(node));
    }

    /// A new row has a value for that column.
    fn given(&mut self, column: ColumnId, rows: u32) {
        for behind in self.behind(column) {
            self.found.inserted.insert(behind, rows);
        }
        self.found.inserted.insert(column, rows);
    }

    fn assign(&mut self, column: ColumnId, value: Written) {
        for behind in self.behind(column) {
            self.assign_one(behind, value.clone());
        }
        self.assign_one(column, value);
    }

    fn assign_one(&mut self, column: ColumnId, value: Written) {
        let list = &mut self.found.assigned;
        let value = if list.len() < MAX_ASSIGNED {
            value
        } else {
            Written::Other
        };
        if list.len() < MAX_ASSIGNED
            || !list.iter().rev().take(64).any(|last| last.column == column)
        {
            list.push(Assignment { column, value });
        }
    }

    /// `RETURNING old.x, new.x`
    fn old_and_new(&mut self, item: &Item, env: &mut Env<'_>) {
        for name in ["old", "new"] {
            let taken = env.items.iter().any(|item| item.name == name);
            if !taken && item.nature != Nature::Open {
                let mut version = item.clone();
                name.clone_into(&mut version.name);
                version.schema = None;
                version.unqualified = false;
                env.items.push(Rc::new(version));
            }
        }
    }

    fn returning(
        &mut self,
        clause: Option<&nodes::ReturningClause>,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let Some(clause) = clause else {
            return Ok(Vec::new());
        };
        let mut env = env.clone();
        for option in clause.options() {
            let Some(name) = option.value() else { continue };
            let Some(item) = env.items.iter().find(|item| item.name == "new") else {
                continue;
            };
            let mut version = Item::clone(item);
            name.clone_into(&mut version.name);
            env.items.push(Rc::new(version));
        }
        let targets = clause.exprs().iter().filter_map(|node| match node {
            Node::ResTarget(target) => Some(target),
            _ => None,
        });
        self.targets(targets, &env)
    }

    fn query_or_nothing(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<(), Error> {
        if !matches!(node, Node::None) {
            self.query(node, env)?;
        }
        Ok(())
    }
}

/// A relation that is written to.
struct Target {
    relation: Arc<Relation>,
    item: Item,
}

/// All columns of a relation in order.
pub(in crate::sql) fn all_columns(relation: &Relation) -> impl Iterator<Item = ColumnId> + '_ {
    relation
        .columns
        .iter()
        .map(|column| column_id(relation.oid, column.number))
}

/// What an expression writes, as far as the text says it.
pub(in crate::sql) fn written(node: Node<'_>) -> Written {
    match node {
        Node::SetToDefault(_) => Written::Default,
        Node::ParamRef(parameter) => {
            u32::try_from(parameter.number).map_or(Written::Other, Written::Parameter)
        }
        Node::TypeCast(cast) if matches!(cast.arg(), Node::ParamRef(_)) => written(cast.arg()),
        Node::A_Const(constant) if constant.isnull => Written::Null,
        _ => literal(node).map_or(Written::Other, Written::Text),
    }
}
