//! A catalog from a page of text: `corpus/sql/catalog.txt`.

use dbgate::model::name::ObjectName;
use dbgate::sql::catalog::{
    Catalog, Column, Constraint, ConstraintKind, Function, Operator, Parts, Relation, RelationKind,
    Type,
};

const TYPES: [&str; 16] = [
    "bool",
    "int4",
    "int8",
    "text",
    "numeric",
    "float8",
    "date",
    "oid",
    "xml",
    "jsonb",
    "void",
    "any",
    "anyarray",
    "anyelement",
    "record",
    "timestamptz",
];

/// Reads the page.
pub(crate) fn read(text: &str) -> Catalog {
    let mut parts = Parts {
        server_version: 150_000,
        schemas: ["pg_catalog", "public", "arch"].map(str::to_owned).to_vec(),
        ..Parts::default()
    };
    for (index, name) in TYPES.iter().enumerate() {
        parts.types.push(scalar(100 + number(index), name));
    }
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (head, body) = match line.split_once(" := ") {
            Some((head, body)) => (head, Some(body.to_owned())),
            None => (line, None),
        };
        let (kind, rest) = head.split_once(' ').unwrap();
        match kind {
            "function" | "aggregate" => {
                let function = function(kind, rest, body, &parts);
                parts.functions.push(function);
            }
            "parent" => inherit(rest, &mut parts.relations),
            "operator" => {
                let operator = operator(rest, &parts);
                parts.operators.push(operator);
            }
            "calls" | "key" | "defaults" => attach(kind, rest, body, &mut parts),
            _ => {
                let relation = relation(kind, rest, body, &parts);
                let mut row = scalar(relation.oid + 50_000, &relation.name.name);
                row.name = relation.name.clone();
                row.relation = relation.oid;
                row.kind = 'c';
                parts.types.push(row);
                parts.relations.push(relation);
            }
        }
    }
    Catalog::new(parts)
}

fn relation(kind: &str, rest: &str, definition: Option<String>, parts: &Parts) -> Relation {
    let (name, columns) = rest.split_once(' ').unwrap();
    let name = full(name);
    let system = name.schema == "pg_catalog";
    let first = if system { 1_000 } else { 20_000 };
    let columns = columns
        .split(' ')
        .enumerate()
        .map(|(index, column)| {
            let (name, rest) = column.split_once(':').unwrap();
            let (r#type, generated) = match rest.split_once("=(") {
                Some((r#type, expression)) => (r#type, expression.strip_suffix(')')),
                None => (rest, None),
            };
            Column {
                number: i16::try_from(index + 1).unwrap(),
                name: name.to_owned(),
                type_oid: type_oid(r#type.trim_end_matches('!'), parts),
                generated: generated.map(str::to_owned),
                not_null: r#type.ends_with('!'),
                comment: None,
            }
        })
        .collect();
    Relation {
        oid: first + number(parts.relations.len()),
        name,
        kind: match kind {
            "view" => RelationKind::View,
            "matview" => RelationKind::Materialized,
            "sequence" => RelationKind::Sequence,
            _ => RelationKind::Table,
        },
        columns,
        definition,
        parents: Vec::new(),
        row_security: false,
        has_rules: false,
        triggers: Vec::new(),
        constraints: Vec::new(),
        hooks: None,
        children: Vec::new(),
        calls: Vec::new(),
    }
}

/// `public.!!! public.f`
fn operator(rest: &str, parts: &Parts) -> (String, Operator) {
    let (operator, function) = rest.split_once(' ').unwrap();
    let operator = full(operator);
    let found = Operator {
        schema: operator.schema,
        left: 0,
        right: 0,
        function: function_oid(function, parts),
    };
    (operator.name, found)
}

/// What belongs to a relation or function that was made before.
fn attach(kind: &str, rest: &str, body: Option<String>, parts: &mut Parts) {
    let (of, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if kind == "defaults" {
        let oid = function_oid(of, parts);
        let mut functions = parts.functions.iter_mut();
        let function = functions.find(|function| function.oid == oid).unwrap();
        function.defaults = 1;
        function.default_values = body;
        return;
    }
    let function = (kind == "calls").then(|| function_oid(rest, parts));
    let mut relations = parts.relations.iter_mut();
    let relation = relations.find(|known| known.name == full(of)).unwrap();
    match function {
        Some(function) => relation.calls.push(function),
        None => relation.constraints.push(Constraint {
            kind: ConstraintKind::Primary,
            columns: vec![relation.column(rest).unwrap().number],
        }),
    }
}

fn function_oid(name: &str, parts: &Parts) -> u32 {
    let mut functions = parts.functions.iter();
    functions
        .find(|known| known.name == full(name))
        .unwrap()
        .oid
}

fn function(kind: &str, rest: &str, body: Option<String>, parts: &Parts) -> Function {
    let (signature, rest) = rest.split_once("):").unwrap();
    let (name, arguments) = signature.split_once('(').unwrap();
    let name = full(name);
    let built_in = name.schema == "pg_catalog";
    let mut words = rest.split(' ');
    let returns = words.next().unwrap();
    Function {
        oid: if built_in { 2_000 } else { 30_000 } + number(parts.functions.len()),
        arguments: arguments
            .split(',')
            .filter(|argument| !argument.is_empty())
            .map(|argument| type_oid(argument, parts))
            .collect(),
        returns: type_oid(returns.trim_end_matches('*'), parts),
        returns_set: returns.ends_with('*'),
        volatility: words.next().unwrap_or("i").chars().next().unwrap(),
        leakproof: false,
        security_definer: false,
        language: words.next().unwrap_or("internal").to_owned(),
        kind: if kind == "aggregate" { 'a' } else { 'f' },
        defaults: 0,
        variadic: false,
        origin: built_in.then(|| "pg_catalog".to_owned()),
        body,
        argument_names: Vec::new(),
        columns: Vec::new(),
        has_settings: false,
        default_values: None,
        name,
    }
}

fn inherit(rest: &str, relations: &mut [Relation]) {
    let (child, parent) = rest.split_once(' ').unwrap();
    let oid = |name: &str, relations: &[Relation]| {
        let found = relations.iter().find(|known| known.name == full(name));
        found.unwrap().oid
    };
    let (child, parent) = (oid(child, relations), oid(parent, relations));
    for relation in relations {
        if relation.oid == child {
            relation.parents.push(parent);
        }
        if relation.oid == parent {
            relation.children.push(child);
        }
    }
}

fn full(name: &str) -> ObjectName {
    let (schema, name) = name.split_once('.').unwrap();
    ObjectName::new(schema, name)
}

fn type_oid(name: &str, parts: &Parts) -> u32 {
    let found = parts.types.iter().find(|known| known.name.name == name);
    found.unwrap_or_else(|| panic!("no type {name}")).oid
}

fn scalar(oid: u32, name: &str) -> Type {
    Type {
        oid,
        name: ObjectName::new("pg_catalog", name),
        kind: 'b',
        base: 0,
        element: 0,
        relation: 0,
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap()
}
