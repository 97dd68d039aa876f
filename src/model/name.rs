//! Names of databases and database objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name under which a PostgreSQL database is offered: `prod`.
///
/// Lower-case letters, digits, `-` and `_`, starting with a letter or digit, at most 40 bytes.
#[expect(
    clippy::module_name_repetitions,
    reason = "`name::Database` would read as the database itself"
)]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DatabaseName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let starts = text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if starts && text.len() <= 40 && text.bytes().all(ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error(text.to_owned()))
        }
    }
}

impl<'de> Deserialize<'de> for DatabaseName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no name of an offered database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no database name: 1 to 40 of a-z, 0-9, `-` and `_`, starting with a letter or digit"
)]
pub struct Error(String);

/// A name inside PostgreSQL, of a relation, function or type: schema and name as the catalog stores them.
#[expect(
    clippy::module_name_repetitions,
    reason = "`name::Object` would read as the object itself"
)]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The schema.
    pub schema: String,
    /// The object.
    pub name: String,
}

impl ObjectName {
    /// Puts a schema and a name together.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A column's identity in the catalog: it survives renames, a name does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnId {
    /// `pg_class.oid`.
    pub relation: u32,
    /// `pg_attribute.attnum`.
    pub number: i16,
}
