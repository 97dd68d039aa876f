//! What the protection of columns says about a statement: masks for plain references, refusals for the rest.

use std::collections::BTreeSet;

use crate::model::name::ColumnId;
use crate::policy::binding::Parameter;
use crate::policy::decide::{Question, words};
use crate::policy::denial::by;
use crate::policy::obligation::Mask;
use crate::policy::permit::Guarded;
use crate::policy::{Denial, Guard, Reason};
use crate::sql::footprint::{Facts, Hazard, Kind};
use crate::sql::lineage::{Flow, How, Origin, Output, Sink, Usage};
use crate::wire::row::Format;

/// What was found.
pub(super) struct Check {
    pub(super) denials: Vec<Denial>,
    /// One entry for each result column.
    pub(super) masks: Vec<Option<Mask>>,
    pub(super) guarded: Guarded,
    /// Comparisons of protected columns with given values.
    pub(super) probes: u32,
    /// Whether anything is protected from the subject here.
    pub(super) concerns: bool,
}

pub(super) fn check(question: &Question<'_>, facts: &Facts, text: &str) -> Check {
    let mut check = Check {
        denials: Vec::new(),
        masks: vec![None; facts.outputs.len()],
        guarded: Guarded::No,
        probes: 0,
        concerns: question.protection.concerns(question.subject),
    };
    if question.protection.is_empty() {
        return check;
    }
    // What flows out of a protected column is kept from everybody, also when whoever moves it may see it.
    for flow in &facts.flows {
        check
            .denials
            .extend(flowing(question, flow, check.concerns, text));
    }
    if !check.concerns {
        return check;
    }
    check.denials.extend(not_understood(facts, text));
    check
        .denials
        .extend(facts.hazards.iter().filter_map(|h| hazard(*h, question)));
    check.masks.clear();
    for output in &facts.outputs {
        match mask(question, output) {
            Ok(mask) => check.masks.push(mask),
            Err(denial) => {
                check.masks.push(Some(Mask::Redact));
                check.denials.push(*denial);
            }
        }
    }
    for usage in &facts.usages {
        check.denials.extend(used(question, usage, text));
    }
    check.denials.extend(copied_in(question, facts));
    check.probes = probes(question, facts);
    check.guarded = guarded(question, facts);
    check
}

fn guard<'a>(question: &Question<'a>, column: ColumnId) -> Option<&'a Guard> {
    question.protection.guard_for(column, question.subject)
}

/// The first protected column among these.
fn first<'a>(question: &Question<'a>, columns: &BTreeSet<ColumnId>) -> Option<&'a Guard> {
    columns.iter().find_map(|column| guard(question, *column))
}

fn mask(question: &Question<'_>, output: &Output) -> Result<Option<Mask>, Box<Denial>> {
    match &output.origin {
        Origin::Clean => Ok(None),
        Origin::Plain(columns) => Ok(columns
            .iter()
            .filter_map(|column| guard(question, *column))
            .map(|guard| guard.mask.clone())
            .reduce(|one, other| one.or(&other))),
        // Reading what is stored cannot fail and answers nothing by itself, so it is redacted whole.
        Origin::Generated(columns) => Ok(first(question, columns).map(|_| Mask::Redact)),
        Origin::Computed(columns) => match first(question, columns) {
            None => Ok(None),
            Some(guard) => {
                let message = format!(
                    "column `{}` of the result is computed from protected column `{}`",
                    output.name, guard.column
                );
                Err(Box::new(protected(guard, message).hint(
                    "Select the column as it is; it is then shown masked.",
                )))
            }
        },
        Origin::Unknown => {
            let message = format!(
                "dbgate cannot tell where column `{}` of the result comes from",
                output.name
            );
            Err(Box::new(
                Denial::new(Reason::NotUnderstood, message)
                    .detail("It may hold values of protected columns, so it is not shown.")
                    .hint("Name the columns; trusted functions can be named in the policy."),
            ))
        }
    }
}

fn used(question: &Question<'_>, usage: &Usage, text: &str) -> Option<Denial> {
    let guard = guard(question, usage.column)?;
    if guard.predicates.contains(&usage.how) {
        return None;
    }
    let message = format!(
        "protected column `{}` cannot be used {}",
        guard.column,
        words::use_of(usage.how)
    );
    let allowed: Vec<&str> = guard
        .predicates
        .iter()
        .map(|how| words::name_of(*how))
        .collect();
    let hint = if allowed.is_empty() {
        "It can be shown masked, and used in no other way.".to_owned()
    } else {
        format!("Its protection lets it be used for {}.", allowed.join(", "))
    };
    Some(
        protected(guard, message)
            .hint(hint)
            .at(text, usage.position),
    )
}

/// A flow is harmless when nothing protected flows, or when it flows to where it is kept as well.
fn flowing(question: &Question<'_>, flow: &Flow, concerns: bool, text: &str) -> Option<Denial> {
    let all = |column: &ColumnId| question.protection.guard(*column);
    let guard = match &flow.from {
        Origin::Clean => return None,
        Origin::Plain(columns) => {
            let open = |guard: &&Guard| !is_kept(question, guard, &flow.to);
            columns.iter().filter_map(all).find(open)?
        }
        Origin::Generated(columns) | Origin::Computed(columns) => columns.iter().find_map(all)?,
        Origin::Unknown => {
            return concerns.then(|| {
                Denial::new(
                    Reason::NotUnderstood,
                    "dbgate cannot tell where a value comes from that would be stored",
                )
                .detail("It may be that of a protected column.")
                .hint("Write the value itself, or name the columns it comes from.")
                .at(text, flow.position)
            });
        }
    };
    let message = format!(
        "values of protected column `{}` would flow {}",
        guard.column,
        words::sink(&flow.to)
    );
    Some(
        protected(guard, message)
            .hint("Protect the target in the same way first, or leave the column out.")
            .at(text, flow.position),
    )
}

fn is_kept(question: &Question<'_>, guard: &Guard, to: &Sink) -> bool {
    match to {
        Sink::Column(column) => question
            .protection
            .guard(*column)
            .is_some_and(|there| guard.is_kept_by(there)),
        Sink::NewRelation | Sink::Elsewhere => false,
    }
}

fn not_understood(facts: &Facts, text: &str) -> Option<Denial> {
    let opaque = facts.opaque.as_ref()?;
    if let Some(denial) = words::failure(opaque, text) {
        return Some(denial);
    }
    let message = format!("dbgate does not understand {}", opaque.what);
    Some(
        Denial::new(Reason::NotUnderstood, message)
            .detail("This database has protected columns, and the statement might touch them.")
            .hint(words::way_out(opaque))
            .at(text, opaque.position),
    )
}

/// Hazards by which protected values could get out, or protection be undone.
fn hazard(hazard: Hazard, question: &Question<'_>) -> Option<Denial> {
    let what = match hazard {
        Hazard::CopyProgram => "runs a program on the server",
        Hazard::ServerFile => "reads, writes or lists files on the server",
        Hazard::RoleChange => "changes roles or owners",
        Hazard::SetRole => "changes the role it runs as",
        Hazard::SystemChange => "changes settings of the server, the database or a role",
        Hazard::SqlAsText => "runs SQL or names tables given as text",
        Hazard::CatalogSecret => "shows statistics, other sessions' statements or secrets",
        Hazard::LoadsCode => "loads code into the server",
        Hazard::Network => "reaches another server",
        Hazard::LargeObject => "moves large objects, which have no columns to protect",
        Hazard::PreparedTransaction => "leaves a transaction that outlives the session",
        // Dangerous in other ways, which are the rules' business; pinned settings are refused before.
        Hazard::NoWhere
        | Hazard::AlterDrop
        | Hazard::PinnedSetting
        | Hazard::ReadWrite
        | Hazard::Signal
        | Hazard::Lock
        | Hazard::Notification
        | Hazard::Sleep
        | Hazard::HiddenWrite => return None,
    };
    let database = question.database;
    Some(
        Denial::new(
            Reason::Protected {
                column: None,
                rule: None,
            },
            format!("this statement {what}, which is denied on `{database}`"),
        )
        .detail("The database has columns that are protected from you, and this could go around their protection."),
    )
}

/// What comes in by `COPY` is not looked at, so masks could come back in it.
fn copied_in(question: &Question<'_>, facts: &Facts) -> Option<Denial> {
    if facts.kind != Kind::CopyIn {
        return None;
    }
    let guard = first(question, &facts.footprint.writes)?;
    let message = format!("`COPY` into protected column `{}` is denied", guard.column);
    Some(
        protected(guard, message)
            .hint("Leave the column out, or use `INSERT`, whose values can be checked."),
    )
}

/// Comparisons that answer a guess: one for each value that is written out or bound.
fn probes(question: &Question<'_>, facts: &Facts) -> u32 {
    let count = facts
        .usages
        .iter()
        .filter(|usage| matches!(usage.how, How::Equality | How::SuppliedJoin))
        .filter(|usage| guard(question, usage.column).is_some())
        .fold(0, |count: u32, usage| count.saturating_add(usage.values));
    if count == 0 {
        return 0;
    }
    let arrays = question.parameters.iter();
    arrays
        .map(|parameter| elements(question, parameter).saturating_sub(1))
        .fold(count, u32::saturating_add)
}

/// How many values a parameter holds: those of an array, at most; 1 for anything else.
fn elements(question: &Question<'_>, parameter: &Parameter<'_>) -> u32 {
    let bytes = parameter.value.unwrap_or_default();
    let count = match parameter.format {
        Format::Text if bytes.first() == Some(&b'{') => {
            bytes.iter().filter(|byte| **byte == b',').count() + 1
        }
        // Each element has its length in front.
        Format::Binary if is_array(question, parameter.type_oid) => bytes.len() / 4,
        Format::Text | Format::Binary => 1,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn is_array(question: &Question<'_>, type_oid: u32) -> bool {
    let found = question.catalog.types.get(&type_oid);
    type_oid == 0 || found.is_none_or(|found| found.element != 0)
}

fn guarded(question: &Question<'_>, facts: &Facts) -> Guarded {
    let footprint = &facts.footprint;
    let touches = footprint
        .relations_read
        .iter()
        .chain(&footprint.relations_written)
        .any(|oid| question.protection.has_table(*oid));
    let uses = footprint
        .reads
        .iter()
        .chain(&footprint.writes)
        .any(|column| guard(question, *column).is_some());
    // What the database's own code reports may be anything.
    if touches || uses || facts.own_code || facts.opaque.is_some() {
        Guarded::Yes
    } else {
        Guarded::No
    }
}

fn protected(guard: &Guard, message: String) -> Denial {
    let reason = Reason::Protected {
        column: Some(guard.column.clone()),
        rule: Some(guard.rule.clone()),
    };
    Denial::new(reason, message).detail(by("Protection", &guard.rule, &guard.place))
}
