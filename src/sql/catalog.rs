//! The catalog as a value: what `upstream::catalog` read from the database.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::name::ObjectName;

/// Everything name resolution needs, read in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// `server_version_num`.
    pub server_version: u32,
    /// Changes whenever the content does; part of every cache key.
    pub version: u64,
    /// By `pg_class.oid`: tables, partitioned tables, views, materialized views, foreign tables, sequences,
    /// composite types. System relations included.
    pub relations: HashMap<u32, Arc<Relation>>,
    /// By name.
    pub relation_names: HashMap<ObjectName, u32>,
    /// By `pg_proc.oid`.
    pub functions: HashMap<u32, Arc<Function>>,
    /// By name; overloads share a name.
    pub function_names: HashMap<ObjectName, Vec<u32>>,
    /// By `pg_type.oid`.
    pub types: HashMap<u32, Arc<Type>>,
    /// By name.
    pub type_names: HashMap<ObjectName, u32>,
    /// Operators by name (`=`), with the function behind each.
    pub operators: HashMap<String, Vec<Operator>>,
    /// Casts that run a function: (source type, target type, function).
    pub casts: Vec<(u32, u32, u32)>,
    /// All schemas.
    pub schemas: Vec<String>,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema and name.
    pub name: ObjectName,
    /// What it is.
    pub kind: RelationKind,
    /// Columns by `attnum`, dropped ones left out; system columns are not listed.
    pub columns: Vec<Column>,
    /// `pg_get_viewdef` for views and materialized views.
    pub definition: Option<String>,
    /// Direct parents by inheritance or partitioning.
    pub parents: Vec<u32>,
    /// `relrowsecurity`.
    pub row_security: bool,
    /// Has user triggers or rules other than a view's own `_RETURN`.
    pub has_triggers: bool,
}

/// `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    Partitioned,
    /// `v`
    View,
    /// `m`
    Materialized,
    /// `f`
    Foreign,
    /// `S`
    Sequence,
    /// `c`
    Composite,
    /// Anything else (`i`, `I`, `t`).
    Other,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// `attnum`.
    pub number: i16,
    /// `attname`.
    pub name: String,
    /// `atttypid`.
    pub type_oid: u32,
    /// The expression of a generated column, as SQL; `None` for ordinary columns.
    pub generated: Option<String>,
    /// `attnotnull`.
    pub not_null: bool,
    /// `pg_description` of the column, for tags.
    pub comment: Option<String>,
}

/// A function or procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// `pg_proc.oid`.
    pub oid: u32,
    /// Schema and name.
    pub name: ObjectName,
    /// Input argument types.
    pub arguments: Vec<u32>,
    /// `prorettype`.
    pub returns: u32,
    /// `proretset`.
    pub returns_set: bool,
    /// `provolatile`: `i`, `s` or `v`.
    pub volatility: char,
    /// `proleakproof`.
    pub leakproof: bool,
    /// `prosecdef`.
    pub security_definer: bool,
    /// Language name (`internal`, `c`, `sql`, `plpgsql`, …).
    pub language: String,
    /// `prokind`: `f`, `p`, `a`, `w`.
    pub kind: char,
    /// `pronargdefaults`.
    pub defaults: u16,
    /// `provariadic` is set.
    pub variadic: bool,
    /// Comes with PostgreSQL or with an extension (`Some(extension)`; built in: `Some("pg_catalog")`); user code: `None`.
    pub origin: Option<String>,
    /// The body, for languages where the catalog has the text; for `BEGIN ATOMIC` and `RETURN` bodies the
    /// function's definition.
    pub body: Option<String>,
    /// Names of all parameters, `None` when it has none.
    pub argument_names: Vec<String>,
    /// The columns it returns when it has `OUT` parameters or `RETURNS TABLE`: name and type.
    pub columns: Vec<(String, u32)>,
    /// Has settings of its own (`CREATE FUNCTION … SET search_path`).
    pub has_settings: bool,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Type {
    /// `pg_type.oid`.
    pub oid: u32,
    /// Schema and name.
    pub name: ObjectName,
    /// `typtype`: `b`, `c`, `d`, `e`, `p`, `r`, `m`.
    pub kind: char,
    /// `typbasetype` of a domain, else 0.
    pub base: u32,
    /// `typelem` of an array, else 0.
    pub element: u32,
    /// `typrelid` of a composite, else 0.
    pub relation: u32,
}

/// An operator and the function behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Schema.
    pub schema: String,
    /// `oprleft`, 0 for prefix operators.
    pub left: u32,
    /// `oprright`.
    pub right: u32,
    /// `oprcode`.
    pub function: u32,
}

impl Catalog {
    /// The relation of that name in that schema.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.relations
            .get(self.relation_names.get(&ObjectName::new(schema, name))?)
    }
}

impl Relation {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
