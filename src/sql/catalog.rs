//! The catalog as a value: what `upstream::catalog` read from the database.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::model::name::ObjectName;

/// `FirstNormalObjectId`: `initdb` made what has a smaller number, and that does not change; people made the rest.
pub const FIRST_NORMAL: u32 = 16_384;

/// Everything name resolution needs, read in one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// `server_version_num`.
    pub server_version: u32,
    /// Changes whenever the content does; part of every cache key.
    pub version: Version,
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts as the server's catalog has them"
)]
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
    /// Has rules other than a view's own `_RETURN`.
    pub has_rules: bool,
    /// Triggers, those apart by which the server keeps foreign keys.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// What the server holds rows against.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// `pg_proc.oid` of the database's own functions that its defaults, checks, indexes, partition key and statistics call.
    #[serde(default)]
    pub calls: Vec<u32>,
    /// A digest of what those triggers and rules are and do.
    pub hooks: Option<String>,
    /// Children by inheritance or partitioning, direct ones.
    pub children: Vec<u32>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trigger {
    /// `pg_proc.oid` of what it runs.
    pub function: u32,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// `tgtype`: a bit each for what it fires at.
    pub events: i16,
}

/// A condition on rows, over these columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Constraint {
    /// Which condition.
    pub kind: ConstraintKind,
    /// `attnum`s.
    pub columns: Vec<i16>,
}

/// Which condition it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// An expression is not false.
    Check,
    /// No two rows are equal in all of them; also by an index without a constraint.
    Unique,
    /// The same, none is NULL, and it holds at every moment: the other columns depend on them.
    Primary,
    /// No two rows are in certain relations to each other.
    Exclusion,
    /// They are stored in another relation.
    Foreign {
        /// Which.
        relation: u32,
        /// `attnum`s there.
        columns: Vec<i16>,
        /// Rows here are changed or deleted when rows there are deleted.
        by_delete: bool,
        /// Rows here are changed when rows there are.
        by_update: bool,
    },
}

/// `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of `pg_proc` of its own"
)]
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// What its last parameters are when they are left out, as SQL with commas between; `None` for the server's own.
    #[serde(default)]
    pub default_values: Option<String>,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The parts of a catalog as they are read; [`Catalog::new`] puts them in order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Parts {
    /// `server_version_num`.
    pub server_version: u32,
    /// All relations.
    pub relations: Vec<Relation>,
    /// All functions.
    pub functions: Vec<Function>,
    /// All types.
    pub types: Vec<Type>,
    /// All operators by name.
    pub operators: Vec<(String, Operator)>,
    /// Casts that run a function.
    pub casts: Vec<(u32, u32, u32)>,
    /// All schemas.
    pub schemas: Vec<String>,
}

impl Catalog {
    /// Indexes the parts by name and number. The version is a digest of the content: equal content has an
    /// equal version.
    #[must_use]
    pub fn new(mut parts: Parts) -> Self {
        parts.relations.sort_by_key(|relation| relation.oid);
        parts.functions.sort_by_key(|function| function.oid);
        parts.types.sort_by_key(|r#type| r#type.oid);
        parts.operators.sort_by(|a, b| {
            (&a.0, a.1.function, a.1.left, a.1.right).cmp(&(
                &b.0,
                b.1.function,
                b.1.left,
                b.1.right,
            ))
        });
        parts.casts.sort_unstable();
        parts.schemas.sort_unstable();
        let version = Version::of(&parts);
        let mut catalog = Self {
            server_version: parts.server_version,
            version,
            casts: parts.casts,
            schemas: parts.schemas,
            ..Self::default()
        };
        for relation in parts.relations {
            catalog
                .relation_names
                .insert(relation.name.clone(), relation.oid);
            catalog.relations.insert(relation.oid, Arc::new(relation));
        }
        for function in parts.functions {
            let overloads = catalog.function_names.entry(function.name.clone());
            overloads.or_default().push(function.oid);
            catalog.functions.insert(function.oid, Arc::new(function));
        }
        for r#type in parts.types {
            catalog.type_names.insert(r#type.name.clone(), r#type.oid);
            catalog.types.insert(r#type.oid, Arc::new(r#type));
        }
        for (name, operator) in parts.operators {
            catalog.operators.entry(name).or_default().push(operator);
        }
        catalog
    }

    /// The relation of that name in that schema.
    #[must_use]
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.relations
            .get(self.relation_names.get(&ObjectName::new(schema, name))?)
    }
}

impl RelationKind {
    /// By the letter that `pg_class.relkind` has.
    #[must_use]
    pub const fn of(letter: char) -> Self {
        match letter {
            'r' => Self::Table,
            'p' => Self::Partitioned,
            'v' => Self::View,
            'm' => Self::Materialized,
            'f' => Self::Foreign,
            'S' => Self::Sequence,
            'c' => Self::Composite,
            _ => Self::Other,
        }
    }
}

impl Relation {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Names a content. SHA-256: whoever defines things must not be able to make two contents of one version, because what was found out
/// about a statement is kept by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Version([u8; 32]);

impl Version {
    fn of(parts: &Parts) -> Self {
        let mut content = Content(digest::Context::new(&digest::SHA256));
        parts.server_version.hash(&mut content);
        parts.relations.hash(&mut content);
        parts.functions.hash(&mut content);
        parts.types.hash(&mut content);
        parts.operators.hash(&mut content);
        parts.casts.hash(&mut content);
        parts.schemas.hash(&mut content);
        let mut version = Self::default();
        for (to, from) in version.0.iter_mut().zip(content.0.finish().as_ref()) {
            *to = *from;
        }
        version
    }
}

/// Takes what is hashed into a digest.
struct Content(digest::Context);

impl Hasher for Content {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the digest is what counts.
    fn finish(&self) -> u64 {
        0
    }
}
