//! Runs a policy's own tests: statements are analyzed and judged as if somebody had sent them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::model::time::Timestamp;
use crate::policy::decide::{Question, Session, Shown};
use crate::policy::document::case::{Case, Expected};
use crate::policy::explain::{Explanation, Outcome, explain};
use crate::policy::open::{Ask, Opening, open};
use crate::policy::{Policy, Protection};
use crate::sql::Scope;
use crate::sql::catalog::Catalog;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The test's name.
    pub name: String,
    /// File and line.
    pub place: String,
    /// It came as expected.
    pub passed: bool,
    /// What came instead, one sentence each.
    pub faults: Vec<String>,
}

/// What the statement of a test came to.
#[derive(Debug)]
struct Came {
    outcome: Expected,
    why: String,
    rules: BTreeSet<String>,
    masked: BTreeSet<String>,
}

/// Runs one test against a database's catalog.
#[must_use]
pub fn run(policy: &Policy, case: &Case, catalog: &Catalog, now: Timestamp) -> Verdict {
    let came = came(policy, case, catalog, now);
    let mut faults = Vec::new();
    if came.outcome != case.expect {
        faults.push(format!(
            "expected {}, came {}{}",
            case.expect.name(),
            came.outcome.name(),
            came.why
        ));
    }
    if let Some(rule) = case
        .rule
        .as_ref()
        .filter(|rule| !came.rules.contains(*rule))
    {
        faults.push(format!("`{rule}` has no part in it"));
    }
    if let Some(masked) = case
        .masked
        .as_ref()
        .filter(|masked| **masked != came.masked)
    {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        faults.push(format!(
            "expected masked: {}; came masked: {}",
            list(masked),
            list(&came.masked)
        ));
    }
    Verdict {
        name: case.name.clone(),
        place: case.place.to_string(),
        passed: faults.is_empty(),
        faults,
    }
}

fn came(policy: &Policy, case: &Case, catalog: &Catalog, now: Timestamp) -> Came {
    let mut came = Came {
        outcome: Expected::Allow,
        why: String::new(),
        rules: BTreeSet::new(),
        masked: BTreeSet::new(),
    };
    // A test is about statements: whatever a session may have to wait for, it has got.
    let reason = Some("a test of the policy");
    let opening = open(
        policy,
        &Ask {
            subject: &case.subject,
            database: &case.database,
            access: case.access,
            duration: None,
            reason,
            approved: true,
            now,
        },
    );
    if let Opening::Refused(denial) = opening {
        came.outcome = Expected::Deny;
        came.why = format!(": {}", denial.message);
        return came;
    }
    let scope = Scope {
        trusted: policy.trusted(&case.database).collect(),
        ..Scope::new("dbgate")
    };
    let text: Arc<str> = Arc::from(case.sql.as_str());
    let all = match crate::sql::analyze(&text, &[], catalog, &scope) {
        Ok(all) => all,
        Err(error) => {
            came.outcome = Expected::Deny;
            came.why = format!(": {error}");
            return came;
        }
    };
    let protection = Protection::resolve(policy, &case.database, catalog);
    let shown = Shown::new();
    let question = Question {
        policy,
        protection: &protection,
        catalog,
        subject: &case.subject,
        database: &case.database,
        session: Session {
            access: case.access,
            reason,
            approved: true,
            shown: &shown,
        },
        parameters: &[],
        approved: None,
        wanted: false,
        now,
    };
    for analyzed in &all {
        came.add(explain(&question, analyzed));
    }
    came
}

impl Came {
    /// Of several statements the worst counts.
    fn add(&mut self, explanation: Explanation) {
        let outcome = match explanation.outcome {
            Outcome::Allow => Expected::Allow,
            Outcome::Review => Expected::Review,
            Outcome::Deny => Expected::Deny,
        };
        let is_worse = match (self.outcome, outcome) {
            (Expected::Allow, Expected::Review | Expected::Deny)
            | (Expected::Review, Expected::Deny) => true,
            (Expected::Allow, Expected::Allow)
            | (Expected::Review, Expected::Allow | Expected::Review)
            | (Expected::Deny, _) => false,
        };
        if is_worse {
            self.outcome = outcome;
            let first = explanation.denials.first().map(|denial| &denial.message);
            self.why = first.map_or_else(String::new, |message| format!(": {message}"));
        }
        self.rules
            .extend(explanation.rules.into_iter().map(|r| r.name));
        self.rules.extend(explanation.allowed_by);
        let against = explanation.denials.into_iter();
        self.rules
            .extend(against.filter_map(|against| against.entry));
        let masked = explanation.columns.into_iter().filter(|c| c.mask.is_some());
        self.masked.extend(masked.map(|column| column.name));
    }
}
