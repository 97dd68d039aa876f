//! PostgreSQL's own grammar: text becomes parse trees. The only file that names the parser.
//!
//! The tree is walked where it lies; whoever takes it apart must be ready for a panic of the parser's
//! accessors on a node of an unexpected type (`analyze` catches it and calls the statement opaque).

pub(super) use pg_raw_parse::list::NodeList as List;
pub(super) use pg_raw_parse::{ConstValue, Node, nodes};

use crate::sql::error::Error;

/// A text longer than this is refused: its tree would take some fifty times as much memory.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// The statements of a text.
pub(super) struct Parsed {
    tree: pg_raw_parse::ParseResult,
    length: usize,
}

/// One statement: its tree and the bytes it spans.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) node: Node<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Parses a text with the settings that the gateway pins (`standard_conforming_strings = on`, UTF-8).
pub(super) fn parse(text: &str) -> Result<Parsed, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::too_large("more than 4 MiB of text"));
    }
    match pg_raw_parse::parse(text) {
        Ok(tree) => Ok(Parsed {
            tree,
            length: text.len(),
        }),
        Err(pg_raw_parse::Error::Parse(error)) => {
            let message = error.to_string();
            if message.contains("memory exhausted") || message.contains("stack depth limit") {
                return Err(Error::too_deep());
            }
            let position = position(text, &message);
            Err(Error::syntax(message, position))
        }
        Err(error) => Err(Error::syntax(error.to_string(), None)),
    }
}

impl Parsed {
    /// The statements in order.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let raw = self.tree.iter();
        raw.map(|statement| {
            let start = usize::try_from(statement.stmt_location).unwrap_or(0);
            let length = usize::try_from(statement.stmt_len).unwrap_or(0);
            let end = if length == 0 {
                self.length
            } else {
                start.saturating_add(length).min(self.length)
            };
            Piece {
                node: statement.stmt(),
                start,
                end,
            }
        })
        .collect()
    }
}

/// Where the token is that an error message names. The parser keeps the position to itself, so it is known
/// only when the token occurs once, or when the text ends too early.
fn position(text: &str, message: &str) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.trim_end().len());
    }
    let token = message
        .split_once("at or near \"")
        .and_then(|(_, rest)| rest.strip_suffix('"'))?;
    let mut found = text.match_indices(token);
    let first = found.next()?.0;
    found.next().is_none().then_some(first)
}
