//! Function calls, in expressions and in `FROM`.

use std::rc::Rc;
use std::sync::Arc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::value::{Field, Supply, Value};
use crate::sql::analyze::query::from::{rename, rename_fields, through_from};
use crate::sql::analyze::query::names::{Env, Item, Nature};
use crate::sql::catalog::Function;
use crate::sql::error::Error;
use crate::sql::lineage::{How, Origin};
use crate::sql::parse::{List, Node, nodes};

/// `record`
const RECORD: u32 = 2249;

/// A function as it is called.
pub(in crate::sql) struct Call<'c> {
    pub(in crate::sql) schema: Option<&'c str>,
    pub(in crate::sql) name: &'c str,
    pub(in crate::sql) arguments: &'c [Value],
    /// Its last argument is an array of the rest (`VARIADIC`).
    pub(in crate::sql) spread: bool,
    pub(in crate::sql) location: i32,
}

impl Analyzer<'_> {
    /// The value of a function call.
    pub(in crate::sql) fn call(
        &mut self,
        call: &nodes::FuncCall,
        env: &Env<'_>,
    ) -> Result<Value, Error> {
        let mut arguments = Vec::new();
        for argument in call.args() {
            arguments.push(self.expression(argument, env)?);
        }
        let mut ordered = Vec::new();
        for sort in call.agg_order() {
            let value = self.expression(sort.node(), env)?;
            self.usage(&value.origin, How::Ordering, sort.location);
            ordered.push(value);
        }
        if call.agg_distinct || !ordered.is_empty() {
            self.sorting = self.sorting.saturating_add(1);
        }
        self.predicate(call.agg_filter(), env)?;
        if let Some(window) = call.over() {
            self.window(window, env)?;
        }
        if call.agg_distinct {
            for argument in &arguments {
                self.group(argument, call.location);
            }
        }
        // `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)` computes from what it orders.
        if call.agg_within_group {
            arguments.extend(ordered);
        }
        let (schema, name) = function_name(call.funcname());
        let spoken = Call {
            schema,
            name,
            arguments: &arguments,
            spread: call.func_variadic,
            location: call.location,
        };
        if call.agg_star {
            return self.invoke(&spoken);
        }
        self.literals(call, &spoken);
        self.invoke(&spoken)
    }

    /// What a call gives, its arguments known.
    pub(in crate::sql) fn invoke(&mut self, call: &Call<'_>) -> Result<Value, Error> {
        let candidates = self.candidates(call);
        if candidates.is_empty() {
            return Ok(self.not_a_function(call));
        }
        if is_count(call, &candidates) {
            // How many are not NULL: that is all it tells, and it is noted.
            for argument in call.arguments {
                self.null_use(argument, call.location);
            }
            return Ok(match call.arguments.iter().any(is_unclear) {
                true => Value::computed(call.arguments, 0).through_from(),
                false => Value::supplied(20),
            });
        }
        self.note_arguments(call, &candidates);
        let mut value = Value::computed(call.arguments, 0);
        for function in &candidates {
            let read = self.verify(function, call.location)?;
            value.origin = value.origin.or(read.origin.computed());
            // A volatile function, a set, or a count of rows may differ from row to row.
            if function.volatility == 'v'
                || function.returns_set
                || matches!(function.kind, 'a' | 'w')
            {
                value.supply = Supply::Rows;
            }
        }
        value.type_oid = common_type(&candidates);
        value.row = self.result_fields(&candidates, &value).map(Rc::new);
        Ok(value)
    }

    fn note_arguments(&mut self, call: &Call<'_>, candidates: &[Arc<Function>]) {
        let extreme = matches!(call.name, "min" | "max")
            && candidates.iter().all(|function| function.kind == 'a');
        for argument in call.arguments {
            if extreme {
                self.usage(&argument.origin, How::Ordering, call.location);
            }
            self.consume(argument, call.location);
        }
    }

    /// A call of something that is no function: a column of a row, a type used as a cast, or an error.
    fn not_a_function(&mut self, call: &Call<'_>) -> Value {
        let value = Value::computed(call.arguments, 0);
        for argument in call.arguments {
            self.consume(argument, call.location);
        }
        if let [argument] = call.arguments {
            if let Some(fields) = &argument.row
                && let Some(field) = fields.iter().find(|field| field.name == call.name)
            {
                return field.value.clone();
            }
            if let Some(type_oid) = self.named_type(call.schema, call.name) {
                return Value { type_oid, ..value };
            }
            if self.composite_fields(argument.type_oid).is_some() {
                return value;
            }
        }
        self.failure(
            "42883",
            format!("function {}() does not exist", call.name),
            call.location,
        );
        Value::unknown()
    }

    /// `f(row)` written as `row.f`.
    pub(in crate::sql) fn call_on_row(&mut self, name: &str, row: Value, at: i32) -> Value {
        let arguments = [row];
        let call = Call {
            schema: None,
            name,
            arguments: &arguments,
            spread: false,
            location: at,
        };
        match self.invoke(&call) {
            Ok(value) => value,
            Err(error) => {
                self.opaque(error.message, at);
                Value::unknown()
            }
        }
    }

    /// Whether an unqualified name is some function's.
    pub(in crate::sql) fn has_function(&self, name: &str) -> bool {
        self.overloads(None, name).next().is_some()
    }

    /// All functions of a name that can be reached.
    fn overloads<'s>(
        &'s self,
        schema: Option<&'s str>,
        name: &'s str,
    ) -> impl Iterator<Item = &'s Arc<Function>> {
        let path: Vec<&str> = match schema {
            Some(schema) => vec![schema],
            None => self.path.iter().map(String::as_str).collect(),
        };
        path.into_iter().flat_map(move |schema| {
            let name = crate::model::name::ObjectName::new(schema, name);
            let numbers = self.catalog.function_names.get(&name);
            numbers
                .into_iter()
                .flatten()
                .filter_map(|number| self.catalog.functions.get(number))
        })
    }

    /// Every overload that could be meant.
    fn candidates(&self, call: &Call<'_>) -> Vec<Arc<Function>> {
        let fitting: Vec<Arc<Function>> = self
            .overloads(call.schema, call.name)
            .filter(|function| accepts(function, call))
            .map(Arc::clone)
            .collect();
        // One of the server's own whose types fit exactly comes first, wherever it is.
        let exact = fitting.iter().find(|function| {
            let given = call.arguments.iter().map(|argument| argument.type_oid);
            function.origin.as_deref() == Some("pg_catalog")
                && function.name.schema == "pg_catalog"
                && !call.arguments.is_empty()
                && function.arguments.len() == call.arguments.len()
                && given
                    .zip(&function.arguments)
                    .all(|(one, other)| one == *other)
        });
        match exact {
            Some(function) if self.path.first().is_some_and(|first| first == "pg_catalog") => {
                vec![Arc::clone(function)]
            }
            _ => fitting,
        }
    }

    /// The fields of what functions return, when all return the same row.
    fn result_fields(&self, candidates: &[Arc<Function>], value: &Value) -> Option<Vec<Field>> {
        let first = candidates.first()?;
        let same = candidates
            .iter()
            .all(|function| function.returns == first.returns && function.columns == first.columns);
        if !same {
            return None;
        }
        let columns: Vec<(String, u32)> = if first.columns.len() > 1 {
            first.columns.clone()
        } else {
            self.composite_fields(first.returns)?
                .into_iter()
                .map(|field| (field.name, field.value.type_oid))
                .collect()
        };
        let field = |(name, type_oid): (String, u32)| {
            let value = Value {
                type_oid,
                row: None,
                ..value.clone()
            };
            Field::new(name, value)
        };
        Some(columns.into_iter().map(field).collect())
    }

    /// A function, or several side by side, in `FROM`.
    pub(in crate::sql) fn function_item(
        &mut self,
        range: &nodes::RangeFunction,
        env: &Env<'_>,
    ) -> Result<Vec<Rc<Item>>, Error> {
        let mut fields = Vec::new();
        let mut name = String::new();
        let mut open = false;
        let alone = range.functions().len() == 1;
        for entry in range.functions() {
            let Some(entry) = entry.as_node_list() else {
                continue;
            };
            let call = entry.get(0).unwrap_or(Node::None);
            let mut columns: Vec<&str> = Vec::new();
            if let Some(list) = entry.get(1).and_then(|node| node.as_node_list()) {
                columns.extend(list.iter().filter_map(column_definition));
            }
            if alone {
                let defined = range.coldeflist().iter();
                columns.extend(defined.filter_map(nodes::ColumnDef::colname));
            }
            let called = called_name(call);
            if name.is_empty() {
                called.clone_into(&mut name);
            }
            let scalar = range
                .alias()
                .filter(|_| alone)
                .and_then(nodes::Alias::aliasname)
                .unwrap_or(called);
            let more = self.function_fields(call, &columns, scalar, env)?;
            open |= more.is_none();
            fields.extend(more.unwrap_or_default());
        }
        if range.ordinality {
            fields.push(Field::new("ordinality", Value::supplied(20)));
        }
        let mut item = Item::derived(name, through_from(fields));
        if open {
            item.nature = Nature::Open;
        }
        rename(&mut item, range.alias());
        Ok(vec![Rc::new(item)])
    }

    /// The columns that one function in `FROM` gives; `None` when they are not known.
    fn function_fields(
        &mut self,
        node: Node<'_>,
        columns: &[&str],
        scalar: &str,
        env: &Env<'_>,
    ) -> Result<Option<Vec<Field>>, Error> {
        if let Node::FuncCall(call) = node
            && function_name(call.funcname()).1 == "unnest"
            && call.args().len() > 1
        {
            let mut fields = Vec::new();
            for argument in call.args() {
                let value = self.consume_expression(argument, env)?;
                fields.push(Field::new("unnest", Value::computed([&value], 0)));
            }
            return Ok(Some(fields));
        }
        let value = self.expression(node, env)?;
        let field = |name: &str| {
            let plain = Value {
                row: None,
                type_oid: 0,
                ..value.clone()
            };
            Field::new(name, plain)
        };
        if !columns.is_empty() {
            return Ok(Some(columns.iter().map(|name| field(name)).collect()));
        }
        if let Some(fields) = &value.row {
            return Ok(Some(fields.as_ref().clone()));
        }
        if let Some(mut fields) = self.composite_fields(value.type_oid) {
            for field in &mut fields {
                let type_oid = field.value.type_oid;
                field.value = Value::computed([&value], type_oid);
            }
            return Ok(Some(fields));
        }
        if value.origin == Origin::Unknown || value.type_oid == RECORD {
            return Ok(None);
        }
        let mut fields = vec![field(scalar)];
        if let [only] = fields.as_mut_slice() {
            only.value.type_oid = value.type_oid;
            self.name_single(node, only);
        }
        Ok(Some(fields))
    }

    /// A function with a single `OUT` parameter gives a column of that name.
    fn name_single(&self, node: Node<'_>, field: &mut Field) {
        let Node::FuncCall(call) = node else { return };
        let (schema, name) = function_name(call.funcname());
        let names: Vec<&str> = self
            .overloads(schema, name)
            .filter_map(|function| match function.columns.as_slice() {
                [(name, _)] => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if let Some(first) = names.first()
            && !first.is_empty()
            && names.iter().all(|name| name == first)
        {
            rename_fields(std::slice::from_mut(field), std::iter::once(*first));
        }
    }
}

/// Schema and name of a called function; the name of the database in front is dropped.
pub(in crate::sql) fn function_name(list: &List) -> (Option<&str>, &str) {
    let parts: Vec<&str> = list.iter().filter_map(Node::as_str).collect();
    match parts.as_slice() {
        [.., schema, name] => (Some(schema), name),
        [name] => (None, name),
        [] => (None, ""),
    }
}

fn called_name(node: Node<'_>) -> &str {
    match node {
        Node::FuncCall(call) => function_name(call.funcname()).1,
        Node::SQLValueFunction(_) | Node::CoalesceExpr(_) | Node::XmlExpr(_) => {
            crate::sql::analyze::query::target::figured(node).unwrap_or_default()
        }
        Node::TypeCast(cast) => called_name(cast.arg()),
        _ => "",
    }
}

fn column_definition(node: Node<'_>) -> Option<&str> {
    match node {
        Node::ColumnDef(column) => column.colname(),
        _ => None,
    }
}

/// Whether a function can be called with that many arguments.
fn accepts(function: &Function, call: &Call<'_>) -> bool {
    let declared = function.arguments.len();
    let given = call.arguments.len();
    if function.variadic && !call.spread {
        return given.saturating_add(1) >= declared.saturating_sub(usize::from(function.defaults));
    }
    // Ordered-set aggregates count what they order by; procedures may be called with their OUT parameters.
    if matches!(function.kind, 'a' | 'p') {
        return true;
    }
    given <= declared && given.saturating_add(usize::from(function.defaults)) >= declared
}

fn is_count(call: &Call<'_>, candidates: &[Arc<Function>]) -> bool {
    call.name == "count"
        && candidates.iter().all(|function| {
            function.origin.as_deref() == Some("pg_catalog") && function.kind == 'a'
        })
}

/// Whether counting a value tells more than whether it is NULL.
fn is_unclear(value: &Value) -> bool {
    !matches!(value.origin, Origin::Clean | Origin::Plain(_))
}

/// The type that all candidates return; polymorphic ones are not known.
fn common_type(candidates: &[Arc<Function>]) -> u32 {
    const POLYMORPHIC: [u32; 12] = [
        2276, 2277, 2283, 2776, 3500, 3831, 4537, 5077, 5078, 5079, 5080, 4538,
    ];
    let Some(first) = candidates.first() else {
        return 0;
    };
    let same = candidates
        .iter()
        .all(|function| function.returns == first.returns);
    if same && !POLYMORPHIC.contains(&first.returns) {
        first.returns
    } else {
        0
    }
}
