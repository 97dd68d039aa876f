//! What the broker tells the audit log, and in which circumstances.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::audit::event::private::Private;
use crate::audit::event::{Action, Client, Consent, Context, Decision, Event, Outcome, Statement};
use crate::audit::refusal::{Entrance, Tally};
use crate::broker::session::Session;
use crate::broker::{Broker, Core};
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::policy::{Denial, Policy};
use crate::store::request::Request;

/// How often attempts that were only counted are recorded as a sum.
const TURN: Duration = Duration::from_secs(60);
/// More than any text of somebody who did not get in that is kept for people to read.
const TEXT: usize = 512;

impl Broker {
    /// What is to be recorded about somebody who is not let in; nothing when there were so many within this minute that it is only
    /// counted, and recorded as a sum.
    #[must_use]
    pub fn refusal(&self, at: Entrance, client: &Client, error: &str) -> Option<Event> {
        if !lock(&self.core).note(at, client.address.as_deref()) {
            return None;
        }
        let clipped = |text: &str| Private::from(text.chars().take(TEXT).collect::<String>());
        let name = client.name.as_ref().and_then(Private::text);
        let context = Context {
            client: Some(Client {
                address: client.address.clone(),
                name: name.map(clipped),
            }),
            ..Context::default()
        };
        let error = clipped(error);
        let action = match at {
            Entrance::Connection => Action::ConnectionRefused { error },
            Entrance::Login => Action::LoginRefused { error },
        };
        Some(Event::new(context, action))
    }
}

/// Records once a minute what was only counted.
pub(super) async fn sum_up_on(core: Arc<Core>) {
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        sum_up(&core).await;
    }
}

/// Records what was only counted.
pub(super) async fn sum_up(core: &Core) {
    let sums = lock(core).take();
    for sum in sums {
        let client = sum.from.clone().map(|address| Client {
            address: Some(address),
            name: None,
        });
        let context = Context {
            client,
            ..Context::default()
        };
        let (at, count) = (sum.at, sum.count);
        let event = Event::new(context, Action::RefusalsCounted { at, count });
        if let Err(error) = core.log.append(event).await {
            tracing::error!(%error, count, "refused attempts could not be recorded yet");
            lock(core).put_back(&sum);
        }
    }
}

/// How many refused attempts were only counted so far.
pub(super) fn summed(core: &Core) -> u64 {
    lock(core).counted()
}

fn lock(core: &Core) -> MutexGuard<'_, Tally> {
    core.refusals.lock().unwrap_or_else(PoisonError::into_inner)
}

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
