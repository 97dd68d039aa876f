//! `GROUP BY`: equal values are put together, and where the server sorts for it, rows come out in their order.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Supply, Value};
use crate::sql::analyze::query::names::{Env, Item, Nature, Reference, reference};
use crate::sql::analyze::query::select::numbered;
use crate::sql::catalog::{ConstraintKind, Relation, RelationKind};
use crate::sql::error::Error;
use crate::sql::lineage::{How, Origin};
use crate::sql::parse::{Node, nodes};

impl Analyzer<'_> {
    pub(in crate::sql) fn group_by(
        &mut self,
        node: Node<'_>,
        fields: &[Field],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        match node {
            Node::GroupingSet(set) => {
                // Several groupings of the same rows are made by sorting them.
                self.sorting = self.sorting.saturating_add(1);
                for inner in set.content() {
                    self.deeper(|this| this.group_by(inner, fields, env))?;
                }
                return Ok(());
            }
            Node::NodeList(list) => {
                for inner in list {
                    self.deeper(|this| this.group_by(inner, fields, env))?;
                }
                return Ok(());
            }
            _ => {}
        }
        if let Some(field) = numbered(node, fields) {
            self.group(&field.value, -1);
            return Ok(());
        }
        // A name is a column of FROM first, then an output.
        if let Some(name) = single_name(node)
            && !self.is_visible(name, env)
            && let Some(field) = fields.iter().find(|field| field.name == name)
        {
            self.group(&field.value, -1);
            return Ok(());
        }
        let value = self.expression(node, env)?;
        self.group(&value, -1);
        Ok(())
    }

    /// Notes that equal values are put together. Of a column that is stored and supplied at once
    /// (`… UNION ALL SELECT 'x'`), the size of a group tells which of the supplied values are stored.
    pub(in crate::sql) fn group(&mut self, value: &Value, location: i32) {
        match &value.origin {
            Origin::Plain(columns) => {
                let mut supplied = columns
                    .iter()
                    .map(|column| self.is_supplied(column.relation));
                let first = supplied.next().unwrap_or(false);
                let mixed = value.supply == Supply::Rows || supplied.any(|other| other != first);
                let how = if value.odd {
                    How::Pattern
                } else if mixed {
                    How::SuppliedJoin
                } else {
                    How::Grouping
                };
                self.usage(&value.origin, how, location);
            }
            _ if value.test => {}
            _ => {
                self.usage(&value.origin, How::Grouping, location);
                self.consume(value, location);
            }
        }
    }

    /// Beside an aggregate that needs its rows sorted the server sorts by the groups, too, and they come out in that order.
    pub(in crate::sql) fn sorted_groups(
        &mut self,
        select: &nodes::SelectStmt,
        fields: &[Field],
        env: &Env<'_>,
    ) -> Result<(), Error> {
        let clause = select.group_clause();
        let written: Vec<Node<'_>> = clause.iter().map(|node| meant(node, select)).collect();
        let keyed = self.keyed(&written, env);
        for (node, written) in clause.iter().zip(written) {
            let depends = item_of(written, env)
                .is_some_and(|(item, _)| keyed.iter().any(|known| Rc::ptr_eq(known, item)));
            if !depends {
                self.sorted_by(node, fields, env)?;
            }
        }
        Ok(())
    }

    fn sorted_by(&mut self, node: Node<'_>, fields: &[Field], env: &Env<'_>) -> Result<(), Error> {
        let inner: Vec<Node<'_>> = match node {
            Node::GroupingSet(set) => set.content().iter().collect(),
            Node::NodeList(list) => list.iter().collect(),
            _ => {
                let output = single_name(node)
                    .filter(|name| !self.is_visible(name, env))
                    .and_then(|name| fields.iter().find(|field| field.name == name));
                let value = match numbered(node, fields).or(output) {
                    Some(field) => field.value.clone(),
                    None => self.expression(node, env)?,
                };
                self.order(&value, How::Ordering);
                return Ok(());
            }
        };
        for node in inner {
            self.deeper(|this| this.sorted_by(node, fields, env))?;
        }
        Ok(())
    }

    /// The tables that are grouped by their whole primary key: the server leaves their other columns out of it.
    fn keyed(&self, written: &[Node<'_>], env: &Env<'_>) -> Vec<Rc<Item>> {
        let named: Vec<(&Rc<Item>, i16)> = written
            .iter()
            .filter_map(|node| item_of(*node, env))
            .collect();
        let mut keyed: Vec<Rc<Item>> = Vec::new();
        for (item, _) in &named {
            let of_item = |column: i16| {
                let mut all = named.iter();
                all.any(|(other, number)| Rc::ptr_eq(other, item) && *number == column)
            };
            let relation = self.table_of(item);
            if relation.is_some_and(|relation| has_key(relation, of_item)) {
                keyed.push(Rc::clone(item));
            }
        }
        keyed
    }

    /// The table whose rows an item has, one by one.
    fn table_of(&self, item: &Item) -> Option<&Relation> {
        if item.nature != Nature::Stored {
            return None;
        }
        let Origin::Plain(columns) = &item.fields.first()?.value.origin else {
            return None;
        };
        let mut columns = columns.iter();
        let relation = self.catalog.relations.get(&columns.next()?.relation)?;
        let alone = relation.kind == RelationKind::Partitioned || relation.children.is_empty();
        let table = matches!(
            relation.kind,
            RelationKind::Table | RelationKind::Partitioned
        );
        (columns.next().is_none() && alone && table).then_some(relation)
    }
}

/// What a number in `GROUP BY` stands for, where the outputs are written out one by one.
fn meant<'n>(node: Node<'n>, select: &'n nodes::SelectStmt) -> Node<'n> {
    let Node::A_Const(_) = node else { return node };
    let targets: Vec<&nodes::ResTarget> = select.target_list().iter().collect();
    let places: Vec<Field> = targets
        .iter()
        .enumerate()
        .map(|(place, _)| Field::new(place.to_string(), Value::constant(0)))
        .collect();
    let starred = |target: &&nodes::ResTarget| match target.val() {
        Node::ColumnRef(column) => column
            .fields()
            .iter()
            .any(|part| matches!(part, Node::A_Star(_))),
        Node::A_Indirection(_) => true,
        _ => false,
    };
    let place = numbered(node, &places).and_then(|field| field.name.parse::<usize>().ok());
    match place.and_then(|place| targets.get(place)) {
        Some(target) if !targets.iter().any(starred) => target.val(),
        _ => node,
    }
}

/// The one item that a column of this level belongs to, and its number there.
fn item_of<'e>(node: Node<'_>, env: &'e Env<'_>) -> Option<(&'e Rc<Item>, i16)> {
    let Node::ColumnRef(column) = node else {
        return None;
    };
    let (name, mut items): (&str, Vec<&'e Rc<Item>>) = match reference(column) {
        Reference::Column(name) => {
            let has = |item: &&Rc<Item>| {
                item.unqualified && item.fields.iter().any(|field| field.name == name)
            };
            (name, env.items.iter().filter(has).collect())
        }
        Reference::ColumnOf(schema, of, name) => {
            let is = |item: &&Rc<Item>| {
                item.qualified
                    && item.name == of
                    && (schema.is_none() || item.schema.as_deref() == schema)
            };
            (name, env.items.iter().filter(is).collect())
        }
        Reference::All | Reference::AllOf(..) | Reference::Strange => return None,
    };
    let item = items.pop()?;
    let field = item.fields.iter().find(|field| field.name == name)?;
    let number = field.value.origin.columns().next()?.number;
    items.is_empty().then_some((item, number))
}

fn has_key(relation: &Relation, is_named: impl Fn(i16) -> bool) -> bool {
    let mut keys = relation.constraints.iter();
    keys.any(|constraint| {
        let mut columns = constraint.columns.iter();
        constraint.kind == ConstraintKind::Primary && columns.all(|number| is_named(*number))
    })
}

/// An unqualified name.
pub(in crate::sql) fn single_name(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(column) = node else {
        return None;
    };
    let fields = column.fields();
    if fields.len() != 1 {
        return None;
    }
    fields.first()?.as_str()
}
