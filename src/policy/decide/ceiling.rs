//! Rules with `rows_above`: they bind what they fit to a maximum of rows, and fit at once what can't be counted.

use crate::policy::Denial;
use crate::policy::decide::{Approval, Question, rule};
use crate::policy::denial::by;
use crate::policy::document::rule::{Effect, Rule, Situation};
use crate::policy::permit::{Ceiling, is_enough};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Facts, Kind};

/// Whether a rule fits as it stands: it has no maximum, or how many rows the statement writes can't be told.
pub(super) fn fits_at_once(rule: &Rule, facts: &Facts, catalog: &Catalog) -> bool {
    rule.rows_above.is_none() || (writes(facts, catalog) && !is_counted(facts, catalog))
}

/// The rules that bind a statement to a maximum.
pub(super) fn of<'a>(
    question: &Question<'a>,
    situation: &Situation<'_>,
    facts: &Facts,
) -> Vec<&'a Rule> {
    if !is_counted(facts, question.catalog) {
        return Vec::new();
    }
    let bounding = question.policy.rules().iter();
    let bounding = bounding.filter(|rule| rule.rows_above.is_some() && rule.concerns(situation));
    bounding
        .filter(|rule| rule::fits(rule, facts, question))
        .collect()
}

/// The smallest maximum that holds; an approval by those whom a review asks for lifts the review's.
pub(super) fn lowest(rules: &[&Rule], given: Option<&Approval>) -> Option<Ceiling> {
    let kept = rules.iter().filter(|rule| !is_lifted(rule, given));
    let lowest = kept.min_by_key(|rule| rule.rows_above)?;
    Some(Ceiling {
        rows: lowest.rows_above?,
        review: matches!(lowest.effect, Effect::Review(_)),
        by: by("Rule", &lowest.name, &lowest.place),
        hint: lowest.hint.clone(),
    })
}

/// Whether an approval lifts the maximum of a rule.
pub(super) fn is_lifted(rule: &Rule, given: Option<&Approval>) -> bool {
    let (Effect::Review(review), Some(given)) = (&rule.effect, given) else {
        return false;
    };
    let by = given.given.iter().map(|consent| &consent.by);
    is_enough(by, &review.approvers, review.needed)
}

/// Says why a rule with a maximum fits what can't be counted.
pub(super) fn explained(rule: &Rule, denial: Denial) -> Denial {
    let Some(most) = rule.rows_above else {
        return denial;
    };
    let detail = denial.detail.clone().unwrap_or_default();
    let why = format!(
        "{detail} It lets {most} rows be written, and how many this writes can't be told beforehand."
    );
    let denial = denial.detail(why);
    match &rule.hint {
        Some(_) => denial,
        None => denial.hint(
            "Write it as one `INSERT`, `UPDATE`, `DELETE`, `MERGE` or `COPY` that calls no function that may write.",
        ),
    }
}

/// Whether the server tells at its end how many rows a statement has written.
fn is_counted(facts: &Facts, catalog: &Catalog) -> bool {
    facts.kind.writes_rows() && facts.is_countable(catalog)
}

/// Whether a statement writes rows, or calls what may.
fn writes(facts: &Facts, catalog: &Catalog) -> bool {
    facts.kind == Kind::CopyIn
        || facts.writers > 0
        || !facts.footprint.relations_written.is_empty()
        || facts.calls_what_may_write(catalog)
}
