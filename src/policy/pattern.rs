//! Patterns over names: `*` and `?` inside one part, parts joined by dots, `"…"` for a part taken as it is.

use std::fmt;
use std::str::FromStr;

use crate::model::name::ObjectName;

/// One part: `cust*`, `*`, `"User Data"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    literal: bool,
}

impl Glob {
    /// A pattern in which `*` and `?` have their meaning.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            literal: false,
        }
    }

    /// Whether the name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.literal {
            return self.text == name;
        }
        fits(self.text.as_bytes(), name.as_bytes())
    }

    /// Whether it fits more than one name.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.literal && self.text.contains(['*', '?'])
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.literal {
            write!(f, "\"{}\"", self.text.replace('"', "\"\""))
        } else {
            f.write_str(&self.text)
        }
    }
}

/// Goes back to the last `*` when a byte does not fit; linear in practice, never exponential.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n += character(name, n);
            }
            Some(same) if same == byte => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((after, at)) = back else {
                    return false;
                };
                back = Some((after, at + 1));
                p = after;
                n = at + 1;
            }
        }
    }
    pattern
        .get(p..)
        .is_none_or(|rest| rest.iter().all(|b| *b == b'*'))
}

/// How many bytes the character at `at` has.
fn character(name: &[u8], at: usize) -> usize {
    let rest = name.get(at + 1..).unwrap_or_default();
    1 + rest.iter().take_while(|b| **b & 0xC0 == 0x80).count()
}

/// `schema.name` of a table, view or function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    schema: Glob,
    name: Glob,
}

impl Object {
    /// Whether it fits the object.
    #[must_use]
    pub fn matches(&self, object: &ObjectName) -> bool {
        self.schema.matches(&object.schema) && self.name.matches(&object.name)
    }

    /// Whether it fits every object of every schema.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        [&self.schema, &self.name]
            .iter()
            .all(|part| !part.literal && part.text == "*")
    }

    /// The one name it stands for, when it stands for one.
    #[must_use]
    pub fn exact(&self) -> Option<ObjectName> {
        let open = self.schema.is_open() || self.name.is_open();
        (!open).then(|| ObjectName::new(&self.schema.text, &self.name.text))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for Object {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [schema, name] = parts(text)?
            .try_into()
            .map_err(|_| Error::Parts(text.to_owned(), "schema.name"))?;
        Ok(Self { schema, name })
    }
}

/// `schema.table.column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    table: Object,
    column: Glob,
}

impl Column {
    /// Whether it fits the column of that table.
    #[must_use]
    pub fn matches(&self, table: &ObjectName, column: &str) -> bool {
        self.column.matches(column) && self.table.matches(table)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl FromStr for Column {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [schema, name, column] = parts(text)?
            .try_into()
            .map_err(|_| Error::Parts(text.to_owned(), "schema.table.column"))?;
        let table = Object { schema, name };
        Ok(Self { table, column })
    }
}

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too few or too many parts.
    #[error("`{0}` does not have the form `{1}`; a name with dots or spaces goes in double quotes")]
    Parts(String, &'static str),
    /// A quote without its partner, or text around one.
    #[error("the double quotes in `{0}` do not match")]
    Quotes(String),
}

fn parts(text: &str) -> Result<Vec<Glob>, Error> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => literal(quoted).ok_or_else(|| Error::Quotes(text.to_owned()))?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (part, after) = rest.split_at(end);
                if part.contains('"') {
                    return Err(Error::Quotes(text.to_owned()));
                }
                (Glob::new(part), after)
            }
        };
        if part.text.is_empty() {
            return Ok(Vec::new());
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => return Err(Error::Quotes(text.to_owned())),
        }
    }
}

/// A part up to its closing quote, and what follows; `""` stands for one quote.
fn literal(quoted: &str) -> Option<(Glob, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => {
                let part = Glob {
                    text: name,
                    literal: true,
                };
                return Some((part, after));
            }
        }
    }
}
