//! Every request and response of the interface; both ends use these types, so they cannot drift.
//!
//! Version 1. Fields are added, never renamed or removed; a client ignores what it does not know. Times are
//! RFC 3339 in UTC, spans are whole seconds in fields that end in `_s`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `GET /v1/info`: what a client needs before it has signed in.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// The broker's version.
    pub version: String,
    /// Issuers people sign in at, in the order of the configuration.
    pub issuers: Vec<IssuerInfo>,
    /// Where PostgreSQL clients connect.
    pub gateway: GatewayInfo,
}

/// An issuer people may sign in at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuerInfo {
    /// Its URL, exactly as its tokens name it.
    pub issuer: String,
    /// The client to sign in as.
    pub client_id: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

/// Where PostgreSQL clients connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayInfo {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// `POST /v1/login`: tokens of an issuer for one of the broker's own.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// The issuer's ID token.
    pub id_token: String,
    /// Its access token, for `userinfo` where the ID token has no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// The nonce the client had asked for, where a browser was involved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// The answer to a login.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoggedIn {
    /// The broker's own token, for `Authorization: Bearer`.
    pub token: String,
    /// When it ends.
    pub expires: String,
    /// Who the broker takes the caller for.
    pub subject: SubjectView,
}

/// A subject, for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    /// The issuer.
    pub issuer: String,
    /// The issuer's name for the subject.
    pub sub: String,
    /// A short name.
    pub display: String,
    /// `person`, `job` or `agent`.
    pub kind: String,
    /// Groups the policy sees.
    pub groups: Vec<String>,
    /// On whose behalf, for agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<String>,
}

/// `POST /v1/logout`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Logout {
    /// Leave the subject's sessions open.
    #[serde(default)]
    pub keep_sessions: bool,
}

/// The answer to a logout.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct LoggedOut {
    /// How many sessions were ended with it.
    pub sessions_ended: u64,
}

/// `GET /v1/me`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Who the caller is.
    pub subject: SubjectView,
    /// When the caller's token ends.
    pub expires: String,
    /// The caller's open sessions.
    pub sessions: Vec<SessionView>,
}

/// One entry of `GET /v1/databases`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DatabaseView {
    /// The name to ask for.
    pub name: String,
    /// What the caller may do there: `read`, `write`.
    pub access: Vec<String>,
    /// Whether opening a session waits for an approval.
    pub review: bool,
    /// The longest session, in seconds.
    pub max_duration_s: u64,
}

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ask {
    /// The database's offered name.
    pub database: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long, in seconds; none = as long as the policy allows by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub duration_s: Option<u64>,
    /// `read` or `write`.
    pub access: String,
    /// An approved request this session makes use of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// What a list is to have.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, IntoParams)]
pub struct All {
    /// Also what is over.
    #[serde(default)]
    #[param(required = false)]
    pub all: bool,
}

/// The answer to `POST /v1/sessions`. A refusal is a `Problem` with status 403.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Opened {
    /// The session is open.
    Granted(Granted),
    /// An approval is needed first.
    Pending {
        /// The request that waits.
        request: RequestView,
    },
}

/// An open session and the way in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Granted {
    /// The session.
    pub session: SessionView,
    /// Where to connect.
    pub gateway: GatewayInfo,
    /// The `user` of the startup packet.
    pub user: String,
    /// The session's credential. It is shown once.
    pub secret: String,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// `s…`.
    pub id: String,
    /// Whose.
    pub subject: SubjectView,
    /// The database's offered name.
    pub database: String,
    /// `read` or `write`.
    pub access: String,
    /// Why it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was opened.
    pub opened: String,
    /// When it ends at the latest.
    pub ends: String,
    /// `open`, `closing` or `closed`.
    pub state: String,
    /// Why it ended, when it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_reason: Option<String>,
    /// Client connections at this moment.
    pub connections: u32,
}

/// `POST /v1/sessions/{id}/renew`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Renew {
    /// How long from now, in seconds; the policy's cap holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub duration_s: Option<u64>,
}

/// `POST /v1/requests`: ask for a statement, or a session, before it is needed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RequestAsk {
    /// What the session would be.
    #[serde(flatten)]
    pub session: Ask,
    /// The statement to have approved; none = the session itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
}

/// Something that waits, or waited, for an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// `r…`.
    pub id: String,
    /// `session` or `statement`.
    pub what: String,
    /// `pending`, `approved`, `denied`, `expired`, `withdrawn` or `used`.
    pub state: String,
    /// Who asks.
    pub subject: SubjectView,
    /// The database's offered name.
    pub database: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The statement's text, with passwords left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What it touches, one line a fact.
    #[serde(default)]
    pub footprint: Vec<String>,
    /// Rows the planner expects to be touched. Who asks is not told: it says something about the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_rows: Option<u64>,
    /// Whether an approver may set a maximum of rows: the server tells how many it touches.
    #[serde(default)]
    pub countable: bool,
    /// The rule that asks for the approval.
    pub rule: String,
    /// Groups whose members may approve.
    pub approvers: Vec<String>,
    /// How many approvals are needed.
    pub needed: u32,
    /// Approvals so far.
    pub approvals: Vec<ApprovalView>,
    /// Who refused it, when somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<DenialView>,
    /// When it was asked.
    pub created: String,
    /// When it ends undecided.
    pub expires: String,
}

/// One approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// By whom.
    pub by: String,
    /// What the approver said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The most rows the approver agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// When.
    pub at: String,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenialView {
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
}

/// `POST /v1/requests/{id}/approve` and `…/deny`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Decide {
    /// Why; required to deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The most rows the statement may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
}

/// `POST /v1/explain`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExplainAsk {
    /// The database's offered name.
    pub database: String,
    /// One statement.
    pub sql: String,
    /// `read` or `write`.
    pub access: String,
}

/// Every refusal and failure: status 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What went wrong, as a word a program can match: `not_allowed`, `unknown_database`, `token_expired`, …
    pub code: String,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// More about it, such as the rule with file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
