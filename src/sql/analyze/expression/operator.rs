//! Operators.

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::BOOL;
use crate::sql::analyze::expression::comparison::{Comparison, comparison};
use crate::sql::analyze::expression::function::literal;
use crate::sql::analyze::expression::value::Value;
use crate::sql::analyze::query::names::Env;
use crate::sql::catalog::Operator;
use crate::sql::error::Error;
use crate::sql::known::function::{Verdict, verdict};
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
                match self.meant(expression.name()) {
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
                let times = listed(expression.rexpr(), 0);
                self.times(times, |this| {
                    this.compare_by_name(expression.name(), left, &right, at);
                });
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
            all.push(self.expression(node, env)?);
        }
        let times = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.times(times, |this| {
            for value in all.iter().skip(1) {
                this.compare_equal(left, value, expression.location);
            }
        });
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
        for name in ["<", "<=", ">", ">="] {
            self.called_named(None, name, expression.location)?;
        }
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
        match self.meant(name) {
            Some(kind) => self.compare(kind, left, right, location),
            None => {
                self.usage(&left.origin, How::Computation, location);
                self.usage(&right.origin, How::Computation, location);
            }
        }
    }

    /// The comparison that an operator makes, if it is the server's or an extension's: others of its name may compare in any way.
    fn meant(&self, name: &List) -> Option<Comparison> {
        let kind = comparison(operator_name(name))?;
        let texts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        let (schema, name) = qualified(&texts)?;
        (!self.is_defined_here(schema, name)).then_some(kind)
    }

    /// Whether an operator of that name could be meant that somebody has defined in this database.
    pub(in crate::sql) fn is_defined_here(&self, schema: Option<&str>, name: &str) -> bool {
        self.operators(schema, name).any(|operator| {
            let function = self.catalog.functions.get(&operator.function);
            let origin = function.and_then(|function| function.origin.as_deref());
            operator.schema != "pg_catalog" && matches!(origin, None | Some("pg_catalog"))
        })
    }

    /// Every operator that could be meant.
    fn operators<'s>(
        &'s self,
        schema: Option<&'s str>,
        name: &str,
    ) -> impl Iterator<Item = &'s Operator> {
        let all = self.catalog.operators.get(name).into_iter().flatten();
        all.filter(move |operator| match schema {
            Some(schema) => operator.schema == schema,
            None => self.path.contains(&operator.schema),
        })
    }

    /// Notes the functions behind every operator that could be meant.
    pub(in crate::sql) fn called_operator(&mut self, name: &List, at: i32) -> Result<(), Error> {
        let texts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        match qualified(&texts) {
            Some((schema, name)) => self.called_named(schema, name, at),
            None => Ok(()),
        }
    }

    /// The same for one that the syntax implies: `CASE x WHEN`, `USING`, `IN (SELECT …)`, `BETWEEN`.
    pub(in crate::sql) fn called_named(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: i32,
    ) -> Result<(), Error> {
        let catalog = self.catalog;
        let functions: Vec<u32> = self
            .operators(schema, name)
            .map(|operator| operator.function)
            .collect();
        for function in functions {
            let Some(function) = catalog.functions.get(&function) else {
                continue;
            };
            // Those behind the server's own operators only compute. But any of its functions can be put behind a new one.
            let computes = function.origin.as_deref() == Some("pg_catalog")
                && verdict(function) == Verdict::Harmless;
            if !computes {
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

/// Schema and name of an operator.
fn qualified<'t>(texts: &[&'t str]) -> Option<(Option<&'t str>, &'t str)> {
    match texts {
        [name] => Some((None, name)),
        [.., schema, name] => Some((Some(schema), name)),
        [] => None,
    }
}

/// How many values an array on the right of `ANY` is written out with. Those of a parameter are counted when it is bound.
fn listed(node: Node<'_>, depth: u8) -> u32 {
    let commas = |text: &str| text.matches(',').count().saturating_add(1);
    let count = match node {
        Node::A_ArrayExpr(array) if depth < 8 => {
            let elements = array.elements().iter();
            let counts = elements.map(|element| listed(element, depth.saturating_add(1)));
            return counts.fold(0, u32::saturating_add).max(1);
        }
        Node::TypeCast(cast) if depth < 8 => return listed(cast.arg(), depth),
        _ => literal(node).map_or(1, |text| if depth == 0 { commas(&text) } else { 1 }),
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}
