//! How many rows a statement would touch: the question to PostgreSQL's planner, and its answer.

use serde_json::Value;

use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Facts, Hazard, Kind};

/// The question about a statement of that text; `None` when to ask could do something: the planner runs functions in advance that are said
/// to change nothing, so only those of PostgreSQL's own are trusted.
#[must_use]
pub fn question(facts: &Facts, text: &str, catalog: &Catalog) -> Option<String> {
    let plain = matches!(
        facts.kind,
        Kind::Select | Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge
    );
    let foreign = |oid: &u32| {
        let function = catalog.functions.get(oid);
        function.is_none_or(|function| function.origin.as_deref() != Some("pg_catalog"))
    };
    let harmless = |hazard: &Hazard| matches!(hazard, Hazard::NoWhere | Hazard::HiddenWrite);
    let asks = plain
        && facts.opaque.is_none()
        && facts.hazards.iter().all(harmless)
        && !facts.footprint.calls.iter().any(foreign);
    asks.then(|| format!("EXPLAIN (FORMAT JSON) {text}"))
}

/// Reads `EXPLAIN (FORMAT JSON)`. What writes returns no rows by itself: those that it is fed with count.
pub fn rows(plan: &str) -> Option<u64> {
    let plan: Value = serde_json::from_str(plan).ok()?;
    let top = plan.get(0)?.get("Plan")?;
    let of = |node: &Value| node.get("Plan Rows").and_then(Value::as_u64);
    if top.get("Node Type").and_then(Value::as_str) != Some("ModifyTable") {
        return of(top);
    }
    let below = top.get("Plans").and_then(Value::as_array)?;
    // Of its subplans those that feed it; what is computed once, or beside it, does not.
    let feeds = below
        .iter()
        .filter(|node| node.get("Parent Relationship").and_then(Value::as_str) == Some("Outer"));
    feeds.map(of).try_fold(0_u64, |sum, rows| Some(sum + rows?))
}
