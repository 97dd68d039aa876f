//! `FROM`: relations, joins, subqueries, functions.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::names::{Env, Item, Nature};
use crate::sql::error::Error;
use crate::sql::lineage::How;
use crate::sql::parse::nodes::JoinType;
use crate::sql::parse::{Node, nodes};

impl Analyzer<'_> {
    /// Brings everything that a `FROM` list names into `env`.
    pub(in crate::sql) fn bring_in<'n>(
        &mut self,
        list: impl IntoIterator<Item = Node<'n>>,
        env: &mut Env<'_>,
    ) -> Result<(), Error> {
        for node in list {
            let items = self.item_of(node, env)?;
            env.items.extend(items);
        }
        Ok(())
    }

    /// What one element of `FROM` brings in; `env` holds what stands to the left of it.
    pub(in crate::sql) fn item_of(
        &mut self,
        node: Node<'_>,
        env: &Env<'_>,
    ) -> Result<Vec<Rc<Item>>, Error> {
        self.deeper(|this| match node {
            Node::RangeVar(range) => Ok(vec![Rc::new(this.relation_item(range, env)?)]),
            Node::RangeSubselect(range) => this.subselect_item(range, env),
            Node::RangeFunction(range) => this.function_item(range, env),
            Node::JoinExpr(join) => this.join(join, env),
            Node::RangeTableSample(sample) => {
                let items = this.item_of(sample.relation(), env)?;
                this.consume_all(sample.args(), env)?;
                this.consume_expression(sample.repeatable(), env)?;
                Ok(items)
            }
            Node::RangeTableFunc(table) => this.xml_table(table, env),
            Node::JsonTable(table) => this.json_table(table, env),
            _ => {
                this.opaque("this element of FROM", -1);
                let mut item = Item::derived("?", Vec::new());
                item.nature = Nature::Open;
                Ok(vec![Rc::new(item)])
            }
        })
    }

    fn subselect_item(
        &mut self,
        range: &nodes::RangeSubselect,
        env: &Env<'_>,
    ) -> Result<Vec<Rc<Item>>, Error> {
        // Without LATERAL a subquery does not see its neighbors, but the queries around it.
        let fields = if range.lateral {
            self.query(range.subquery(), env)?
        } else {
            let outer = Env {
                items: Vec::new(),
                ..env.clone()
            };
            self.query(range.subquery(), &outer)?
        };
        let fields = through_from(fields);
        let mut item = Item::derived(String::new(), fields);
        item.qualified = range.alias().is_some();
        rename(&mut item, range.alias());
        Ok(vec![Rc::new(item)])
    }

    fn join(&mut self, join: &nodes::JoinExpr, env: &Env<'_>) -> Result<Vec<Rc<Item>>, Error> {
        let left = self.item_of(join.larg(), env)?;
        let mut beside = env.clone();
        beside.items.extend(left.iter().map(Rc::clone));
        let right = self.item_of(join.rarg(), &beside)?;
        let mut both = left.clone();
        both.extend(right.iter().map(Rc::clone));
        let shared = self.shared_columns(join, &left, &right);
        let mut items = if shared.is_empty() {
            both
        } else {
            self.called_named(None, "=", -1)?;
            self.merged(join, &shared, (&left, &right))
        };
        let inside = Env {
            items: items.clone(),
            ..env.clone()
        };
        self.predicate(join.quals(), &inside)?;
        if let Some(alias) = join.alias() {
            let fields = items
                .iter()
                .filter(|item| item.unqualified)
                .flat_map(|item| item.fields.iter().cloned())
                .collect();
            let mut item = Item::derived(String::new(), fields);
            if items.iter().any(|inner| inner.nature == Nature::Open) {
                item.nature = Nature::Open;
            } else if items.iter().any(|inner| inner.nature == Nature::Temporary) {
                item.nature = Nature::Temporary;
            }
            rename(&mut item, Some(alias));
            items = vec![Rc::new(item)];
        }
        Ok(items)
    }

    /// The columns of `USING` or `NATURAL`.
    fn shared_columns(
        &mut self,
        join: &nodes::JoinExpr,
        left: &[Rc<Item>],
        right: &[Rc<Item>],
    ) -> Vec<String> {
        if !join.is_natural {
            return join
                .using_clause()
                .iter()
                .filter_map(|name| name.sval())
                .map(str::to_owned)
                .collect();
        }
        let open = |items: &[Rc<Item>]| {
            items
                .iter()
                .any(|item| matches!(item.nature, Nature::Open | Nature::Temporary))
        };
        if open(left) || open(right) {
            self.opaque("NATURAL JOIN with columns that are not certain", -1);
        }
        visible(left)
            .filter(|name| visible(right).any(|other| other == *name))
            .map(str::to_owned)
            .collect()
    }

    /// Both sides of a join whose shared columns are one: they come first, then the rest of each side.
    fn merged(
        &mut self,
        join: &nodes::JoinExpr,
        shared: &[String],
        sides: (&[Rc<Item>], &[Rc<Item>]),
    ) -> Vec<Rc<Item>> {
        let (left, right) = sides;
        let mut fields = Vec::new();
        for name in shared {
            let one = self.side_column(left, name);
            let other = self.side_column(right, name);
            self.read(&one.origin);
            self.read(&other.origin);
            self.take(&one);
            self.take(&other);
            self.compare_equal(&one, &other, -1);
            let value = match join.jointype {
                JoinType::JOIN_FULL => {
                    self.usage(&one.origin, How::Join, -1);
                    one.or(other)
                }
                // The two are equal: whichever is shown, the other is known.
                _ => one.or(other),
            };
            fields.push(Field::new(name.clone(), value));
        }
        let mut items = Vec::new();
        let mut nature = Nature::Derived;
        for item in left.iter().chain(right) {
            if item.unqualified {
                let rest = item.fields.iter();
                fields.extend(rest.filter(|field| !shared.contains(&field.name)).cloned());
                match item.nature {
                    Nature::Open => nature = Nature::Open,
                    Nature::Temporary if nature != Nature::Open => nature = Nature::Temporary,
                    _ => {}
                }
            }
            let mut hidden = Item::clone(item);
            hidden.unqualified = false;
            items.push(Rc::new(hidden));
        }
        let mut merged = Item::derived(String::new(), fields);
        merged.qualified = false;
        merged.nature = nature;
        if let Some(alias) = join.join_using_alias() {
            let mut named = Item::derived(String::new(), merged.fields.as_ref().clone());
            named.fields = Rc::new(named.fields.iter().take(shared.len()).cloned().collect());
            named.unqualified = false;
            rename(&mut named, Some(alias));
            items.push(Rc::new(named));
        }
        items.push(Rc::new(merged));
        items
    }

    fn side_column(&mut self, items: &[Rc<Item>], name: &str) -> Value {
        let mut found: Option<Value> = None;
        for item in items.iter().filter(|item| item.unqualified) {
            for field in item.fields.iter().filter(|field| field.name == name) {
                found = Some(match found {
                    Some(earlier) => earlier.or(field.value.clone()),
                    None => field.value.clone(),
                });
            }
        }
        let open = items.iter().any(|item| item.nature == Nature::Open);
        if found.is_none() && !open {
            self.failure(
                "42703",
                format!("column \"{name}\" specified in USING clause does not exist"),
                -1,
            );
        }
        found.unwrap_or_else(Value::unknown)
    }

    fn xml_table(
        &mut self,
        table: &nodes::RangeTableFunc,
        env: &Env<'_>,
    ) -> Result<Vec<Rc<Item>>, Error> {
        let mut parts = vec![
            self.consume_expression(table.docexpr(), env)?,
            self.consume_expression(table.rowexpr(), env)?,
        ];
        for namespace in table.namespaces() {
            if let Node::ResTarget(target) = namespace {
                parts.push(self.consume_expression(target.val(), env)?);
            }
        }
        for column in table.columns() {
            parts.push(self.consume_expression(column.colexpr(), env)?);
            parts.push(self.consume_expression(column.coldefexpr(), env)?);
        }
        let whole = Value::computed(&parts, 0).through_from();
        let fields = table
            .columns()
            .iter()
            .map(|column| Field::new(column.colname().unwrap_or_default(), whole.clone()))
            .collect();
        let mut item = Item::derived("xmltable", fields);
        rename(&mut item, table.alias());
        Ok(vec![Rc::new(item)])
    }

    fn json_table(
        &mut self,
        table: &nodes::JsonTable,
        env: &Env<'_>,
    ) -> Result<Vec<Rc<Item>>, Error> {
        let mut parts = Vec::new();
        if let Some(item) = table.context_item() {
            parts.push(self.consume_expression(item.raw_expr(), env)?);
        }
        for argument in table.passing() {
            if let Node::JsonArgument(argument) = argument
                && let Some(value) = argument.val()
            {
                parts.push(self.consume_expression(value.raw_expr(), env)?);
            }
        }
        let nested = table
            .columns()
            .iter()
            .any(|column| !column.columns().is_empty());
        let own = table.columns().iter();
        let behaviors = own.flat_map(|column| [column.on_empty(), column.on_error()]);
        for behavior in behaviors.chain([table.on_error()]).flatten() {
            parts.push(self.consume_expression(behavior.expr(), env)?);
        }
        let whole = Value::computed(&parts, 0).through_from();
        let fields = table
            .columns()
            .iter()
            .map(|column| Field::new(column.name().unwrap_or_default(), whole.clone()))
            .collect();
        let mut item = Item::derived("json_table", fields);
        if nested {
            self.opaque("nested columns of JSON_TABLE", table.location);
            item.nature = Nature::Open;
        }
        rename(&mut item, table.alias());
        Ok(vec![Rc::new(item)])
    }
}

/// Gives an item its alias, and its first columns theirs.
pub(in crate::sql) fn rename(item: &mut Item, alias: Option<&nodes::Alias>) {
    let Some(alias) = alias else { return };
    item.name = alias.aliasname().unwrap_or_default().to_owned();
    item.schema = None;
    rename_fields(
        Rc::make_mut(&mut item.fields).as_mut_slice(),
        alias.colnames().iter().filter_map(|name| name.as_str()),
    );
}

/// Renames the first fields.
pub(in crate::sql) fn rename_fields<'n>(
    fields: &mut [Field],
    names: impl Iterator<Item = &'n str>,
) {
    for (field, name) in fields.iter_mut().zip(names) {
        name.clone_into(&mut field.name);
    }
}

/// Fields as they look from outside of a subquery.
pub(in crate::sql) fn through_from(fields: Vec<Field>) -> Vec<Field> {
    fields
        .into_iter()
        .map(|field| Field {
            value: field.value.through_from(),
            name: field.name,
        })
        .collect()
}

fn visible(items: &[Rc<Item>]) -> impl Iterator<Item = &str> {
    items
        .iter()
        .filter(|item| item.unqualified)
        .flat_map(|item| item.fields.iter().map(|field| field.name.as_str()))
}
