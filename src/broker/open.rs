//! How a session begins, goes on and is ended by people: asked for, granted, opened, renewed, taken up after a restart, killed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::audit::event::{Action, Client, Context, Event};
use crate::broker::lease::{self, Command};
use crate::broker::place::Place;
use crate::broker::session::{Session, Terms};
use crate::broker::{Ask, Broker, Error, Handle, record, request};
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject::Subject;
use crate::model::time::Timestamp;
use crate::policy::document::allow::Power;
use crate::policy::open::{self, Grant, Opening};
use crate::policy::{Demand, Policy};
use crate::store;
use crate::store::request::Request;
use crate::store::session::{self, Credential, Phase};
use crate::store::token::Digest;
use crate::wire::scram::{CLIENT_ITERATIONS, Verifier};

/// What came of asking for a session.
#[derive(Debug)]
pub enum Outcome {
    /// It is open.
    Granted {
        /// The session.
        session: Arc<Session>,
        /// What its clients prove to know; it is shown once.
        secret: Secret<String>,
    },
    /// People have to agree first.
    Pending(Box<Request>),
}

impl Ask {
    /// What an open session was asked for.
    pub(super) fn of(session: &Session) -> Self {
        Self {
            database: session.database.clone(),
            reason: Some(session.reason.clone()).filter(|reason| !reason.is_empty()),
            duration: Some(Duration::from_secs(session.terms.seconds)),
            access: session.access,
            request: session.request.clone(),
            family: session.family.clone(),
        }
    }

    /// Why, unless nothing was said.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref().filter(|reason| !reason.is_empty())
    }

    /// The question to the policy.
    pub(super) fn question<'a>(
        &'a self,
        subject: &'a Subject,
        database: &'a DatabaseName,
        approved: bool,
        now: Timestamp,
    ) -> open::Ask<'a> {
        open::Ask {
            subject,
            database,
            access: self.access,
            duration: self.duration,
            reason: self.reason(),
            approved,
            now,
        }
    }
}

impl Broker {
    /// Opens a session, or puts it up for review.
    ///
    /// # Errors
    /// When the policy refuses it, the approval it brings does not fit, or the lease cannot be made.
    pub async fn open_session(
        &self,
        subject: &Subject,
        ask: Ask,
        client: Option<Client>,
    ) -> Result<Outcome, Error> {
        if *self.stopping.borrow() {
            return Err(Error::Stopping);
        }
        let place = Arc::clone(self.place(subject, &ask.database)?);
        let context = record::asked(subject, Some(&ask.database), ask.reason(), client.clone());
        let requested = Action::SessionRequested {
            access: ask.access,
            seconds: ask.duration.map(|span| span.as_secs()),
        };
        // Not waited for: what follows is appended behind it, and waited for.
        self.core
            .log
            .enqueue(Event::new(context.clone(), requested))?;
        let policy = self.policy();
        let now = self.core.clock.now();
        let mut opening = open::open(&policy, &ask.question(subject, &ask.database, false, now));
        let mut approved = None;
        match (&opening, &ask.request) {
            (Opening::Review(demand), Some(id)) => {
                approved = self.use_approval(subject, &ask, (id, demand)).await?;
            }
            // It is for a statement, and used by that.
            (Opening::Granted(_), Some(id)) => drop(self.own_request(subject, id).await?),
            _ => {}
        }
        if approved.is_some() {
            opening = open::open(&policy, &ask.question(subject, &ask.database, true, now));
        }
        match opening {
            Opening::Refused(denial) => {
                let refused = Action::SessionRefused {
                    access: ask.access,
                    decision: Some(record::denied(&policy, &denial)),
                    error: denial.message.as_str().into(),
                };
                self.core.log.append(Event::new(context, refused)).await?;
                Err(Error::Denied(denial))
            }
            Opening::Review(demand) => {
                let request = self.request_session(subject, &ask, &demand, client).await?;
                Ok(Outcome::Pending(Box::new(request)))
            }
            Opening::Granted(grant) => {
                self.grant(
                    (subject, client),
                    ask,
                    &place,
                    (&policy, &grant, approved.as_ref()),
                )
                .await
            }
        }
    }

    /// Uses up the approval of a session that is about to be opened. A request for a statement stays for the statement.
    async fn use_approval(
        &self,
        subject: &Subject,
        ask: &Ask,
        (id, demand): (&RequestId, &Demand),
    ) -> Result<Option<Request>, Error> {
        let request = self.own_request(subject, id).await?;
        match (request.kind, request.state) {
            (store::request::Kind::Statement, _)
            | (store::request::Kind::Session, store::request::State::Pending) => Ok(None),
            (store::request::Kind::Session, store::request::State::Approved) => {
                // The policy may ask for other people by now than those who agreed.
                let given = request.approvals.iter().map(|given| &given.approver);
                if !demand.is_met_by(given) {
                    return Err(Error::OtherRequest);
                }
                let binding = request::session_binding(subject, ask);
                let used = self
                    .desk
                    .spend(id.clone(), subject.id.clone(), binding)
                    .await?;
                used.map(Some).ok_or(Error::OtherRequest)
            }
            (store::request::Kind::Session, state) => Err(Error::Settled(state)),
        }
    }

    /// A request of their own; somebody else's is none.
    pub(super) async fn own_request(
        &self,
        subject: &Subject,
        id: &RequestId,
    ) -> Result<Request, Error> {
        let found = self.core.store.request(id).await?;
        found
            .filter(|request| request.subject.is(subject))
            .ok_or_else(|| Error::NoRequest(id.clone()))
    }

    async fn grant(
        &self,
        (subject, client): (&Subject, Option<Client>),
        ask: Ask,
        place: &Arc<Place>,
        (policy, grant, approved): (&Policy, &Grant, Option<&Request>),
    ) -> Result<Outcome, Error> {
        let now = self.core.clock.now();
        let (secret, verifier) = self.credential()?;
        let terms = Terms::new(grant, approved.is_some());
        let kept = session::Session {
            id: SessionId::random(&*self.core.entropy),
            subject: subject.clone(),
            family: ask.family,
            database: ask.database,
            access: ask.access,
            reason: ask.reason.unwrap_or_default(),
            opened: now,
            ends: now.after(grant.duration),
            state: session::State::Opening,
            role: None,
            credential: credential(&secret, &verifier),
            request: ask.request,
            grant: serde_json::to_string(&terms).map_err(|_| Error::Internal)?,
        };
        let clock = Arc::clone(&self.core.clock);
        let session = Arc::new(Session::new(
            &kept,
            terms,
            verifier,
            Arc::clone(place),
            clock,
        ));
        let granted = Action::SessionGranted {
            access: session.access,
            ends: kept.ends,
            decision: record::allowed(policy, &grant.rules),
            roles: grant.roles.clone(),
            request: kept.request.clone(),
            approvals: approved.map(record::consents).unwrap_or_default(),
        };
        let context = record::from(&session, client);
        self.core.log.append(Event::new(context, granted)).await?;
        self.core.store.add_session(&kept).await?;
        let handle = self.keep(&session, None);
        let (signed_in, ready) =
            tokio::join!(self.is_signed_in(&session), self.make_ready(&handle));
        let ready = match signed_in {
            Ok(true) => ready,
            Ok(false) => Err(Error::Over(CloseReason::LoggedOut)),
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => Ok(Outcome::Granted { session, secret }),
            Err(error) => {
                let why = match &error {
                    Error::Over(why) => why.clone(),
                    _ => CloseReason::Ended,
                };
                self.end(&handle, why).await;
                // Over before it began: by a clock of the database that is ahead of ours.
                Err(match (error, session.place().skew()) {
                    (Error::Over(CloseReason::Expired), Some(skew)) if skew >= grant.duration => {
                        Error::Skew(skew)
                    }
                    (error, _) => error,
                })
            }
        }
    }

    /// Makes the lease and opens the session.
    async fn make_ready(&self, handle: &Handle) -> Result<(), Error> {
        let session = &handle.session;
        let (reply, made) = oneshot::channel();
        let sent = handle.mailbox.send(Command::Prepare(reply)).await;
        sent.map_err(|_| Error::Stopping)?;
        let role = made.await.unwrap_or(Err(Error::Stopping))?;
        if session.left().is_zero()
            && let Some(skew) = session.place().skew()
        {
            return Err(Error::Skew(skew));
        }
        let opened = record::event(session, Action::SessionOpened { role });
        let recorded = self.core.log.append(opened);
        let kept = self.core.store.open_session(&session.id);
        let (recorded, kept) = tokio::join!(recorded, kept);
        recorded?;
        if kept? {
            Ok(())
        } else {
            Err(Error::Over(session.over().unwrap_or(CloseReason::Ended)))
        }
    }

    /// Starts a session's task.
    fn keep(&self, session: &Arc<Session>, last: Option<&str>) -> Handle {
        let handle = Handle {
            session: Arc::clone(session),
            mailbox: lease::spawn(&self.core, session, last),
        };
        self.sessions().insert(session.id.clone(), handle.clone());
        handle
    }

    /// A new secret for a session's clients, and what checks it.
    fn credential(&self) -> Result<(Secret<String>, Verifier), Error> {
        let secret = self.core.secret();
        let mut salt = [0; 16];
        self.core.entropy.fill(&mut salt);
        let verifier =
            Verifier::new(&secret, &salt, CLIENT_ITERATIONS).map_err(|_| Error::Internal)?;
        Ok((secret, verifier))
    }

    /// Takes up the sessions of an earlier run whose end has not come, and finishes the others.
    pub(super) async fn take_up(self: &Arc<Self>) -> Result<(), Error> {
        let filter = session::Filter {
            phase: Phase::Unfinished,
            ..session::Filter::default()
        };
        for kept in self.core.store.sessions(&filter).await? {
            let now = self.core.clock.now();
            let end = match &kept.state {
                session::State::Closing { why, .. } => Some(why.clone()),
                // Nobody was ever given its secret.
                session::State::Opening => Some(CloseReason::Ended),
                session::State::Open if kept.ends <= now => Some(CloseReason::Expired),
                session::State::Open => None,
                session::State::Closed { .. } => continue,
            };
            let revived = self.revive(&kept);
            match (end, revived) {
                (None, Some(session)) if self.still_allows(&self.policy(), &session) => {
                    self.keep(&session, kept.role.as_deref());
                }
                (None, _) => self.finish_kept(&kept, &CloseReason::PolicyChanged).await,
                (Some(why), _) => self.finish_kept(&kept, &why).await,
            }
        }
        Ok(())
    }

    /// `None` when its database is not offered any more, or it cannot be read.
    fn revive(&self, kept: &session::Session) -> Option<Arc<Session>> {
        let place = self.places.get(&kept.database)?;
        let terms: Terms = serde_json::from_str(&kept.grant).ok()?;
        let verifier = Verifier::parse(kept.credential.verifier.expose()).ok()?;
        let clock = Arc::clone(&self.core.clock);
        let session = Session::new(kept, terms, verifier, Arc::clone(place), clock);
        Some(Arc::new(session))
    }

    /// Finishes the end of a session that has no lease and no task.
    pub(super) async fn finish_kept(&self, kept: &session::Session, why: &CloseReason) {
        let now = self.core.clock.now();
        let finished = async {
            self.core.store.begin_close(&kept.id, why, now).await?;
            let mut context = record::asked(
                &kept.subject,
                Some(&kept.database),
                Some(kept.reason.as_str()).filter(|reason| !reason.is_empty()),
                None,
            );
            context.session = Some(kept.id.clone());
            let closed = Action::SessionClosed { end: why.clone() };
            self.core.log.append(Event::new(context, closed)).await?;
            self.core.store.finish_close(&kept.id, now).await?;
            Ok::<(), Error>(())
        };
        if let Err(error) = finished.await {
            tracing::error!(session = kept.id.as_str(), %error, "the end of a session could not be finished yet");
        }
    }

    /// Whether a policy gives a session the rights it has.
    pub(super) fn still_allows(&self, policy: &Policy, session: &Session) -> bool {
        let ask = Ask::of(session);
        let now = self.core.clock.now();
        match open::open(
            policy,
            &ask.question(&session.subject, &session.database, session.approved, now),
        ) {
            Opening::Granted(grant) => session.terms.gives_as(&grant),
            Opening::Review(_) | Opening::Refused(_) => false,
        }
    }

    /// Moves the end of a session, as far as the policy of this moment lets it last: never further than the longest it could
    /// have been asked for at its opening.
    ///
    /// # Errors
    /// When the session is somebody else's, over, or the policy gives it other rights now.
    pub async fn renew(
        &self,
        subject: &Subject,
        id: &SessionId,
        duration: Option<Duration>,
    ) -> Result<Arc<Session>, Error> {
        let handle = self.handle(id).ok_or(Error::NoSession)?;
        let session = handle.session;
        if !session.subject.is(subject) {
            return Err(Error::NoSession);
        }
        if let Some(why) = session.over() {
            return Err(Error::Over(why));
        }
        let now = self.core.clock.now();
        let asked = duration.unwrap_or(Duration::from_secs(session.terms.seconds));
        let ask = Ask {
            duration: Some(asked),
            ..Ask::of(&session)
        };
        // The groups of now count, not those of the opening.
        let question = ask.question(subject, &session.database, session.approved, now);
        let grant = match open::open(&self.policy(), &question) {
            Opening::Granted(grant) => grant,
            Opening::Refused(denial) => return Err(Error::Denied(denial)),
            Opening::Review(_) => return Err(Error::OtherTerms),
        };
        if !session.terms.gives_as(&grant) {
            return Err(Error::OtherTerms);
        }
        let before = session.ends();
        let longest = Duration::from_secs(session.terms.longest).min(grant.longest);
        let ends = renewed(session.opened, now, grant.duration, longest).max(before);
        if ends > before {
            let renewed = Action::SessionRenewed { ends };
            self.core
                .log
                .append(record::event(&session, renewed))
                .await?;
            if !self.core.store.renew_session(id, before, ends).await? {
                return Err(session.over().map_or(Error::OtherTerms, Error::Over));
            }
            session.set_end(ends);
        }
        Ok(session)
    }

    /// Gives a session a new secret; the old one is worth nothing from then on.
    ///
    /// # Errors
    /// When the session is somebody else's or over.
    pub async fn replace_secret(
        &self,
        subject: &Subject,
        id: &SessionId,
    ) -> Result<Secret<String>, Error> {
        let handle = self.handle(id).ok_or(Error::NoSession)?;
        if !handle.session.subject.is(subject) {
            return Err(Error::NoSession);
        }
        let (secret, verifier) = self.credential()?;
        let credential = credential(&secret, &verifier);
        if !self.core.store.replace_credential(id, &credential).await? {
            return Err(Error::NoSession);
        }
        handle.session.set_verifier(verifier);
        Ok(secret)
    }

    /// Ends a session: one's own, or somebody else's where the policy allows that. Returns after its lease is gone.
    ///
    /// # Errors
    /// When there is no such open session for them.
    pub async fn end_session(
        &self,
        actor: &Subject,
        id: &SessionId,
        client: Option<Client>,
    ) -> Result<(), Error> {
        let handle = self.handle(id).ok_or(Error::NoSession)?;
        let session = &handle.session;
        let own = is_theirs(&session.subject, actor);
        if !own
            && !open::may(
                &self.policy(),
                actor,
                Power::Sessions,
                self.core.clock.now(),
            )
        {
            return Err(Error::NoSession);
        }
        // Each command ends its session when it is done: nobody was thrown out.
        let action = if session.subject.is(actor) {
            Action::SessionEnded
        } else {
            let owner = (&session.subject).into();
            Action::SessionKilled { owner }
        };
        let context = Context {
            subject: Some(actor.into()),
            ..record::from(session, client)
        };
        let event = Event::new(context, action);
        // Access ends also when the log cannot be written; it is recorded once that can be.
        if let Err(error) = self.core.log.append(event.clone()).await {
            tracing::error!(%error, "the end of a session could not be recorded");
            self.core.log.enqueue(event).ok();
        }
        let why = if own {
            CloseReason::Ended
        } else {
            CloseReason::Killed {
                by: actor.display.clone(),
            }
        };
        self.end(&handle, why).await;
        Ok(())
    }

    /// Records a logout that is about to end the sessions of a login, or none.
    pub async fn record_logout(&self, family: Option<&str>, context: Context) {
        let handles = family.map_or(0, |family| self.handles_of(family).len());
        let sessions = u32::try_from(handles).unwrap_or(u32::MAX);
        let event = Event::new(context, Action::LoggedOut { sessions });
        // Sessions end also when the log cannot be written; it is recorded once that can be.
        if let Err(error) = self.core.log.append(event.clone()).await {
            tracing::error!(%error, "a logout could not be recorded");
            self.core.log.enqueue(event).ok();
        }
    }

    /// Ends the sessions of a login whose tokens are worth nothing any more; says how many.
    pub async fn log_out(&self, family: &str) -> u32 {
        let handles = self.handles_of(family);
        for handle in &handles {
            handle.session.close(&CloseReason::LoggedOut);
        }
        for handle in &handles {
            self.end(handle, CloseReason::LoggedOut).await;
        }
        u32::try_from(handles.len()).unwrap_or(u32::MAX)
    }

    fn handles_of(&self, family: &str) -> Vec<Handle> {
        let mut handles = self.handles();
        handles.retain(|handle| handle.session.family.as_deref() == Some(family));
        handles
    }

    /// Whether the login a session was asked for with goes on. It is asked after the session is there for [`Self::log_out`] to
    /// find, so that a logout at the same moment misses none.
    async fn is_signed_in(&self, session: &Session) -> Result<bool, Error> {
        match &session.family {
            Some(family) => Ok(self.core.store.has_family(family).await?),
            None => Ok(true),
        }
    }

    /// Sessions the viewer may see: their own, and everybody's where the policy allows that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_sessions(
        &self,
        viewer: &Subject,
        filter: &session::Filter,
    ) -> Result<Vec<session::Session>, Error> {
        let all = open::may(
            &self.policy(),
            viewer,
            Power::Sessions,
            self.core.clock.now(),
        );
        let mut found = self.core.store.sessions(filter).await?;
        found.retain(|session| all || is_theirs(&session.subject, viewer));
        Ok(found)
    }

    /// An open session.
    #[must_use]
    pub fn session(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.handle(id).map(|handle| handle.session)
    }
}

/// Whether a session is somebody's own, or was opened on their behalf.
fn is_theirs(subject: &Subject, who: &Subject) -> bool {
    subject.is(who) || who.behalf.is_none() && subject.behalf.as_ref() == Some(&who.id)
}

fn credential(secret: &Secret<String>, verifier: &Verifier) -> Credential {
    Credential {
        verifier: verifier.to_text(),
        digest: Digest::of(secret.expose().as_bytes()),
    }
}

/// The end of a session that is renewed at `now`: never past the longest it may last from its opening.
#[must_use]
pub fn renewed(opened: Timestamp, now: Timestamp, asked: Duration, longest: Duration) -> Timestamp {
    now.after(asked).min(opened.after(longest))
}
