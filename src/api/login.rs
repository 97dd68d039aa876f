//! Signing in and out.

use std::sync::Arc;

use axum::Json;
use axum::extract;

use crate::api::State;
use crate::api::authn::{Bearer, From, Leaver};
use crate::api::error::Error;
use crate::api::types;
use crate::audit::event::{Action, Context, Event};
use crate::audit::refusal::Entrance;
use crate::model::secret::Secret;
use crate::model::subject::{self, Subject};
use crate::oidc::issuer::Credentials;

/// `GET /v1/info`
pub(super) async fn info(extract::State(state): extract::State<Arc<State>>) -> Json<types::Info> {
    Json(state.info.clone())
}

/// `POST /v1/login`
pub(super) async fn login(
    extract::State(state): extract::State<Arc<State>>,
    From(client): From,
    Bearer(prior): Bearer,
    body: Result<Json<types::Login>, extract::rejection::JsonRejection>,
) -> Result<Json<types::LoggedIn>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let credentials = Credentials {
        id_token: Secret::new(body.id_token),
        access_token: body.access_token.map(Secret::new),
        nonce: body.nonce,
    };
    let identified = match state.logins.identify(&credentials).await {
        Ok(identified) => identified,
        Err(error) => {
            let said = error.to_string();
            if let Some(refused) = state.broker.refusal(Entrance::Login, &client, &said) {
                state.log.append(refused).await?;
            }
            return Err(error.into());
        }
    };
    let context = Context {
        subject: Some((&identified.subject).into()),
        client: Some(client),
        ..Context::default()
    };
    let method = if prior.is_some() {
        "refresh"
    } else {
        "id token"
    };
    state
        .log
        .append(Event::new(
            context,
            Action::LoggedIn {
                method: method.to_owned(),
            },
        ))
        .await?;
    let issued = state.logins.issue(identified, prior.as_ref()).await?;
    Ok(Json(types::LoggedIn {
        token: issued.token.expose().clone(),
        expires: issued.caller.expires.to_string(),
        subject: view(&issued.caller.subject),
    }))
}

/// `POST /v1/logout`
pub(super) async fn logout(
    extract::State(state): extract::State<Arc<State>>,
    Leaver(caller): Leaver,
    From(client): From,
    body: Result<Json<types::Logout>, extract::rejection::JsonRejection>,
) -> Result<Json<types::LoggedOut>, Error> {
    let Json(body) = body.map_err(|error| Error::unreadable(&error.body_text()))?;
    let context = Context {
        subject: Some((&caller.subject).into()),
        client: Some(client),
        ..Context::default()
    };
    let family = Some(caller.family.as_str()).filter(|_| !body.keep_sessions);
    state.broker.record_logout(family, context).await;
    // First the tokens: a client that comes back while its session ends gets no other.
    state.logins.end(&caller).await?;
    let ended = match family {
        Some(family) => state.broker.log_out(family).await,
        None => 0,
    };
    let sessions_ended = u64::from(ended);
    Ok(Json(types::LoggedOut { sessions_ended }))
}

/// A subject as people read it.
pub(super) fn view(subject: &Subject) -> types::SubjectView {
    types::SubjectView {
        issuer: subject.id.issuer.clone(),
        sub: subject.id.sub.clone(),
        display: subject.display.clone(),
        kind: match subject.kind {
            subject::Kind::Person => "person",
            subject::Kind::Job => "job",
            subject::Kind::Agent => "agent",
        }
        .to_owned(),
        groups: subject.groups.iter().cloned().collect(),
        behalf: subject.behalf.as_ref().map(ToString::to_string),
    }
}
