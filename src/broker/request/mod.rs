//! Reviews: a session or a statement waits until enough people agree to it.
//!
//! Reading order: this file (what may be asked) → `desk` (the task that decides) → `webhook` (who is told).
//!
//! **Invariant:** an approval is used once, by what it was given for: both are one change in the store.

pub mod desk;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::audit::event::footprint::{Footprint, Touched};
use crate::audit::event::{self, Action, Client, Event};
use crate::audit::scrub;
use crate::broker::request::desk::{Command, Outcome};
use crate::broker::session::{Attachment, Session};
use crate::broker::{Ask, Broker, Error, record};
use crate::model::session::RequestId;
use crate::model::subject::{Subject, SubjectId};
use crate::policy::binding::Binding;
use crate::policy::document::allow::Power;
use crate::policy::open::{self, Opening};
use crate::policy::{self, Approval, Consent, Decision, Demand, Question, Shown};
use crate::sql;
use crate::sql::scope::Scope;
use crate::store::request::{Request, RequestFilter, RequestKind, RequestState};

/// What is asked, for approvers to read; the store keeps it as it is.
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
        };
        let now = self.core.clock.now();
        let request = Request {
            session: Some(session.id.clone()),
            expires: now.after(held.hold).min(session.ends()),
            ..self.request(
                RequestKind::Statement,
                &session.subject,
                &Ask::of(session),
                &what,
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

    /// Asks for the approval of a statement before it is run; who asks runs it later with the request's id.
    ///
    /// # Errors
    /// When the policy refuses it or asks for no approval, or the text is not one statement.
    pub async fn request_statement(
        &self,
        subject: &Subject,
        ask: &Ask,
        statement: &str,
        client: Option<Client>,
    ) -> Result<Request, Error> {
        let place = self.place(subject, &ask.database)?;
        let now = self.core.clock.now();
        let view = match place.view() {
            Some(view) => view,
            None => place
                .refresh()
                .await
                .map_err(|error| Error::database(&place.target().name, error))?,
        };
        let database = &place.target().name;
        if let Opening::Refused(denial) =
            open::open(&view.policy, &ask.question(subject, database, false, now))
        {
            return Err(Error::Denied(denial));
        }
        let mut scope = Scope::new("dbgate");
        scope.trusted = view.policy.trusted(database).collect();
        let text: Arc<str> = Arc::from(statement);
        let context = record::asked(subject, Some(database), ask.reason(), client);
        let mut on_record = event::Statement {
            statement: scrub::statement(statement).into_owned().into(),
            parameters: None,
            footprint: None,
            decision: None,
        };
        let mut analyzed = match sql::analyze(&text, &[], &view.catalog, &scope) {
            Ok(analyzed) => analyzed,
            Err(error) => {
                let said = scrub::quoting(&error.message, statement);
                let refused = record::statement_refused(context, on_record, error.sqlstate, &said);
                self.core.log.append(refused).await?;
                return Err(error.into());
            }
        };
        let (Some(one), true) = (analyzed.pop(), analyzed.is_empty()) else {
            return Err(Error::OneStatement);
        };
        let question = Question {
            policy: &view.policy,
            protection: &view.protection,
            catalog: &view.catalog,
            subject,
            database,
            session: policy::Session {
                access: ask.access,
                reason: ask.reason(),
                approved: false,
                shown: &Shown::default(),
            },
            parameters: &[],
            approved: None,
            now,
        };
        let footprint = Footprint::describe(one.facts(), &view.catalog);
        let held = match policy::decide(&question, one) {
            Decision::Review(held) => held,
            Decision::Deny(denial) => {
                on_record.footprint = Some(footprint);
                on_record.decision = Some(record::denied(&view.policy, &denial));
                let refused =
                    record::statement_refused(context, on_record, denial.sqlstate, &denial.message);
                self.core.log.append(refused).await?;
                return Err(Error::Denied(denial));
            }
            Decision::Allow(_) => return Err(Error::NoReview),
        };
        let text = scrub::statement(held.statement().text());
        let what = What {
            statement: Some(text.to_string()),
            footprint: lines(&footprint),
            rule: held.demand().rule.clone(),
            access: ask.access.to_string(),
            ..What::default()
        };
        let binding = held.binding().to_string();
        let request = self.request(
            RequestKind::Statement,
            subject,
            ask,
            &what,
            (held.demand(), binding),
        );
        let event = Event::new(
            context,
            Action::StatementHeld {
                statement: event::Statement {
                    statement: text.to_string().into(),
                    parameters: None,
                    footprint: Some(footprint),
                    decision: Some(record::reviewed(&view.policy, &what.rule)),
                },
                request: request.id.clone(),
                needed: request.needed,
                approvers: request.approvers.clone(),
                binding: request.binding.clone(),
            },
        );
        self.desk.open(request.clone(), event, None).await?;
        Ok(request)
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
        let filter = RequestFilter {
            subject: Some(subject.id.clone()),
            states: vec![RequestState::Pending, RequestState::Approved],
            ..RequestFilter::default()
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
        let request = self.request(RequestKind::Session, subject, ask, &what, (demand, binding));
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
        kind: RequestKind,
        subject: &Subject,
        ask: &Ask,
        what: &What,
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
            state: RequestState::Pending,
            needed: demand.needed,
            approvers: demand.approvers.iter().cloned().collect(),
            approvals: Vec::new(),
            denial: None,
            created: now,
            expires: now.after(demand.expires),
        }
    }

    /// The approval that a session brought along for this statement, used up by this call; none = there is none, or it is for
    /// something else.
    ///
    /// # Errors
    /// When the use cannot be recorded or kept; then it is not used.
    pub async fn approval(
        &self,
        session: &Session,
        binding: &Binding,
    ) -> Result<Option<Approval>, Error> {
        let Some(id) = session.request.as_ref().filter(|_| !session.approved) else {
            return Ok(None);
        };
        let used = self
            .desk
            .spend(id.clone(), session.subject.id.clone(), binding.to_string())
            .await?;
        Ok(used.map(|request| approval(&request, binding)))
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
        filter: &RequestFilter,
    ) -> Result<Vec<Request>, Error> {
        let mut found = self.core.store.requests(filter).await?;
        found.retain(|request| self.may_see(viewer, request));
        Ok(found)
    }

    fn may_see(&self, viewer: &Subject, request: &Request) -> bool {
        request.subject.id == viewer.id
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

    /// Takes one's own request back.
    ///
    /// # Errors
    /// When it is somebody else's, or decided already.
    pub async fn withdraw(&self, id: &RequestId, subject: &SubjectId) -> Result<Request, Error> {
        self.desk.withdraw(id.clone(), subject.clone()).await
    }
}

/// Whether they are in a group that may decide it. Agents decide nothing: an approval is a person's.
fn may_decide(viewer: &Subject, request: &Request) -> bool {
    viewer.kind != crate::model::subject::SubjectKind::Agent
        && request
            .approvers
            .iter()
            .any(|group| viewer.groups.contains(group))
}

/// What the approvers agreed to, for the decision: the tightest maximum counts.
fn approval(request: &Request, binding: &Binding) -> Approval {
    Approval {
        request: request.id.clone(),
        binding: binding.clone(),
        max_rows: request
            .approvals
            .iter()
            .filter_map(|given| given.max_rows)
            .min(),
        given: request
            .approvals
            .iter()
            .map(|given| Consent {
                by: given.approver.clone(),
                at: given.at,
                max_rows: given.max_rows,
            })
            .collect(),
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
