//! Identifiers and literals for the admin's SQL: the only way a name gets into a statement.

use std::fmt;

/// A name, quoted as SQL wants it when it is displayed.
#[derive(Debug, Clone, Copy)]
pub struct Identifier<'a>(pub &'a str);

/// A text value, quoted as SQL wants it when it is displayed.
///
/// Written as `E'…'` with backslashes doubled, so that it reads the same whatever `standard_conforming_strings` says.
#[derive(Debug, Clone, Copy)]
pub struct Literal<'a>(pub &'a str);

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", clean(self.0).replace('"', "\"\""))
    }
}

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = clean(self.0).replace('\\', "\\\\").replace('\'', "''");
        write!(f, "E'{text}'")
    }
}

/// A NUL would end the statement's text early; PostgreSQL has no name or text with one in it.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
