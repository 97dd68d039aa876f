//! Expressions: where a value comes from, and what is learned about stored columns on the way.

pub(in crate::sql) mod call;
pub(in crate::sql) mod comparison;
pub(in crate::sql) mod function;
pub(in crate::sql) mod json;
pub(in crate::sql) mod operator;
pub(in crate::sql) mod subquery;
pub(in crate::sql) mod value;

use std::rc::Rc;

use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::analyze::query::names::Env;
use crate::sql::analyze::statement::dml::written;
use crate::sql::catalog::FIRST_NORMAL;
use crate::sql::error::Error;
use crate::sql::lineage::{How, Origin};
use crate::sql::parse::{ConstValue, List, Node, nodes};

/// More literals than this are not listed one by one.
pub(in crate::sql) const MAX_LITERALS: usize = 4_096;

/// `boolean`
pub(in crate::sql) const BOOL: u32 = 16;
/// `integer`
const INT4: u32 = 23;
/// `numeric`
const NUMERIC: u32 = 1700;
/// `bigint`
const INT8: u32 = 20;

impl Analyzer<'_> {
    /// The value of an expression.
    pub(in crate::sql) fn expression(
        &mut self,
        node: Node<'_>,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        self.deeper(|this| match node {
            Node::None | Node::SetToDefault(_) | Node::CurrentOfExpr(_) => Ok(Value::constant(0)),
            Node::A_Const(constant) => {
                this.literal(node);
                Ok(Value::constant(constant_type(constant)))
            }
            Node::ParamRef(parameter) => {
                this.literal(node);
                Ok(this.parameter(parameter))
            }
            Node::ColumnRef(column) => Ok(this.column(column, env)),
            Node::A_Expr(expression) => this.operator(expression, env),
            Node::FuncCall(call) => this.call(call, env),
            Node::SubLink(link) => this.sublink(link, env),
            Node::TypeCast(cast) => this.cast(cast, env),
            Node::CollateClause(collate) => {
                let mut value = this.expression(collate.arg(), env)?;
                value.odd |= !this.is_known_collation(collate.collname());
                Ok(value)
            }
            Node::NamedArgExpr(named) => this.expression(named.arg(), env),
            Node::BoolExpr(expression) => this.boolean(expression, env),
            Node::NullTest(test) => this.null_test(test, env),
            Node::BooleanTest(test) => {
                let value = this.expression(test.arg(), env)?;
                this.truth(&value, test.location);
                Ok(Value::computed([&value], BOOL).tested())
            }
            _ => this.special(node, env),
        })
    }

    /// Notes a literal or a parameter.
    fn literal(&mut self, node: Node<'_>) {
        if self.place == Place::Statement && self.found.literals.len() < MAX_LITERALS {
            self.found.literals.push(written(node));
        }
    }

    /// Whether a collation is one of the server's by which only equal bytes are equal.
    fn is_known_collation(&self, name: &List) -> bool {
        const KNOWN: [&str; 5] = ["C", "POSIX", "default", "ucs_basic", "pg_c_utf8"];
        let parts: Vec<&str> = name.iter().filter_map(Node::as_str).collect();
        match parts.as_slice() {
            ["pg_catalog", _] => true,
            [name] => {
                KNOWN.contains(name) && self.path.first().is_some_and(|first| first == "pg_catalog")
            }
            _ => false,
        }
    }

    /// Whether a type is a domain, which may have a collation of its own.
    fn is_domain(&self, type_oid: u32) -> bool {
        let found = self.catalog.types.get(&type_oid);
        found.is_some_and(|found| found.kind == 'd')
    }

    fn special(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<Value, Error> {
        match node {
            Node::CaseExpr(case) => self.case(case, env),
            Node::CoalesceExpr(coalesce) => {
                self.computation(coalesce.args(), env, coalesce.location)
            }
            Node::MinMaxExpr(both) => {
                let value = self.computation(both.args(), env, both.location)?;
                self.usage(&value.origin, How::Ordering, both.location);
                Ok(value)
            }
            Node::RowExpr(row) => {
                let fields = self.expressions(row.args(), env)?;
                Ok(Value::of_row(Rc::new(fields), 0))
            }
            Node::A_ArrayExpr(array) => self.array(array, env),
            Node::A_Indirection(indirection) => {
                let value = self.expression(indirection.arg(), env)?;
                let steps: Vec<Node<'_>> = indirection.indirection().iter().collect();
                self.steps(value, &steps, env)
            }
            Node::GroupingFunc(grouping) => {
                for argument in grouping.args() {
                    let value = self.expression(argument, env)?;
                    self.usage(&value.origin, How::Grouping, grouping.location);
                }
                Ok(Value::supplied(INT4))
            }
            Node::SQLValueFunction(_) | Node::MergeSupportFunc(_) => Ok(Value::constant(0)),
            Node::XmlExpr(xml) => self.xml(xml, env),
            Node::XmlSerialize(xml) => {
                let value = self.expression(xml.expr(), env)?;
                self.consume(&value, xml.location);
                Ok(Value::computed([&value], 0))
            }
            Node::ResTarget(target) => self.expression(target.val(), env),
            Node::MultiAssignRef(assign) => self.expression(assign.source(), env),
            Node::NodeList(list) => self.computation(list, env, -1),
            _ => self.json(node, env),
        }
    }

    /// Evaluates and notes that the value is computed with; `Node::None` is nothing.
    pub(in crate::sql) fn consume_expression(
        &mut self,
        node: Node<'_>,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let value = self.expression(node, env)?;
        self.consume(&value, -1);
        Ok(value)
    }

    /// The same for a list.
    pub(in crate::sql) fn consume_all<'n>(
        &mut self,
        list: impl IntoIterator<Item = Node<'n>>,
        env: &Env<'_>,
    ) -> Result<(), Error> {
        for node in list {
            self.consume_expression(node, env)?;
        }
        Ok(())
    }

    /// What is computed from a list.
    pub(in crate::sql) fn computation<'n>(
        &mut self,
        list: impl IntoIterator<Item = Node<'n>>,
        env: &Env<'_>,
        location: i32,
    ) -> Result<Value, Error> {
        let mut parts = Vec::new();
        for node in list {
            let value = self.expression(node, env)?;
            self.consume(&value, location);
            parts.push(value);
        }
        Ok(Value::computed(&parts, 0))
    }

    /// A condition: `WHERE`, `ON`, `HAVING`, `FILTER`.
    pub(in crate::sql) fn predicate(&mut self, node: Node<'_>, env: &Env<'_>) -> Result<(), Error> {
        if matches!(node, Node::None) {
            return Ok(());
        }
        let value = self.expression(node, env)?;
        self.truth(&value, -1);
        Ok(())
    }

    /// Notes what is learned when only the truth of a value shows: of a stored boolean that it is true.
    pub(in crate::sql) fn truth(&mut self, value: &Value, location: i32) {
        match value.origin {
            Origin::Plain(_) => self.usage(&value.origin, How::Equality, location),
            _ if value.test => {}
            _ => self.consume(value, location),
        }
    }

    fn parameter(&self, parameter: &nodes::ParamRef) -> Value {
        let index = usize::try_from(parameter.number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        let declared = index.and_then(|index| self.parameters.get(index));
        Value::constant(declared.copied().unwrap_or(0))
    }

    fn boolean(&mut self, expression: &nodes::BoolExpr, env: &Env<'_>) -> Result<Value, Error> {
        let mut parts = Vec::new();
        for argument in expression.args() {
            let value = self.expression(argument, env)?;
            self.truth(&value, expression.location);
            parts.push(value);
        }
        Ok(Value::computed(&parts, BOOL).tested())
    }

    fn null_test(&mut self, test: &nodes::NullTest, env: &Env<'_>) -> Result<Value, Error> {
        let value = self.expression(test.arg(), env)?;
        self.null_use(&value, test.location);
        Ok(Value::computed([&value], BOOL).tested())
    }

    /// Notes that only whether a value is NULL is learned.
    pub(in crate::sql) fn null_use(&mut self, value: &Value, location: i32) {
        match value.origin {
            Origin::Plain(_) => self.usage(&value.origin, How::NullTest, location),
            _ if value.test => {}
            _ => match &value.row {
                Some(fields) => {
                    for field in fields.iter() {
                        let plain = Value {
                            row: None,
                            ..field.value.clone()
                        };
                        self.null_use(&plain, location);
                    }
                }
                None => self.consume(value, location),
            },
        }
    }

    fn case(&mut self, case: &nodes::CaseExpr, env: &Env<'_>) -> Result<Value, Error> {
        let mut parts = Vec::new();
        let subject = self.expression(case.arg(), env)?;
        self.consume(&subject, case.location);
        parts.push(subject);
        if !matches!(case.arg(), Node::None) {
            self.called_named(None, "=", case.location)?;
        }
        for when in case.args() {
            let Node::CaseWhen(when) = when else {
                self.opaque("this form of CASE", case.location);
                continue;
            };
            for node in [when.expr(), when.result()] {
                let value = self.expression(node, env)?;
                self.consume(&value, when.location);
                parts.push(value);
            }
        }
        let value = self.expression(case.defresult(), env)?;
        self.consume(&value, case.location);
        parts.push(value);
        Ok(Value::computed(&parts, 0))
    }

    fn array(&mut self, array: &nodes::A_ArrayExpr, env: &Env<'_>) -> Result<Value, Error> {
        // The elements stay what they are for comparisons: `x = ANY (ARRAY[…])` compares with each of them.
        let mut parts = Vec::new();
        for element in array.elements() {
            parts.push(self.expression(element, env)?);
        }
        for part in &parts {
            self.consume(part, array.location);
        }
        Ok(Value::computed(&parts, 0))
    }

    /// A cast. One to the type that a value has already changes nothing.
    fn cast(&mut self, cast: &nodes::TypeCast, env: &Env<'_>) -> Result<Value, Error> {
        let value = self.expression(cast.arg(), env)?;
        let target = cast.type_name();
        let type_oid = target.and_then(|name| self.type_oid(name)).unwrap_or(0);
        if value.origin == Origin::Clean {
            self.called_casts(value.type_oid, type_oid, cast.location)?;
            let odd = value.odd || self.is_domain(type_oid);
            return Ok(Value {
                type_oid,
                row: None,
                odd,
                ..value
            });
        }
        self.called_casts(value.type_oid, type_oid, cast.location)?;
        let unmodified = target.is_some_and(|name| name.typmods().is_empty());
        if type_oid != 0 && type_oid == value.type_oid && unmodified {
            return Ok(value);
        }
        self.consume(&value, cast.location);
        Ok(Value::computed([&value], type_oid))
    }

    /// Notes the functions behind casts that the database defines itself and that could be meant.
    fn called_casts(&mut self, from: u32, to: u32, at: i32) -> Result<(), Error> {
        let catalog = self.catalog;
        for (source, target, function) in &catalog.casts {
            let possible = (to == 0 || to == *target)
                && (from == 0 || from == *source)
                && *function >= FIRST_NORMAL;
            if possible && let Some(function) = catalog.functions.get(function) {
                self.verify(function, at)?;
            }
        }
        Ok(())
    }

    /// The number of a named type, `None` when it can't be told.
    pub(in crate::sql) fn type_oid(&self, name: &nodes::TypeName) -> Option<u32> {
        let parts: Vec<&str> = name
            .names()
            .iter()
            .filter_map(nodes::String::sval)
            .collect();
        let (schema, base) = match parts.as_slice() {
            [name] => (None, *name),
            [.., schema, name] => (Some(*schema), *name),
            [] => return None,
        };
        let element = self.named_type(schema, base)?;
        if name.array_bounds().is_empty() {
            return Some(element);
        }
        let array = self
            .catalog
            .types
            .values()
            .find(|known| known.element == element)?;
        Some(array.oid)
    }

    /// The type of that name in that schema, or in the path.
    pub(in crate::sql) fn named_type(&self, schema: Option<&str>, name: &str) -> Option<u32> {
        let find = |schema: &str| {
            let name = crate::model::name::ObjectName::new(schema, name);
            self.catalog.type_names.get(&name).copied()
        };
        match schema {
            Some(schema) => find(schema),
            None => self.path.iter().find_map(|schema| find(schema)),
        }
    }

    /// Follows `.field` and `[index]`.
    pub(in crate::sql) fn steps(
        &mut self,
        mut value: Value,
        steps: &[Node<'_>],
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        for step in steps {
            match step {
                Node::String(name) => value = self.field(value, name.sval().unwrap_or_default()),
                Node::A_Indices(indices) => {
                    let low = self.consume_expression(indices.lidx(), env)?;
                    let high = self.consume_expression(indices.uidx(), env)?;
                    self.consume(&value, -1);
                    value = Value::computed([&value, &low, &high], 0);
                }
                _ => {
                    self.opaque("this selection from a value", -1);
                    value = Value::unknown();
                }
            }
        }
        Ok(value)
    }

    fn field(&mut self, row: Value, name: &str) -> Value {
        if let Some(fields) = &row.row {
            if let Some(field) = fields.iter().find(|field| field.name == name) {
                return field.value.clone();
            }
            return self.function_of_row(name, row);
        }
        self.consume(&row, -1);
        let Some(fields) = self.composite_fields(row.type_oid) else {
            return self.function_of_row(name, row);
        };
        match fields.iter().find(|field| field.name == name) {
            Some(field) => Value::computed([&row], field.value.type_oid),
            None => self.function_of_row(name, row),
        }
    }

    /// `(row).f` is `f(row)` when there is a function of that name.
    fn function_of_row(&mut self, name: &str, row: Value) -> Value {
        if self.has_function(name) {
            return self.call_on_row(name, row, -1);
        }
        Value::computed([&row], 0)
    }

    fn xml(&mut self, xml: &nodes::XmlExpr, env: &Env<'_>) -> Result<Value, Error> {
        let named = self.computation(xml.named_args(), env, xml.location)?;
        let others = self.computation(xml.args(), env, xml.location)?;
        Ok(Value::computed([&named, &others], 0))
    }
}

fn constant_type(constant: &nodes::A_Const) -> u32 {
    match constant.val() {
        Some(ConstValue::Integer(_)) => INT4,
        Some(ConstValue::Float(text)) if text.parse::<i64>().is_ok() => INT8,
        Some(ConstValue::Float(_)) => NUMERIC,
        Some(ConstValue::Boolean(_)) => BOOL,
        _ => 0,
    }
}

/// Values by name, when rows are taken apart.
pub(in crate::sql) fn row_fields(value: &Value) -> Option<&Vec<Field>> {
    value.row.as_deref()
}
