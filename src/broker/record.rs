//! What the broker tells the audit log, and in which circumstances.

use crate::audit::event::private::Private;
use crate::audit::event::{Action, Client, Consent, Context, Decision, Event, Outcome, Statement};
use crate::broker::session::Session;
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::policy::{Denial, Policy};
use crate::store::request::Request;

/// Who agreed to a request, for the log.
pub(super) fn consents(request: &Request) -> Vec<Consent> {
    request
        .approvals
        .iter()
        .map(|given| Consent {
            by: (&given.approver).into(),
            at: given.at,
            max_rows: given.max_rows,
        })
        .collect()
}

/// Circumstances of what a subject asks of the broker, before there is a session.
pub(super) fn asked(
    subject: &Subject,
    database: Option<&DatabaseName>,
    reason: Option<&str>,
    client: Option<Client>,
) -> Context {
    Context {
        subject: Some(subject.into()),
        database: database.cloned(),
        client,
        reason: reason.map(Private::from),
        ..Context::default()
    }
}

/// Circumstances of what happens in a session.
pub(super) fn within(session: &Session) -> Context {
    Context {
        subject: Some((&session.subject).into()),
        session: Some(session.id.clone()),
        database: Some(session.database.clone()),
        reason: Some(session.reason.clone())
            .filter(|reason| !reason.is_empty())
            .map(Private::from),
        ..Context::default()
    }
}

/// The same, and from where it was asked for.
pub(super) fn from(session: &Session, client: Option<Client>) -> Context {
    Context {
        client,
        ..within(session)
    }
}

/// What the broker does on its own with a database.
pub(super) fn alone(database: &DatabaseName) -> Context {
    Context {
        database: Some(database.clone()),
        ..Context::default()
    }
}

/// An event in a session.
pub(super) fn event(session: &Session, action: Action) -> Event {
    Event::new(within(session), action)
}

/// An allow, by these entries.
pub(super) fn allowed(policy: &Policy, rules: &[String]) -> Decision {
    Decision {
        outcome: Outcome::Allow,
        rule: rules.first().cloned(),
        policy: policy.hash().to_owned(),
    }
}

/// A review, asked for by that entry.
pub(super) fn reviewed(policy: &Policy, rule: &str) -> Decision {
    Decision {
        outcome: Outcome::Review,
        rule: Some(rule.to_owned()),
        policy: policy.hash().to_owned(),
    }
}

/// A statement that is refused to somebody who asks for its approval before running it.
pub(super) fn statement_refused(
    context: Context,
    statement: Statement,
    sqlstate: &str,
    error: &str,
) -> Event {
    let action = Action::StatementRefused {
        statement,
        request: None,
        sqlstate: sqlstate.to_owned(),
        error: error.into(),
    };
    Event::new(context, action)
}

/// A denial.
pub(super) fn denied(policy: &Policy, denial: &Denial) -> Decision {
    Decision {
        outcome: Outcome::Deny,
        rule: denial.reason.rule(),
        policy: policy.hash().to_owned(),
    }
}
