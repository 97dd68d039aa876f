//! What the catalogs answer, from JSON.

use serde::Deserialize;

use crate::model::name::ObjectName;
use crate::sql::catalog::{
    Column, Constraint, ConstraintKind, Function, Operator, Parts, Relation, RelationKind, Trigger,
    Type,
};

/// The parts of a catalog from the texts of a row; `None` when it is not what was asked for.
pub(super) fn parts(texts: &[&str]) -> Option<Parts> {
    let [
        version,
        schemas,
        relations,
        columns,
        triggers,
        constraints,
        calls,
        functions,
        types,
        operators,
        casts,
    ] = texts
    else {
        return None;
    };
    let mut relations = read(relations, RelationRow::relation)?;
    relations.sort_by_key(|relation| relation.oid);
    let mut of = Owners(&mut relations);
    for row in rows::<ColumnRow>(columns)? {
        of.add(row.relation, |relation| relation.columns.push(row.column()));
    }
    for row in rows::<TriggerRow>(triggers)? {
        let trigger = row.trigger()?;
        of.add(row.relation, |relation| relation.triggers.push(trigger));
    }
    for row in rows::<ConstraintRow>(constraints)? {
        of.add(row.relation, |relation| {
            relation.constraints.push(row.constraint());
        });
    }
    for row in rows::<CallRow>(calls)? {
        of.add(row.relation, |relation| relation.calls.push(row.function));
    }
    Some(Parts {
        server_version: version.parse().ok()?,
        schemas: read(schemas, |row: SchemaRow| row.name)?,
        relations,
        functions: read(functions, FunctionRow::function)?,
        types: read(types, TypeRow::r#type)?,
        operators: read(operators, OperatorRow::operator)?,
        casts: read(casts, |row: CastRow| (row.source, row.target, row.function))?,
    })
}

fn rows<'a, R: Deserialize<'a>>(text: &'a str) -> Option<Vec<R>> {
    let rows = serde_json::from_str(text);
    rows.inspect_err(|error| tracing::error!(%error, "the catalog is not as it was asked for"))
        .ok()
}

fn read<'a, R: Deserialize<'a>, T>(text: &'a str, make: impl Fn(R) -> T) -> Option<Vec<T>> {
    Some(rows(text)?.into_iter().map(make).collect())
}

/// Relations, sorted by their number.
struct Owners<'r>(&'r mut [Relation]);

impl Owners<'_> {
    /// Adds something to a relation; what is not a relation that is told, such as an index, has no use for it.
    fn add(&mut self, owner: u32, add: impl FnOnce(&mut Relation)) {
        let found = self.0.binary_search_by_key(&owner, |relation| relation.oid);
        if let Some(relation) = found.ok().and_then(|index| self.0.get_mut(index)) {
            add(relation);
        }
    }
}

#[derive(Deserialize)]
struct SchemaRow {
    name: String,
}

#[derive(Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of `pg_class` or a question about it"
)]
struct RelationRow {
    oid: u32,
    schema: String,
    name: String,
    kind: char,
    definition: Option<String>,
    parents: Vec<u32>,
    row_security: bool,
    has_rules: bool,
    children: Vec<u32>,
    hooks: Option<String>,
}

impl RelationRow {
    fn relation(self) -> Relation {
        Relation {
            oid: self.oid,
            name: ObjectName::new(self.schema, self.name),
            kind: RelationKind::of(self.kind),
            columns: Vec::new(),
            definition: self.definition,
            parents: self.parents,
            row_security: self.row_security,
            has_rules: self.has_rules,
            triggers: Vec::new(),
            constraints: Vec::new(),
            calls: Vec::new(),
            hooks: self.hooks,
            children: self.children,
        }
    }
}

#[derive(Deserialize)]
struct ColumnRow {
    relation: u32,
    number: i16,
    name: String,
    type_oid: u32,
    generated: Option<String>,
    not_null: bool,
    comment: Option<String>,
}

impl ColumnRow {
    fn column(self) -> Column {
        Column {
            number: self.number,
            name: self.name,
            type_oid: self.type_oid,
            generated: self.generated,
            not_null: self.not_null,
            comment: self.comment,
        }
    }
}

#[derive(Deserialize)]
struct TriggerRow {
    relation: u32,
    function: u32,
    arguments: String,
    events: i16,
}

impl TriggerRow {
    fn trigger(&self) -> Option<Trigger> {
        let digits = self.arguments.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes = digits.map(byte).collect::<Option<Vec<u8>>>()?;
        // Each ends with a zero byte.
        let arguments = bytes.split(|byte| *byte == 0);
        let mut arguments: Vec<String> = arguments
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect();
        arguments.pop();
        Some(Trigger {
            function: self.function,
            arguments,
            events: self.events,
        })
    }
}

#[derive(Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what happens on delete has nothing to do with what happens on update"
)]
struct ConstraintRow {
    relation: u32,
    kind: char,
    columns: Option<Vec<i16>>,
    other: u32,
    others: Option<Vec<i16>>,
    by_delete: bool,
    by_update: bool,
}

impl ConstraintRow {
    fn constraint(self) -> Constraint {
        let kind = match self.kind {
            'c' => ConstraintKind::Check,
            'x' => ConstraintKind::Exclusion,
            'p' => ConstraintKind::Primary,
            'f' => ConstraintKind::Foreign {
                relation: self.other,
                columns: self.others.unwrap_or_default(),
                by_delete: self.by_delete,
                by_update: self.by_update,
            },
            _ => ConstraintKind::Unique,
        };
        Constraint {
            kind,
            columns: self.columns.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct CallRow {
    relation: u32,
    function: u32,
}

#[derive(Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of `pg_proc` of its own"
)]
struct FunctionRow {
    oid: u32,
    schema: String,
    name: String,
    arguments: Vec<u32>,
    returns: u32,
    returns_set: bool,
    volatility: char,
    leakproof: bool,
    security_definer: bool,
    language: String,
    kind: char,
    origin: Option<String>,
    body: Option<String>,
    defaults: u16,
    variadic: bool,
    has_settings: bool,
    names: Option<Vec<String>>,
    modes: Option<Vec<char>>,
    all_types: Option<Vec<u32>>,
    default_values: Option<String>,
}

impl FunctionRow {
    fn function(self) -> Function {
        let names = self.names.unwrap_or_default();
        let modes = self.modes.unwrap_or_default();
        let mode = |index: usize| modes.get(index).copied().unwrap_or('i');
        let all = self.all_types.unwrap_or_default();
        let columns = all
            .iter()
            .enumerate()
            .filter(|(index, _)| matches!(mode(*index), 'o' | 'b' | 't'))
            .map(|(index, r#type)| (names.get(index).cloned().unwrap_or_default(), *r#type))
            .collect();
        let argument_names = names
            .iter()
            .enumerate()
            .filter(|(index, _)| matches!(mode(*index), 'i' | 'b' | 'v'))
            .map(|(_, name)| name.clone())
            .collect();
        Function {
            oid: self.oid,
            name: ObjectName::new(self.schema, self.name),
            arguments: self.arguments,
            returns: self.returns,
            returns_set: self.returns_set,
            volatility: self.volatility,
            leakproof: self.leakproof,
            security_definer: self.security_definer,
            language: self.language,
            kind: self.kind,
            origin: self.origin,
            body: self.body,
            defaults: self.defaults,
            variadic: self.variadic,
            has_settings: self.has_settings,
            default_values: self.default_values,
            argument_names,
            columns,
        }
    }
}

#[derive(Deserialize)]
struct TypeRow {
    oid: u32,
    schema: String,
    name: String,
    kind: char,
    base: u32,
    element: u32,
    relation: u32,
}

impl TypeRow {
    fn r#type(self) -> Type {
        Type {
            oid: self.oid,
            name: ObjectName::new(self.schema, self.name),
            kind: self.kind,
            base: self.base,
            element: self.element,
            relation: self.relation,
        }
    }
}

#[derive(Deserialize)]
struct OperatorRow {
    name: String,
    schema: String,
    left: u32,
    right: u32,
    function: u32,
}

impl OperatorRow {
    fn operator(self) -> (String, Operator) {
        let operator = Operator {
            schema: self.schema,
            left: self.left,
            right: self.right,
            function: self.function,
        };
        (self.name, operator)
    }
}

#[derive(Deserialize)]
struct CastRow {
    source: u32,
    target: u32,
    function: u32,
}
