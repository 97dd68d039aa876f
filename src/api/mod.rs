//! The broker's HTTPS interface: versioned JSON, one line a route.
//!
//! Reading order: `types` → the router → `authn` → one file of handlers a resource → `error`.

pub mod audit;
pub mod authn;
pub mod error;
mod explain;
pub mod health;
pub mod login;
pub mod requests;
pub mod serve;
pub mod sessions;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::audit::log::Log;
use crate::broker::Broker;
use crate::broker::login::Logins;

/// The longest request that is read.
const MAX_BODY: usize = 1024 * 1024;

/// What handlers work with.
#[derive(Debug)]
pub struct State {
    /// Sessions, requests, leases.
    pub broker: Arc<Broker>,
    /// Who is signed in.
    pub logins: Logins,
    /// The log.
    pub log: Log,
    /// What everybody may know.
    pub info: types::Info,
    /// Counters.
    pub metrics: Arc<prometheus_client::registry::Registry>,
    /// Whether the policy files are in force.
    pub standing: health::Standing,
}

/// All routes.
fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/info", get(login::info))
        .route("/v1/login", post(login::login))
        .route("/v1/logout", post(login::logout))
        .route("/v1/me", get(sessions::me))
        .route("/v1/databases", get(sessions::databases))
        .route("/v1/sessions", get(sessions::list).post(sessions::open))
        .route(
            "/v1/sessions/{id}",
            get(sessions::show).delete(sessions::end),
        )
        .route("/v1/sessions/{id}/renew", post(sessions::renew))
        .route("/v1/requests", get(requests::list).post(requests::ask))
        .route(
            "/v1/requests/{id}",
            get(requests::show).delete(requests::withdraw),
        )
        .route("/v1/requests/{id}/keep", post(requests::keep))
        .route("/v1/requests/{id}/approve", post(requests::approve))
        .route("/v1/requests/{id}/deny", post(requests::deny))
        .route("/v1/explain", post(explain::show))
        .route("/v1/audit/events", get(audit::events))
        .route("/v1/audit/tail", get(audit::tail))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/v1/audit/sessions/{id}", get(audit::session))
        .route("/v1/audit/sessions/{id}/transcript", get(audit::transcript))
        .fallback(health::nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
