//! Reviews: a session or a statement waits until enough people agree to it.
//!
//! Reading order: this file (what may be asked) → `ahead` (a statement before its use) → `approver` (who may decide) → `desk` (the task that
//! decides) → `brought` (an approval is made use of) → `webhook` (who is told).
//!
//! **Invariant:** an approval is used once, by what it was given for: both are one change in the store.

mod ahead;
pub mod approver;
pub mod brought;
pub mod desk;
pub mod webhook;

use std::time::Duration;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::audit::event::footprint::{Footprint, Touched};
use crate::audit::event::private::Private;
use crate::audit::event::{self, Action, Client, Event};
use crate::broker::request::approver::may_decide;
use crate::broker::request::desk::{Command, Outcome};
use crate::broker::session::Attachment;
use crate::broker::{Ask, Broker, Error, record};
use crate::model::session::RequestId;
use crate::model::subject::Subject;
use crate::policy::Demand;
use crate::policy::binding::Binding;
use crate::policy::document::allow::Power;
use crate::policy::open::{self, Opening};
use crate::store::request::{self, Request};

/// What is asked, for approvers to read; the store keeps it as it is.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two facts that have nothing to do with each other"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct What {
    /// The statement, with passwords left out; none = the session itself.
    pub statement: Option<String>,
    /// What it touches, one line a relation.
    pub footprint: Vec<String>,
    /// How many rows the planner expects it to touch.
    pub expected_rows: Option<u64>,
    /// The rule that asks for the approval.
    pub rule: String,
    /// `read` or `write`.
    pub access: String,
    /// How long the session would last, in seconds.
    pub seconds: Option<u64>,
    /// Whether a client waits for it in its connection.
    pub held: bool,
    /// How long it may wait in all, once no client waits for it in its connection any more, in seconds.
    pub patience: u64,
    /// Whether an approver may set a maximum of rows.
    pub countable: bool,
}

impl What {
    /// Reads what the store kept.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        serde_json::from_str(&request.what).unwrap_or_default()
    }
}

/// A statement that is to wait in its connection.
#[derive(Debug)]
pub struct HeldStatement<'a> {
    /// Whose.
    pub attachment: &'a Attachment,
    /// The statement as the log is to have it.
    pub statement: event::Statement,
    /// Who must agree, and how long it may wait.
    pub demand: &'a Demand,
    /// What an approval is bound to.
    pub binding: &'a Binding,
    /// How long it may wait here.
    pub hold: Duration,
    /// How many rows the planner expects it to touch.
    pub expected_rows: Option<u64>,
    /// Whether the server will tell how many it touches.
    pub countable: bool,
}

/// A statement that waits. Dropping it withdraws the request.
#[derive(Debug)]
pub struct Hold {
    id: RequestId,
    outcome: oneshot::Receiver<Outcome>,
    withdraw: Option<desk::Mailbox>,
}

impl Hold {
    /// The request, to be told to the client.
    #[must_use]
    pub const fn id(&self) -> &RequestId {
        &self.id
    }

    /// Its time in the connection is up: it ends now, unless it was decided a moment ago.
    pub async fn overdue(&mut self) -> Outcome {
        let id = self.id.clone();
        if let Some(desk) = &self.withdraw
            && desk.send(Command::Overdue(id)).await.is_err()
        {
            return Outcome::Expired;
        }
        self.outcome().await
    }

    /// Waits for what comes of it. Cancel-safe.
    pub async fn outcome(&mut self) -> Outcome {
        // Without an answer the desk is gone: the broker stops.
        let outcome = (&mut self.outcome).await.unwrap_or(Outcome::Withdrawn);
        self.withdraw = None;
        outcome
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(desk) = self.withdraw.take() {
            // When the desk's mailbox is full it finds the closed channel at its next look.
            let _full = desk.try_send(Command::Abandoned(self.id.clone()));
        }
    }
}

impl Broker {
    /// Lets a statement wait for its approval: the request is recorded, kept, and approvers are told.
    ///
    /// # Errors
    /// When it cannot be recorded or kept; then nobody is asked.
    pub async fn hold(&self, held: HeldStatement<'_>) -> Result<Hold, Error> {
        let session = &held.attachment.session;
        let text = held.statement.statement.text().map(str::to_owned);
        let footprint = held.statement.footprint.as_ref();
        let what = What {
            statement: text,
            footprint: footprint.map(lines).unwrap_or_default(),
            expected_rows: held.expected_rows,
            rule: held.demand.rule.clone(),
            access: session.access.to_string(),
            seconds: None,
            held: true,
            patience: held.demand.expires.as_secs(),
            countable: held.countable,
        };
        let now = self.core.clock.now();
        let request = Request {
            session: Some(session.id.clone()),
            expires: now.after(held.hold).min(session.ends()),
            ..self.request(
                &session.subject,
                &Ask::of(session),
                (request::Kind::Statement, &what),
                (held.demand, held.binding.to_string()),
            )
        };
        let mut context = record::within(session);
        context.connection = Some(held.attachment.number);
        context.client = Some(held.attachment.client.clone());
        let event = Event::new(
            context,
            Action::StatementHeld {
                statement: held.statement,
                request: request.id.clone(),
                needed: request.needed,
                approvers: request.approvers.clone(),
                binding: request.binding.clone(),
            },
        );
        let (waiter, outcome) = oneshot::channel();
        let id = request.id.clone();
        self.desk.open(request, event, Some(waiter)).await?;
        Ok(Hold {
            id,
            outcome,
            withdraw: Some(self.desk.mailbox()),
        })
    }

    /// Puts a session up for review; the same question twice is one request.
    pub(super) async fn request_session(
        &self,
        subject: &Subject,
        ask: &Ask,
        demand: &Demand,
        client: Option<Client>,
    ) -> Result<Request, Error> {
        let binding = session_binding(subject, ask);
        let filter = request::Filter {
            subject: Some(subject.id.clone()),
            states: vec![request::State::Pending, request::State::Approved],
            ..request::Filter::default()
        };
        let now = self.core.clock.now();
        let waiting = self.core.store.requests(&filter).await?;
        let same = |request: &Request| request.binding == binding && request.expires > now;
        if let Some(request) = waiting.into_iter().find(same) {
            return Ok(request);
        }
        let what = What {
            rule: demand.rule.clone(),
            access: ask.access.to_string(),
            seconds: ask.duration.map(|span| span.as_secs()),
            ..What::default()
        };
        let request = self.request(
            subject,
            ask,
            (request::Kind::Session, &what),
            (demand, binding),
        );
        let policy = self.policy();
        let event = Event::new(
            record::asked(subject, Some(&request.database), ask.reason(), client),
            Action::SessionHeld {
                request: request.id.clone(),
                decision: record::reviewed(&policy, &demand.rule),
                needed: request.needed,
                approvers: request.approvers.clone(),
            },
        );
        self.desk.open(request.clone(), event, None).await?;
        Ok(request)
    }

    /// Asks for the approval of a session before it is needed.
    ///
    /// # Errors
    /// When the policy refuses it or asks for no approval.
    pub async fn request_opening(
        &self,
        subject: &Subject,
        ask: &Ask,
        client: Option<Client>,
    ) -> Result<Request, Error> {
        let name = &self.place(subject, &ask.database)?.target().name;
        let now = self.core.clock.now();
        match open::open(&self.policy(), &ask.question(subject, name, false, now)) {
            Opening::Review(demand) => self.request_session(subject, ask, &demand, client).await,
            Opening::Granted(_) => Err(Error::NoReview),
            Opening::Refused(denial) => Err(Error::Denied(denial)),
        }
    }

    fn request(
        &self,
        subject: &Subject,
        ask: &Ask,
        (kind, what): (request::Kind, &What),
        (demand, binding): (&Demand, String),
    ) -> Request {
        let now = self.core.clock.now();
        Request {
            id: RequestId::random(&*self.core.entropy),
            kind,
            subject: subject.clone(),
            database: ask.database.clone(),
            session: None,
            reason: ask.reason.clone().unwrap_or_default(),
            // Plain text, numbers and lists: cannot fail.
            what: serde_json::to_string(what).unwrap_or_default(),
            binding,
            state: request::State::Pending,
            needed: demand.needed,
            approvers: demand.approvers.iter().cloned().collect(),
            approvals: Vec::new(),
            denial: None,
            created: now,
            expires: now.after(demand.expires),
        }
    }

    /// The request of that id, if the viewer may see it.
    ///
    /// # Errors
    /// When there is none for them.
    pub async fn find_request(&self, viewer: &Subject, id: &RequestId) -> Result<Request, Error> {
        let found = self.core.store.request(id).await?;
        found
            .filter(|request| self.may_see(viewer, request))
            .ok_or_else(|| Error::NoRequest(id.clone()))
    }

    /// Requests the viewer asked for, may decide, or may see because the policy lets them see everybody's sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn requests(
        &self,
        viewer: &Subject,
        filter: &request::Filter,
    ) -> Result<Vec<Request>, Error> {
        let mut found = self.core.store.requests(filter).await?;
        found.retain(|request| self.may_see(viewer, request));
        Ok(found)
    }

    fn may_see(&self, viewer: &Subject, request: &Request) -> bool {
        request.subject.is(viewer)
            || may_decide(viewer, request)
            || open::may(
                &self.policy(),
                viewer,
                Power::Sessions,
                self.core.clock.now(),
            )
    }

    /// Agrees to a request.
    ///
    /// # Errors
    /// When the approver may not decide it, or it is decided already.
    pub async fn approve(
        &self,
        id: &RequestId,
        approver: &Subject,
        reason: Option<String>,
        max_rows: Option<u64>,
    ) -> Result<Request, Error> {
        let verdict = desk::Verdict::Approve { reason, max_rows };
        self.desk
            .decide(id.clone(), approver.clone(), verdict)
            .await
    }

    /// Refuses a request.
    ///
    /// # Errors
    /// When the approver may not decide it, or it is decided already.
    pub async fn deny(
        &self,
        id: &RequestId,
        approver: &Subject,
        reason: String,
    ) -> Result<Request, Error> {
        let verdict = desk::Verdict::Deny { reason };
        self.desk
            .decide(id.clone(), approver.clone(), verdict)
            .await
    }

    /// Lets one's own request wait on after the client that waited for it in its connection has had enough: it ends there with an error,
    /// and can be run later with the request's id.
    ///
    /// # Errors
    /// When it is somebody else's, decided already, or no client waits for it.
    pub async fn keep_request(&self, id: &RequestId, subject: &Subject) -> Result<Request, Error> {
        let request = self.own_request(subject, id).await?;
        self.desk.keep(request.id, subject.id.clone()).await
    }

    /// Takes one's own request back.
    ///
    /// # Errors
    /// When it is somebody else's, or decided already.
    pub async fn withdraw(&self, id: &RequestId, subject: &Subject) -> Result<Request, Error> {
        let request = self.own_request(subject, id).await?;
        self.desk.withdraw(request.id, subject.id.clone()).await
    }
}

/// What an approval of a session is bound to: who, where, what for, why, how long.
pub(super) fn session_binding(subject: &Subject, ask: &Ask) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut part = |text: &str| {
        context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(text.as_bytes());
    };
    part("dbgate session 1");
    part(&subject.id.issuer);
    part(&subject.id.sub);
    let behalf = subject.behalf.as_ref();
    part(behalf.map_or("", |person| &person.issuer));
    part(behalf.map_or("", |person| &person.sub));
    part(ask.database.as_str());
    part(&ask.access.to_string());
    part(ask.reason().unwrap_or_default());
    part(
        &ask.duration
            .map_or_else(String::new, |span| span.as_secs().to_string()),
    );
    let hash = context.finish();
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One line for each relation, then functions and hazards.
#[must_use]
pub fn lines(footprint: &Footprint) -> Vec<String> {
    let mut lines: Vec<String> = footprint
        .tables
        .iter()
        .flat_map(|(name, touched)| relation(name, touched))
        .collect();
    let defines = footprint.defines.as_ref().and_then(Private::text);
    lines.extend(
        defines
            .into_iter()
            .flat_map(str::lines)
            .map(|name| format!("writes {name}")),
    );
    if !footprint.functions.is_empty() {
        lines.push(format!("calls {}", footprint.functions.join(", ")));
    }
    if !footprint.hazards.is_empty() {
        lines.push(format!("hazards: {}", footprint.hazards.join(", ")));
    }
    if let Some(what) = &footprint.opaque {
        lines.push(format!("not understood: {what}"));
    }
    lines
}

fn relation(name: &str, touched: &Touched) -> Vec<String> {
    let line = |verb: &str, columns: &[String]| match columns {
        [] => format!("{verb} {name}"),
        columns => format!("{verb} {name} ({})", columns.join(", ")),
    };
    let mut lines = Vec::new();
    if touched.written {
        lines.push(line("writes", &touched.writes));
    }
    if touched.read {
        lines.push(line("reads", &touched.reads));
    }
    lines
}
