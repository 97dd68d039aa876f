//! The one task that decides requests: whatever races for the same request is served one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::audit::event::private::Private;
use crate::audit::event::{Action, Context, Event};
use crate::broker::request::What;
use crate::broker::request::approver::check;
use crate::broker::request::brought::approval;
use crate::broker::request::webhook::Hook;
use crate::broker::{Core, Error};
use crate::model::session::RequestId;
use crate::model::subject::{self, Subject};
use crate::policy::Approval as Agreed;
use crate::policy::binding::Binding;
use crate::store::request::{self, Approval, Denial, Request, Settled, Spend};

/// How many may wait for the desk: each waits for the disk at most a few times.
const MAILBOX: usize = 256;
/// How often requests are looked through for those whose time is up, or whose client is gone.
const LOOK: Duration = Duration::from_secs(1);

/// Where to reach the desk.
pub(in crate::broker) type Mailbox = mpsc::Sender<Command>;

/// What came of a statement that waited.
#[derive(Debug)]
pub enum Outcome {
    /// It may run, once, now; the approval is used up.
    Approved(Box<Agreed>),
    /// Somebody said no.
    Denied {
        /// Who, for people to read.
        by: String,
        /// Why.
        reason: String,
    },
    /// Nobody decided in time.
    Expired,
    /// The request waits on, the client does not.
    Kept,
    /// It was taken back, or the broker stops.
    Withdrawn,
}

/// What an approver says.
#[derive(Debug, Clone)]
pub(in crate::broker) enum Verdict {
    /// Yes.
    Approve {
        /// Why.
        reason: Option<String>,
        /// The most rows.
        max_rows: Option<u64>,
    },
    /// No.
    Deny {
        /// Why.
        reason: String,
    },
}

/// What the desk is asked.
#[derive(Debug)]
pub(in crate::broker) enum Command {
    /// Record and keep a request; tell approvers.
    Open {
        request: Box<Request>,
        event: Box<Event>,
        waiter: Option<oneshot::Sender<Outcome>>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Decide one.
    Decide {
        id: RequestId,
        approver: Box<Subject>,
        verdict: Verdict,
        reply: oneshot::Sender<Result<Request, Error>>,
    },
    /// Use an approval up.
    Spend {
        id: RequestId,
        subject: subject::Id,
        binding: String,
        reply: oneshot::Sender<Result<Option<Request>, Error>>,
    },
    /// Take one back.
    Withdraw {
        id: RequestId,
        subject: subject::Id,
        reply: oneshot::Sender<Result<Request, Error>>,
    },
    /// Let one wait on without its client.
    Keep {
        id: RequestId,
        subject: subject::Id,
        reply: oneshot::Sender<Result<Request, Error>>,
    },
    /// The client that waited is gone.
    Abandoned(RequestId),
    /// The client has waited as long as it may.
    Overdue(RequestId),
}

/// The way to the desk.
#[derive(Debug)]
pub struct Desk(Mailbox);

impl Desk {
    /// Starts the task.
    pub(in crate::broker) fn start(core: &Arc<Core>, hook: Option<Hook>) -> Self {
        let (mailbox, commands) = mpsc::channel(MAILBOX);
        let clerk = Clerk {
            core: Arc::clone(core),
            hook,
            waiting: HashMap::new(),
        };
        core.spawn(clerk.run(commands));
        Self(mailbox)
    }

    pub(in crate::broker) fn mailbox(&self) -> Mailbox {
        self.0.clone()
    }

    pub(in crate::broker) async fn open(
        &self,
        request: Request,
        event: Event,
        waiter: Option<oneshot::Sender<Outcome>>,
    ) -> Result<(), Error> {
        self.ask(|reply| Command::Open {
            request: Box::new(request),
            event: Box::new(event),
            waiter,
            reply,
        })
        .await
    }

    pub(in crate::broker) async fn decide(
        &self,
        id: RequestId,
        approver: Subject,
        verdict: Verdict,
    ) -> Result<Request, Error> {
        self.ask(|reply| Command::Decide {
            id,
            approver: Box::new(approver),
            verdict,
            reply,
        })
        .await
    }

    pub(in crate::broker) async fn spend(
        &self,
        id: RequestId,
        subject: subject::Id,
        binding: String,
    ) -> Result<Option<Request>, Error> {
        self.ask(|reply| Command::Spend {
            id,
            subject,
            binding,
            reply,
        })
        .await
    }

    pub(in crate::broker) async fn withdraw(
        &self,
        id: RequestId,
        subject: subject::Id,
    ) -> Result<Request, Error> {
        self.ask(|reply| Command::Withdraw { id, subject, reply })
            .await
    }

    pub(in crate::broker) async fn keep(
        &self,
        id: RequestId,
        subject: subject::Id,
    ) -> Result<Request, Error> {
        self.ask(|reply| Command::Keep { id, subject, reply }).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(command(reply)).await;
        sent.map_err(|_| Error::Stopping)?;
        answer.await.unwrap_or(Err(Error::Stopping))
    }
}

/// The task's own state.
struct Clerk {
    core: Arc<Core>,
    hook: Option<Hook>,
    /// Clients that wait in their connections.
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
}

impl Clerk {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.forget_the_held().await;
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.serve(command).await,
                    None => return,
                },
                _ = ticks.tick() => self.look().await,
            }
        }
    }

    async fn serve(&mut self, command: Command) {
        match command {
            Command::Open {
                request,
                event,
                waiter,
                reply,
            } => {
                let opened = self.open(*request, *event, waiter).await;
                let _gone = reply.send(opened);
            }
            Command::Decide {
                id,
                approver,
                verdict,
                reply,
            } => {
                let decided = self.decide(&id, &approver, verdict).await;
                let _gone = reply.send(decided);
            }
            Command::Spend {
                id,
                subject,
                binding,
                reply,
            } => {
                let spent = self.spend(&id, subject, binding).await;
                let _gone = reply.send(spent);
            }
            Command::Withdraw { id, subject, reply } => {
                let withdrawn = self.withdraw(&id, &subject).await;
                let _gone = reply.send(withdrawn);
            }
            Command::Keep { id, subject, reply } => {
                let kept = self.keep(&id, &subject).await;
                let _gone = reply.send(kept);
            }
            Command::Abandoned(id) => self.abandon(&id).await,
            Command::Overdue(id) => self.overdue(&id).await,
        }
    }

    async fn open(
        &mut self,
        request: Request,
        event: Event,
        waiter: Option<oneshot::Sender<Outcome>>,
    ) -> Result<(), Error> {
        self.core.log.append(event).await?;
        self.core.store.add_request(&request).await?;
        if let Some(waiter) = waiter {
            self.waiting.insert(request.id.clone(), waiter);
        }
        if let Some(hook) = &self.hook {
            hook.tell(&request);
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        id: &RequestId,
        approver: &Subject,
        verdict: Verdict,
    ) -> Result<Request, Error> {
        let request = self.find(id).await?;
        check(&request, approver, self.core.clock.now())?;
        match verdict {
            Verdict::Approve { reason, max_rows } => {
                self.approve(request, approver, reason, max_rows).await
            }
            Verdict::Deny { reason } => self.deny(request, approver, reason).await,
        }
    }

    async fn approve(
        &mut self,
        request: Request,
        approver: &Subject,
        reason: Option<String>,
        max_rows: Option<u64>,
    ) -> Result<Request, Error> {
        if max_rows.is_some() && !What::of(&request).countable {
            return Err(Error::Uncounted);
        }
        let have = u32::try_from(request.approvals.len()).unwrap_or(u32::MAX);
        let action = Action::RequestApproved {
            request: request.id.clone(),
            have: have.saturating_add(1),
            needed: request.needed,
            max_rows,
            note: reason.as_deref().map(Private::from),
        };
        self.record(Some(approver), &request, action).await?;
        let given = Approval {
            approver: approver.clone(),
            reason,
            max_rows,
            at: self.core.clock.now(),
        };
        let request = settled(self.core.store.approve(&request.id, &given).await?)?;
        if request.state == request::State::Approved && self.waiting.contains_key(&request.id) {
            return self.let_go(request).await;
        }
        Ok(request)
    }

    /// Uses the approval up and lets the statement that waits run.
    async fn let_go(&mut self, request: Request) -> Result<Request, Error> {
        let Some(waiter) = self.waiting.remove(&request.id) else {
            return Ok(request);
        };
        let binding: Binding = request.binding.parse().map_err(|_| Error::Internal)?;
        if waiter.is_closed() {
            self.take_back(&request).await?;
            return Ok(request);
        }
        let subject = request.subject.id.clone();
        let Some(used) = self
            .spend(&request.id, subject, request.binding.clone())
            .await?
        else {
            let _gone = waiter.send(Outcome::Expired);
            return Ok(request);
        };
        let agreed = approval(&used, &binding);
        let _gone = waiter.send(Outcome::Approved(Box::new(agreed)));
        Ok(used)
    }

    async fn deny(
        &mut self,
        request: Request,
        approver: &Subject,
        reason: String,
    ) -> Result<Request, Error> {
        let action = Action::RequestDenied {
            request: request.id.clone(),
            note: reason.as_str().into(),
        };
        self.record(Some(approver), &request, action).await?;
        let denial = Denial {
            by: approver.clone(),
            reason: reason.clone(),
            at: self.core.clock.now(),
        };
        let request = settled(self.core.store.deny(&request.id, &denial).await?)?;
        if let Some(waiter) = self.waiting.remove(&request.id) {
            let by = approver.display.clone();
            let _gone = waiter.send(Outcome::Denied { by, reason });
        }
        Ok(request)
    }

    /// Records the use, then makes it; nothing but an exact match is used.
    async fn spend(
        &self,
        id: &RequestId,
        subject: subject::Id,
        binding: String,
    ) -> Result<Option<Request>, Error> {
        let now = self.core.clock.now();
        let Some(request) = self.core.store.request(id).await? else {
            return Ok(None);
        };
        let fits = request.state == request::State::Approved
            && request.subject.id == subject
            && request.binding == binding
            && request.expires > now;
        if !fits {
            return Ok(None);
        }
        let action = Action::RequestUsed {
            request: id.clone(),
        };
        self.record(Some(&request.subject), &request, action)
            .await?;
        let spend = Spend {
            subject,
            binding,
            now,
        };
        match self.core.store.spend(id, &spend).await? {
            Settled::Done(request) => Ok(Some(request)),
            _ => Ok(None),
        }
    }

    async fn withdraw(&mut self, id: &RequestId, subject: &subject::Id) -> Result<Request, Error> {
        let request = self.find(id).await?;
        if request.subject.id != *subject {
            return Err(Error::NoRequest(id.clone()));
        }
        let request = self.take_back(&request).await?;
        if let Some(waiter) = self.waiting.remove(id) {
            let _gone = waiter.send(Outcome::Withdrawn);
        }
        Ok(request)
    }

    async fn keep(&mut self, id: &RequestId, subject: &subject::Id) -> Result<Request, Error> {
        let request = self.find(id).await?;
        if request.subject.id != *subject {
            return Err(Error::NoRequest(id.clone()));
        }
        let waits = self.waiting.contains_key(id) && request.state == request::State::Pending;
        if !waits {
            return Err(Error::Settled(request.state));
        }
        let mut what = What::of(&request);
        what.held = false;
        let expires = request.created.after(Duration::from_secs(what.patience));
        let action = Action::RequestKept {
            request: id.clone(),
            expires,
        };
        self.record(Some(&request.subject), &request, action)
            .await?;
        // Plain text, numbers and lists: cannot fail.
        let what = serde_json::to_string(&what).unwrap_or_default();
        let kept = settled(self.core.store.keep_request(id, &what, expires).await?)?;
        if let Some(waiter) = self.waiting.remove(id) {
            let _gone = waiter.send(Outcome::Kept);
        }
        Ok(kept)
    }

    /// Its time is up by the clock of the connection, which need not be that of the wall.
    async fn overdue(&mut self, id: &RequestId) {
        if let Err(error) = self.expire().await {
            tracing::error!(%error, "requests could not be looked through");
        }
        if let Some(waiter) = self.waiting.remove(id) {
            let _gone = waiter.send(Outcome::Expired);
            let done = async {
                let request = self.find(id).await?;
                self.take_back(&request).await
            };
            if let Err(error) = done.await {
                tracing::warn!(request = id.as_str(), %error, "a request could not be withdrawn");
            }
        }
    }

    async fn abandon(&mut self, id: &RequestId) {
        if self.waiting.remove(id).is_none() {
            return;
        }
        let done = async {
            let request = self.find(id).await?;
            self.take_back(&request).await
        };
        if let Err(error) = done.await {
            // It stays pending without anybody who waits; its time will be up.
            tracing::warn!(request = id.as_str(), %error, "a request could not be withdrawn");
        }
    }

    async fn take_back(&self, request: &Request) -> Result<Request, Error> {
        if !matches!(
            request.state,
            request::State::Pending | request::State::Approved
        ) {
            return Err(Error::Settled(request.state));
        }
        let action = Action::RequestWithdrawn {
            request: request.id.clone(),
        };
        self.record(Some(&request.subject), request, action).await?;
        settled(self.core.store.withdraw(&request.id).await?)
    }

    /// Statements that were held when the broker last stopped: their connections are gone, they never run.
    async fn forget_the_held(&self) {
        let filter = request::Filter {
            states: vec![request::State::Pending, request::State::Approved],
            ..request::Filter::default()
        };
        let waiting = self.core.store.requests(&filter).await.unwrap_or_default();
        let held =
            |request: &&Request| request.kind == request::Kind::Statement && What::of(request).held;
        for request in waiting.iter().filter(held) {
            if let Err(error) = self.take_back(request).await {
                tracing::warn!(request = request.id.as_str(), %error, "a held statement could not be withdrawn");
            }
        }
    }

    /// Ends what nobody decided in time, and what nobody waits for any more.
    async fn look(&mut self) {
        let gone: Vec<RequestId> = self
            .waiting
            .iter()
            .filter(|(_, waiter)| waiter.is_closed())
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.abandon(&id).await;
        }
        if let Err(error) = self.expire().await {
            tracing::error!(%error, "requests could not be looked through");
        }
    }

    /// Ends those whose time is up: first the records, then the act.
    async fn expire(&mut self) -> Result<(), Error> {
        let now = self.core.clock.now();
        let filter = request::Filter {
            states: vec![request::State::Pending, request::State::Approved],
            ..request::Filter::default()
        };
        let mut due = self.core.store.requests(&filter).await?;
        due.retain(|request| request.expires <= now);
        if due.is_empty() {
            return Ok(());
        }
        for request in due {
            let action = Action::RequestExpired {
                request: request.id.clone(),
            };
            self.record(None, &request, action).await?;
        }
        for request in self.core.store.expire_requests(now).await? {
            if let Some(waiter) = self.waiting.remove(&request.id) {
                let _gone = waiter.send(Outcome::Expired);
            }
        }
        Ok(())
    }

    async fn find(&self, id: &RequestId) -> Result<Request, Error> {
        let found = self.core.store.request(id).await?;
        found.ok_or_else(|| Error::NoRequest(id.clone()))
    }

    async fn record(
        &self,
        actor: Option<&Subject>,
        request: &Request,
        action: Action,
    ) -> Result<(), Error> {
        let context = Context {
            subject: actor.map(Into::into),
            session: request.session.clone(),
            database: Some(request.database.clone()),
            reason: Some(request.reason.as_str())
                .filter(|reason| !reason.is_empty())
                .map(Private::from),
            ..Context::default()
        };
        self.core.log.append(Event::new(context, action)).await?;
        Ok(())
    }
}

/// The request as it is now, or why it did not change.
fn settled(settled: Settled) -> Result<Request, Error> {
    match settled {
        Settled::Done(request) => Ok(request),
        Settled::Already(request) | Settled::Different(request) => {
            Err(Error::Settled(request.state))
        }
        Settled::Late(_) => Err(Error::Settled(request::State::Expired)),
        Settled::Twice(_) => Err(Error::Twice),
        Settled::Own(_) => Err(Error::OwnRequest),
        Settled::Missing => Err(Error::Internal),
    }
}
