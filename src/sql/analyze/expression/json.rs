//! SQL/JSON expressions of PostgreSQL 16 and later: all of them compute.

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::Value;
use crate::sql::analyze::query::names::Env;
use crate::sql::error::Error;
use crate::sql::parse::{Node, nodes};

impl Analyzer<'_> {
    pub(in crate::sql) fn json(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<Value, Error> {
        // An older server has no such syntax: there the same text calls a function of that name.
        if self.catalog.server_version < 160_000 {
            self.opaque("SQL/JSON of a later server", -1);
        }
        let mut parts = Vec::new();
        match node {
            Node::JsonValueExpr(value) => parts.push(value.raw_expr()),
            Node::JsonObjectConstructor(object) => {
                for pair in object.exprs() {
                    parts.extend(of_pair(pair));
                }
            }
            Node::JsonArrayConstructor(array) => {
                parts.extend(array.exprs().iter().map(nodes::JsonValueExpr::raw_expr));
            }
            Node::JsonArrayQueryConstructor(array) => {
                for field in self.query(array.query(), env)? {
                    self.consume(&field.value, array.location);
                }
                // What the query gives is in the array.
                let fields = self.quietly(|this| this.query(array.query(), env))?;
                let values = fields.iter().map(|field| &field.value);
                return Ok(Value::computed(values, 0).through_from());
            }
            Node::JsonObjectAgg(aggregate) => {
                parts.extend(aggregate.arg().into_iter().flat_map(of_pair));
                self.json_aggregate(aggregate.constructor(), env)?;
            }
            Node::JsonArrayAgg(aggregate) => {
                parts.extend(aggregate.arg().map(nodes::JsonValueExpr::raw_expr));
                self.json_aggregate(aggregate.constructor(), env)?;
            }
            Node::JsonParseExpr(parse) => {
                parts.extend(parse.expr().map(nodes::JsonValueExpr::raw_expr));
            }
            Node::JsonScalarExpr(scalar) => parts.push(scalar.expr()),
            Node::JsonSerializeExpr(serialize) => {
                parts.extend(serialize.expr().map(nodes::JsonValueExpr::raw_expr));
            }
            Node::JsonIsPredicate(predicate) => parts.push(predicate.expr()),
            Node::JsonFuncExpr(function) => {
                parts.extend(function.context_item().map(nodes::JsonValueExpr::raw_expr));
                parts.push(function.pathspec());
                for argument in function.passing() {
                    if let Node::JsonArgument(argument) = argument {
                        parts.extend(argument.val().map(nodes::JsonValueExpr::raw_expr));
                    }
                }
                for behavior in [function.on_empty(), function.on_error()] {
                    parts.extend(behavior.map(nodes::JsonBehavior::expr));
                }
            }
            _ => {
                self.opaque("this form of expression", -1);
                return Ok(Value::unknown());
            }
        }
        self.computation(parts, env, -1)
    }

    fn json_aggregate(
        &mut self,
        constructor: Option<&nodes::JsonAggConstructor>,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        let Some(constructor) = constructor else {
            return Ok(());
        };
        self.predicate(constructor.agg_filter(), env)?;
        for sort in constructor.agg_order() {
            if let Node::SortBy(sort) = sort {
                self.consume_expression(sort.node(), env)?;
            }
        }
        match constructor.over() {
            Some(window) => self.window(window, env),
            None => Ok(()),
        }
    }
}

fn of_pair(pair: &nodes::JsonKeyValue) -> Vec<Node<'_>> {
    let value = pair.value().map(nodes::JsonValueExpr::raw_expr);
    std::iter::once(pair.key()).chain(value).collect()
}
