//! `SELECT`, `VALUES` and set operations.

use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Supply, Value};
use crate::sql::analyze::query::group::single_name;
use crate::sql::analyze::query::names::Env;
use crate::sql::error::Error;
use crate::sql::footprint::Hazard;
use crate::sql::lineage::{How, Origin};
use crate::sql::parse::nodes::SetOperation;
use crate::sql::parse::{ConstValue, Node, nodes};

impl Analyzer<'_> {
    /// The columns of anything that gives rows: `SELECT`, or a change with `RETURNING`.
    pub(in crate::sql) fn query(
        &mut self,
        node: Node<'_>,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.deeper(|this| match node {
            Node::SelectStmt(select) => this.select(select, env),
            Node::InsertStmt(insert) => this.insert(insert, env),
            Node::UpdateStmt(update) => this.update(update, env),
            Node::DeleteStmt(delete) => this.delete(delete, env),
            Node::MergeStmt(merge) => this.merge(merge, env),
            _ => {
                this.opaque("this form of query", -1);
                Ok(vec![Field::new("?column?", Value::unknown())])
            }
        })
    }

    pub(in crate::sql) fn select(
        &mut self,
        select: &nodes::SelectStmt,
        parent: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let mut env = Env::within(parent);
        if let Some(with) = select.with_clause() {
            self.with(with, &mut env)?;
        }
        let fields = if select.op != SetOperation::SETOP_NONE {
            let fields = self.set_operation(select, &env)?;
            // Only names and numbers of output columns may stand in ORDER BY.
            self.order_by_output(select, &fields, &env)?;
            fields
        } else if select.values_lists().is_empty() {
            self.simple_select(select, &mut env)?
        } else {
            let fields = self.values(select, &env)?;
            self.order_by_output(select, &fields, &env)?;
            fields
        };
        for limit in [select.limit_offset(), select.limit_count()] {
            self.consume_expression(limit, &env)?;
        }
        if !select.locking_clause().is_empty() {
            self.hazard(Hazard::HiddenWrite);
        }
        Ok(fields)
    }

    fn simple_select(
        &mut self,
        select: &nodes::SelectStmt,
        env: &mut Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        self.bring_in(select.from_clause(), env)?;
        self.predicate(select.where_clause(), env)?;
        let sorting = self.sorting;
        let fields = if self.place == Place::Definition {
            self.quietly(|this| this.targets(select.target_list().iter(), env))?
        } else {
            self.targets(select.target_list().iter(), env)?
        };
        for group in select.group_clause() {
            self.group_by(group, &fields, env)?;
        }
        self.predicate(select.having_clause(), env)?;
        for window in select.window_clause() {
            if let Node::WindowDef(window) = window {
                self.window(window, env)?;
            }
        }
        self.distinct(select, &fields, env)?;
        for sort in select.sort_clause() {
            self.order_by(sort.node(), &fields, env, How::Ordering)?;
        }
        if self.sorting != sorting {
            self.sorted_groups(select, &fields, env)?;
        }
        Ok(fields)
    }

    fn distinct(
        &mut self,
        select: &nodes::SelectStmt,
        fields: &[Field],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for expression in select.distinct_clause() {
            if matches!(expression, Node::None) {
                for field in fields {
                    self.group(&field.value, -1);
                }
            } else {
                self.order_by(expression, fields, env, How::Ordering)?;
            }
        }
        Ok(())
    }

    fn order_by(
        &mut self,
        node: Node<'_>,
        fields: &[Field],
        env: &Env<'_>,
        how: How,
    ) -> Result<(), Error> {
        if let Some(field) = numbered(node, fields) {
            self.order(&field.value, how);
            return Ok(());
        }
        // A name is an output first, then a column of FROM; both, to be safe.
        if let Some(name) = single_name(node) {
            let mut named = fields.iter().filter(|field| field.name == name).peekable();
            if named.peek().is_some() {
                for field in named {
                    self.order(&field.value, how);
                }
                return Ok(());
            }
        }
        let value = self.expression(node, env)?;
        self.order(&value, how);
        Ok(())
    }

    fn order_by_output(
        &mut self,
        select: &nodes::SelectStmt,
        fields: &[Field],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for sort in select.sort_clause() {
            self.order_by(sort.node(), fields, env, How::Ordering)?;
        }
        Ok(())
    }

    pub(in crate::sql) fn order(&mut self, value: &Value, how: How) {
        self.usage(&value.origin, how, -1);
    }

    /// A named or given window.
    pub(in crate::sql) fn window(
        &mut self,
        window: &nodes::WindowDef,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for expression in window.partition_clause() {
            let value = self.expression(expression, env)?;
            self.group(&value, window.location);
            // The server sorts by it, and rows come out in that order.
            self.order(&value, How::Ordering);
        }
        for sort in window.order_clause() {
            let value = self.expression(sort.node(), env)?;
            self.order(&value, How::Ordering);
        }
        self.consume_expression(window.start_offset(), env)?;
        self.consume_expression(window.end_offset(), env)?;
        Ok(())
    }

    fn values(&mut self, select: &nodes::SelectStmt, env: &Env<'_>) -> Result<Vec<Field>, Error> {
        let mut columns: Vec<Value> = Vec::new();
        let lists = select.values_lists();
        for (number, list) in lists.iter().enumerate() {
            let Some(list) = list.as_node_list() else {
                continue;
            };
            for (index, node) in list.iter().enumerate() {
                let mut value = self.expression(node, env)?;
                if lists.len() > 1 && value.origin == Origin::Clean {
                    value.supply = Supply::Rows;
                }
                match columns.get_mut(index) {
                    Some(column) => *column = column.clone().or(value),
                    None if number == 0 => columns.push(value),
                    None => self.failure("42601", "VALUES lists must all be the same length", -1),
                }
            }
        }
        Ok(columns
            .into_iter()
            .enumerate()
            .map(|(index, value)| Field::new(format!("column{}", index.saturating_add(1)), value))
            .collect())
    }

    /// `UNION` and the like. They lean to the left, and a thousand of them in a row are no rarity, so the
    /// left spine is followed in a loop.
    fn set_operation(
        &mut self,
        select: &nodes::SelectStmt,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let mut spine = vec![select];
        let mut bottom = select;
        let leftmost = loop {
            let Some(left) = bottom.larg() else {
                self.opaque("this set operation", -1);
                return Ok(Vec::new());
            };
            let plain = left.op != SetOperation::SETOP_NONE
                && left.with_clause().is_none()
                && left.sort_clause().is_empty()
                && left.locking_clause().is_empty()
                && matches!(left.limit_count(), Node::None)
                && matches!(left.limit_offset(), Node::None);
            if !plain {
                break left;
            }
            spine.push(left);
            bottom = left;
        };
        let mut fields = self.deeper(|this| this.select(leftmost, env))?;
        for operation in spine.into_iter().rev() {
            let Some(right) = operation.rarg() else {
                self.opaque("this set operation", -1);
                continue;
            };
            let right = self.deeper(|this| this.select(right, env))?;
            fields = self.combine(operation, fields, right);
        }
        Ok(fields)
    }

    /// Two sides of a set operation become one.
    pub(in crate::sql) fn combine(
        &mut self,
        operation: &nodes::SelectStmt,
        left: Vec<Field>,
        right: Vec<Field>,
    ) -> Vec<Field> {
        if left.len() != right.len() {
            self.failure(
                "42601",
                "each set operation must have the same number of columns",
                -1,
            );
        }
        let union = operation.op == SetOperation::SETOP_UNION;
        let length = left.len().max(right.len());
        let mut left = left.into_iter();
        let mut right = right.into_iter();
        let mut fields = Vec::with_capacity(length);
        for _ in 0..length {
            let (one, other) = (left.next(), right.next());
            let name = one.as_ref().or(other.as_ref()).map(|field| &field.name);
            let name = name.cloned().unwrap_or_default();
            let one = one.map_or_else(Value::unknown, |field| field.value);
            let other = other.map_or_else(Value::unknown, |field| field.value);
            if !(union && operation.all) {
                self.compare_sides(&one, &other, union);
            }
            fields.push(Field::new(name, one.or(other)));
        }
        fields
    }

    /// Rows of both sides are compared when duplicates go: `UNION` tells whether a row that the session
    /// supplies is among the stored ones.
    fn compare_sides(&mut self, one: &Value, other: &Value, union: bool) {
        if union && one.supply == Supply::One && other.supply == Supply::One {
            let stored = |value: &Value| matches!(value.origin, Origin::Plain(_));
            if stored(one) && stored(other) {
                self.group(one, -1);
                self.group(other, -1);
                return;
            }
        }
        let (one, other) = (one.clone().through_from(), other.clone().through_from());
        self.compare_equal(&one, &other, -1);
    }

    pub(in crate::sql) fn is_visible(&self, name: &str, env: &Env<'_>) -> bool {
        env.items
            .iter()
            .any(|item| item.unqualified && item.fields.iter().any(|field| field.name == name))
    }
}

/// The output that a plain number in `ORDER BY` or `GROUP BY` means.
pub(in crate::sql) fn numbered<'f>(node: Node<'_>, fields: &'f [Field]) -> Option<&'f Field> {
    let Node::A_Const(constant) = node else {
        return None;
    };
    match constant.val()? {
        ConstValue::Integer(number) => fields.get(usize::try_from(number).ok()?.checked_sub(1)?),
        _ => None,
    }
}
