//! May this statement run? Deny beats review, review beats allow; what nothing allows is denied.
//!
//! Reading order: this file → `power` (what it takes, who has it) → `rule` (which rules fit) → `guard` (what the
//! protection of columns says) → `ceiling` (rows at most) → `writeback` (masks that come back) → `words`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::session::RequestId;
use crate::model::subject::Subject;
use crate::model::time::Timestamp;
use crate::policy::binding::{Binding, Bound, Parameter};
use crate::policy::denial::{INSUFFICIENT_PRIVILEGE, by};
use crate::policy::document::rule::{Effect, Rule, Situation};
use crate::policy::obligation::Mask;
use crate::policy::permit::{Demand, Guarded, Held, Permit};
use crate::policy::{Denial, Policy, Protection, Reason};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{Analyzed, Effect as On, Facts, Hazard, Kind};

mod ceiling;
mod guard;
mod power;
mod rule;
mod shown;
pub(super) mod words;
mod writeback;

pub use self::shown::Shown;

/// Everything a decision depends on, apart from the statement.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The policy of this moment.
    pub policy: &'a Policy,
    /// What it protects in this database.
    pub protection: &'a Protection,
    /// The database's catalog, the one the statement was analyzed with.
    pub catalog: &'a Catalog,
    /// Who asks.
    pub subject: &'a Subject,
    /// Where.
    pub database: &'a DatabaseName,
    /// The session.
    pub session: Session<'a>,
    /// The statement's parameters as they were bound. One that is missing here is taken for a mask that comes back.
    pub parameters: &'a [Parameter<'a>],
    /// An approval, if there is one.
    pub approved: Option<&'a Approval>,
    /// Whether an approval is wanted for more rows than a review lets be written without.
    pub wanted: bool,
    /// When.
    pub now: Timestamp,
}

/// What a decision needs to know of the session.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// What it was opened for.
    pub access: Access,
    /// What its owner said it is for.
    pub reason: Option<&'a str>,
    /// Whether its opening was approved by somebody.
    pub approved: bool,
    /// The masked values it was shown.
    pub shown: &'a Shown,
}

/// An approval that enough people have given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The request that was approved.
    pub request: RequestId,
    /// What they agreed to.
    pub binding: Binding,
    /// The most rows they agreed to.
    pub max_rows: Option<u64>,
    /// Who agreed, oldest first.
    pub given: Vec<Consent>,
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Whose.
    pub by: Subject,
    /// When.
    pub at: Timestamp,
    /// The most rows they agreed to.
    pub max_rows: Option<u64>,
}

/// The answer.
#[derive(Debug)]
pub enum Decision {
    /// It may run, on the permit's terms.
    Allow(Box<Permit>),
    /// It may not.
    Deny(Box<Denial>),
    /// Somebody must agree first.
    Review(Box<Held>),
}

/// Decides one statement.
#[must_use]
pub fn decide(question: &Question<'_>, analyzed: Analyzed) -> Decision {
    let text = Arc::clone(analyzed.statement().whole());
    let judgement = judge(question, analyzed.facts(), &text, Unbound::Refused);
    if let Some(denial) = judgement.denials.into_iter().next() {
        return Decision::Deny(Box::new(placed(denial, &analyzed)));
    }
    let fits = |given: &&Approval| given.binding == bind(question, &analyzed);
    let given = question.approved.filter(fits);
    let mut limits = question.policy.limits().of(question.subject.kind);
    let mut approval = None;
    if let Some(demand) = judgement.demand {
        // The policy may ask for other people by now than those who agreed.
        let met = |given: &&Approval| demand.is_met_by(given.given.iter().map(|one| &one.by));
        approval = given.filter(met);
        if approval.is_none() {
            return Decision::Review(Box::new(Held {
                binding: bind(question, &analyzed),
                analyzed,
                demand,
            }));
        }
    }
    let lifted = |rule: &&Rule| ceiling::is_lifted(rule, given);
    if judgement.ceilings.iter().any(lifted) {
        approval = given;
    }
    if let Some(given) = approval {
        if given.max_rows.is_some() && !analyzed.facts().is_countable(question.catalog) {
            return Decision::Deny(Box::new(placed(uncounted(given), &analyzed)));
        }
        limits.rows = match (limits.rows, given.max_rows) {
            (Some(limit), Some(agreed)) => Some(limit.min(agreed)),
            (limit, agreed) => limit.or(agreed),
        };
    }
    Decision::Allow(Box::new(Permit {
        analyzed,
        masks: judgement.masks.into(),
        limits,
        rule: judgement.rule.unwrap_or_default().to_owned(),
        policy_hash: Arc::from(question.policy.hash()),
        guarded: judgement.guarded,
        concerns: question.protection.concerns(question.subject),
        probes: judgement.probes,
        approval: approval.cloned(),
        ceiling: ceiling::lowest(&judgement.ceilings, approval),
    }))
}

fn uncounted(given: &Approval) -> Denial {
    let message = format!(
        "request {} was approved for a maximum of rows, which can't be kept for this statement",
        given.request
    );
    Denial::new(Reason::NotAllowed, message)
        .detail("It writes in more than one place, or calls functions that may.".to_owned())
        .hint("Ask for the approval of separate statements.")
}

/// A refusal that concerns a statement as a whole points at its start: it may be one of several in a string.
pub(super) fn placed(denial: Denial, analyzed: &Analyzed) -> Denial {
    if denial.position.is_some() || denial.sqlstate != INSUFFICIENT_PRIVILEGE {
        return denial;
    }
    let statement = analyzed.statement();
    let text = statement.text();
    let blank = text.len() - text.trim_start().len();
    denial.at(statement.whole(), Some(statement.start() + blank))
}

/// What an approval of this statement would be bound to.
#[must_use]
pub(super) fn bind(question: &Question<'_>, analyzed: &Analyzed) -> Binding {
    Binding::of(&Bound {
        statement: analyzed.statement().text(),
        parameters: question.parameters,
        subject: question.subject,
        database: question.database,
        access: question.session.access,
        reason: question.session.reason,
        facts: analyzed.facts(),
        catalog: question.catalog,
    })
}

/// Everything that was found, so that it can be explained; a decision uses the first denial.
#[derive(Debug)]
pub(super) struct Judgement<'a> {
    pub(super) denials: Vec<Denial>,
    pub(super) demand: Option<Demand>,
    pub(super) matched: Vec<&'a Rule>,
    /// Rules that bind it to a maximum of rows.
    pub(super) ceilings: Vec<&'a Rule>,
    pub(super) masks: Vec<Option<Mask>>,
    pub(super) rule: Option<&'a str>,
    pub(super) guarded: Guarded,
    pub(super) probes: u32,
}

/// What becomes of a parameter that is not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unbound {
    /// The statement is about to run: what is not known may be a mask that comes back.
    Refused,
    /// Somebody only asks what would happen.
    Ignored,
}

/// `text` is the whole query string, for positions.
pub(super) fn judge<'a>(
    question: &Question<'a>,
    facts: &Facts,
    text: &str,
    unbound: Unbound,
) -> Judgement<'a> {
    let situation = Situation {
        subject: question.subject,
        database: question.database,
        access: question.session.access,
        now: question.now,
    };
    let matched: Vec<&Rule> = question
        .policy
        .rules()
        .iter()
        .filter(|rule| rule.concerns(&situation))
        .filter(|rule| fits(rule, facts, question) || denies_prepared(rule, facts, question))
        .collect();
    let ceilings = ceiling::of(question, &situation, facts);
    let mut denials = pinned(facts);
    denials.extend(
        matched
            .iter()
            .filter_map(|rule| denied_by(rule, question, facts)),
    );
    let power = power::check(question, facts);
    denials.extend(power.denial);
    let guard = guard::check(question, facts, text);
    denials.extend(guard.denials);
    if facts.opaque.is_some() && !guard.concerns {
        denials.extend(rule::could_fit(question, &situation, facts, text));
    }
    denials.extend(writeback::check(question, facts, unbound));
    let wanted = ceilings.iter().filter(|_| question.wanted);
    let demand = match demand(matched.iter().chain(wanted)) {
        Ok(demand) => demand,
        Err(denial) => {
            denials.push(*denial);
            None
        }
    };
    Judgement {
        denials,
        demand,
        matched,
        ceilings,
        masks: guard.masks,
        rule: power.rule,
        guarded: guard.guarded,
        probes: guard.probes,
    }
}

/// Settings the gateway relies on are out of reach of any policy.
fn pinned(facts: &Facts) -> Vec<Denial> {
    if !facts.hazards.contains(&Hazard::PinnedSetting) {
        return Vec::new();
    }
    let message = "this setting is pinned by dbgate and cannot be changed in a session";
    vec![
        Denial::new(Reason::Pinned, message)
            .detail(
                "dbgate reads statements as the server does with `standard_conforming_strings = on`, \
                 `backslash_quote = safe_encoding` and UTF-8, and notices by others that a client or a broker is gone.",
            )
            .hint("Leave the setting as it is; for another encoding, convert in the client."),
    ]
}

fn denied_by(rule: &Rule, question: &Question<'_>, facts: &Facts) -> Option<Denial> {
    match rule.effect {
        Effect::Deny => {}
        Effect::Review(_) => return None,
    }
    let facts = prepared(facts)
        .filter(|inner| fits(rule, inner, question))
        .unwrap_or(facts);
    let what = words::matched(rule, facts);
    let message = format!("{what} is denied on `{}`", question.database);
    let reason = Reason::Rule {
        name: rule.name.clone(),
        place: rule.place.clone(),
    };
    let denial = Denial::new(reason, message).detail(by("Rule", &rule.name, &rule.place));
    let denial = match &rule.hint {
        Some(hint) => denial.hint(hint.as_str()),
        None => denial.hint(words::instead(rule, facts)),
    };
    Some(ceiling::explained(rule, denial))
}

/// Whether a rule fits, whatever number of rows it will be.
fn fits(rule: &Rule, facts: &Facts, question: &Question<'_>) -> bool {
    rule::fits(rule, facts, question) && ceiling::fits_at_once(rule, facts, question.catalog)
}

/// What is denied need not be prepared. A review comes with the execution, which has the parameters.
fn denies_prepared(rule: &Rule, facts: &Facts, question: &Question<'_>) -> bool {
    let inner = prepared(facts).filter(|_| rule.effect == Effect::Deny);
    inner.is_some_and(|inner| fits(rule, inner, question))
}

/// What a `PREPARE` prepares.
fn prepared(facts: &Facts) -> Option<&Facts> {
    if let On::Prepare { inner, .. } = &facts.effect {
        Some(inner)
    } else {
        None
    }
}

/// All reviews at once: who approves must be good for every rule.
fn demand<'a>(matched: impl Iterator<Item = &'a &'a Rule>) -> Result<Option<Demand>, Box<Denial>> {
    let mut all: Option<Demand> = None;
    for rule in matched {
        let Effect::Review(review) = &rule.effect else {
            continue;
        };
        let own = Demand {
            rule: rule.name.clone(),
            approvers: review.approvers.clone(),
            needed: review.needed,
            hold: review.hold,
            in_transaction: review.in_transaction,
            expires: review.expires,
            hint: rule.hint.clone(),
        };
        all = Some(match all {
            None => own,
            Some(before) => {
                let first = before.rule.clone();
                before
                    .and(own)
                    .ok_or_else(|| Box::new(no_approver(&first, rule)))?
            }
        });
    }
    Ok(all)
}

fn no_approver(first: &str, second: &Rule) -> Denial {
    let message = format!(
        "rules `{first}` and `{}` want approvals, and no group can give both",
        second.name
    );
    Denial::new(Reason::NoApprover, message)
        .detail(by("Rule", &second.name, &second.place))
        .hint("Do in separate statements what the rules speak of.")
}

/// The kinds a statement has in the eyes of rules: its own, those inside of it, and those of what it prepares or declares.
fn kinds(facts: &Facts) -> BTreeSet<Kind> {
    let mut kinds = facts.parts.clone();
    kinds.insert(facts.kind);
    match &facts.effect {
        On::Prepare { inner, .. } | On::Declare { inner, .. } => {
            kinds.insert(inner.kind);
            kinds.extend(inner.parts.iter().copied());
        }
        On::None
        | On::Begin
        | On::Commit
        | On::Rollback
        | On::Savepoint(_)
        | On::Release(_)
        | On::RollbackTo(_)
        | On::Deallocate(_)
        | On::Close(_)
        | On::Settings
        | On::Planner
        | On::SearchPath { .. }
        | On::TimeLimit { .. }
        | On::Temporary(_)
        | On::Catalog
        | On::Discard => {}
    }
    kinds
}
