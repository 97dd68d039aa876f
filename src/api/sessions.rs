//! Databases and sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract;
use axum::extract::rejection::{JsonRejection, QueryRejection};

use crate::api::State;
use crate::api::authn::{Caller, From};
use crate::api::error::Error;
use crate::api::login::view;
use crate::api::requests;
use crate::api::types;
use crate::broker;
use crate::broker::open::Outcome;
use crate::broker::session::Session;
use crate::model::session::SessionId;
use crate::store::session::{self, Phase};

/// The most sessions one answer lists.
const MOST: u32 = 1000;

/// `GET /v1/me`
pub(super) async fn me(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
) -> Result<Json<types::Me>, Error> {
    let filter = session::Filter {
        subject: Some(caller.subject.id.clone()),
        phase: Phase::Live,
        limit: MOST,
        ..session::Filter::default()
    };
    let sessions = state.broker.list_sessions(&caller.subject, &filter).await?;
    Ok(Json(types::Me {
        subject: view(&caller.subject),
        expires: caller.expires.to_string(),
        sessions: sessions.iter().map(|kept| listed(&state, kept)).collect(),
    }))
}

/// `GET /v1/databases`
pub(super) async fn databases(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
) -> Json<Vec<types::DatabaseView>> {
    let offers = state.broker.databases(&caller.subject);
    let views = offers.into_iter().map(|offer| types::DatabaseView {
        name: offer.database.to_string(),
        access: offer
            .powers
            .iter()
            .map(|power| (*power).to_owned())
            .collect(),
        review: offer.review,
        max_duration_s: offer.longest.as_secs(),
    });
    Json(views.collect())
}

/// `POST /v1/sessions`
pub(super) async fn open(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    body: Result<Json<types::Ask>, JsonRejection>,
) -> Result<Json<types::Opened>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let ask = read_ask(body, Some(caller.family.clone()))?;
    match state
        .broker
        .open_session(&caller.subject, ask, Some(client))
        .await?
    {
        Outcome::Granted { session, secret } => Ok(Json(types::Opened::Granted(types::Granted {
            user: session.id.to_string(),
            session: live(&session),
            gateway: state.info.gateway.clone(),
            secret: secret.expose().clone(),
        }))),
        Outcome::Pending(request) => Ok(Json(types::Opened::Pending {
            request: requests::view(&request, &caller.subject),
        })),
    }
}

/// `GET /v1/sessions`
pub(super) async fn list(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    query: Result<extract::Query<types::All>, QueryRejection>,
) -> Result<Json<Vec<types::SessionView>>, Error> {
    let extract::Query(query) = query.map_err(|error| Error::unreadable(&error.body_text()))?;
    let phase = if query.all { Phase::Any } else { Phase::Live };
    let filter = session::Filter {
        phase,
        limit: MOST,
        ..session::Filter::default()
    };
    let sessions = state.broker.list_sessions(&caller.subject, &filter).await?;
    Ok(Json(
        sessions.iter().map(|kept| listed(&state, kept)).collect(),
    ))
}

/// `GET /v1/sessions/{id}`
pub(super) async fn show(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<types::SessionView>, Error> {
    let id = read_id(&id)?;
    Ok(Json(find(&state, &caller, &id).await?))
}

/// `DELETE /v1/sessions/{id}`
pub(super) async fn end(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    From(client): From,
    extract::Path(id): extract::Path<String>,
) -> Result<Json<types::SessionView>, Error> {
    let id = read_id(&id)?;
    let ended = state
        .broker
        .end_session(&caller.subject, &id, Some(client))
        .await;
    let session = find(&state, &caller, &id).await;
    match (ended, session) {
        // It was over before: that is what was asked for.
        (Err(broker::Error::NoSession), Ok(session)) if session.close_reason.is_some() => {
            Ok(Json(session))
        }
        (Err(error), _) => Err(error.into()),
        (Ok(()), session) => session.map(Json),
    }
}

/// `POST /v1/sessions/{id}/renew`
pub(super) async fn renew(
    extract::State(state): extract::State<Arc<State>>,
    Caller(caller): Caller,
    extract::Path(id): extract::Path<String>,
    body: Result<Json<types::Renew>, JsonRejection>,
) -> Result<Json<types::SessionView>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let id = read_id(&id)?;
    let session = state
        .broker
        .renew(&caller.subject, &id, read_duration(body.duration_s)?)
        .await?;
    Ok(Json(live(&session)))
}

/// A request for a session, read; `family` ties it to the login.
pub(super) fn read_ask(body: types::Ask, family: Option<String>) -> Result<broker::Ask, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::bad_request(error.to_string());
    Ok(broker::Ask {
        database: body.database.parse().map_err(|error| wrong(&error))?,
        reason: body.reason,
        duration: read_duration(body.duration_s)?,
        access: body.access.parse().map_err(|error| wrong(&error))?,
        request: body
            .request
            .map(|id| id.parse())
            .transpose()
            .map_err(|error| wrong(&error))?,
        family,
    })
}

fn read_duration(seconds: Option<u64>) -> Result<Option<Duration>, Error> {
    if seconds == Some(0) {
        return Err(
            Error::bad_request("`duration_s` is 0, and a session lasts a second at least")
                .hint("leave it out for the usual duration"),
        );
    }
    Ok(seconds.map(Duration::from_secs))
}

fn read_id(text: &str) -> Result<SessionId, Error> {
    text.parse()
        .map_err(|_| Error::not_found("there is no such session"))
}

async fn find(
    state: &State,
    caller: &broker::login::Caller,
    id: &SessionId,
) -> Result<types::SessionView, Error> {
    let filter = session::Filter::default();
    let sessions = state.broker.list_sessions(&caller.subject, &filter).await?;
    let kept = sessions.iter().find(|kept| kept.id == *id);
    kept.map(|kept| listed(state, kept))
        .ok_or_else(|| Error::not_found("there is no such session"))
}

/// A session that is open.
fn live(session: &Session) -> types::SessionView {
    types::SessionView {
        id: session.id.to_string(),
        subject: view(&session.subject),
        database: session.database.to_string(),
        access: session.access.to_string(),
        reason: Some(session.reason.clone()).filter(|reason| !reason.is_empty()),
        opened: session.opened.to_string(),
        ends: session.ends().to_string(),
        state: "open".to_owned(),
        close_reason: None,
        connections: session.connections(),
    }
}

/// A session as the store has it.
fn listed(state: &State, kept: &session::Session) -> types::SessionView {
    let (word, close_reason) = match &kept.state {
        session::State::Opening => ("opening", None),
        session::State::Open => ("open", None),
        session::State::Closing { why, .. } => ("closing", Some(why.to_string())),
        session::State::Closed { why, .. } => ("closed", Some(why.to_string())),
    };
    types::SessionView {
        id: kept.id.to_string(),
        subject: view(&kept.subject),
        database: kept.database.to_string(),
        access: kept.access.to_string(),
        reason: Some(kept.reason.clone()).filter(|reason| !reason.is_empty()),
        opened: kept.opened.to_string(),
        ends: kept.ends.to_string(),
        state: word.to_owned(),
        close_reason,
        connections: state
            .broker
            .session(&kept.id)
            .map_or(0, |session| session.connections()),
    }
}
