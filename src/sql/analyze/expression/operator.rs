//! Operators.

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::BOOL;
use crate::sql::analyze::expression::comparison::{Comparison, comparison};
use crate::sql::analyze::expression::value::Value;
use crate::sql::analyze::query::names::Env;
use crate::sql::error::Error;
use crate::sql::lineage::How;
use crate::sql::parse::nodes::A_Expr_Kind as Kind;
use crate::sql::parse::{List, Node, nodes};

impl Analyzer<'_> {
    /// The value of an operator expression. A chain of operators leans to the left, and may be long
    /// (`a || b || c …`), so its left spine is followed in a loop.
    pub(in crate::sql) fn operator(
        &mut self,
        expression: &nodes::A_Expr,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let mut spine = vec![expression];
        let mut left = expression.lexpr();
        while let Node::A_Expr(inner) = left {
            spine.push(inner);
            left = inner.lexpr();
        }
        let mut value = self.expression(left, env)?;
        for expression in spine.into_iter().rev() {
            value = self.apply(expression, &value, env)?;
        }
        Ok(value)
    }

    /// One operator, its left side known.
    fn apply(
        &mut self,
        expression: &nodes::A_Expr,
        left: &Value,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let at = expression.location;
        self.called_operator(expression.name(), at)?;
        match expression.kind {
            Kind::AEXPR_OP => {
                let right = self.expression(expression.rexpr(), env)?;
                match comparison(operator_name(expression.name())) {
                    Some(kind) if !matches!(expression.lexpr(), Node::None) => {
                        self.compare(kind, left, &right, at);
                        Ok(Value::computed([left, &right], BOOL).tested())
                    }
                    _ => {
                        self.consume(left, at);
                        self.consume(&right, at);
                        Ok(Value::computed([left, &right], 0))
                    }
                }
            }
            Kind::AEXPR_OP_ANY | Kind::AEXPR_OP_ALL => {
                let right = self.elements(expression.rexpr(), env)?;
                self.compare_by_name(expression.name(), left, &right, at);
                Ok(Value::computed([left, &right], BOOL).tested())
            }
            Kind::AEXPR_DISTINCT | Kind::AEXPR_NOT_DISTINCT => {
                let right = self.expression(expression.rexpr(), env)?;
                self.compare_equal(left, &right, at);
                Ok(Value::computed([left, &right], BOOL).tested())
            }
            Kind::AEXPR_NULLIF => {
                let right = self.expression(expression.rexpr(), env)?;
                self.consume(left, at);
                self.consume(&right, at);
                Ok(Value::computed([left, &right], 0))
            }
            Kind::AEXPR_IN => self.among(expression, left, env),
            Kind::AEXPR_LIKE | Kind::AEXPR_ILIKE | Kind::AEXPR_SIMILAR => {
                let right = self.expression(expression.rexpr(), env)?;
                self.compare(Comparison::Pattern, left, &right, at);
                Ok(Value::computed([left, &right], BOOL).tested())
            }
            _ => self.between(expression, left, env),
        }
    }

    /// `x IN (a, b)`; some of the list may be rows.
    fn among(
        &mut self,
        expression: &nodes::A_Expr,
        left: &Value,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let mut all = vec![left.clone()];
        let list = expression.rexpr();
        let Some(list) = list.as_node_list() else {
            self.opaque("this form of IN", expression.location);
            return Ok(Value::unknown());
        };
        for node in list {
            let value = self.expression(node, env)?;
            self.compare_equal(left, &value, expression.location);
            all.push(value);
        }
        Ok(Value::computed(&all, BOOL).tested())
    }

    fn between(
        &mut self,
        expression: &nodes::A_Expr,
        left: &Value,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let mut all = vec![left.clone()];
        let bounds = expression.rexpr();
        let Some(bounds) = bounds.as_node_list() else {
            self.opaque("this operator expression", expression.location);
            return Ok(Value::unknown());
        };
        for node in bounds {
            let value = self.expression(node, env)?;
            self.compare(Comparison::Order, left, &value, expression.location);
            all.push(value);
        }
        Ok(Value::computed(&all, BOOL).tested())
    }

    /// The elements of an array on the right of `ANY`: a written-out array is compared element by element.
    fn elements(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<Value, Error> {
        let Node::A_ArrayExpr(array) = node else {
            return self.expression(node, env);
        };
        let mut whole: Option<Value> = None;
        for element in array.elements() {
            let value = self.deeper(|this| this.elements(element, env))?;
            whole = Some(match whole {
                Some(earlier) => earlier.or(value),
                None => value,
            });
        }
        Ok(whole.unwrap_or_else(|| Value::constant(0)))
    }

    /// Notes a comparison by the operator's name; one that is no comparison computes.
    pub(in crate::sql) fn compare_by_name(
        &mut self,
        name: &List,
        left: &Value,
        right: &Value,
        location: i32,
    ) {
        match comparison(operator_name(name)) {
            Some(kind) => self.compare(kind, left, right, location),
            None => {
                self.usage(&left.origin, How::Computation, location);
                self.usage(&right.origin, How::Computation, location);
            }
        }
    }

    /// Notes the functions behind every operator that could be meant.
    pub(in crate::sql) fn called_operator(&mut self, name: &List, at: i32) -> Result<(), Error> {
        let texts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        let (schema, name) = match texts.as_slice() {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => return Ok(()),
        };
        let catalog = self.catalog;
        let Some(operators) = catalog.operators.get(name) else {
            return Ok(());
        };
        for operator in operators {
            let reachable = match schema {
                Some(schema) => operator.schema == schema,
                None => self.path.contains(&operator.schema),
            };
            // Those of the server itself only compute.
            let Some(function) = catalog.functions.get(&operator.function) else {
                continue;
            };
            if reachable && function.origin.as_deref() != Some("pg_catalog") {
                self.verify(function, at)?;
            }
        }
        Ok(())
    }
}

fn operator_name(list: &List) -> &str {
    list.iter()
        .filter_map(Node::as_str)
        .next_back()
        .unwrap_or_default()
}
