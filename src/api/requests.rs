//! What waits for an approval.

use std::sync::Arc;

use axum::Json;
use axum::extract;
use axum::extract::rejection::{JsonRejection, QueryRejection};

use crate::api::State;
use crate::api::authn::{Caller, From};
use crate::api::error::Error;
use crate::api::login;
use crate::api::sessions::read_ask;
use crate::api::types;
use crate::broker::request::What;
use crate::broker::request::approver::is_same;
use crate::model::session::RequestId;
use crate::model::subject::Subject;
use crate::store::request::{self, Request};

/// The most requests one answer lists.
const MOST: u32 = 1000;

/// `GET /v1/requests`
pub(super) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    query: Result<extract::Query<types::All>, QueryRejection>,
) -> Result<Json<Vec<types::RequestView>>, Error> {
    let extract::Query(query) = query.map_err(|error| Error::unreadable(&error.body_text()))?;
    let states = if query.all {
        Vec::new()
    } else {
        vec![request::State::Pending]
    };
    let filter = request::Filter {
        states,
        limit: MOST,
        ..request::Filter::default()
    };
    let requests = state.broker.requests(&caller.subject, &filter).await?;
    let views = requests.iter().map(|one| view(one, &caller.subject));
    Ok(Json(views.collect()))
}

/// `POST /v1/requests`
pub(super) async fn ask(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    body: Result<Json<types::RequestAsk>, JsonRejection>,
) -> Result<Json<types::RequestView>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let ask = read_ask(body.session, Some(caller.family.clone()))?;
    let (broker, subject) = (&state.broker, &caller.subject);
    let request = match &body.statement {
        Some(statement) => {
            broker
                .request_statement(subject, &ask, statement, Some(client))
                .await?
        }
        None => broker.request_opening(subject, &ask, Some(client)).await?,
    };
    Ok(Json(view(&request, &caller.subject)))
}

/// `DELETE /v1/requests/{id}`
pub(super) async fn withdraw(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<types::RequestView>, Error> {
    let id = read_id(&id)?;
    let request = state.broker.withdraw(&id, &caller.subject).await?;
    Ok(Json(view(&request, &caller.subject)))
}

/// `GET /v1/requests/{id}`
pub(super) async fn show(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<types::RequestView>, Error> {
    let request = state
        .broker
        .find_request(&caller.subject, &read_id(&id)?)
        .await?;
    Ok(Json(view(&request, &caller.subject)))
}

/// `POST /v1/requests/{id}/keep`
pub(super) async fn keep(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<types::RequestView>, Error> {
    let id = read_id(&id)?;
    let request = state.broker.keep_request(&id, &caller.subject).await?;
    Ok(Json(view(&request, &caller.subject)))
}

/// `POST /v1/requests/{id}/approve`
pub(super) async fn approve(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
    body: Result<Json<types::Decide>, JsonRejection>,
) -> Result<Json<types::RequestView>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let id = read_id(&id)?;
    let request = state
        .broker
        .approve(&id, &caller.subject, body.reason, body.max_rows)
        .await?;
    Ok(Json(view(&request, &caller.subject)))
}

/// `POST /v1/requests/{id}/deny`
pub(super) async fn deny(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
    body: Result<Json<types::Decide>, JsonRejection>,
) -> Result<Json<types::RequestView>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let id = read_id(&id)?;
    let reason = body.reason.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| Error::bad_request("a denial needs a reason"))?;
    let request = state.broker.deny(&id, &caller.subject, reason).await?;
    Ok(Json(view(&request, &caller.subject)))
}

fn read_id(text: &str) -> Result<RequestId, Error> {
    text.parse()
        .map_err(|_| Error::not_found(format!("there is no request `{text}`")))
}

/// A request as the viewer may read it. How many rows the planner expects says something about the data: who asks could find out values by
/// it.
pub(super) fn view(request: &Request, viewer: &Subject) -> types::RequestView {
    let what = What::of(request);
    let own = is_same(&request.subject, viewer);
    types::RequestView {
        id: request.id.to_string(),
        what: match request.kind {
            request::Kind::Session => "session",
            request::Kind::Statement => "statement",
        }
        .to_owned(),
        state: request.state.as_str().to_owned(),
        subject: login::view(&request.subject),
        database: request.database.to_string(),
        reason: Some(request.reason.clone()).filter(|reason| !reason.is_empty()),
        statement: what.statement,
        footprint: what.footprint,
        expected_rows: what.expected_rows.filter(|_| !own),
        countable: what.countable,
        rule: what.rule,
        approvers: request.approvers.clone(),
        needed: request.needed,
        approvals: request
            .approvals
            .iter()
            .map(|given| types::ApprovalView {
                by: given.approver.display.clone(),
                reason: given.reason.clone(),
                max_rows: given.max_rows,
                at: given.at.to_string(),
            })
            .collect(),
        denial: request.denial.as_ref().map(|denial| types::DenialView {
            by: denial.by.display.clone(),
            reason: denial.reason.clone(),
            at: denial.at.to_string(),
        }),
        created: request.created.to_string(),
        expires: request.expires.to_string(),
    }
}
