//! A statement waits in its connection until enough people agree to it.
//!
//! **Invariant:** what runs after an approval was decided again, by the policy and the catalog of that moment, and is the very statement
//! that was approved. When the client is gone or gives up, the request is withdrawn.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event;
use crate::audit::event::footprint::Footprint;
use crate::audit::scrub;
use crate::broker;
use crate::broker::place::View;
use crate::broker::request::brought::{Brought, Use};
use crate::broker::request::desk::Outcome;
use crate::broker::request::{self, HeldStatement};
use crate::gateway::intent::{self, Refused};
use crate::gateway::judge::{self, Finding, Leave};
use crate::gateway::relay::duplex::{self, Reading, Turn};
use crate::gateway::relay::verdict::Stop;
use crate::gateway::relay::{End, Relay};
use crate::gateway::reply::{self, ForClient};
use crate::gateway::session::verdict::{Ask, Refusal, Transaction, Verdict};
use crate::model::session::RequestId;
use crate::model::time::show_span;
use crate::policy::{Approval, Demand, Held};
use crate::wire::error::{Fields, SqlState};
use crate::wire::origin::Origin;

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// Lets a statement wait. The upstream owes nothing.
    pub(super) async fn review(
        &mut self,
        held: Held,
        ask: &Ask,
        view: View,
    ) -> Result<Verdict, Stop> {
        let approval = match self.brought(&held, &view).await? {
            Brought::Approval(approval) => *approval,
            Brought::Unfit { request, why } => {
                let fields = unfit(&request, why);
                let id = Some(request);
                return Ok(self.turned_down((&held, ask, &view), id, fields).await);
            }
            Brought::Nothing => {
                let transaction = self.alone(ask.transaction).await?;
                let demand = held.demand();
                let hold = patience(demand, transaction);
                if hold.is_zero() {
                    let fields = ask_first(demand);
                    return Ok(self.turned_down((&held, ask, &view), None, fields).await);
                }
                match self.waited(&held, ask, &view, hold).await? {
                    Ok(approval) => approval,
                    Err((id, fields)) => {
                        return Ok(self.turned_down((&held, ask, &view), id, fields).await);
                    }
                }
            }
        };
        self.agreed((&held, ask), approval).await
    }

    /// A statement that may run as it is, and write more with the approval that the session brought. `None`: it brought none for it.
    pub(super) async fn above(
        &mut self,
        ask: &Ask,
        view: &mut View,
    ) -> Result<Option<Verdict>, Stop> {
        let Some(Finding::Review(held)) = self.find(ask, view, Leave::Wanted).await? else {
            return Ok(None);
        };
        match self.brought(&held, view).await? {
            Brought::Approval(approval) => self.agreed((&held, ask), *approval).await.map(Some),
            Brought::Unfit { .. } | Brought::Nothing => Ok(None),
        }
    }

    /// Decides once more what was approved.
    async fn agreed(
        &mut self,
        (held, ask): (&Held, &Ask),
        approval: Approval,
    ) -> Result<Verdict, Stop> {
        let mut view = self.view().await?;
        match self.find(ask, &mut view, Leave::Given(&approval)).await? {
            Some(Finding::Allowed(permits)) => self.permitted(permits, ask, &view).await,
            Some(Finding::Denied(denied)) => self.denied(*denied, ask, &view).await,
            Some(Finding::Unreadable(fields)) => {
                let id = Some(approval.request);
                Ok(self.turned_down((held, ask, &view), id, fields).await)
            }
            // Something it depends on is another than what was approved.
            Some(Finding::Review(_) | Finding::Preparable(_)) | None => {
                let fields = changed(&approval.request);
                let id = Some(approval.request);
                Ok(self.turned_down((held, ask, &view), id, fields).await)
            }
        }
    }

    /// Ends the transaction that a pipeline has begun by nothing but preparing: it holds locks, and nothing in it can be undone.
    async fn alone(&mut self, transaction: Transaction) -> Result<Transaction, Stop> {
        if transaction != Transaction::Pipeline || !self.session.has_only_prepared() {
            return Ok(transaction);
        }
        self.rest().await?;
        self.session.rested();
        Ok(Transaction::Own)
    }

    /// Records that a statement that needs an approval does not run, and says so.
    async fn turned_down(
        &self,
        (held, ask, view): (&Held, &Ask, &View),
        request: Option<RequestId>,
        fields: Fields,
    ) -> Verdict {
        let statement = on_record(held, ask, view);
        let refused = Refused {
            text: held.statement().text(),
            purpose: Some(&ask.purpose),
            footprint: statement.footprint,
            decision: statement.decision,
            request,
            fields: &fields,
        };
        self.record_refusal(&refused).await;
        Verdict::Refused(Refusal {
            copy_columns: judge::copy_columns_of(held.facts()),
            fields,
        })
    }

    /// The approval the session brought along.
    async fn brought(&self, held: &Held, view: &View) -> Result<Brought, Stop> {
        let session = &self.attachment.session;
        let of = Use {
            binding: held.binding(),
            statement: &scrub::statement(held.statement().text()),
            footprint: request::lines(&Footprint::describe(held.facts(), &view.catalog)),
        };
        let found = self.gateway.broker.approval(session, &of).await;
        found.map_err(|error| Stop::from(error.fields()))
    }

    /// Asks for the approval and waits. `Err`: what the client is told.
    async fn waited(
        &mut self,
        held: &Held,
        ask: &Ask,
        view: &View,
        hold: Duration,
    ) -> Result<Result<Approval, (Option<RequestId>, Fields)>, Stop> {
        let demand = held.demand();
        let statement = on_record(held, ask, view);
        let expected_rows = match self.session.is_alone() {
            true => self.estimate(held, &ask.purpose, &view.catalog).await?,
            false => None,
        };
        let held = HeldStatement {
            attachment: &self.attachment,
            statement,
            demand,
            binding: held.binding(),
            hold,
            expected_rows,
            countable: held.facts().is_countable(&view.catalog),
        };
        let mut waiting = match self.gateway.broker.hold(held).await {
            Ok(waiting) => waiting,
            Err(error) => return Ok(Err((None, told(&error)))),
        };
        let id = waiting.id().clone();
        self.key.forget();
        self.post();
        reply::write_notice(&notice(&id, demand, hold), self.client.framed.out());
        self.client.written();
        let end = tokio::time::Instant::now() + hold;
        loop {
            let reading = Reading {
                client: self.client.may_read_ahead(),
                upstream: true,
            };
            tokio::select! {
                outcome = waiting.outcome() => {
                    return Ok(settled(outcome, &id).map_err(|fields| (Some(id), fields)));
                }
                turn = duplex::turn(&mut self.client, &mut self.upstream, reading) => match turn {
                    Turn::Progress => {
                        self.take_upstream()?;
                        self.post();
                    }
                    Turn::ClientGone => return Err(End::ClientGone.into()),
                    Turn::UpstreamGone => return Err(End::UpstreamGone.into()),
                },
                _ = self.attachment.ended.changed() => {
                    if let Some(why) = self.attachment.session.over() {
                        return Err(End::Over(why).into());
                    }
                }
                () = self.drain.started() => return Err(End::Stopping.into()),
                () = self.key.requested() => return Ok(Err((Some(id.clone()), cancelled(&id)))),
                () = tokio::time::sleep_until(end) => {
                    let outcome = waiting.overdue().await;
                    return Ok(settled(outcome, &id).map_err(|fields| (Some(id), fields)));
                }
            }
        }
    }
}

/// A statement that needs an approval, as the log is to have it.
fn on_record(held: &Held, ask: &Ask, view: &View) -> event::Statement {
    event::Statement {
        statement: intent::private(held.statement().text()),
        parameters: intent::parameters(&ask.purpose),
        footprint: Some(Footprint::describe(held.facts(), &view.catalog)),
        decision: Some(event::Decision {
            outcome: event::Outcome::Review,
            rule: Some(held.demand().rule.clone()),
            policy: view.policy.hash().to_owned(),
        }),
    }
}

/// How long a statement may wait here.
fn patience(demand: &Demand, transaction: Transaction) -> Duration {
    match transaction {
        Transaction::Own => demand.hold,
        // Locks are held meanwhile, and others wait for them.
        Transaction::Pipeline | Transaction::Open => demand.hold.min(demand.in_transaction),
        Transaction::Failed => Duration::ZERO,
    }
}

fn settled(outcome: Outcome, id: &RequestId) -> Result<Approval, Fields> {
    match outcome {
        Outcome::Approved(approval) => Ok(*approval),
        Outcome::Denied { by, reason } => {
            let fields = reply::error(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("request {id} was denied by {by}"),
            );
            Err(Origin::Rejected.mark(fields.with_detail(reason)))
        }
        Outcome::Expired => Err(expired(id)),
        Outcome::Kept => Err(kept(id)),
        Outcome::Withdrawn => Err(reply::error(
            SqlState::QUERY_CANCELED,
            format!("request {id} was withdrawn"),
        )),
    }
}

fn groups(demand: &Demand) -> String {
    let groups: Vec<String> = demand
        .approvers
        .iter()
        .map(|group| format!("`{group}`"))
        .collect();
    groups.join(" or ")
}

fn notice(id: &RequestId, demand: &Demand, hold: Duration) -> Fields {
    let people = match demand.needed {
        0 | 1 => String::new(),
        many => format!(" ({many} of them)"),
    };
    let mut fields = reply::notice(format!(
        "dbgate: waiting for the approval of {}{people}, request {id}",
        groups(demand)
    ))
    .with_detail(format!(
        "Rule `{}` asks for it. The statement waits at most {}; a cancel withdraws it.",
        demand.rule,
        show_span(hold)
    ))
    .with_hint(format!("An approver runs `dbgate approve {id}`."));
    if let Some(hint) = &demand.hint {
        fields = fields.with_hint(format!("{hint} An approver runs `dbgate approve {id}`."));
    }
    Origin::Waiting.mark(fields)
}

fn ask_first(demand: &Demand) -> Fields {
    let fields = reply::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!(
            "this statement needs the approval of {}, and does not wait for it in an open transaction",
            groups(demand)
        ),
    )
    .with_detail(format!("Rule `{}` asks for the approval.", demand.rule))
    .with_hint("Ask first with `dbgate request`, or send the statement outside a transaction.");
    Origin::Denied.mark(fields)
}

fn expired(id: &RequestId) -> Fields {
    let fields = reply::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("nobody decided request {id} in time"),
    )
    .with_hint("Send the statement again, or ask first with `dbgate request`.");
    Origin::Rejected.mark(fields)
}

fn unfit(id: &RequestId, why: String) -> Fields {
    reply::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("request {id} is no approval of this statement"),
    )
    .with_detail(why)
    .with_hint("Ask for the approval of this very statement with `dbgate request`, or run it without `--request`.")
}

fn kept(id: &RequestId) -> Fields {
    reply::error(
        SqlState::QUERY_CANCELED,
        format!("request {id} waits on without this connection"),
    )
    .with_hint(format!(
        "Once it is approved, run the statement with `dbgate exec --request {id}`."
    ))
}

fn cancelled(id: &RequestId) -> Fields {
    reply::error(
        SqlState::QUERY_CANCELED,
        "canceling statement due to user request",
    )
    .with_detail(format!("Request {id} is withdrawn."))
}

fn changed(id: &RequestId) -> Fields {
    reply::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("what request {id} was approved for is something else by now"),
    )
    .with_detail("What it touches, how that is defined, or who has to agree to it has changed since; nothing has run.")
    .with_hint("Send the statement again.")
}

fn told(error: &broker::Error) -> Fields {
    let mut fields = error.fields();
    fields.severity = crate::wire::error::Severity::Error;
    fields
}
