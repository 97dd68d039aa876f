//! From a question of the session to permits, a refusal or a review: analysis and policy, put together. Pure.

use std::sync::Arc;

use crate::gateway::reply;
use crate::gateway::session::extended::is_stale;
use crate::gateway::session::run::reads_file;
use crate::gateway::session::state::{Definitions, State};
use crate::gateway::session::verdict::{Ask, Purpose, Refusal, Settled, Transaction};
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::model::time::Timestamp;
use crate::policy::binding::Parameter;
use crate::policy::{
    Approval, Ceiling, Decision, Denial, Held, Permit, Policy, Protection, Question, Reason,
    Session, Shown, decide,
};
use crate::sql;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Analyzed, Facts, Kind};
use crate::wire::error::{Fields, SqlState};
use crate::wire::origin::Origin;
use crate::wire::row::Format;

/// Everything of this moment that a decision depends on, apart from the statement and the connection's own state.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The policy.
    pub policy: Arc<Policy>,
    /// What it protects in the database.
    pub protection: Arc<Protection>,
    /// The database's catalog.
    pub catalog: Arc<Catalog>,
    /// When.
    pub now: Timestamp,
}

/// Who asks, and by whose leave.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// Where.
    pub database: &'a DatabaseName,
    /// What the session was opened for.
    pub access: Access,
    /// Why.
    pub reason: Option<&'a str>,
    /// Whether its opening was approved by somebody.
    pub approved: bool,
    /// The masked values it was shown.
    pub shown: &'a Shown,
    /// What was approved for this statement.
    pub leave: Leave<'a>,
}

/// Whether an approval is there.
#[derive(Debug, Clone, Copy)]
pub enum Leave<'a> {
    /// No.
    Nobodys,
    /// No, and the session may have brought one: what needs it for many rows only is to need it.
    Wanted,
    /// Yes.
    Given(&'a Approval),
}

/// What came out.
#[derive(Debug)]
pub enum Finding {
    /// All of it may run.
    Allowed(Vec<Permit>),
    /// It may be prepared.
    Preparable(Arc<Facts>),
    /// One statement must wait for an approval.
    Review(Box<Held>),
    /// No, and this is to be recorded.
    Denied(Box<Denied>),
    /// PostgreSQL's grammar, or the protocol, says no.
    Unreadable(Fields),
}

impl Finding {
    /// Whether it is a no because of a name that the catalog at hand does not know.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        match self {
            Self::Denied(denied) => denied.denial.reason == Reason::Unresolved,
            Self::Allowed(_) | Self::Preparable(_) | Self::Review(_) | Self::Unreadable(_) => false,
        }
    }
}

/// A refusal by policy.
#[derive(Debug)]
pub struct Denied {
    /// Why.
    pub denial: Denial,
    /// The statement, and what it touches.
    pub analyzed: Analyzed,
    /// How the client is told.
    pub refusal: Refusal,
}

/// Analyzes the text of a question.
///
/// # Errors
/// When it can't be read.
pub fn analyze(
    purpose: &Purpose,
    state: &State,
    catalog: &Catalog,
) -> Result<Vec<Analyzed>, Fields> {
    let (text, types): (_, &[u32]) = match purpose {
        Purpose::Query { text } => (text, &[]),
        Purpose::Prepare { text, types, .. } | Purpose::Bind { text, types, .. } => (text, types),
        Purpose::Again(_) => return Err(reply::internal()),
    };
    let analyzed = sql::analyze(text, types, catalog, state.scope())
        .map_err(|error| unreadable(&error, text))?;
    match purpose {
        Purpose::Query { .. } => {}
        Purpose::Prepare { .. } | Purpose::Bind { .. } | Purpose::Again(_) => {
            if analyzed.len() > 1 {
                return Err(reply::error(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                ));
            }
        }
    }
    Ok(analyzed)
}

/// Whether these statements depend on what search path, temporary objects and time limits are.
#[must_use]
pub fn needs_scope(analyzed: &[Analyzed]) -> bool {
    analyzed.iter().any(|one| {
        // `SET x = …` runs nothing, unless it calls something.
        let facts = one.facts();
        !facts.kind.is_of_connection()
            || facts.opaque.is_some()
            || !facts.footprint.calls.is_empty()
    })
}

/// Whether these statements can be judged only when the upstream owes nothing: what they are read by may change until then, or they are to
/// be prepared anew.
#[must_use]
pub fn must_settle(ask: &Ask, analyzed: &[Analyzed]) -> bool {
    if ask.settled == Settled::Yes {
        return false;
    }
    analyzed.iter().any(|one| {
        let stale = match &ask.purpose {
            Purpose::Bind { known, .. } => is_stale(known.as_ref(), one.facts()),
            Purpose::Query { .. } | Purpose::Prepare { .. } | Purpose::Again(_) => false,
        };
        stale || one.facts().named
    })
}

/// Decides what was analyzed.
#[must_use]
pub fn judge(
    ask: &Ask,
    analyzed: Vec<Analyzed>,
    state: &State,
    moment: &Moment,
    asker: &Asker<'_>,
) -> Finding {
    let parameters = parameters(&ask.purpose);
    let question = Question {
        policy: &moment.policy,
        protection: &moment.protection,
        catalog: &moment.catalog,
        subject: asker.subject,
        database: asker.database,
        session: Session {
            access: asker.access,
            reason: asker.reason,
            approved: asker.approved,
            shown: asker.shown,
        },
        parameters: &parameters,
        approved: match asker.leave {
            Leave::Given(approval) => Some(approval),
            Leave::Nobodys | Leave::Wanted => None,
        },
        wanted: matches!(asker.leave, Leave::Wanted),
        now: moment.now,
    };
    let copy_columns = copy_columns(&analyzed);
    let alone = analyzed.len() == 1;
    let mut permits = Vec::with_capacity(analyzed.len());
    for one in analyzed {
        let denied = |denial: Denial| {
            Finding::Denied(Box::new(Denied {
                refusal: Refusal {
                    fields: fields(&denial),
                    copy_columns,
                },
                denial,
                analyzed: one.clone(),
            }))
        };
        if let Some(denial) = unseen_definitions(&one, state, moment, ask) {
            return denied(denial);
        }
        match (decide(&question, one.clone()), &ask.purpose) {
            (Decision::Allow(permit), Purpose::Query { .. })
                if !alone && permit.ceiling().is_some() =>
            {
                return denied(counted_among_others(permit.ceiling()));
            }
            (Decision::Allow(permit), _) => permits.push(*permit),
            // Parameters and approvals come with the execution.
            (Decision::Review(_), Purpose::Prepare { .. }) => {
                return Finding::Preparable(Arc::clone(one.shared_facts()));
            }
            (Decision::Deny(denial), Purpose::Prepare { .. })
                if matches!(denial.reason, Reason::WriteBack { .. }) =>
            {
                return Finding::Preparable(Arc::clone(one.shared_facts()));
            }
            (Decision::Deny(denial), _) => return denied(*denial),
            (Decision::Review(held), _) if alone => return Finding::Review(held),
            (Decision::Review(held), _) => return denied(reviewed_among_others(&held)),
        }
    }
    match (&ask.purpose, permits.first()) {
        (Purpose::Prepare { .. }, Some(permit)) => {
            Finding::Preparable(Arc::clone(permit.shared_facts()))
        }
        _ => Finding::Allowed(permits),
    }
}

/// What a transaction has defined but not committed nobody else sees, so that names in it can't be resolved.
fn unseen_definitions(
    analyzed: &Analyzed,
    state: &State,
    moment: &Moment,
    ask: &Ask,
) -> Option<Denial> {
    if state.definitions() != Definitions::Uncommitted || moment.protection.is_empty() {
        return None;
    }
    let facts = analyzed.facts();
    let footprint = &facts.footprint;
    let resolves = !footprint.relations_read.is_empty()
        || !footprint.relations_written.is_empty()
        || !footprint.calls.is_empty()
        || facts.opaque.is_some();
    let harmless = facts.kind.is_of_connection() || !resolves;
    // In a transaction that has failed the server refuses it anyway.
    if harmless || ask.transaction == Transaction::Failed {
        return None;
    }
    Some(Denial {
        sqlstate: "42501",
        message: "this transaction has changed definitions that dbgate cannot see yet".to_owned(),
        detail: Some("The database has protected columns, so names must be resolved.".to_owned()),
        hint: Some("Commit the changes of definitions first, then go on.".to_owned()),
        position: None,
        reason: Reason::Unresolved,
    })
}

fn reviewed_among_others(held: &Held) -> Denial {
    let demand = held.demand();
    Denial {
        sqlstate: "42501",
        message: "a statement that needs an approval must be sent by itself".to_owned(),
        detail: Some(format!("Rule `{}` asks for the approval.", demand.rule)),
        hint: Some("Send the statements of this string one by one.".to_owned()),
        position: None,
        reason: Reason::NotAllowed,
    }
}

/// How many rows a statement has written is known only at its end; nothing else may follow before.
fn counted_among_others(ceiling: Option<&Ceiling>) -> Denial {
    Denial {
        sqlstate: "42501",
        message: "a statement with a maximum of rows must be sent by itself".to_owned(),
        detail: ceiling.map(|ceiling| ceiling.by.clone()),
        hint: Some("Send the statements of this string one by one.".to_owned()),
        position: None,
        reason: Reason::NotAllowed,
    }
}

/// For a string with a `COPY … FROM STDIN`: how many columns its data has.
fn copy_columns(analyzed: &[Analyzed]) -> Option<u16> {
    analyzed.iter().find_map(|one| copy_columns_of(one.facts()))
}

/// For a `COPY … FROM STDIN`: how many columns its data has.
#[must_use]
pub fn copy_columns_of(facts: &Facts) -> Option<u16> {
    let takes_data = facts.kind == Kind::CopyIn && !reads_file(facts);
    takes_data.then(|| u16::try_from(facts.footprint.writes.len()).unwrap_or(u16::MAX))
}

/// The parameters that a `Bind` carries.
#[must_use]
pub fn parameters(purpose: &Purpose) -> Vec<Parameter<'_>> {
    let (Purpose::Bind { types, .. }, Some(bound)) = (purpose, purpose.parameters()) else {
        return Vec::new();
    };
    bound
        .values
        .into_iter()
        .enumerate()
        .map(|(index, value)| Parameter {
            type_oid: types.get(index).copied().unwrap_or(0),
            format: Format::of(&bound.formats, index).unwrap_or_default(),
            value,
        })
        .collect()
}

/// A denial as the client is told it.
#[must_use]
pub fn fields(denial: &Denial) -> Fields {
    let code = SqlState::parse(denial.sqlstate).unwrap_or(SqlState::INSUFFICIENT_PRIVILEGE);
    let mut fields = reply::error(code, denial.message.clone());
    fields.detail.clone_from(&denial.detail);
    fields.hint.clone_from(&denial.hint);
    fields.position = denial.position.and_then(|at| u32::try_from(at).ok());
    if code == SqlState::INSUFFICIENT_PRIVILEGE {
        // A name that does not exist is no refusal.
        fields = Origin::Denied.mark(fields);
    }
    fields
}

fn unreadable(error: &sql::Error, text: &str) -> Fields {
    let code = SqlState::parse(error.sqlstate).unwrap_or(SqlState::SYNTAX_ERROR);
    let mut fields = reply::error(code, error.message.clone());
    fields.position = error
        .position
        .and_then(|byte| text.get(..byte))
        .and_then(|before| u32::try_from(before.chars().count()).ok())
        .map(|before| before.saturating_add(1));
    match error.sqlstate {
        "54000" => fields.with_hint("Send it in parts, and much data by `COPY` or as parameters."),
        "54001" => {
            fields.with_hint("Write it with fewer levels, such as a list in `IN` or `= ANY`.")
        }
        _ => fields,
    }
}
