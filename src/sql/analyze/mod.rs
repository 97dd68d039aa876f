//! A statement's tree becomes facts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::sql::catalog::Catalog;
use crate::sql::error::Error;
use crate::sql::footprint::{Analyzed, Effect, Facts, Footprint, Kind, Opaque};
use crate::sql::parse::{self, Piece};
use crate::sql::scope::Scope;
use crate::sql::statement::Statement;

/// Finds out what each statement of a query string touches.
///
/// An empty string gives one statement of [`Kind::Empty`]. Names are resolved as the server would, against
/// `catalog` and the state of the connection in `scope`.
///
/// # Errors
///
/// When PostgreSQL's grammar rejects the text, or the text is too long or too deeply nested.
pub fn analyze(
    text: &Arc<str>,
    parameters: &[u32],
    catalog: &Catalog,
    scope: &Scope,
) -> Result<Vec<Analyzed>, Error> {
    let parsed = catch_unwind(|| parse::parse(text)).unwrap_or_else(|_| {
        Err(Error::syntax(
            "the text could not be parsed".to_owned(),
            None,
        ))
    })?;
    let pieces = parsed.pieces();
    if pieces.is_empty() {
        return Ok(analyzed(text, 0, text.len(), parameters, empty())
            .into_iter()
            .collect());
    }
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let facts = catch_unwind(AssertUnwindSafe(|| facts(piece, catalog, scope)))
            .unwrap_or_else(|_| Ok(opaque(Kind::Other, "this form of statement", piece.start)))?;
        all.extend(analyzed(text, piece.start, piece.end, parameters, facts));
    }
    Ok(all)
}

fn facts(piece: Piece<'_>, _catalog: &Catalog, _scope: &Scope) -> Result<Facts, Error> {
    Ok(opaque(Kind::Other, "this statement", piece.start))
}

fn analyzed(
    text: &Arc<str>,
    start: usize,
    end: usize,
    parameters: &[u32],
    facts: Facts,
) -> Option<Analyzed> {
    Some(Analyzed {
        statement: Statement::new(Arc::clone(text), start, end, parameters.to_vec())?,
        facts: Arc::new(facts),
    })
}

fn empty() -> Facts {
    Facts {
        kind: Kind::Empty,
        footprint: Footprint::default(),
        outputs: Vec::new(),
        usages: Vec::new(),
        flows: Vec::new(),
        hazards: std::collections::BTreeSet::new(),
        assigned: Vec::new(),
        opaque: None,
        effect: Effect::None,
    }
}

fn opaque(kind: Kind, what: &str, position: usize) -> Facts {
    Facts {
        kind,
        opaque: Some(Opaque {
            what: what.to_owned(),
            position: Some(position),
            failure: None,
        }),
        ..empty()
    }
}
