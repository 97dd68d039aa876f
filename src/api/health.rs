//! Is it alive, is it ready, what does it count.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::api::State;
use crate::api::error::Error;
use crate::audit::log::Readiness;

/// Why the newest policy files are not in force, if they are not: the policy loaded before stays.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Mutex<Option<String>>>);

impl Standing {
    /// Shows it in `registry`, too.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let standing = Self::default();
        registry.register_collector(Box::new(standing.clone()));
        standing
    }

    /// The files can't be used, for this reason.
    pub fn refused(&self, reason: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// What is in the files is in force.
    pub fn accepted(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn reason(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(i64::from(self.reason().is_some()));
        let help = "Whether the policy files have mistakes, so that the policy loaded before stays";
        let metric =
            encoder.encode_descriptor("policy_refused", help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

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
    lines.extend(state.standing.reason());
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

/// An address that exists, asked in a way it does not take.
pub(super) async fn not_so() -> Error {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Error::new(
        status,
        "method_not_allowed",
        "this address does not take that method",
    )
    .hint("`GET /v1/openapi.json` lists what there is")
}
