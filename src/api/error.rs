//! What goes wrong becomes a status and a `Problem`; the one place where that happens.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::types::Problem;
use crate::audit;
use crate::broker;
use crate::broker::login;
use crate::policy::Denial;
use crate::store;

/// A refusal or failure on its way to the client.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    problem: Problem,
}

impl Error {
    /// Any status with its word and sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let problem = Problem {
            code: code.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
        };
        Self { status, problem }
    }

    /// The same, with what would help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// The same, with more about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 400: the body or the query is not what is asked for; `text` is axum's word for it.
    pub fn unreadable(text: &str) -> Self {
        const INTRODUCTIONS: [&str; 3] = [
            "Failed to deserialize the JSON body into the target type: ",
            "Failed to parse the request body as JSON: ",
            "Failed to deserialize query string: ",
        ];
        let mut why = INTRODUCTIONS
            .iter()
            .find_map(|introduction| text.strip_prefix(introduction))
            .unwrap_or(text)
            .to_owned();
        if let Some(first) = why.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Self::bad_request(format!("the request can't be read: {why}"))
            .hint("`GET /v1/openapi.json` says what belongs into it")
    }

    /// 401: nobody is signed in.
    #[must_use]
    pub fn login_needed() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "login_needed",
            "you are not signed in",
        )
        .hint("run `dbgate login`")
    }

    /// 403: not for this subject.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_allowed", message)
    }

    /// 404: there is none, or none the caller may know of; both answers are equal.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 503: the broker can't do it now.
    pub fn unavailable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500, logged with its cause; the client is told no more than that.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(cause), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the broker failed",
        )
        .hint("the broker's log says why")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}

impl From<login::Error> for Error {
    fn from(error: login::Error) -> Self {
        let status = match &error {
            login::Error::Store(store) => return Self::from(store.clone()),
            login::Error::Identity(identity) if identity.is_outage() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            login::Error::Identity(identity) if identity.is_fault() => StatusCode::BAD_GATEWAY,
            login::Error::Identity(_) | login::Error::Ended => StatusCode::UNAUTHORIZED,
        };
        let mut answer = Self::new(status, error.code(), error.to_string());
        answer.problem.hint = error.hint().map(str::to_owned);
        answer
    }
}

impl From<audit::log::Error> for Error {
    fn from(error: audit::log::Error) -> Self {
        tracing::error!(error = %chain(&error), "the audit log can't be written");
        Self::unavailable(
            "audit_unavailable",
            "the audit log can't be written, so nothing runs",
        )
        .hint("the broker resumes by itself; `/readyz` tells when")
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = %chain(&error), "the state can't be used");
        Self::unavailable(
            "state_unavailable",
            "the broker can't write down its state, so no session is opened or changed",
        )
        .hint("the broker resumes by itself; `/readyz` tells when")
    }
}

impl From<broker::Error> for Error {
    fn from(error: broker::Error) -> Self {
        use broker::Error as Broker;
        let (status, code) = match &error {
            Broker::Denied(denial) => return Self::from(denial.as_ref().clone()),
            Broker::Log(_) => (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable"),
            Broker::Store(store) => return Self::from(store.clone()),
            Broker::Internal => return Self::internal(&error),
            Broker::UnknownDatabase { .. } => (StatusCode::NOT_FOUND, "unknown_database"),
            Broker::NoSession | Broker::NoRequest(_) => (StatusCode::NOT_FOUND, "not_found"),
            Broker::Over(_) => (StatusCode::GONE, "session_ended"),
            Broker::Settled(_) | Broker::Twice => (StatusCode::CONFLICT, "settled"),
            Broker::OwnRequest | Broker::NotApprover { .. } | Broker::OtherRequest => {
                (StatusCode::FORBIDDEN, "not_allowed")
            }
            Broker::OtherDatabase(_) | Broker::OtherTerms => (StatusCode::CONFLICT, "other_terms"),
            Broker::NoReview | Broker::OneStatement | Broker::Syntax(_) | Broker::Uncounted => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_statement")
            }
            Broker::Database { .. } | Broker::Skew(_) => {
                (StatusCode::BAD_GATEWAY, "database_unavailable")
            }
            Broker::Unprepared { .. } => (StatusCode::BAD_GATEWAY, "database_unprepared"),
            Broker::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        let mut answer = Self::new(status, code, error.to_string());
        answer.problem.hint = error.hint();
        answer
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        let mut answer = Self::not_allowed(denial.message);
        answer.problem.detail = denial.detail;
        answer.problem.hint = denial.hint;
        answer
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
