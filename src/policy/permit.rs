//! The value that lets a statement pass, and the one that lets it wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::subject::Subject;
use crate::policy::binding::Binding;
use crate::policy::decide::Approval;
use crate::policy::obligation::{Limits, Mask};
use crate::sql::footprint::{Analyzed, Facts};
use crate::sql::statement::Statement;

/// A statement that may run, on these terms.
///
/// **Invariant:** only [`crate::policy::decide()`] makes one, for the statement it owns; it cannot be copied.
///
/// ```compile_fail
/// use dbgate::policy::Permit;
///
/// fn forge(real: Permit) -> Permit {
///     Permit { masks: Vec::new().into(), ..real }
/// }
/// ```
///
/// ```compile_fail
/// fn twice(permit: dbgate::policy::Permit) -> (dbgate::policy::Permit, dbgate::policy::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    pub(super) analyzed: Analyzed,
    pub(super) masks: Arc<[Option<Mask>]>,
    pub(super) limits: Limits,
    pub(super) rule: String,
    pub(super) policy_hash: Arc<str>,
    pub(super) guarded: Guarded,
    pub(super) concerns: bool,
    pub(super) probes: u32,
    pub(super) approval: Option<Approval>,
    pub(super) ceiling: Option<Ceiling>,
}

/// The most rows that a rule lets a statement write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// How many.
    pub rows: u64,
    /// Whether an approval lets it write more.
    pub review: bool,
    /// The rule, its file and line, as a sentence.
    pub by: String,
    /// What the rule's author says would help.
    pub hint: Option<String>,
}

/// Whether a statement comes near protected columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// It touches none; its errors and notices may pass as they are.
    No,
    /// It touches one, or may: errors and notices must be rewritten so that they carry no value.
    Yes,
}

impl Permit {
    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        self.analyzed.statement()
    }

    /// The statement, as it was read when it was permitted.
    #[must_use]
    pub const fn analyzed(&self) -> &Analyzed {
        &self.analyzed
    }

    /// What it touches.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.analyzed.facts()
    }

    /// What it touches, shared.
    #[must_use]
    pub const fn shared_facts(&self) -> &Arc<Facts> {
        self.analyzed.shared_facts()
    }

    /// One entry for each result column; `None` = shown as it is.
    #[must_use]
    pub fn masks(&self) -> &[Option<Mask>] {
        &self.masks
    }

    /// How much it may return and how long it may run.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The entry that allows it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Which policy decided.
    #[must_use]
    pub const fn policy_hash(&self) -> &Arc<str> {
        &self.policy_hash
    }

    /// Whether it comes near protected columns.
    #[must_use]
    pub const fn guarded(&self) -> Guarded {
        self.guarded
    }

    /// Whether anything in the database is protected from its subject, touched by it or not.
    #[must_use]
    pub const fn concerns(&self) -> bool {
        self.concerns
    }

    /// How many comparisons of protected columns with given values it makes; they count against a budget.
    #[must_use]
    pub const fn probes(&self) -> u32 {
        self.probes
    }

    /// The approval that it uses up.
    #[must_use]
    pub const fn approval(&self) -> Option<&Approval> {
        self.approval.as_ref()
    }

    /// The most rows that the rules let it write.
    #[must_use]
    pub const fn ceiling(&self) -> Option<&Ceiling> {
        self.ceiling.as_ref()
    }
}

/// A statement that waits for an approval.
///
/// **Invariant:** only [`crate::policy::decide()`] makes one. It gives the statement back for a new decision, never a
/// permit.
///
/// ```compile_fail
/// fn through(held: dbgate::policy::Held) -> dbgate::policy::Permit {
///     held.into()
/// }
/// ```
#[derive(Debug)]
pub struct Held {
    pub(super) analyzed: Analyzed,
    pub(super) demand: Demand,
    pub(super) binding: Binding,
}

/// The terms on which a statement or a session waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The entry that asks for the approval (the first, when several do).
    pub rule: String,
    /// Groups whose members may approve.
    pub approvers: BTreeSet<String>,
    /// How many of them must.
    pub needed: u32,
    /// How long a statement waits in its connection.
    pub hold: Duration,
    /// How long it may wait inside an open transaction; zero = it is refused there.
    pub in_transaction: Duration,
    /// When the request ends if nobody decides, and how long the approval can be used.
    pub expires: Duration,
    /// What the rule's author says would help.
    pub hint: Option<String>,
}

impl Demand {
    /// Whether those who agreed are enough, and good for it.
    #[must_use]
    pub fn is_met_by<'a>(&self, given: impl Iterator<Item = &'a Subject>) -> bool {
        is_enough(given, &self.approvers, self.needed)
    }

    /// The demand that satisfies both: an approver must be good for either. `None` when nobody could be.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        let approvers: BTreeSet<String> = &self.approvers & &other.approvers;
        (!approvers.is_empty()).then(|| Self {
            approvers,
            needed: self.needed.max(other.needed),
            hold: self.hold.min(other.hold),
            in_transaction: self.in_transaction.min(other.in_transaction),
            expires: self.expires.min(other.expires),
            hint: self.hint.or(other.hint),
            rule: self.rule,
        })
    }
}

/// Whether so many of those who agreed are in one of the groups.
pub(super) fn is_enough<'a>(
    given: impl Iterator<Item = &'a Subject>,
    approvers: &BTreeSet<String>,
    needed: u32,
) -> bool {
    let good = given.filter(|by| by.groups.iter().any(|of| approvers.contains(of)));
    u32::try_from(good.count()).is_ok_and(|count| count >= needed.max(1))
}

impl Held {
    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        self.analyzed.statement()
    }

    /// What it touches.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.analyzed.facts()
    }

    /// Who must agree, and how long it may take.
    #[must_use]
    pub const fn demand(&self) -> &Demand {
        &self.demand
    }

    /// What an approval would be bound to.
    #[must_use]
    pub const fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Gives the statement back, to be decided again with the approval.
    #[must_use]
    pub fn into_analyzed(self) -> Analyzed {
        self.analyzed
    }
}
