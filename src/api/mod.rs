//! The broker's HTTPS interface: versioned JSON, one line a route.
//!
//! Reading order: `types` → the routes, each with what the OpenAPI document says of it → `authn` → one file of handlers a resource →
//! `error`.

pub mod audit;
pub mod authn;
mod document;
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

use crate::api::document::Routes;
use crate::api::document::about::About;
use crate::audit::log::Log;
use crate::audit::verify::Report;
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

/// The OpenAPI document of this interface, as it is served.
#[must_use]
pub fn document() -> String {
    routes().finish().1
}

/// Everything that is served over this state.
fn router(state: Arc<State>) -> Router {
    let (router, _) = routes().finish();
    router
        .fallback(health::nowhere)
        .method_not_allowed_fallback(health::not_so)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}

/// All routes.
fn routes() -> Routes {
    let routes = audited(decided(sessions(signed_in(Routes::new()))));
    routes
        .get(
            "/livez",
            health::live,
            About::new("livez", "The process answers").alive(),
        )
        .get(
            "/readyz",
            health::ready,
            About::new(
                "readyz",
                "Whether statements can run, and what stands in the way",
            )
            .alive()
            .or_text(503),
        )
        .get(
            "/metrics",
            health::metrics,
            About::new("metrics", "Counters for Prometheus")
                .open()
                .text("application/openmetrics-text"),
        )
}

/// Who the caller is.
fn signed_in(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/info",
            login::info,
            About::new("info", "What a client needs before it has signed in")
                .open()
                .gives::<types::Info>(),
        )
        .post(
            "/v1/login",
            login::login,
            About::new("login", "Tokens of an issuer for one of the broker's own")
                .open()
                .takes::<types::Login>()
                .gives::<types::LoggedIn>()
                .fails(&[401]),
        )
        .post(
            "/v1/logout",
            login::logout,
            About::new("logout", "End the token, and the sessions of its login")
                .takes::<types::Logout>()
                .gives::<types::LoggedOut>(),
        )
        .get(
            "/v1/me",
            sessions::me,
            About::new("me", "Who the caller is").gives::<types::Me>(),
        )
}

/// Databases, and sessions on them.
fn sessions(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/databases",
            sessions::databases,
            About::new("listDatabases", "The databases the caller may ask for")
                .lists::<types::DatabaseView>(),
        )
        .get(
            "/v1/sessions",
            sessions::list,
            About::new("listSessions", "Sessions the caller may see")
                .asks::<types::All>()
                .lists::<types::SessionView>(),
        )
        .post(
            "/v1/sessions",
            sessions::open,
            About::new(
                "openSession",
                "Ask for a session: granted, or pending review",
            )
            .takes::<types::Ask>()
            .gives::<types::Opened>()
            .fails(&[403, 404, 409, 410, 502]),
        )
        .get(
            "/v1/sessions/{id}",
            sessions::show,
            About::new("showSession", "One session").gives::<types::SessionView>(),
        )
        .delete(
            "/v1/sessions/{id}",
            sessions::end,
            About::new("endSession", "End a session")
                .gives::<types::SessionView>()
                .fails(&[403, 410]),
        )
        .post(
            "/v1/sessions/{id}/renew",
            sessions::renew,
            About::new("renewSession", "Let a session end later")
                .takes::<types::Renew>()
                .gives::<types::SessionView>()
                .fails(&[403, 409, 410, 502]),
        )
        .post(
            "/v1/explain",
            explain::show,
            About::new("explain", "What would happen to statements, and why")
                .takes::<types::ExplainAsk>()
                .gives::<explain::Answer>()
                .fails(&[403, 404, 422]),
        )
}

/// What waits for an approval.
fn decided(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/requests",
            requests::list,
            About::new(
                "listRequests",
                "What waits for an approval: the caller's, and what they may decide",
            )
            .asks::<types::All>()
            .lists::<types::RequestView>(),
        )
        .post(
            "/v1/requests",
            requests::ask,
            About::new(
                "request",
                "Ask for the approval of a session or a statement ahead of its use",
            )
            .takes::<types::RequestAsk>()
            .gives::<types::RequestView>()
            .fails(&[403, 404, 409, 422, 502]),
        )
        .get(
            "/v1/requests/{id}",
            requests::show,
            About::new("showRequest", "One request").gives::<types::RequestView>(),
        )
        .delete(
            "/v1/requests/{id}",
            requests::withdraw,
            About::new("withdrawRequest", "Take one's own request back")
                .gives::<types::RequestView>()
                .fails(&[409]),
        )
        .post(
            "/v1/requests/{id}/keep",
            requests::keep,
            About::new(
                "keepRequest",
                "Let one's own request wait on after its client has had enough",
            )
            .gives::<types::RequestView>()
            .fails(&[409]),
        )
        .post(
            "/v1/requests/{id}/approve",
            requests::approve,
            About::new(
                "approveRequest",
                "Agree to a request, once for each approver",
            )
            .takes::<types::Decide>()
            .gives::<types::RequestView>()
            .fails(&[403, 409, 422]),
        )
        .post(
            "/v1/requests/{id}/deny",
            requests::deny,
            About::new("denyRequest", "Refuse a request; a reason is needed")
                .takes::<types::Decide>()
                .gives::<types::RequestView>()
                .fails(&[403, 409]),
        )
}

/// The audit log, for those who may read it.
fn audited(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/audit/events",
            audit::events,
            About::new("searchEvents", "Records that match, without transcripts")
                .asks::<audit::Query>()
                .gives::<audit::Page>()
                .fails(&[403]),
        )
        .get(
            "/v1/audit/tail",
            audit::tail,
            About::new("tailEvents", "Records as they come, one line of JSON each")
                .asks::<audit::Start>()
                .text("application/x-ndjson")
                .fails(&[403]),
        )
        .get(
            "/v1/audit/verify",
            audit::verify,
            About::new("verifyLog", "Whether the log is as it was written")
                .gives::<Report>()
                .fails(&[403]),
        )
        .get(
            "/v1/audit/sessions/{id}",
            audit::session,
            About::new(
                "showEvents",
                "Everything about a session, without transcripts",
            )
            .asks::<audit::Start>()
            .gives::<audit::Page>()
            .fails(&[403]),
        )
        .get(
            "/v1/audit/sessions/{id}/transcript",
            audit::transcript,
            About::new("showTranscript", "The same with what the client saw")
                .asks::<audit::Start>()
                .gives::<audit::Page>()
                .fails(&[403]),
        )
}
