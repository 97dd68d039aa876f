//! Target lists: what is given back, and under which name.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::names::{Env, Reference, reference};
use crate::sql::error::Error;
use crate::sql::parse::nodes::MinMaxOp;
use crate::sql::parse::{List, Node, nodes};

impl Analyzer<'_> {
    /// The columns of a target or `RETURNING` list.
    pub(in crate::sql) fn targets<'n>(
        &mut self,
        list: impl IntoIterator<Item = &'n nodes::ResTarget>,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        for target in list {
            let before = std::mem::take(&mut self.overheard);
            let mut found = self.one_target(target, env)?;
            let heard = std::mem::replace(&mut self.overheard, before);
            if self.quiet > 0 && !heard.is_empty() {
                let uses = Rc::new(heard.clone());
                for field in &mut found {
                    field.value.uses = Some(Rc::clone(&uses));
                }
            }
            self.overheard.extend(heard);
            fields.extend(found);
        }
        Ok(fields)
    }

    fn one_target(
        &mut self,
        target: &nodes::ResTarget,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        if let Some(fields) = self.expanded(target.val(), env)? {
            return Ok(fields);
        }
        let value = self.expression(target.val(), env)?;
        let name = target.name().map_or_else(
            || figured(target.val()).unwrap_or("?column?").to_owned(),
            str::to_owned,
        );
        Ok(vec![Field::new(name, value)])
    }

    /// The columns of a list of expressions, stars expanded: `ROW(a.*)`, `VALUES (a.*)`.
    pub(in crate::sql) fn expressions<'n>(
        &mut self,
        list: impl IntoIterator<Item = Node<'n>>,
        env: &Env<'_>,
    ) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        for node in list {
            match self.expanded(node, env)? {
                Some(more) => fields.extend(more),
                None => fields.push(Field::new(
                    figured(node).unwrap_or("?column?"),
                    self.expression(node, env)?,
                )),
            }
        }
        Ok(fields)
    }

    /// What `*`, `a.*` or `(row).*` stands for; `None` for any other expression.
    fn expanded(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<Option<Vec<Field>>, Error> {
        match node {
            Node::ColumnRef(column) => Ok(match reference(column) {
                Reference::All => Some(self.star(None, None, env, column.location)),
                Reference::AllOf(schema, name) => {
                    Some(self.star(schema, Some(name), env, column.location))
                }
                _ => None,
            }),
            Node::A_Indirection(indirection) => {
                let steps: Vec<Node<'_>> = indirection.indirection().iter().collect();
                let Some((Node::A_Star(_), steps)) = steps.split_last() else {
                    return Ok(None);
                };
                let row = self.expression(indirection.arg(), env)?;
                let row = self.steps(row, steps, env)?;
                Ok(Some(self.fields_of(&row)))
            }
            _ => Ok(None),
        }
    }

    /// The fields of a row value.
    fn fields_of(&mut self, row: &Value) -> Vec<Field> {
        if let Some(fields) = &row.row {
            return fields.as_ref().clone();
        }
        let Some(fields) = self.composite_fields(row.type_oid) else {
            self.opaque("which columns a row has", -1);
            return vec![Field::new("?column?", Value::unknown())];
        };
        self.consume(row, -1);
        fields
            .into_iter()
            .map(|field| Field {
                value: Value {
                    type_oid: field.value.type_oid,
                    ..Value::computed([row], 0)
                },
                name: field.name,
            })
            .collect()
    }
}

/// The name that the server gives an output without an alias.
pub(in crate::sql) fn figured(node: Node<'_>) -> Option<&str> {
    strong(node, 0).map(|(name, _)| name)
}

/// The name, and whether it stands its ground against the name of a type around it.
fn strong(node: Node<'_>, depth: u8) -> Option<(&str, bool)> {
    if depth > 60 {
        return None;
    }
    let deeper = |inner| strong(inner, depth.saturating_add(1));
    match node {
        Node::ColumnRef(column) => last_text(column.fields()).map(|name| (name, true)),
        Node::A_Indirection(indirection) => last_text(indirection.indirection())
            .map(|name| (name, true))
            .or_else(|| deeper(indirection.arg())),
        Node::FuncCall(call) => last_text(call.funcname()).map(|name| (name, true)),
        Node::A_Expr(expression) if expression.kind == nodes::A_Expr_Kind::AEXPR_NULLIF => {
            Some(("nullif", true))
        }
        Node::TypeCast(cast) => match deeper(cast.arg()) {
            Some((name, true)) => Some((name, true)),
            weak => cast
                .type_name()
                .and_then(|name| name.names().iter().next_back()?.sval())
                .map(|name| (name, false))
                .or(weak),
        },
        Node::CollateClause(collate) => deeper(collate.arg()),
        Node::CaseExpr(case) => deeper(case.defresult())
            .filter(|(_, strong)| *strong)
            .or(Some(("case", false))),
        Node::A_ArrayExpr(_) => Some(("array", true)),
        Node::RowExpr(_) => Some(("row", true)),
        Node::CoalesceExpr(_) => Some(("coalesce", true)),
        Node::MinMaxExpr(both) if both.op == MinMaxOp::IS_GREATEST => Some(("greatest", true)),
        Node::MinMaxExpr(_) => Some(("least", true)),
        Node::GroupingFunc(_) => Some(("grouping", true)),
        Node::SubLink(link) => sublink(link, depth),
        Node::SQLValueFunction(function) => Some((value_function(function), true)),
        Node::XmlExpr(xml) => Some((xml_name(xml)?, true)),
        Node::XmlSerialize(_) => Some(("xmlserialize", true)),
        _ => None,
    }
}

fn sublink(link: &nodes::SubLink, depth: u8) -> Option<(&str, bool)> {
    match link.sub_link_type {
        nodes::SubLinkType::EXISTS_SUBLINK => Some(("exists", true)),
        nodes::SubLinkType::ARRAY_SUBLINK => Some(("array", true)),
        nodes::SubLinkType::EXPR_SUBLINK => {
            let Node::SelectStmt(mut select) = link.subselect() else {
                return None;
            };
            while let Some(left) = select.larg() {
                select = left;
            }
            let target = select.target_list().first()?;
            match target.name() {
                Some(name) => Some((name, true)),
                None => strong(target.val(), depth.saturating_add(1)).map(|(name, _)| (name, true)),
            }
        }
        _ => None,
    }
}

fn last_text(list: &List) -> Option<&str> {
    list.iter().filter_map(Node::as_str).next_back()
}

fn value_function(function: &nodes::SQLValueFunction) -> &'static str {
    use nodes::SQLValueFunctionOp as Op;
    match function.op {
        Op::SVFOP_CURRENT_DATE => "current_date",
        Op::SVFOP_CURRENT_TIME | Op::SVFOP_CURRENT_TIME_N => "current_time",
        Op::SVFOP_CURRENT_TIMESTAMP | Op::SVFOP_CURRENT_TIMESTAMP_N => "current_timestamp",
        Op::SVFOP_LOCALTIME | Op::SVFOP_LOCALTIME_N => "localtime",
        Op::SVFOP_LOCALTIMESTAMP | Op::SVFOP_LOCALTIMESTAMP_N => "localtimestamp",
        Op::SVFOP_CURRENT_ROLE => "current_role",
        Op::SVFOP_CURRENT_USER => "current_user",
        Op::SVFOP_USER => "user",
        Op::SVFOP_SESSION_USER => "session_user",
        Op::SVFOP_CURRENT_CATALOG => "current_catalog",
        _ => "current_schema",
    }
}

fn xml_name(xml: &nodes::XmlExpr) -> Option<&'static str> {
    use nodes::XmlExprOp as Op;
    Some(match xml.op {
        Op::IS_XMLCONCAT => "xmlconcat",
        Op::IS_XMLELEMENT => "xmlelement",
        Op::IS_XMLFOREST => "xmlforest",
        Op::IS_XMLPARSE => "xmlparse",
        Op::IS_XMLPI => "xmlpi",
        Op::IS_XMLROOT => "xmlroot",
        Op::IS_XMLSERIALIZE => "xmlserialize",
        _ => return None,
    })
}
