//! A request becomes a caller, or is refused before any handler sees it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;

use crate::api::State;
use crate::api::error::Error;
use crate::audit::event::Client;
use crate::audit::event::private::Private;
use crate::broker::login;
use crate::model::secret::Secret;

/// Who calls, by the broker's own token.
#[derive(Debug, Clone)]
pub struct Caller(pub login::Caller);

impl FromRequestParts<Arc<State>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Error> {
        let token = bearer(parts).ok_or_else(Error::login_needed)?;
        Ok(Self(state.logins.caller(&token).await?))
    }
}

/// Who leaves: the caller of a token that may have expired.
#[derive(Debug, Clone)]
pub struct Leaver(pub login::Caller);

impl FromRequestParts<Arc<State>> for Leaver {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Error> {
        let token = bearer(parts).ok_or_else(Error::login_needed)?;
        Ok(Self(state.logins.leaver(&token).await?))
    }
}

/// The caller's own token, where there is one.
#[derive(Debug, Clone)]
pub struct Bearer(pub Option<Secret<String>>);

impl FromRequestParts<Arc<State>> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Error> {
        Ok(Self(bearer(parts)))
    }
}

/// Where a request comes from, for the log. Only the connection itself is believed, no header.
#[derive(Debug, Clone)]
pub struct From(pub Client);

impl FromRequestParts<Arc<State>> for From {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Error> {
        let address = parts
            .extensions
            .get::<SocketAddr>()
            .map(|peer| peer.ip().to_string());
        let agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|value| value.to_str().ok());
        Ok(Self(Client {
            address,
            name: agent.map(Private::from),
        }))
    }
}

fn bearer(parts: &Parts) -> Option<Secret<String>> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("Bearer ")?;
    Some(Secret::from(token))
}
