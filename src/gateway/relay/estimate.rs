//! How many rows a statement would touch, as the planner thinks: for those who are asked to agree to it.
//!
//! **Invariant:** the statement is planned only, in a transaction that can't write, and only when `sql::plan` finds that harmless.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::gateway::relay::{End, Relay};
use crate::gateway::session;
use crate::gateway::session::verdict::{Parameters, Purpose};
use crate::policy::Held;
use crate::sql::catalog::Catalog;
use crate::sql::plan;
use crate::wire::backend::{self, TransactionStatus};
use crate::wire::frontend::{Message, Target};
use crate::wire::row::{DataRow, Format};

/// The names of our own statements and portals; they are closed at once.
const LIMITS: &str = "dbgate: limits";
const PLAN: &str = "dbgate: plan";

/// It plans in a transaction that can't write, and gives up soon.
const BOUND: &str = "SELECT pg_catalog.set_config('transaction_read_only', 'on', true), \
pg_catalog.set_config('statement_timeout', '2s', true), pg_catalog.set_config('lock_timeout', '500ms', true)";

/// How long the answer may take: longer than the server's own limits.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be planned: text, types of its parameters, and the parameters with their formats.
struct Plan<'a> {
    sql: String,
    types: &'a [u32],
    formats: Vec<Format>,
    parameters: Vec<Option<&'a [u8]>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// What the planner thinks; none when it can't, or must not, be asked. The upstream owes nothing, and no transaction is open.
    pub(super) async fn estimate(
        &mut self,
        held: &Held,
        purpose: &Purpose,
        catalog: &Catalog,
    ) -> Result<Option<u64>, End> {
        let Some(plan) = planned(held, purpose, catalog) else {
            return Ok(None);
        };
        self.post();
        write(&plan, self.upstream.framed.out());
        self.upstream
            .framed
            .flush()
            .await
            .map_err(|_| End::UpstreamGone)?;
        let answer = tokio::time::timeout(PATIENCE, self.answered()).await;
        answer.unwrap_or(Err(End::UpstreamGone))
    }

    /// Reads the answers to both batches.
    async fn answered(&mut self) -> Result<Option<u64>, End> {
        let mut text = None;
        let mut batches = 0;
        while batches < 2 {
            let Ok(Some(frame)) = self.upstream.framed.read().await else {
                return Err(End::UpstreamGone);
            };
            match backend::Message::decode(&frame).map_err(session::Error::UpstreamWire)? {
                backend::Message::DataRow(row) => text = first(&row),
                backend::Message::ReadyForQuery(TransactionStatus::Idle) => batches += 1,
                backend::Message::ReadyForQuery(_) => {
                    let error = session::Error::Upstream("a transaction that nobody began");
                    return Err(error.into());
                }
                backend::Message::ErrorResponse(fields) => {
                    tracing::debug!(code = %fields.code, "a statement could not be planned");
                    text = None;
                }
                backend::Message::ParameterStatus { .. }
                | backend::Message::NotificationResponse { .. } => self.by_the_way(&frame)?,
                // A notice is about a statement that the client did not send.
                backend::Message::NoticeResponse(_)
                | backend::Message::ParseComplete
                | backend::Message::BindComplete
                | backend::Message::CloseComplete
                | backend::Message::CommandComplete { .. } => {}
                backend::Message::Authentication(_)
                | backend::Message::BackendKeyData { .. }
                | backend::Message::NegotiateProtocolVersion { .. }
                | backend::Message::CopyBothResponse(_)
                | backend::Message::CopyInResponse(_)
                | backend::Message::CopyOutResponse(_)
                | backend::Message::CopyData(_)
                | backend::Message::CopyDone
                | backend::Message::EmptyQueryResponse
                | backend::Message::FunctionCallResponse(_)
                | backend::Message::NoData
                | backend::Message::ParameterDescription { .. }
                | backend::Message::PortalSuspended
                | backend::Message::RowDescription(_) => {
                    return Err(session::Error::Upstream("something else than a plan").into());
                }
            }
        }
        Ok(text.as_deref().and_then(plan::rows))
    }
}

fn first(row: &DataRow<'_>) -> Option<String> {
    let value = row.values().next()??;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn planned<'a>(held: &Held, purpose: &'a Purpose, catalog: &Catalog) -> Option<Plan<'a>> {
    let sql = plan::question(held.facts(), held.statement().text(), catalog)?;
    let (types, formats, parameters) = match purpose {
        Purpose::Query { .. } => (&[] as &[u32], Vec::new(), Vec::new()),
        Purpose::Bind { types, .. } => {
            let Parameters { formats, values } = purpose.parameters()?;
            (&**types, formats, values)
        }
        Purpose::Prepare { .. } | Purpose::Again(_) => return None,
    };
    Some(Plan {
        sql,
        types,
        formats,
        parameters,
    })
}

/// Two batches: when the first fails, the second closes what it has left.
fn write(plan: &Plan<'_>, out: &mut Vec<u8>) {
    let bind = |name, formats, parameters| Message::Bind {
        portal: name,
        statement: name,
        formats,
        parameters,
        results: Vec::new(),
    };
    let execute = |name| Message::Execute {
        portal: name,
        limit: 0,
    };
    let messages = [
        Message::Parse {
            name: LIMITS,
            sql: BOUND,
            types: Vec::new(),
        },
        bind(LIMITS, Vec::new(), Vec::new()),
        execute(LIMITS),
        Message::Parse {
            name: PLAN,
            sql: &plan.sql,
            types: plan.types.to_vec(),
        },
        bind(PLAN, plan.formats.clone(), plan.parameters.clone()),
        execute(PLAN),
        Message::Sync,
        Message::Close(Target::Statement(LIMITS)),
        Message::Close(Target::Statement(PLAN)),
        Message::Sync,
    ];
    for message in messages {
        // It was a message before; a few letters more make it no longer than one may be, or the upstream says so.
        message.encode(out).ok();
    }
}
