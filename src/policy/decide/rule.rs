//! Which rules fit a statement, and which could fit one that is not understood.

use std::collections::BTreeSet;

use crate::model::name::ObjectName;
use crate::policy::decide::{Question, kinds, words};
use crate::policy::denial::by;
use crate::policy::document::rule::{Rule, Situation};
use crate::policy::pattern;
use crate::policy::protect::lineage_of;
use crate::policy::{Denial, Reason};
use crate::sql::footprint::{Facts, Kind};

/// Whether all conditions on the statement hold.
pub(super) fn fits(rule: &Rule, facts: &Facts, question: &Question<'_>) -> bool {
    fits_kind(rule, facts)
        && (rule.hazards.is_empty() || !rule.hazards.is_disjoint(&facts.hazards))
        && fits_tables(rule, facts, question)
        && (rule.functions.is_empty() || calls(rule, facts, question))
        && (!rule.writes_protected || writes_protected(facts, question))
}

fn fits_kind(rule: &Rule, facts: &Facts) -> bool {
    rule.statements.is_empty() || !rule.statements.is_disjoint(&kinds(facts))
}

fn fits_tables(rule: &Rule, facts: &Facts, question: &Question<'_>) -> bool {
    let footprint = &facts.footprint;
    let (read, written) = (&footprint.relations_read, &footprint.relations_written);
    let any = |patterns: &[pattern::Object], oids: &BTreeSet<u32>| {
        oids.iter().any(|oid| {
            lineage_of(question.catalog, *oid)
                .iter()
                .any(|relation| is_one_of(patterns, &relation.name))
        })
    };
    let defined = || {
        footprint
            .defines
            .iter()
            .any(|(_, name)| is_one_of(&rule.tables, name))
    };
    let tables = &rule.tables;
    (tables.is_empty() || any(tables, read) || any(tables, written) || defined())
        && (rule.reads.is_empty() || any(&rule.reads, read))
        && (rule.writes.is_empty() || any(&rule.writes, written))
}

fn calls(rule: &Rule, facts: &Facts, question: &Question<'_>) -> bool {
    facts.footprint.calls.iter().any(|oid| {
        question
            .catalog
            .functions
            .get(oid)
            .is_some_and(|function| is_one_of(&rule.functions, &function.name))
    })
}

fn writes_protected(facts: &Facts, question: &Question<'_>) -> bool {
    facts
        .footprint
        .relations_written
        .iter()
        .any(|oid| question.protection.has_table(*oid))
}

fn is_one_of(patterns: &[pattern::Object], name: &ObjectName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// The first rule that might fit if more of the statement were understood, as a denial.
pub(super) fn could_fit(
    question: &Question<'_>,
    situation: &Situation<'_>,
    facts: &Facts,
    text: &str,
) -> Option<Denial> {
    let opaque = facts.opaque.as_ref()?;
    if let Some(denial) = words::failure(opaque, text) {
        return Some(denial);
    }
    let rule = question.policy.rules().iter().find(|rule| {
        rule.concerns(situation)
            && (facts.kind == Kind::Other
                || rule.statements.is_empty()
                || !rule.statements.is_disjoint(&kinds(facts)))
    })?;
    let message = format!("dbgate does not understand {}", opaque.what);
    Some(
        Denial::new(Reason::NotUnderstood, message)
            .detail(format!(
                "It cannot tell whether this fits: {}",
                by("rule", &rule.name, &rule.place)
            ))
            .hint(words::way_out(opaque))
            .at(text, opaque.position),
    )
}
