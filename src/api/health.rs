//! Is it alive, is it ready, what does it count.

use std::sync::Arc;

use axum::extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::api::State;
use crate::api::error::Error;
use crate::audit::log::Readiness;

/// `GET /livez`: the process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: statements can run, which takes a log that can be written.
pub(super) async fn ready(
    extract::State(state): extract::State<Arc<State>>,
) -> (StatusCode, String) {
    match state.log.readiness() {
        Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()),
        Readiness::Failing { since, reason } => {
            let text = format!("the audit log can't be written since {since}: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// `GET /metrics`, in Prometheus' text format.
pub(super) async fn metrics(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<impl IntoResponse, Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &state.metrics)
        .map_err(|error| Error::internal(&error))?;
    Ok((
        [(
            CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    ))
}

/// Everything else.
pub(super) async fn nowhere() -> Error {
    Error::not_found("there is nothing at this address")
        .hint("`GET /v1/openapi.json` lists what there is")
}
