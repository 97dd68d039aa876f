//! Statements about statements: `EXPLAIN`, `PREPARE`, `EXECUTE`, cursors.

use std::sync::Arc;

use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Supply, Value};
use crate::sql::analyze::query::names::Env;
use crate::sql::analyze::statement::Outcome;
use crate::sql::analyze::statement::dml::written;
use crate::sql::error::Error;
use crate::sql::footprint::{Assignment, Effect, Facts, Kind, Source, Written};
use crate::sql::lineage::{How, Origin, Usage};
use crate::sql::parse::{self, Node, nodes};

impl Analyzer<'_> {
    /// The facts of a statement inside this one.
    pub(in crate::sql) fn inner(&mut self, node: Node<'_>) -> Result<Facts, Error> {
        let mut nested = self.nested(Place::Statement);
        nested.parameters = self.parameters;
        let outcome = self.deeper(|_| nested.statement(node))?;
        self.rejoin(&nested);
        Ok(nested.into_facts(outcome))
    }

    /// Takes over what is known of another statement that runs with this one.
    fn adopt(&mut self, facts: &Facts) {
        let footprint = &mut self.found.footprint;
        let other = &facts.footprint;
        footprint.reads.extend(other.reads.iter().copied());
        footprint
            .relations_read
            .extend(other.relations_read.iter().copied());
        footprint.writes.extend(other.writes.iter().copied());
        footprint
            .relations_written
            .extend(other.relations_written.iter().copied());
        footprint.calls.extend(other.calls.iter().copied());
        footprint.defines.extend(other.defines.iter().cloned());
        self.found.usages.extend(facts.usages.iter().cloned());
        self.found.flows.extend(facts.flows.iter().cloned());
        self.found.hazards.extend(facts.hazards.iter().copied());
        self.found.parts.insert(facts.kind);
        self.found.parts.extend(facts.parts.iter().copied());
        self.found.writers = self.found.writers.saturating_add(facts.writers);
        self.found.assigned.extend(facts.assigned.iter().cloned());
        self.found.named |= facts.named;
        self.found.own_code |= facts.own_code;
        self.found.literals.extend(facts.literals.iter().cloned());
        if self.found.opaque.is_none() {
            self.found.opaque.clone_from(&facts.opaque);
        }
    }

    /// A plan shows what the statistics say of every column that a condition names.
    pub(in crate::sql) fn explain(
        &mut self,
        explain: &nodes::ExplainStmt,
    ) -> Result<Outcome, Error> {
        let facts = self.inner(explain.query())?;
        self.adopt(&facts);
        let used: Vec<Usage> = facts.usages.clone();
        for usage in used {
            self.found.usages.insert(Usage {
                how: How::Indirect,
                ..usage
            });
        }
        // Functions of constants are evaluated as a plan is made, and shown in it.
        let mut origin = Origin::Clean;
        for output in &facts.outputs {
            match &output.origin {
                Origin::Computed(_) | Origin::Unknown => {
                    origin = origin.or(output.origin.clone());
                }
                Origin::Clean | Origin::Plain(_) | Origin::Generated(_) => {}
            }
        }
        let runs = explain.options().iter().any(|option| {
            option.defname() == Some("analyze")
                && !matches!(option.arg(), Node::String(text) if is_no(text.sval()))
        });
        if !matches!(facts.effect, Effect::None) && runs {
            self.opaque("EXPLAIN ANALYZE of a statement that creates something", -1);
        }
        let plan = Field::new("QUERY PLAN", Value::from(origin, 25));
        Ok(Outcome::rows(Kind::Explain, vec![plan]))
    }

    pub(in crate::sql) fn prepare(
        &mut self,
        prepare: &nodes::PrepareStmt,
    ) -> Result<Outcome, Error> {
        let mut facts = self.prepared(prepare, Place::Statement)?;
        facts.source = Some(Source::Prepare(Arc::from(self.text)));
        Ok(Outcome::new(
            Kind::Prepare,
            Effect::Prepare {
                name: prepare.name().unwrap_or_default().to_owned(),
                inner: Arc::new(facts),
            },
        ))
    }

    fn prepared(&mut self, prepare: &nodes::PrepareStmt, place: Place) -> Result<Facts, Error> {
        let types: Vec<u32> = prepare
            .argtypes()
            .iter()
            .map(|name| self.type_oid(name).unwrap_or(0))
            .collect();
        self.piece(prepare.query(), &types, place)
    }

    fn piece(&mut self, node: Node<'_>, types: &[u32], place: Place) -> Result<Facts, Error> {
        let mut nested: Analyzer<'_> = self.nested(place);
        nested.parameters = types;
        let outcome = self.deeper(|_| nested.statement(node))?;
        self.rejoin(&nested);
        Ok(nested.into_facts(outcome))
    }

    pub(in crate::sql) fn execute(
        &mut self,
        execute: &nodes::ExecuteStmt,
    ) -> Result<Outcome, Error> {
        self.found.named = true;
        let env = Env::default();
        for node in execute.params() {
            let value = self.expression(node, &env)?;
            if value.origin != Origin::Clean || value.supply == Supply::Rows {
                self.opaque("parameters of EXECUTE that are computed", -1);
            }
        }
        let name = execute.name().unwrap_or_default();
        let Some(facts) = self.scope.prepared.get(name).map(Arc::clone) else {
            self.failure(
                "26000",
                format!("prepared statement \"{name}\" does not exist"),
                -1,
            );
            return Ok(Outcome::new(Kind::Execute, Effect::None));
        };
        let parameters: Vec<Written> = execute.params().iter().map(written).collect();
        let mut facts = self.again(name, &facts)?;
        for Assignment { value, .. } in &mut facts.assigned {
            if let Written::Parameter(number) = value {
                let index = usize::try_from(*number).unwrap_or(0).checked_sub(1);
                let given = index.and_then(|index| parameters.get(index));
                *value = given.cloned().unwrap_or(Written::Other);
            }
        }
        // Positions in another text mean nothing here.
        for usage in &mut facts.usages {
            usage.position = None;
        }
        self.adopt(&facts);
        let outputs = fields(&facts);
        Ok(Outcome {
            kind: Kind::Execute,
            outputs,
            effect: facts.effect,
        })
    }

    /// The server reads a prepared statement again when the search path or a table has changed, but not when a new object hides
    /// one that it found before. So what its text means now counts only if it means what it did when it was prepared.
    fn again(&mut self, name: &str, facts: &Facts) -> Result<Facts, Error> {
        let parsed = match &facts.source {
            None => return Ok(facts.clone()),
            Some(Source::Prepare(text) | Source::Parse(text, _)) => parse::parse(text)?,
        };
        let pieces = parsed.pieces();
        let now = match (&facts.source, pieces.first().map(|piece| piece.node)) {
            (Some(Source::Prepare(_)), Some(Node::PrepareStmt(prepare))) => {
                self.prepared(prepare, Place::Body)?
            }
            (Some(Source::Parse(_, types)), Some(node)) => {
                self.piece(node, &Arc::clone(types), Place::Body)?
            }
            (Some(Source::Parse(..)), None) => return Ok(facts.clone()),
            _ => {
                self.opaque("the text of this prepared statement", -1);
                return Ok(facts.clone());
            }
        };
        if !now.means_as(facts) {
            self.failure(
                "0A000",
                format!(
                    "names in the prepared statement \"{name}\" have changed their meaning since it was prepared"
                ),
                -1,
            );
        }
        Ok(now)
    }

    pub(in crate::sql) fn declare(
        &mut self,
        declare: &nodes::DeclareCursorStmt,
    ) -> Result<Outcome, Error> {
        let facts = self.inner(declare.query())?;
        self.adopt(&facts);
        Ok(Outcome::new(
            Kind::Declare,
            Effect::Declare {
                name: declare.portalname().unwrap_or_default().to_owned(),
                inner: Arc::new(facts),
                hold: declare.options & HOLD != 0,
            },
        ))
    }

    pub(in crate::sql) fn fetch(&mut self, fetch: &nodes::FetchStmt) -> Outcome {
        self.found.named = true;
        let name = fetch.portalname().unwrap_or_default();
        let Some(facts) = self.scope.cursors.get(name).map(Arc::clone) else {
            self.failure("34000", format!("cursor \"{name}\" does not exist"), -1);
            return Outcome::new(Kind::Fetch, Effect::None);
        };
        let footprint = &mut self.found.footprint;
        footprint
            .reads
            .extend(facts.footprint.reads.iter().copied());
        footprint
            .relations_read
            .extend(facts.footprint.relations_read.iter().copied());
        if self.found.opaque.is_none() {
            self.found.opaque.clone_from(&facts.opaque);
        }
        if fetch.ismove {
            return Outcome::new(Kind::Fetch, Effect::None);
        }
        Outcome::rows(Kind::Fetch, fields(&facts))
    }
}

/// `CURSOR_OPT_HOLD`
const HOLD: i32 = 0x0020;

/// The outputs of known facts, as fields.
fn fields(facts: &Facts) -> Vec<Field> {
    facts
        .outputs
        .iter()
        .map(|output| Field::new(output.name.clone(), Value::from(output.origin.clone(), 0)))
        .collect()
}

fn is_no(text: Option<&str>) -> bool {
    matches!(
        text.map(str::to_ascii_lowercase).as_deref(),
        Some("false" | "off" | "0" | "no")
    )
}
