//! Subqueries in expressions.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::BOOL;
use crate::sql::analyze::expression::row_fields;
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::from::through_from;
use crate::sql::analyze::query::names::Env;
use crate::sql::error::Error;
use crate::sql::parse::nodes;
use crate::sql::parse::nodes::SubLinkType;

impl Analyzer<'_> {
    pub(in crate::sql) fn sublink(
        &mut self,
        link: &nodes::SubLink,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let at = link.location;
        match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK => {
                // What it filters by is noted; that rows exist is no column's value.
                self.query(link.subselect(), env)?;
                Ok(Value::supplied(BOOL))
            }
            SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK => {
                let left = self.expression(link.testexpr(), env)?;
                let fields = through_from(self.query(link.subselect(), env)?);
                self.compare_rows(link, &left, fields)
            }
            SubLinkType::ROWCOMPARE_SUBLINK => {
                let left = self.expression(link.testexpr(), env)?;
                let fields = self.query(link.subselect(), env)?;
                self.compare_rows(link, &left, fields)
            }
            SubLinkType::EXPR_SUBLINK => {
                let fields = self.query(link.subselect(), env)?;
                Ok(single(fields))
            }
            SubLinkType::ARRAY_SUBLINK => {
                let fields = self.query(link.subselect(), env)?;
                let value = single(fields).through_from();
                self.consume(&value, at);
                Ok(Value::computed([&value], 0))
            }
            SubLinkType::MULTIEXPR_SUBLINK => {
                let fields = self.query(link.subselect(), env)?;
                Ok(Value::of_row(Rc::new(fields), 0))
            }
            _ => {
                self.opaque("this form of subquery", at);
                Ok(Value::unknown())
            }
        }
    }

    fn compare_rows(
        &mut self,
        link: &nodes::SubLink,
        left: &Value,
        fields: Vec<Field>,
    ) -> Result<Value, Error> {
        let at = link.location;
        if link.oper_name().is_empty() {
            self.called_named(None, "=", at)?;
        } else {
            self.called_operator(link.oper_name(), at)?;
        }
        let right = match row_fields(left) {
            Some(_) => Value::of_row(Rc::new(fields), 0),
            None => single(fields),
        };
        if link.oper_name().is_empty() {
            self.compare_equal(left, &right, at);
        } else {
            self.compare_by_name(link.oper_name(), left, &right, at);
        }
        Ok(Value::computed([left, &right], BOOL).tested())
    }
}

/// The value of a subquery with one column.
fn single(fields: Vec<Field>) -> Value {
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => field.value,
        // A column too many is an error of the server's.
        (Some(field), Some(_)) => Value::computed([&field.value], 0),
        (None, _) => Value::constant(0),
    }
}
