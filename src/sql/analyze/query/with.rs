//! `WITH`: named queries, also recursive ones.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::from::{rename_fields, through_from};
use crate::sql::analyze::query::names::{Env, Table};
use crate::sql::error::Error;
use crate::sql::lineage::How;
use crate::sql::parse::nodes::SetOperation;
use crate::sql::parse::{List, Node, nodes};

/// A recursive query's lineage only grows, and settles after a few rounds; what does not is unknown.
const MAX_ROUNDS: usize = 6;

impl Analyzer<'_> {
    /// Brings the queries of a `WITH` into `env`.
    pub(in crate::sql) fn with(
        &mut self,
        with: &nodes::WithClause,
        env: &mut Env<'_>,
    ) -> Result<(), Error> {
        for (index, query) in with.ctes().iter().enumerate() {
            if with.recursive {
                // Under RECURSIVE a query may name one that comes later; nothing of a later one is known yet.
                let mut ahead = env.clone();
                for later in with.ctes().iter().skip(index.saturating_add(1)) {
                    ahead.tables.push(Rc::new(unknown(later.ctename())));
                }
                let fields = self.recursive(query, &mut ahead)?;
                self.bind(query, fields, env)?;
            } else {
                let fields = self.query(query.ctequery(), env)?;
                let fields = named(query, fields);
                self.bind(query, fields, env)?;
            }
        }
        Ok(())
    }

    fn bind(
        &mut self,
        query: &nodes::CommonTableExpr,
        mut fields: Vec<Field>,
        env: &mut Env<'_>,
    ) -> Result<(), Error> {
        self.search_and_cycle(query, &mut fields, env)?;
        env.tables.push(Rc::new(Table {
            name: query.ctename().unwrap_or_default().to_owned(),
            fields: Rc::new(through_from(fields)),
            open: false,
        }));
        Ok(())
    }

    fn recursive(
        &mut self,
        query: &nodes::CommonTableExpr,
        env: &mut Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let Node::SelectStmt(select) = query.ctequery() else {
            env.tables.push(Rc::new(unknown(query.ctename())));
            return Ok(named(query, self.query(query.ctequery(), env)?));
        };
        let (Some(left), Some(right), SetOperation::SETOP_UNION) =
            (select.larg(), select.rarg(), select.op)
        else {
            env.tables.push(Rc::new(unknown(query.ctename())));
            return Ok(named(query, self.query(query.ctequery(), env)?));
        };
        let mut inside = Env::within(env);
        if let Some(with) = select.with_clause() {
            self.with(with, &mut inside)?;
        }
        // The first term must not name the query itself: the server says so.
        let mut base = inside.clone();
        base.tables.push(Rc::new(unknown(query.ctename())));
        let mut fields = named(query, self.deeper(|this| this.select(left, &base))?);
        for _ in 0..MAX_ROUNDS {
            let mut round = inside.clone();
            let mut seen = fields.clone();
            self.search_and_cycle(query, &mut seen, env)?;
            round.tables.push(Rc::new(Table {
                name: query.ctename().unwrap_or_default().to_owned(),
                fields: Rc::new(through_from(seen)),
                open: false,
            }));
            let next = self.deeper(|this| this.select(right, &round))?;
            let combined = self.combine(select, fields.clone(), next);
            let settled = combined.iter().zip(&fields).all(|(new, old)| {
                new.value.origin == old.value.origin && new.value.supply == old.value.supply
            });
            fields = named(query, combined);
            if settled {
                return Ok(fields);
            }
        }
        self.opaque(
            "a recursive query whose columns never settle",
            query.location,
        );
        for field in &mut fields {
            field.value = Value::unknown();
        }
        Ok(fields)
    }

    /// The columns that `SEARCH` and `CYCLE` add.
    fn search_and_cycle(
        &mut self,
        query: &nodes::CommonTableExpr,
        fields: &mut Vec<Field>,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        let mut added = Vec::new();
        if let Some(search) = query.search_clause() {
            let value = self.columns_named(search.search_col_list(), fields);
            self.usage(&value.origin, How::Ordering, search.location);
            added.push((search.search_seq_column(), value));
        }
        if let Some(cycle) = query.cycle_clause() {
            let value = self.columns_named(cycle.cycle_col_list(), fields);
            self.usage(&value.origin, How::Grouping, cycle.location);
            self.consume_expression(cycle.cycle_mark_value(), env)?;
            self.consume_expression(cycle.cycle_mark_default(), env)?;
            added.push((cycle.cycle_mark_column(), value.clone()));
            added.push((cycle.cycle_path_column(), value));
        }
        for (name, value) in added {
            fields.push(Field::new(name.unwrap_or_default(), value));
        }
        Ok(())
    }

    fn columns_named(&mut self, names: &List, fields: &[Field]) -> Value {
        let named: Vec<&Value> = names
            .iter()
            .filter_map(Node::as_str)
            .filter_map(|name| fields.iter().find(|field| field.name == name))
            .map(|field| &field.value)
            .collect();
        let value = Value::computed(named, 0);
        self.consume(&value, -1);
        value
    }
}

fn named(query: &nodes::CommonTableExpr, mut fields: Vec<Field>) -> Vec<Field> {
    rename_fields(
        &mut fields,
        query.aliascolnames().iter().filter_map(Node::as_str),
    );
    fields
}

fn unknown(name: Option<&str>) -> Table {
    Table {
        name: name.unwrap_or_default().to_owned(),
        fields: Rc::new(Vec::new()),
        open: true,
    }
}
