//! What would happen to a statement, and why: footprint, lineage, rules, masks, outcome, what would change it.
//!
//! One value for all surfaces: `dbgate explain` shows it as text, everything else as JSON.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::name::ColumnId;
use crate::model::time::show_span;
use crate::policy::decide::{Judgement, Question, Unbound, judge, placed as placed_at, words};
use crate::policy::document::rule::Effect;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Analyzed, Facts};
use crate::sql::lineage::Origin;

/// What would happen to one statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Its text.
    pub statement: String,
    /// Its kind, as SQL calls it.
    pub kind: String,
    /// `allow`, `deny` or `review`.
    pub outcome: Outcome,
    /// The entry that allows it, when it is allowed.
    pub allowed_by: Option<String>,
    /// Relations it reads.
    pub reads: Vec<String>,
    /// Relations whose rows it writes.
    pub writes: Vec<String>,
    /// What it creates, alters or drops, each with what it is.
    pub defines: Vec<String>,
    /// Functions it calls, without those of PostgreSQL.
    pub calls: Vec<String>,
    /// What makes it dangerous.
    pub hazards: Vec<String>,
    /// The part that is not understood.
    pub not_understood: Option<String>,
    /// Its result columns.
    pub columns: Vec<Column>,
    /// How it uses protected columns, apart from showing them.
    pub uses: Vec<Use>,
    /// Rules that fit it.
    pub rules: Vec<Matched>,
    /// Every reason against it.
    pub denials: Vec<Against>,
    /// Who must agree.
    pub review: Option<Review>,
    /// Which policy says so.
    pub policy: String,
}

/// What would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It would run.
    Allow,
    /// It would be refused.
    Deny,
    /// It would wait for an approval.
    Review,
}

/// A result column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `clean`, `plain`, `generated`, `computed` or `unknown`.
    pub origin: String,
    /// The stored columns it comes from.
    pub from: Vec<String>,
    /// The mask it would be shown with.
    pub mask: Option<String>,
}

/// A use of a protected column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Use {
    /// The column.
    pub column: String,
    /// How it is used, in the policy's words.
    pub how: String,
    /// Whether its protection lets it be used so.
    pub allowed: bool,
}

/// A rule that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Matched {
    /// Its name.
    pub name: String,
    /// `deny` or `review`.
    pub effect: String,
    /// File and line.
    pub place: String,
    /// It fits only when more rows than that are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_above: Option<u64>,
}

/// A reason against the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Against {
    /// The kind of reason.
    pub reason: String,
    /// The rule or protection behind it, by name.
    #[serde(default)]
    pub entry: Option<String>,
    /// The sentence the client would get.
    pub message: String,
    /// The rule, its file and line.
    pub detail: Option<String>,
    /// What would change it.
    pub hint: Option<String>,
    /// Where, in characters from 1.
    pub position: Option<usize>,
}

/// Who must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Review {
    /// The rule that asks for it.
    pub rule: String,
    /// Groups whose members may approve.
    pub approvers: Vec<String>,
    /// How many of them must.
    pub needed: u32,
    /// How long a statement waits in its connection, in seconds.
    pub hold_s: u64,
}

/// Explains one statement, by the same judgement that would decide it. Parameters the
/// question does not have are taken for real values.
#[must_use]
pub fn explain(question: &Question<'_>, analyzed: &Analyzed) -> Explanation {
    let statement = analyzed.statement();
    let facts = analyzed.facts();
    let judgement = judge(question, facts, statement.whole(), Unbound::Ignored);
    let footprint = &facts.footprint;
    Explanation {
        statement: statement.text().trim().to_owned(),
        kind: words::statement(facts).trim_matches('`').to_owned(),
        outcome: outcome(&judgement),
        allowed_by: judgement.rule.map(str::to_owned),
        reads: relations(question.catalog, footprint.relations_read.iter()),
        writes: relations(question.catalog, footprint.relations_written.iter()),
        defines: footprint
            .defines
            .iter()
            .map(|(what, name)| format!("{what} {name}"))
            .collect(),
        calls: calls(question.catalog, facts),
        hazards: facts
            .hazards
            .iter()
            .map(|hazard| words::of_hazard(*hazard).to_owned())
            .collect(),
        not_understood: facts.opaque.as_ref().map(|opaque| opaque.what.clone()),
        columns: columns(question.catalog, facts, &judgement),
        uses: uses(question, facts),
        rules: matched(&judgement),
        denials: against(&judgement, analyzed),
        review: judgement.demand.as_ref().map(|demand| Review {
            rule: demand.rule.clone(),
            approvers: demand.approvers.iter().cloned().collect(),
            needed: demand.needed,
            hold_s: demand.hold.as_secs(),
        }),
        policy: question.policy.hash().to_owned(),
    }
}

const fn outcome(judgement: &Judgement<'_>) -> Outcome {
    if !judgement.denials.is_empty() {
        Outcome::Deny
    } else if judgement.demand.is_some() {
        Outcome::Review
    } else {
        Outcome::Allow
    }
}

fn relations<'a>(catalog: &Catalog, oids: impl Iterator<Item = &'a u32>) -> Vec<String> {
    oids.map(|oid| match catalog.relations.get(oid) {
        Some(relation) => relation.name.to_string(),
        None => "a temporary table".to_owned(),
    })
    .collect()
}

fn calls(catalog: &Catalog, facts: &Facts) -> Vec<String> {
    let mut names: Vec<String> = facts
        .footprint
        .calls
        .iter()
        .filter_map(|oid| catalog.functions.get(oid))
        .filter(|function| function.name.schema != "pg_catalog")
        .map(|function| function.name.to_string())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn column_name(catalog: &Catalog, id: ColumnId) -> String {
    let relation = catalog.relations.get(&id.relation);
    let column = relation.and_then(|relation| {
        let found = relation.columns.iter().find(|c| c.number == id.number)?;
        Some(format!("{}.{}", relation.name, found.name))
    });
    column.unwrap_or_else(|| "a temporary table's column".to_owned())
}

fn columns(catalog: &Catalog, facts: &Facts, judgement: &Judgement<'_>) -> Vec<Column> {
    let masks = judgement
        .masks
        .iter()
        .map(Some)
        .chain(std::iter::repeat(None));
    facts
        .outputs
        .iter()
        .zip(masks)
        .map(|(output, mask)| {
            let (origin, from) = match &output.origin {
                Origin::Clean => ("clean", None),
                Origin::Plain(from) => ("plain", Some(from)),
                Origin::Generated(from) => ("generated", Some(from)),
                Origin::Computed(from) => ("computed", Some(from)),
                Origin::Unknown => ("unknown", None),
            };
            let from = from.into_iter().flatten();
            Column {
                name: output.name.clone(),
                origin: origin.to_owned(),
                from: from.map(|id| column_name(catalog, *id)).collect(),
                mask: mask.and_then(Option::as_ref).map(ToString::to_string),
            }
        })
        .collect()
}

fn uses(question: &Question<'_>, facts: &Facts) -> Vec<Use> {
    facts
        .usages
        .iter()
        .filter_map(|usage| {
            let guard = question
                .protection
                .guard_for(usage.column, question.subject)?;
            Some(Use {
                column: guard.column.clone(),
                how: words::name_of(usage.how).to_owned(),
                allowed: guard.predicates.contains(&usage.how),
            })
        })
        .collect()
}

fn matched(judgement: &Judgement<'_>) -> Vec<Matched> {
    let at_once = judgement.matched.iter().map(|rule| (rule, None));
    let above = judgement.ceilings.iter();
    let above = above.map(|rule| (rule, rule.rows_above));
    at_once
        .chain(above)
        .map(|(rule, rows_above)| Matched {
            name: rule.name.clone(),
            effect: match rule.effect {
                Effect::Deny => "deny".to_owned(),
                Effect::Review(_) => "review".to_owned(),
            },
            place: rule.place.to_string(),
            rows_above,
        })
        .collect()
}

fn against(judgement: &Judgement<'_>, analyzed: &Analyzed) -> Vec<Against> {
    let placed = judgement.denials.iter().cloned();
    placed
        .map(|denial| placed_at(denial, analyzed))
        .map(|denial| Against {
            reason: denial.reason.name().to_owned(),
            entry: denial.reason.entry().map(str::to_owned),
            message: denial.message,
            detail: denial.detail,
            hint: denial.hint,
            position: denial.position,
        })
        .collect()
}

impl fmt::Display for Explanation {
    /// A few lines for people: the answer first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match (self.outcome, &self.review) {
            (Outcome::Allow, _) => "would run".to_owned(),
            (Outcome::Deny, _) => "would be refused".to_owned(),
            (Outcome::Review, None) => "would wait for an approval".to_owned(),
            (Outcome::Review, Some(review)) => format!(
                "would wait for {} of {} (rule `{}`)",
                review.needed,
                review.approvers.join(", "),
                review.rule
            ),
        };
        write!(f, "{}: {answer}", self.kind)?;
        for against in &self.denials {
            write!(f, "\n  against   {}", against.message)?;
            if let Some(detail) = &against.detail {
                write!(f, "\n            {detail}")?;
            }
        }
        if let (Outcome::Allow, Some(rule)) = (self.outcome, &self.allowed_by) {
            write!(f, "\n  allowed   by `{rule}`")?;
        }
        list(f, "reads", &self.reads)?;
        list(f, "writes", &self.writes)?;
        list(f, "defines", &self.defines)?;
        list(f, "calls", &self.calls)?;
        list(f, "hazards", &self.hazards)?;
        if let Some(what) = &self.not_understood {
            write!(f, "\n  unclear   {what}")?;
        }
        for column in &self.columns {
            f.write_char('\n')?;
            column.fmt(f)?;
        }
        for one in &self.uses {
            let verdict = if one.allowed { "allowed" } else { "refused" };
            write!(f, "\n  uses      {} for {}: {verdict}", one.column, one.how)?;
        }
        for rule in &self.rules {
            write!(
                f,
                "\n  rule      `{}` ({}) at {}",
                rule.name, rule.effect, rule.place
            )?;
            if let Some(most) = rule.rows_above {
                write!(f, ", above {most} rows")?;
            }
        }
        let mut hints: Vec<&str> = self
            .denials
            .iter()
            .filter_map(|d| d.hint.as_deref())
            .collect();
        hints.dedup();
        for hint in hints {
            write!(f, "\n  to change {hint}")?;
        }
        if let (Outcome::Review, Some(review)) = (self.outcome, &self.review) {
            write!(f, "\n  to change {}", review.way())?;
        }
        Ok(())
    }
}

impl Review {
    /// How it comes to run.
    fn way(&self) -> String {
        let ahead = "ask ahead with `dbgate request`";
        match self.hold_s {
            0 => format!("An approval lets it run: {ahead}."),
            hold => {
                let hold = show_span(Duration::from_secs(hold));
                format!("An approval lets it run: it waits for one up to {hold}, or {ahead}.")
            }
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  shows     {}", self.name)?;
        if !self.from.is_empty() {
            let how = if self.origin == "plain" {
                ""
            } else {
                &self.origin
            };
            let gap = if how.is_empty() { "" } else { " " };
            write!(f, " ({how}{gap}from {})", self.from.join(", "))?;
        } else if self.origin == "unknown" {
            f.write_str(" (from nobody knows where)")?;
        }
        match &self.mask {
            Some(mask) => write!(f, ", masked: {mask}"),
            None => Ok(()),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, items: &[String]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "\n  {title:9} {}", items.join(", "))
}
