//! The audit log over HTTPS: search, the live tail, sessions with their transcripts, verification.
//!
//! Who may read is a matter of policy (`do = ["audit"]`), asked again while a tail runs. That somebody reads is recorded
//! before the first record leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, extract};
use bytes::Bytes;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use crate::api::State;
use crate::api::authn::{Caller, From};
use crate::api::error::Error;
use crate::audit::event::{Action, Client, Context, Event, Outcome};
use crate::audit::log::{self, Extent, Log, Record, check};
use crate::audit::search::{self, Filter};
use crate::audit::verify::Report;
use crate::broker::login;
use crate::model::session::SessionId;
use crate::net::drain::Signal;
use crate::policy;
use crate::policy::document::allow::Power;

/// Bytes of records that one answer holds, about; the rest is on the next page.
const PAGE: usize = 4 * 1024 * 1024;

/// How often a tail without news sends an empty line, so that both sides notice when the other is gone.
const BEAT: Duration = Duration::from_secs(15);

/// What to look for; everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The subject: `sub`, or a part of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The database's offered name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// A table, with or without its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Not before this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// `allow`, `deny` or `review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// An event's name, such as `statement_refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// A part of a statement, reason or error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only records from this index on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last matches instead of the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<bool>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Records, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// The records: `index`, `time`, `hash`, `event`, and what that event has.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<Value>,
    /// Ask again with `from` set to this; none: there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Where to go on reading.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Only records from this index on.
    from: Option<u64>,
}

/// Somebody who may read, and what will be noted of it.
struct Reader {
    state: Arc<State>,
    caller: login::Caller,
    client: Client,
}

/// `GET /v1/audit/events`: what the query asks for, without transcripts.
pub(super) async fn events(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    query: Result<extract::Query<Query>, QueryRejection>,
) -> Result<Json<Page>, Error> {
    let reader = Reader::new(state, caller, client)?;
    let extract::Query(query) = query.map_err(|error| Error::unreadable(&error.body_text()))?;
    let filter = filter(&query)?;
    let asked = serde_json::to_string(&query).unwrap_or_default();
    reader.note("search", asked).await?;
    find(&reader.state.log, filter, false).await.map(Json)
}

/// `GET /v1/audit/sessions/{id}`: everything about a session, without transcripts.
pub(super) async fn session(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    extract::Path(id): extract::Path<String>,
    start: Result<extract::Query<Start>, QueryRejection>,
) -> Result<Json<Page>, Error> {
    let reader = Reader::new(state, caller, client)?;
    reader.about(&id, start, false).await
}

/// `GET /v1/audit/sessions/{id}/transcript`: the same with what the client saw.
pub(super) async fn transcript(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    extract::Path(id): extract::Path<String>,
    start: Result<extract::Query<Start>, QueryRejection>,
) -> Result<Json<Page>, Error> {
    let reader = Reader::new(state, caller, client)?;
    reader.about(&id, start, true).await
}

/// `GET /v1/audit/verify`: checks everything that is durable.
pub(super) async fn verify(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
) -> Result<Json<Report>, Error> {
    let reader = Reader::new(state, caller, client)?;
    reader.note("verify", String::new()).await?;
    let log = reader.state.log.clone();
    let report =
        blocking(move || check(log.storage().as_ref(), &Extent::Durable(log.position()))).await?;
    Ok(Json(report))
}

/// `GET /v1/audit/tail`: records as lines of JSON, from `from` or from now on, as long as somebody listens and may.
pub(super) async fn tail(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    Extension(mut stop): Extension<Signal>,
    start: Result<extract::Query<Start>, QueryRejection>,
) -> Result<Response, Error> {
    let reader = Reader::new(state, caller, client)?;
    let extract::Query(start) = start.map_err(|error| Error::unreadable(&error.body_text()))?;
    // From the record of this very reading on: nothing is missed between the question and the first line.
    let index = reader.note("tail", String::new()).await?;
    let (lines, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.started() => {}
            () = reader.follow(start.from.unwrap_or(index), &lines) => {}
        }
    });
    let body = Body::new(Lines(receiver));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

impl Reader {
    fn new(state: Arc<State>, caller: login::Caller, client: Client) -> Result<Self, Error> {
        let reader = Self {
            state,
            caller,
            client,
        };
        if reader.may_read() {
            Ok(reader)
        } else {
            Err(Error::not_allowed("you may not read the audit log")
                .hint("the policy lets those read it whose entry says `do = [\"audit\"]`"))
        }
    }

    /// Whether the policy of this moment lets the caller read.
    fn may_read(&self) -> bool {
        let now = self.state.broker.clock().now();
        now < self.caller.expires
            && policy::open::may(
                &self.state.broker.policy(),
                &self.caller.subject,
                Power::Audit,
                now,
            )
    }

    /// Records that somebody reads, before anything is read.
    async fn note(&self, what: &str, asked: String) -> Result<u64, Error> {
        let context = Context {
            subject: Some((&self.caller.subject).into()),
            client: Some(self.client.clone()),
            ..Context::default()
        };
        let action = Action::AuditRead {
            what: what.to_owned(),
            filter: (!asked.is_empty()).then(|| asked.into()),
        };
        Ok(self.state.log.append(Event::new(context, action)).await?)
    }

    async fn about(
        &self,
        id: &str,
        start: Result<extract::Query<Start>, QueryRejection>,
        transcripts: bool,
    ) -> Result<Json<Page>, Error> {
        let extract::Query(start) = start.map_err(|error| Error::unreadable(&error.body_text()))?;
        let unknown =
            || Error::not_found(format!("the audit log has nothing about session `{id}`"));
        let session: SessionId = id.parse().map_err(|_| unknown())?;
        let what = if transcripts { "replay" } else { "show" };
        self.note(what, id.to_owned()).await?;
        let from = start.from.unwrap_or(0);
        let filter = Filter {
            session: Some(session),
            from,
            ..Filter::default()
        };
        let page = find(&self.state.log, filter, transcripts).await?;
        if from == 0 && page.records.is_empty() {
            return Err(unknown());
        }
        Ok(Json(page))
    }

    /// Sends records until nobody listens, the caller may no longer, or the log is closed.
    async fn follow(&self, from: u64, lines: &mpsc::Sender<Bytes>) {
        let mut tail = self.state.log.subscribe(from);
        loop {
            let line = match tokio::time::timeout(BEAT, tail.next()).await {
                Err(_) => "\n".to_owned(),
                Ok(Ok(Some(record))) => format!("{}\n", shown(&record, false)),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a tail of the audit log ends");
                    break;
                }
            };
            if !self.may_read() || lines.send(Bytes::from(line)).await.is_err() {
                break;
            }
        }
    }
}

/// Lines that come one by one, as the body of a response.
#[derive(Debug)]
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(poller)
            .map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

async fn find(log: &Log, filter: Filter, transcripts: bool) -> Result<Page, Error> {
    let newest = filter.newest;
    let log = log.clone();
    let found = blocking(move || search::search(&log, &filter)).await?;
    let mut page = Page {
        records: Vec::new(),
        next: found.next,
    };
    let mut room = PAGE;
    let mut records = found.records;
    if newest {
        records.reverse();
    }
    for record in records {
        let value = shown(&record, transcripts);
        let length = value.to_string().len();
        if length > room && !page.records.is_empty() {
            page.next = (!newest).then_some(record.index);
            break;
        }
        room = room.saturating_sub(length);
        page.records.push(value);
    }
    if newest {
        page.records.reverse();
    }
    Ok(page)
}

fn shown(record: &Record, transcripts: bool) -> Value {
    let mut value = record.to_json();
    if let Value::Object(fields) = &mut value
        && !transcripts
    {
        fields.remove("transcript");
    }
    value
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, log::Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(&error))?
        .map_err(|error| Error::internal(&error))
}

fn filter(query: &Query) -> Result<Filter, Error> {
    Ok(Filter {
        who: query.who.clone(),
        database: parse("database", query.database.as_deref())?,
        table: query.table.clone(),
        session: parse("session", query.session.as_deref())?,
        since: parse("since", query.since.as_deref())?,
        until: parse("until", query.until.as_deref())?,
        decision: query.decision.as_deref().map(outcome).transpose()?,
        event: query.event.clone(),
        text: query.text.clone(),
        from: query.from.unwrap_or(0),
        newest: query.newest.unwrap_or(false),
        limit: query.limit.unwrap_or(0),
    })
}

fn parse<T: std::str::FromStr>(field: &'static str, value: Option<&str>) -> Result<Option<T>, Error>
where
    T::Err: std::fmt::Display,
{
    let wrong = |value: &str, error: T::Err| {
        Error::bad_request(format!("`{value}` is no value for `{field}`: {error}"))
    };
    value
        .map(|value| value.parse().map_err(|error| wrong(value, error)))
        .transpose()
}

fn outcome(word: &str) -> Result<Outcome, Error> {
    match word {
        "allow" => Ok(Outcome::Allow),
        "deny" => Ok(Outcome::Deny),
        "review" => Ok(Outcome::Review),
        other => Err(Error::bad_request(format!(
            "`{other}` is no decision; write `allow`, `deny` or `review`"
        ))),
    }
}
