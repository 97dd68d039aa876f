//! Names in queries: what is visible where, and which column a name means.

use std::rc::Rc;

use crate::model::name::ColumnId;
use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Value};
use crate::sql::parse::{Node, nodes};

/// What names mean at one place of a statement; outer queries are its parents.
#[derive(Default, Clone)]
pub(in crate::sql) struct Env<'e> {
    pub(in crate::sql) parent: Option<&'e Self>,
    /// What `FROM` has brought in.
    pub(in crate::sql) items: Vec<Rc<Item>>,
    /// What `WITH` has brought in, the latest last.
    pub(in crate::sql) tables: Vec<Rc<Table>>,
    /// Parameters of the function whose body this is, by name.
    pub(in crate::sql) variables: Vec<String>,
}

/// Something in `FROM`.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the two ways to find a column are independent, as in the server"
)]
pub(in crate::sql) struct Item {
    /// The name it goes by.
    pub(in crate::sql) name: String,
    /// Schema, when it is a relation without an alias.
    pub(in crate::sql) schema: Option<String>,
    pub(in crate::sql) fields: Rc<Vec<Field>>,
    /// The type of its rows, when they have one.
    pub(in crate::sql) row_type: u32,
    /// `name.column` finds it.
    pub(in crate::sql) qualified: bool,
    /// `column` finds it, and `*` includes it.
    pub(in crate::sql) unqualified: bool,
    pub(in crate::sql) nature: Nature,
}

/// What stands behind an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Nature {
    /// A stored relation: it has system columns.
    Stored,
    /// A temporary relation: never taken to hide anything, because a rollback may have undone it.
    Temporary,
    /// A subquery, function, join or values.
    Derived,
    /// Its columns are not known: any name could be one of them.
    Open,
}

/// Something that `WITH` names.
#[derive(Debug)]
pub(in crate::sql) struct Table {
    pub(in crate::sql) name: String,
    pub(in crate::sql) fields: Rc<Vec<Field>>,
    /// Its columns are not known.
    pub(in crate::sql) open: bool,
}

const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

impl<'e> Env<'e> {
    /// Inside a query of `parent`.
    pub(in crate::sql) fn within(parent: &'e Self) -> Self {
        Self {
            parent: Some(parent),
            ..Self::default()
        }
    }

    fn levels(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |env| env.parent)
    }

    /// What `WITH` calls that name, the innermost first.
    pub(in crate::sql) fn table(&self, name: &str) -> Option<Rc<Table>> {
        self.levels()
            .find_map(|env| env.tables.iter().rev().find(|table| table.name == name))
            .map(Rc::clone)
    }

    /// The item that a (qualified) name means, the innermost first.
    fn item(&self, schema: Option<&str>, name: &str) -> Option<Rc<Item>> {
        self.levels()
            .find_map(|env| {
                env.items.iter().find(|item| {
                    item.qualified
                        && item.name == name
                        && (schema.is_none() || item.schema.as_deref() == schema)
                })
            })
            .map(Rc::clone)
    }

    fn variable(&self, name: &str) -> bool {
        self.levels()
            .any(|env| env.variables.iter().any(|known| known == name))
    }
}

impl Item {
    pub(in crate::sql) fn derived(name: impl Into<String>, fields: Vec<Field>) -> Self {
        Self {
            name: name.into(),
            schema: None,
            fields: Rc::new(fields),
            row_type: 0,
            qualified: true,
            unqualified: true,
            nature: Nature::Derived,
        }
    }

    /// The column of that name: `None` when it has none.
    fn field(&self, name: &str) -> Option<Value> {
        let mut named = self.fields.iter().filter(|field| field.name == name);
        match (named.next(), named.next()) {
            // The server calls two of a name ambiguous.
            (Some(_), Some(_)) => Some(Value::unknown()),
            (Some(field), None) => Some(field.value.clone()),
            (None, _) if self.nature == Nature::Open => Some(Value::unknown()),
            (None, _) => None,
        }
    }

    /// Whether two columns have that name.
    fn is_twofold(&self, name: &str) -> bool {
        self.fields
            .iter()
            .filter(|field| field.name == name)
            .nth(1)
            .is_some()
    }

    fn system_column(&self, name: &str) -> Option<Value> {
        let has = matches!(self.nature, Nature::Stored | Nature::Temporary);
        (has && SYSTEM_COLUMNS.contains(&name)).then(|| Value::supplied(0))
    }

    /// The item's row as a value.
    fn whole(&self) -> Value {
        if self.nature == Nature::Open {
            return Value::unknown();
        }
        Value::of_row(Rc::clone(&self.fields), self.row_type)
    }
}

/// A `ColumnRef` taken apart.
pub(in crate::sql) enum Reference<'n> {
    /// `*`
    All,
    /// `a.*`, `s.a.*`
    AllOf(Option<&'n str>, &'n str),
    /// `c`
    Column(&'n str),
    /// `a.c`, `s.a.c`
    ColumnOf(Option<&'n str>, &'n str, &'n str),
    /// Anything else.
    Strange,
}

/// Takes a column reference apart. The database's own name in front of the schema is dropped: the server
/// accepts no other.
pub(in crate::sql) fn reference<'n>(column: &'n nodes::ColumnRef) -> Reference<'n> {
    let parts: Vec<Node<'n>> = column.fields().iter().collect();
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.as_str()).collect();
    let star = matches!(parts.last(), Some(Node::A_Star(_)));
    let named = if star { parts.len() - 1 } else { parts.len() };
    if texts.len() != named {
        return Reference::Strange;
    }
    match (texts.as_slice(), star) {
        ([], true) => Reference::All,
        ([name], true) => Reference::AllOf(None, name),
        ([schema, name] | [_, schema, name], true) => Reference::AllOf(Some(schema), name),
        ([name], false) => Reference::Column(name),
        ([item, name], false) => Reference::ColumnOf(None, item, name),
        ([schema, item, name] | [_, schema, item, name], false) => {
            Reference::ColumnOf(Some(schema), item, name)
        }
        _ => Reference::Strange,
    }
}

impl Analyzer<'_> {
    /// The value of a column reference.
    pub(in crate::sql) fn column(&mut self, column: &nodes::ColumnRef, env: &Env<'_>) -> Value {
        let at = column.location;
        let value = match reference(column) {
            Reference::Column(name) => self.unqualified(name, env, at),
            Reference::ColumnOf(schema, item, name) => {
                self.qualified((schema, item, name), env, at)
            }
            Reference::AllOf(schema, item) => match env.item(schema, item) {
                Some(item) => item.whole(),
                None => self.missing_item(item, at),
            },
            Reference::All | Reference::Strange => {
                self.opaque("this column reference", at);
                Value::unknown()
            }
        };
        self.read(&value.origin);
        self.take(&value);
        value
    }

    fn unqualified(&mut self, name: &str, env: &Env<'_>, at: i32) -> Value {
        let mut found: Option<Value> = None;
        for level in env.levels() {
            let (here, certain) = self.at_level(name, level, at);
            if let Some(value) = here {
                found = Some(match found {
                    Some(earlier) => earlier.or(value),
                    None => value,
                });
                if certain {
                    break;
                }
            }
        }
        if let Some(value) = found {
            return value;
        }
        if env.variable(name) {
            return Value::constant(0);
        }
        if let Some(item) = env.item(None, name) {
            return item.whole();
        }
        self.failure("42703", format!("column \"{name}\" does not exist"), at);
        Value::unknown()
    }

    /// What the name means at one level, and whether that rules out the levels further out.
    fn at_level(&mut self, name: &str, level: &Env<'_>, at: i32) -> (Option<Value>, bool) {
        let mut found: Option<Value> = None;
        let mut certain = true;
        let mut times = 0_u32;
        let visible = || level.items.iter().filter(|item| item.unqualified);
        for item in visible() {
            let value = item.field(name).or_else(|| item.system_column(name));
            let Some(value) = value else { continue };
            times = times.saturating_add(if item.is_twofold(name) { 2 } else { 1 });
            certain &= matches!(item.nature, Nature::Stored | Nature::Derived);
            found = Some(match found {
                Some(earlier) => earlier.or(value),
                None => value,
            });
        }
        let doubtful = visible().any(|item| matches!(item.nature, Nature::Open));
        if times > 1 && !doubtful {
            self.ambiguous(name, at);
        }
        (found, certain)
    }

    fn ambiguous(&mut self, name: &str, at: i32) {
        self.failure(
            "42702",
            format!("column reference \"{name}\" is ambiguous"),
            at,
        );
    }

    fn qualified(
        &mut self,
        (schema, item_name, name): (Option<&str>, &str, &str),
        env: &Env<'_>,
        at: i32,
    ) -> Value {
        let Some(item) = env.item(schema, item_name) else {
            // `f.x` is a parameter of `f`, `x.field` a field of one; what is passed was noted at the call.
            if schema.is_none() && (env.variable(name) || env.variable(item_name)) {
                return Value::constant(0);
            }
            return self.missing_item(item_name, at);
        };
        if item.is_twofold(name) {
            self.ambiguous(name, at);
        }
        if let Some(value) = item.field(name).or_else(|| item.system_column(name)) {
            return value;
        }
        // `c.f` is `f(c)` when `c` has no column `f`.
        let whole = item.whole();
        if self.has_function(name) {
            return self.call_on_row(name, whole, at);
        }
        self.failure(
            "42703",
            format!("column {item_name}.{name} does not exist"),
            at,
        );
        Value::unknown()
    }

    fn missing_item(&mut self, name: &str, at: i32) -> Value {
        self.failure(
            "42P01",
            format!("missing FROM-clause entry for table \"{name}\""),
            at,
        );
        Value::unknown()
    }

    /// The columns that `*` or `a.*` stands for.
    pub(in crate::sql) fn star(
        &mut self,
        schema: Option<&str>,
        name: Option<&str>,
        env: &Env<'_>,
        at: i32,
    ) -> Vec<Field> {
        let items: Vec<Rc<Item>> = match name {
            None => env
                .items
                .iter()
                .filter(|item| item.unqualified)
                .map(Rc::clone)
                .collect(),
            Some(name) => match env.item(schema, name) {
                Some(item) => vec![item],
                None => {
                    self.missing_item(name, at);
                    return vec![Field::new(name, Value::unknown())];
                }
            },
        };
        let mut fields = Vec::new();
        for item in items {
            if item.nature == Nature::Open {
                self.opaque("which columns `*` stands for here", at);
                fields.push(Field::new("?column?", Value::unknown()));
            }
            for field in item.fields.iter() {
                self.read(&field.value.origin);
                self.take(&field.value);
                fields.push(field.clone());
            }
        }
        fields
    }

    /// Whether the definition being read is one of the database's own, where names are as the server wrote them.
    pub(in crate::sql) fn in_definition(&self) -> bool {
        self.place == Place::Definition
    }
}

/// The identity of a column.
pub(in crate::sql) const fn column_id(relation: u32, number: i16) -> ColumnId {
    ColumnId { relation, number }
}
