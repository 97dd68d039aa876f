//! A statement's tree becomes facts.
//!
//! Reading order: `statement` → `query` → `expression`; `context` is carried along.

mod context;
mod expression;
mod hook;
mod query;
mod statement;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::statement::Outcome;
use crate::sql::catalog::Catalog;
use crate::sql::error::Error;
use crate::sql::footprint::{Analyzed, Effect, Facts, Footprint, Kind, Opaque};
use crate::sql::lineage::Output;
use crate::sql::parse::{self, Piece};
use crate::sql::scope::Scope;
use crate::sql::statement::Statement;

/// A string with more statements than this is refused.
const MAX_STATEMENTS: usize = 1_000;

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
    if pieces.len() > MAX_STATEMENTS {
        return Err(Error::too_large("more than 1 000 statements in one string"));
    }
    let mut sequence = Sequence {
        text: Arc::clone(text),
        scope: scope.clone(),
        later: None,
    };
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let facts = sequence.next(piece, parameters, catalog)?;
        all.extend(analyzed(text, piece.start, piece.end, parameters, facts));
    }
    Ok(all)
}

/// The statements of one string in order: each may change how the next one is read.
struct Sequence {
    text: Arc<str>,
    scope: Scope,
    /// Why the next statement can't be understood.
    later: Option<&'static str>,
}

impl Sequence {
    fn next(
        &mut self,
        piece: Piece<'_>,
        parameters: &[u32],
        catalog: &Catalog,
    ) -> Result<Facts, Error> {
        let scope = &self.scope;
        let text = self.text.get(piece.start..piece.end).unwrap_or_default();
        // The parser's accessors panic on a tree of an unexpected shape.
        let mut facts = catch_unwind(AssertUnwindSafe(|| {
            let mut analyzer = Analyzer::new(catalog, scope, parameters);
            analyzer.text = text;
            let outcome = analyzer.statement(piece.node)?;
            Ok(analyzer.into_facts(outcome))
        }))
        .unwrap_or_else(|_| Ok(opaque(Kind::Other, "this form of statement", piece.start)))?;
        if let Some(why) = self.later
            && facts.kind != Kind::Transaction
        {
            facts.opaque = Some(Opaque {
                what: why.to_owned(),
                position: Some(piece.start),
                failure: None,
            });
        }
        self.follow(&facts);
        Ok(facts)
    }

    /// What the statement does to the ones after it.
    fn follow(&mut self, facts: &Facts) {
        const DEPENDS: &str =
            "a statement that depends on an earlier one in the same string; send them one by one";
        match &facts.effect {
            Effect::None | Effect::Begin | Effect::Commit | Effect::TimeLimit { .. } => {}
            Effect::Planner => self.scope.steered = true,
            Effect::Prepare { name, inner } => {
                self.scope.prepared.insert(name.clone(), Arc::clone(inner));
            }
            Effect::Deallocate(Some(name)) => {
                self.scope.prepared.remove(name);
            }
            Effect::Deallocate(None) => self.scope.prepared.clear(),
            Effect::Declare { name, inner, .. } => {
                self.scope.cursors.insert(name.clone(), Arc::clone(inner));
            }
            Effect::Close(Some(name)) => {
                self.scope.cursors.remove(name);
            }
            Effect::Close(None) => self.scope.cursors.clear(),
            Effect::SearchPath { .. } | Effect::Settings | Effect::Catalog | Effect::Discard => {
                self.later = Some(DEPENDS);
            }
            Effect::Temporary(after) => {
                self.scope.temporary = after.clone();
            }
            // Names that were simulated may be undone; those of temporary relations never hide anything.
            Effect::Rollback
            | Effect::Savepoint(_)
            | Effect::Release(_)
            | Effect::RollbackTo(_) => {}
        }
        // A relation that was just written to holds what the session put there.
        self.scope
            .written
            .extend(facts.footprint.relations_written.iter().copied());
    }
}

impl Analyzer<'_> {
    /// What was found, put together.
    fn into_facts(mut self, outcome: Outcome) -> Facts {
        self.follow_writes(outcome.kind);
        self.temporary_creation(outcome.kind);
        let settings = self.found.settings && outcome.effect == Effect::None;
        Facts {
            kind: outcome.kind,
            footprint: self.found.footprint,
            outputs: outcome
                .outputs
                .into_iter()
                .map(|field| Output {
                    name: field.name,
                    origin: field.value.origin,
                    type_oid: field.value.type_oid,
                })
                .collect(),
            usages: self.found.usages.into_iter().collect(),
            flows: self.found.flows,
            hazards: self.found.hazards,
            parts: self.found.parts,
            writers: self.found.writers,
            assigned: self.found.assigned,
            literals: self.found.literals,
            copy: self.found.copy,
            source: self.found.source,
            named: self.found.named,
            own_code: self.found.own_code,
            opaque: self.found.opaque,
            effect: if settings {
                Effect::Settings
            } else {
                outcome.effect
            },
        }
    }
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
        parts: std::collections::BTreeSet::new(),
        writers: 0,
        assigned: Vec::new(),
        literals: Vec::new(),
        copy: None,
        source: None,
        named: false,
        own_code: false,
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
