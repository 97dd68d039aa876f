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

/// `GET /readyz`: statements can run. That takes a log and a state that can be written, and a database; one database of
/// several that is away is named, and the others go on.
pub(super) async fn ready(
    extract::State(state): extract::State<Arc<State>>,
) -> (StatusCode, String) {
    let mut lines = Vec::new();
    if let Readiness::Failing { since, reason } = state.log.readiness() {
        lines.push(format!(
            "the audit log can't be written since {since}: {reason}"
        ));
    }
    if let Some(reason) = state.broker.store().trouble() {
        lines.push(format!("the state can't be written: {reason}"));
    }
    let away: Vec<_> = state.broker.away().collect();
    let ready = lines.is_empty() && away.len() < state.broker.offered().count().max(1);
    let named = away
        .iter()
        .map(|name| format!("the database `{name}` can't be used"));
    lines.extend(named);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if lines.is_empty() {
        lines.push("ok".to_owned());
    }
    (status, lines.join("\n") + "\n")
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
