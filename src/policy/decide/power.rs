//! What a statement takes (read, write, define, call, admin), and whether the subject has it.

use std::collections::BTreeSet;

use crate::model::access::Access;
use crate::policy::decide::{Question, words};
use crate::policy::document::allow::{Allow, Power};
use crate::policy::protect::lineage_of;
use crate::policy::{Denial, Reason};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Facts, Hazard, Kind};

/// What was found.
pub(super) struct Check<'a> {
    pub(super) denial: Option<Denial>,
    /// The entry that allows it.
    pub(super) rule: Option<&'a str>,
}

pub(super) fn check<'a>(question: &Question<'a>, facts: &Facts) -> Check<'a> {
    let needs = needs(facts, question.catalog);
    let in_force: Vec<&Allow> = question
        .policy
        .allows()
        .iter()
        .filter(|allow| is_in_force(allow, question))
        .collect();
    let entries: Vec<Option<&Allow>> = needs
        .iter()
        .map(|need| {
            in_force
                .iter()
                .copied()
                .find(|allow| covers(allow, need, question.catalog))
        })
        .collect();
    let denial = read_only(question, facts, &needs).or_else(|| {
        let missing = needs
            .iter()
            .zip(&entries)
            .find(|(_, entry)| entry.is_none())?;
        Some(not_allowed(question, facts, missing.0))
    });
    // The entry of the strongest power says best why it may run.
    let strongest = needs.iter().zip(entries).max_by_key(|(need, _)| need.power);
    Check {
        denial,
        rule: strongest
            .and_then(|(_, entry)| entry)
            .map(|entry| entry.name.as_str()),
    }
}

/// One thing it takes. No relation: the power itself, for something else than a known table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    power: Power,
    relation: Option<u32>,
}

fn needs(facts: &Facts, catalog: &Catalog) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    let footprint = &facts.footprint;
    if facts.kind == Kind::Empty {
        return BTreeSet::from([plain(Power::Read)]);
    }
    for relation in &footprint.relations_read {
        needs.insert(Need {
            power: Power::Read,
            relation: Some(*relation),
        });
    }
    for relation in &footprint.relations_written {
        needs.insert(Need {
            power: Power::Write,
            relation: Some(*relation),
        });
    }
    needs.insert(plain(by_kind(facts)));
    if facts.hazards.iter().any(|hazard| is_admin(*hazard)) {
        needs.insert(plain(Power::Admin));
    }
    if facts.hazards.contains(&Hazard::HiddenWrite) {
        needs.insert(plain(Power::Write));
    }
    if calls_own_code(facts, catalog) {
        needs.insert(plain(Power::Call));
    }
    needs
}

const fn plain(power: Power) -> Need {
    Need {
        power,
        relation: None,
    }
}

fn by_kind(facts: &Facts) -> Power {
    match facts.kind {
        Kind::Select
        | Kind::CopyOut
        | Kind::Explain
        | Kind::Prepare
        | Kind::Execute
        | Kind::Deallocate
        | Kind::Declare
        | Kind::Fetch
        | Kind::Close
        | Kind::Set
        | Kind::Show
        | Kind::Transaction
        | Kind::Listen
        | Kind::Discard
        | Kind::Empty => Power::Read,
        Kind::Insert
        | Kind::Update
        | Kind::Delete
        | Kind::Merge
        | Kind::CopyIn
        | Kind::Notify
        | Kind::Lock => Power::Write,
        Kind::Create | Kind::Alter | Kind::Drop | Kind::Comment | Kind::Maintain
            if is_temporary(facts) =>
        {
            Power::Write
        }
        Kind::Create
        | Kind::Alter
        | Kind::Drop
        | Kind::Truncate
        | Kind::Maintain
        | Kind::Comment => Power::Define,
        Kind::Do | Kind::Call => Power::Call,
        Kind::Grant | Kind::Role | Kind::Other => Power::Admin,
    }
}

/// Whether it defines nothing that another connection could see.
fn is_temporary(facts: &Facts) -> bool {
    let defines = &facts.footprint.defines;
    facts.opaque.is_none()
        && !defines.is_empty()
        && defines
            .iter()
            .all(|(_, name)| name.schema == "pg_temp" || name.schema.starts_with("pg_temp_"))
}

/// Hazards that reach beyond the database.
const fn is_admin(hazard: Hazard) -> bool {
    match hazard {
        Hazard::CopyProgram
        | Hazard::ServerFile
        | Hazard::RoleChange
        | Hazard::SystemChange
        | Hazard::Signal
        | Hazard::LoadsCode
        | Hazard::Network => true,
        Hazard::NoWhere
        | Hazard::AlterDrop
        | Hazard::SetRole
        | Hazard::PinnedSetting
        | Hazard::ReadWrite
        | Hazard::SqlAsText
        | Hazard::CatalogSecret
        | Hazard::Lock
        | Hazard::Notification
        | Hazard::LargeObject
        | Hazard::PreparedTransaction
        | Hazard::Sleep
        | Hazard::HiddenWrite => false,
    }
}

/// A function that runs with its owner's rights does what the session's roles could not: like a procedure.
fn calls_own_code(facts: &Facts, catalog: &Catalog) -> bool {
    facts.footprint.calls.iter().any(|oid| {
        catalog
            .functions
            .get(oid)
            .is_some_and(|f| f.security_definer && f.volatility == 'v' && f.origin.is_none())
    })
}

fn is_in_force(allow: &Allow, question: &Question<'_>) -> bool {
    allow.concerns(question.subject, question.database)
        && allow.holds_at(question.now)
        && allow.is_satisfied_by(question.session.reason)
        && (allow.approvers.is_empty() || question.session.approved)
}

fn covers(allow: &Allow, need: &Need, catalog: &Catalog) -> bool {
    let Some(oid) = need.relation else {
        return allow.powers.contains(&need.power)
            || (need.power == Power::Read && allow.opens(Access::Write));
    };
    let names = lineage_of(catalog, oid);
    let is_system = names.iter().any(|relation| {
        let schema = relation.name.schema.as_str();
        schema == "pg_catalog" || schema == "information_schema"
    });
    if need.power == Power::Read && is_system {
        return true;
    }
    // A relation that is in no catalog belongs to the connection alone; who may write may make one.
    allow.powers.contains(&need.power)
        && (allow.tables.is_empty() || names.iter().any(|relation| allow.covers(&relation.name)))
}

fn read_only(question: &Question<'_>, facts: &Facts, needs: &BTreeSet<Need>) -> Option<Denial> {
    match question.session.access {
        Access::Read => {}
        Access::Write => return None,
    }
    let more = needs.iter().any(|need| need.power != Power::Read);
    if !more && !facts.hazards.contains(&Hazard::ReadWrite) {
        return None;
    }
    let what = if more {
        words::statement(facts)
    } else {
        words::of_hazard(Hazard::ReadWrite)
    };
    Some(
        Denial::new(
            Reason::ReadOnly,
            format!("{what} is not allowed in a session that was opened for reading"),
        )
        .hint("Open one with `--access write`."),
    )
}

fn not_allowed(question: &Question<'_>, facts: &Facts, need: &Need) -> Denial {
    let database = question.database;
    let what = words::statement(facts);
    let relation = need
        .relation
        .and_then(|oid| question.catalog.relations.get(&oid));
    let message = match (need.power, relation) {
        (Power::Read, Some(table)) => {
            format!("reading `{}` is not allowed on `{database}`", table.name)
        }
        (_, Some(table)) => format!("{what} is not allowed on `{}` on `{database}`", table.name),
        (_, None) => format!("{what} is not allowed on `{database}`"),
    };
    let power = need.power.name();
    Denial::new(Reason::NotAllowed, message)
        .detail(format!(
            "No `[[allow]]` of the policy in force gives you `{power}` here."
        ))
        .hint("Run `dbgate ls` to see what you may do, or ask an administrator.")
}
