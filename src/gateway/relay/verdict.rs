//! Answers what the session asks: analysis, policy, budget and record, with the policy and the catalog of this moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event::Event;
use crate::audit::event::footprint::Footprint;
use crate::broker::place::View;
use crate::gateway::cache;
use crate::gateway::intent::{self, Intent, Refused};
use crate::gateway::judge::{self, Asker, Denied, Finding, Leave, Moment};
use crate::gateway::relay::scope::{self, Look};
use crate::gateway::relay::{End, Relay};
use crate::gateway::reply;
use crate::gateway::session::run::{self, Decided, Lens, Run};
use crate::gateway::session::state::Definitions;
use crate::gateway::session::verdict::{Ask, Purpose, Settled, Transaction, Verdict};
use crate::gateway::session::{self, Outbox};
use crate::policy::Permit;
use crate::sql::footprint::Analyzed;
use crate::wire::backend::{Message, TransactionStatus};
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::frontend;
use crate::wire::row::DataRow;
use crate::work;

/// How long a permit of a `Bind` counts for the `Execute` behind it without a second look.
const FRESH: Duration = Duration::from_millis(200);
/// How long the upstream may take to tell what its connection looks like.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// How soon the catalog is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// For names that do not resolve: whoever sends many of them waits, and the database is spared.
    Slow,
}

/// What stops an answer: an error for the client, or the end.
pub(super) enum Stop {
    /// The client is told, and it is recorded.
    Told(Box<Fields>),
    /// The client is told; there is no log to record it in.
    Unrecorded,
    /// The connection ends.
    End(End),
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Fields> for Stop {
    fn from(fields: Fields) -> Self {
        Self::Told(Box::new(fields))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    pub(super) async fn verdict(&mut self, ask: Ask) -> Result<Verdict, End> {
        let answered = match &ask.purpose {
            Purpose::Again(run) => self.again(*run, &ask).await,
            Purpose::Query { .. } | Purpose::Prepare { .. } | Purpose::Bind { .. } => {
                self.decide(&ask).await
            }
        };
        match answered {
            Ok(verdict) => Ok(verdict),
            Err(Stop::Told(fields)) => {
                let refused = Refused {
                    text: &self.text_of(&ask.purpose),
                    purpose: Some(&ask.purpose),
                    footprint: None,
                    decision: None,
                    request: None,
                    fields: &fields,
                };
                self.record_refusal(&refused).await;
                Ok(Verdict::Refused((*fields).into()))
            }
            Err(Stop::Unrecorded) => Ok(Verdict::Refused(reply::unrecorded().into())),
            Err(Stop::End(end)) => Err(end),
        }
    }

    fn text_of(&self, purpose: &Purpose) -> String {
        match purpose {
            Purpose::Again(run) => {
                let run = self.session.run(*run);
                run.map_or("", |run| run.intent().permit().statement().text())
            }
            Purpose::Query { .. } | Purpose::Prepare { .. } | Purpose::Bind { .. } => {
                intent::text_of(purpose)
            }
        }
        .to_owned()
    }

    /// Records that something was refused. It is refused all the same when that can't be recorded; then it is recorded as soon as it can.
    pub(super) async fn record_refusal(&self, refused: &Refused<'_>) {
        self.gateway.metrics.refused();
        let log = self.gateway.broker.log();
        let action = work::aside(refused.text.len(), || refused.to_action());
        let event = Event::new((*self.context).clone(), action);
        if let Err(error) = log.append(event.clone()).await {
            tracing::error!(%error, "a refusal could not be recorded");
            log.enqueue(event).ok();
        }
    }

    async fn decide(&mut self, ask: &Ask) -> Result<Verdict, Stop> {
        let mut view = self.view().await?;
        let Some(found) = self.find(ask, &mut view, Leave::Nobodys).await? else {
            return Ok(Verdict::Settle);
        };
        match found {
            Finding::Allowed(permits) => {
                // A transaction of ours, and the use of an approval, begin when nothing else is under way.
                let ceiling = permits.iter().find_map(Permit::ceiling);
                let wants = ceiling
                    .is_some_and(|ceiling| ceiling.review && self.attachment.session.brings());
                let own = ceiling.is_some() && matches!(ask.purpose, Purpose::Query { .. });
                if (own || wants) && ask.settled == Settled::No {
                    return Ok(Verdict::Settle);
                }
                if wants && let Some(verdict) = self.above(ask, &mut view).await? {
                    return Ok(verdict);
                }
                self.permitted(permits, ask, &view).await
            }
            Finding::Preparable(facts) => Ok(Verdict::Prepared(facts)),
            Finding::Denied(denied) => self.denied(*denied, ask, &view).await,
            Finding::Unreadable(fields) => Err(fields.into()),
            Finding::Review(held) => match ask.settled {
                Settled::No => Ok(Verdict::Settle),
                Settled::Yes => self.review(*held, ask, view).await,
            },
        }
    }

    /// Policy, catalog and protection of this moment.
    pub(super) async fn view(&mut self) -> Result<View, Stop> {
        let place = Arc::clone(self.attachment.session.place());
        let view = match (self.session.state().definitions(), place.view()) {
            (Definitions::Known | Definitions::Uncommitted | Definitions::Own, Some(view)) => view,
            (Definitions::Doubted, Some(_)) => self.refreshed(Pace::Slow).await?,
            (Definitions::Outdated, _) | (_, None) => self.refreshed(Pace::AtOnce).await?,
        };
        let view = self.seen(view);
        self.session
            .state_mut()
            .wrote(self.budget.written(&view.catalog));
        let known = self
            .trusted
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, &view.policy));
        if !known {
            let database = &self.attachment.session.database;
            let trusted: BTreeSet<_> = view.policy.trusted(database).collect();
            self.session.state_mut().trust(&trusted);
            self.trusted = Some(Arc::clone(&view.policy));
        }
        Ok(view)
    }

    async fn refreshed(&mut self, pace: Pace) -> Result<View, Stop> {
        let place = Arc::clone(self.attachment.session.place());
        let looked = match pace {
            Pace::AtOnce => place.refresh().await,
            Pace::Slow => place.look_again().await,
        };
        match looked {
            Ok(view) => {
                self.session.state_mut().refreshed();
                Ok(view)
            }
            Err(error) => {
                tracing::warn!(%error, "the catalog cannot be read");
                Err(reply::no_catalog().into())
            }
        }
    }

    /// Analyzes and judges; looks again once when a name does not resolve. `None`: the upstream must owe nothing first.
    pub(super) async fn find(
        &mut self,
        ask: &Ask,
        view: &mut View,
        leave: Leave<'_>,
    ) -> Result<Option<Finding>, Stop> {
        for attempt in 0..2 {
            let Some(analyzed) = self.analyzed(ask, view).await? else {
                return Ok(None);
            };
            let found = self.judged(ask, analyzed, view, leave);
            if attempt > 0 || !found.is_unresolved() {
                return Ok(Some(found));
            }
            if self.defines() {
                // Nobody else's catalog can help.
                if !self.can_tell(ask) {
                    return Ok(Some(found));
                }
                if ask.settled == Settled::No {
                    return Ok(None);
                }
                let Some(own) = self.ask_for_definitions().await? else {
                    return Ok(Some(found));
                };
                *view = own;
                continue;
            }
            let before = view.catalog.version;
            *view = self.refreshed(Pace::Slow).await?;
            let written = self.budget.written(&view.catalog);
            self.session.state_mut().wrote(written);
            if view.catalog.version == before {
                return Ok(Some(found));
            }
        }
        Err(reply::no_catalog().into())
    }

    async fn analyzed(&mut self, ask: &Ask, view: &View) -> Result<Option<Vec<Analyzed>>, Stop> {
        let analyzed = self.analyze(&ask.purpose, view)?;
        if judge::must_settle(ask, &analyzed) {
            return Ok(None);
        }
        // In a transaction that has failed the upstream runs nothing but its end, and answers no question.
        if !self.session.state().is_stale()
            || !judge::needs_scope(&analyzed)
            || ask.transaction == Transaction::Failed
        {
            return Ok(Some(analyzed));
        }
        match ask.settled {
            Settled::No => Ok(None),
            Settled::Yes => {
                self.look().await?;
                self.analyze(&ask.purpose, view).map(Some)
            }
        }
    }

    fn analyze(&self, purpose: &Purpose, view: &View) -> Result<Vec<Analyzed>, Stop> {
        let state = self.session.state();
        let none: Arc<[u32]> = Arc::from([]);
        let (text, types) = match purpose {
            Purpose::Query { text } => (text, &none),
            Purpose::Prepare { text, types, .. } | Purpose::Bind { text, types, .. } => {
                (text, types)
            }
            Purpose::Again(_) => return Err(End::from(session::Error::OutOfOrder).into()),
        };
        let place = (
            &self.attachment.session.database,
            &*view.catalog,
            view.policy.hash(),
        );
        let key = cache::Key::new(place, text, types, state.scope());
        if let Some(found) = key.as_ref().and_then(|key| self.gateway.cache.find(key)) {
            return Ok(found.to_vec());
        }
        let analyzed = work::aside(text.len(), || judge::analyze(purpose, state, &view.catalog))?;
        if let Some(key) = key {
            self.gateway.cache.keep(key, &analyzed);
        }
        Ok(analyzed)
    }

    fn judged(&self, ask: &Ask, analyzed: Vec<Analyzed>, view: &View, leave: Leave<'_>) -> Finding {
        let session = &self.attachment.session;
        let shown = self.budget.shown();
        let asker = Asker {
            subject: &session.subject,
            database: &session.database,
            access: session.access,
            reason: Some(session.reason.as_str()).filter(|reason| !reason.is_empty()),
            approved: session.approved,
            shown: &shown,
            leave,
        };
        let moment = Moment {
            policy: Arc::clone(&view.policy),
            protection: Arc::clone(&view.protection),
            catalog: Arc::clone(&view.catalog),
            now: self.gateway.clock.now(),
        };
        judge::judge(ask, analyzed, self.session.state(), &moment, &asker)
    }

    /// Uses up budget, records the intents, and makes the runs.
    pub(super) async fn permitted(
        &mut self,
        permits: Vec<Permit>,
        ask: &Ask,
        view: &View,
    ) -> Result<Verdict, Stop> {
        let now = self.gateway.clock.monotonic();
        if let Some(first) = permits.first() {
            let statements = u64::try_from(permits.len()).unwrap_or(u64::MAX);
            let probes = permits
                .iter()
                .map(|permit| u64::from(permit.probes()))
                .sum();
            self.budget.spend(first.limits(), statements, probes, now)?;
        }
        for permit in &permits {
            self.budget.writes(permit.facts(), &view.catalog);
            self.warn(permit);
        }
        let mut runs = Vec::with_capacity(permits.len());
        for permit in permits {
            runs.push(self.intended(permit, ask, view).await?);
        }
        if matches!(ask.purpose, Purpose::Query { .. }) {
            self.bound(&runs).await?;
        }
        // Records are written in the order in which they are made.
        self.written();
        Ok(Verdict::Permitted(runs))
    }

    /// Begins a transaction for a query that must not take effect if it touches more rows than was agreed to.
    async fn bound(&mut self, runs: &[Run]) -> Result<(), Stop> {
        let Some(most) = runs.iter().find_map(Run::most) else {
            return Ok(());
        };
        match self.session.status() {
            TransactionStatus::Open => return Ok(()),
            TransactionStatus::Failed => return Err(reply::failed_transaction().into()),
            TransactionStatus::Idle if !self.session.is_alone() => {
                return Err(most.in_pipeline().into());
            }
            TransactionStatus::Idle => {}
        }
        self.ask_upstream(&["BEGIN"], |_| {}).await?;
        self.session.begin_trial();
        Ok(())
    }

    /// Ends the pipeline's transaction; the client hears nothing of it.
    pub(super) async fn rest(&mut self) -> Result<(), End> {
        self.post();
        // It fits into a message.
        frontend::Message::Sync
            .encode(self.upstream.framed.out())
            .ok();
        let flushed = self.upstream.framed.flush().await;
        flushed.map_err(|_| End::UpstreamGone)?;
        let ready = tokio::time::timeout(LOOK, self.settled(0, scope::End::Sync, |_| {})).await;
        ready.unwrap_or(Err(End::UpstreamGone))
    }

    async fn intended(&self, permit: Permit, ask: &Ask, view: &View) -> Result<Run, Stop> {
        let context = Arc::clone(&self.context);
        let intent = Intent::new(permit, context, &view.catalog, ask.purpose.clone());
        let recorded = self.gateway.broker.log().record(intent).await;
        let recorded = recorded.map_err(|error| {
            tracing::error!(%error, "an intent could not be recorded; nothing runs");
            Stop::Unrecorded
        })?;
        self.gateway.metrics.intended();
        let lens = Lens {
            protection: Arc::clone(&view.protection),
            catalog: Arc::clone(&view.catalog),
            subject: Arc::clone(&self.subject),
            keys: Arc::clone(&self.keys),
            kept: self.gateway.transcript,
        };
        let decided = Decided {
            at: self.gateway.clock.monotonic(),
            generation: self.session.state().generation(),
        };
        Ok(Run::new(recorded, lens, decided).counted(&self.budget, decided.at))
    }

    pub(super) async fn denied(
        &mut self,
        denied: Denied,
        ask: &Ask,
        view: &View,
    ) -> Result<Verdict, Stop> {
        let analyzed = &denied.analyzed;
        let refused = Refused {
            text: analyzed.statement().text(),
            purpose: Some(&ask.purpose),
            footprint: Some(Footprint::describe(analyzed.facts(), &view.catalog)),
            decision: Some(intent::denial(&denied.denial, view.policy.hash())),
            request: None,
            fields: &denied.refusal.fields,
        };
        self.record_refusal(&refused).await;
        Ok(Verdict::Refused(denied.refusal))
    }

    /// Whether what was permitted at `Bind` still is at `Execute`.
    async fn again(&mut self, id: run::Id, ask: &Ask) -> Result<Verdict, Stop> {
        let view = self.view().await?;
        let now = self.gateway.clock.monotonic();
        let Some(run) = self.session.run(id) else {
            return Err(End::from(session::Error::OutOfOrder).into());
        };
        let facts = Arc::clone(run.facts());
        let same = Arc::ptr_eq(run.protection(), &view.protection)
            && **run.intent().permit().policy_hash() == *view.policy.hash();
        let fixed = facts.is_fixed_when_bound();
        let named = fixed || run.decided().generation == self.session.state().generation();
        let approved = run.intent().permit().approval().is_some();
        if same && named && (approved || now.saturating_sub(run.decided().at) < FRESH) {
            return Ok(Verdict::Stands);
        }
        let ask = Ask {
            purpose: run.intent().purpose().clone(),
            ..ask.clone()
        };
        let masks: Vec<_> = run.intent().permit().masks().to_vec();
        // The same execution goes on: that is no second use of the approval.
        let approval = run.intent().permit().approval().cloned();
        let leave = approval.as_ref().map_or(Leave::Nobodys, Leave::Given);
        let mut view = view;
        let found = if fixed {
            // What it reads was settled when it was bound, whatever its names would mean now.
            let bound = vec![run.intent().permit().analyzed().clone()];
            self.judged(&ask, bound, &view, leave)
        } else {
            let Some(found) = self.find(&ask, &mut view, leave).await? else {
                return Ok(Verdict::Settle);
            };
            found
        };
        match found {
            Finding::Allowed(mut permits) => {
                let Some(permit) = permits.pop().filter(|_| permits.is_empty()) else {
                    return Err(End::from(session::Error::OutOfOrder).into());
                };
                // The client was told already what the rows would be.
                if !permit.facts().means_as(&facts) {
                    return Err(reply::changed_meanwhile().into());
                }
                if same && named && permit.masks() == masks {
                    return Ok(Verdict::Stands);
                }
                let run = self.intended(permit, &ask, &view).await?;
                Ok(Verdict::Renewed(Box::new(run)))
            }
            Finding::Denied(denied) => self.denied(*denied, &ask, &view).await,
            Finding::Unreadable(fields) => Err(fields.into()),
            // The policy has changed since: it must be asked for anew.
            Finding::Review(_) | Finding::Preparable(_) => Err(reply::changed_meanwhile().into()),
        }
    }

    /// Asks the upstream what its connection looks like. It owes nothing, and its transaction has not failed.
    pub(super) async fn look(&mut self) -> Result<(), Stop> {
        let mut look = None;
        let asked = self.ask_upstream(&[scope::QUESTION], |row| look = scope::read(row));
        match tokio::time::timeout(LOOK, asked).await {
            Ok(Ok(())) => {
                let look: Look = look
                    .ok_or_else(|| End::from(session::Error::Upstream("no row about its state")))?;
                let state = self.session.state_mut();
                state.renew(look.user, look.search_path, look.temporary, look.steered);
                self.tighten(&look.limits).await.map_err(Stop::from)
            }
            Ok(Err(end)) => Err(end.into()),
            Err(_) => Err(End::UpstreamGone.into()),
        }
    }

    /// Asks the upstream something for ourselves; the client hears nothing of it.
    pub(super) async fn ask_upstream(
        &mut self,
        questions: &[&str],
        row: impl FnMut(&DataRow<'_>),
    ) -> Result<(), End> {
        let end = if self.session.is_in_pipeline() {
            scope::End::Flush
        } else {
            scope::End::Sync
        };
        self.post();
        scope::ask(questions, end, self.upstream.framed.out());
        self.upstream
            .framed
            .flush()
            .await
            .map_err(|_| End::UpstreamGone)?;
        self.settled(questions.len(), end, row).await
    }

    /// What the upstream says unasked while it answers a question of ours.
    pub(super) fn by_the_way(&mut self, frame: &Frame) -> Result<(), session::Error> {
        let mut out = Outbox::default();
        self.session.upstream(frame, &mut out)?;
        self.out.client.append(&mut out.client);
        Ok(())
    }

    /// Reads the answers to what we asked.
    async fn settled(
        &mut self,
        questions: usize,
        end: scope::End,
        mut row: impl FnMut(&DataRow<'_>),
    ) -> Result<(), End> {
        let mut closed = 0;
        loop {
            let Ok(Some(frame)) = self.upstream.framed.read().await else {
                return Err(End::UpstreamGone);
            };
            match Message::decode(&frame).map_err(session::Error::UpstreamWire)? {
                Message::DataRow(data) => row(&data),
                Message::ParseComplete
                | Message::BindComplete
                | Message::CommandComplete { .. } => {}
                Message::CloseComplete => {
                    closed += 1;
                    if closed == 2 * questions && end == scope::End::Flush {
                        break;
                    }
                }
                Message::ReadyForQuery(TransactionStatus::Idle | TransactionStatus::Open)
                    if end == scope::End::Sync =>
                {
                    break;
                }
                Message::NoticeResponse(_)
                | Message::ParameterStatus { .. }
                | Message::NotificationResponse { .. } => self.by_the_way(&frame)?,
                Message::ErrorResponse(fields) => {
                    tracing::warn!(code = %fields.code, "the upstream did not tell its state");
                    return Err(session::Error::Upstream("an error about its own state").into());
                }
                Message::Authentication(_)
                | Message::BackendKeyData { .. }
                | Message::NegotiateProtocolVersion { .. }
                | Message::CopyBothResponse(_)
                | Message::CopyInResponse(_)
                | Message::CopyOutResponse(_)
                | Message::CopyData(_)
                | Message::CopyDone
                | Message::EmptyQueryResponse
                | Message::FunctionCallResponse(_)
                | Message::NoData
                | Message::ParameterDescription { .. }
                | Message::PortalSuspended
                | Message::ReadyForQuery(_)
                | Message::RowDescription(_) => {
                    return Err(session::Error::Upstream("something else than its state").into());
                }
            }
        }
        Ok(())
    }
}
