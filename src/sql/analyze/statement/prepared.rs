//! Statements about statements: `EXPLAIN`, `PREPARE`, `EXECUTE`, cursors.

use std::sync::Arc;

use crate::sql::analyze::context::{Analyzer, Place};
use crate::sql::analyze::expression::value::{Field, Supply, Value};
use crate::sql::analyze::query::names::Env;
use crate::sql::analyze::statement::Outcome;
use crate::sql::analyze::statement::dml::written;
use crate::sql::error::Error;
use crate::sql::footprint::{Assignment, Effect, Facts, Kind, Written};
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
        self.found.assigned.extend(facts.assigned.iter().cloned());
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
        let types: Vec<u32> = prepare
            .argtypes()
            .iter()
            .map(|name| self.type_oid(name).unwrap_or(0))
            .collect();
        let mut nested = self.nested(Place::Statement);
        nested.parameters = &types;
        let outcome = nested.statement(prepare.query())?;
        let mut facts = nested.into_facts(outcome);
        facts.source = Some(Arc::from(self.text));
        Ok(Outcome::new(
            Kind::Prepare,
            Effect::Prepare {
                name: prepare.name().unwrap_or_default().to_owned(),
                inner: Arc::new(facts),
            },
        ))
    }

    pub(in crate::sql) fn execute(
        &mut self,
        execute: &nodes::ExecuteStmt,
    ) -> Result<Outcome, Error> {
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
        let mut facts = self.again(&facts)?;
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

    /// The server reads a prepared statement again when the search path or a table has changed, so the facts of
    /// its text as it would be read now are the ones that count.
    fn again(&mut self, facts: &Facts) -> Result<Facts, Error> {
        let Some(source) = &facts.source else {
            return Ok(facts.clone());
        };
        let parsed = parse::parse(source)?;
        let pieces = parsed.pieces();
        let Some(Node::PrepareStmt(prepare)) = pieces.first().map(|piece| piece.node) else {
            self.opaque("the text of this prepared statement", -1);
            return Ok(facts.clone());
        };
        let mut nested = self.nested(Place::Body);
        let outcome = self.deeper(|_| nested.statement(prepare.query()))?;
        self.rejoin(&nested);
        Ok(nested.into_facts(outcome))
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
            },
        ))
    }

    pub(in crate::sql) fn fetch(&mut self, fetch: &nodes::FetchStmt) -> Outcome {
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
