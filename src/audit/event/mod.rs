//! What is recorded: a closed set of events, each with who, where and why.
//!
//! Names are in the past: an event says what is so. `StatementIntended` says that a statement is about to run; it
//! is durable before the statement reaches the database.

pub mod footprint;
pub mod private;

use serde::{Deserialize, Serialize};

use crate::audit::event::footprint::Footprint;
use crate::audit::event::private::Private;
use crate::audit::refusal::Entrance;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;

/// Something that happened, and in which circumstances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(flatten)]
    pub action: Action,
    /// Who did it, where and why.
    #[serde(flatten)]
    pub context: Context,
}

impl Event {
    /// An event and its circumstances.
    #[must_use]
    pub const fn new(context: Context, action: Action) -> Self {
        Self { action, context }
    }

    /// About how many bytes of text it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let length = |text: &Private| text.text().map_or(0, str::len);
        let statement =
            |of: &Statement| length(&of.statement) + of.parameters.as_ref().map_or(0, length);
        match &self.action {
            Action::StatementIntended { statement: of, .. }
            | Action::StatementHeld { statement: of, .. }
            | Action::StatementRefused { statement: of, .. } => statement(of),
            Action::StatementFinished { ran, .. }
            | Action::StatementFailed { ran, .. }
            | Action::StatementUnknown { ran, .. } => ran.transcript.as_ref().map_or(0, length),
            _ => 0,
        }
    }
}

/// Who, where and why; what does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Who did it. Nobody: the broker itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Actor>,
    /// In which session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// On which database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
    /// On which of the session's connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// Why, in the subject's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Private>,
}

/// Who did it, as the log names people for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Issuer and `sub`.
    #[serde(flatten)]
    pub id: subject::Id,
    /// A person, a job or an agent.
    pub kind: subject::Kind,
    /// A name for people to read.
    pub name: String,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<subject::Id>,
}

impl From<&Subject> for Actor {
    fn from(subject: &Subject) -> Self {
        Self {
            id: subject.id.clone(),
            kind: subject.kind,
            name: subject.display.chars().take(256).collect(),
            behalf: subject.behalf.clone(),
        }
    }
}

/// Where a client is and what it calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `application_name` or user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Private>,
}

/// What the policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allowed, denied or up for review.
    pub outcome: Outcome,
    /// The rule that decided: its name, file and line. None: no rule allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// SHA-256 of the policy, in hex.
    pub policy: String,
}

/// Allowed, denied or up for review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// May happen.
    Allow,
    /// May not.
    Deny,
    /// May, once people have agreed.
    Review,
}

/// One person's yes to what then happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Whose.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The most rows they agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
}

/// A result column that was masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// Its place in the result, from 1.
    pub column: u32,
    /// The mask's name.
    pub mask: String,
    /// The stored columns it comes from, if they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// How many values were masked; nothing before it has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<u64>,
}

/// A statement that is about to run, waits, or was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Its text.
    pub statement: Private,
    /// Its parameters as JSON, unless policy leaves them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Private>,
    /// What it touches; nothing if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<Footprint>,
    /// What the policy said; nothing if it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// What came of a statement that ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// The record of its intent.
    pub intent: u64,
    /// Rows the client received, or that were written.
    pub rows: u64,
    /// Bytes of results the client received.
    pub bytes: u64,
    /// How long it took.
    pub micros: u64,
    /// The review that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Who agreed to it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Consent>,
    /// What was masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<Masked>,
    /// What the client saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Private>,
}

/// What was done to a log that was not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Repair {
    /// What had happened.
    pub cause: String,
    /// How many records were kept.
    pub kept: u64,
    /// How many bytes behind them were cut off.
    pub cut: u64,
    /// How many records that had been acknowledged are gone. Zero unless somebody shortened the log.
    pub lost: u64,
    /// The hash of the last acknowledged record, if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_hash: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Action {
    /// The broker began to serve.
    BrokerStarted {
        /// Its version.
        version: String,
    },
    /// The broker was asked to stop and has let go of its clients.
    BrokerStopped,
    /// Somebody signed in.
    LoggedIn {
        /// How: `id token`, `refresh`.
        method: String,
    },
    /// A sign-in was refused.
    LoginRefused {
        /// Why.
        error: Private,
    },
    /// Somebody signed out.
    LoggedOut {
        /// How many sessions that ended.
        sessions: u32,
    },
    /// A session was asked for.
    SessionRequested {
        /// To do what.
        access: Access,
        /// For how long, in seconds, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A session waits for approvals.
    SessionHeld {
        /// The request.
        request: RequestId,
        /// What the policy said.
        decision: Decision,
        /// How many approvals it needs.
        needed: u32,
        /// The groups that may approve.
        #[serde(default)]
        approvers: Vec<String>,
    },
    /// A session was granted.
    SessionGranted {
        /// To do what.
        access: Access,
        /// Until when.
        ends: Timestamp,
        /// What the policy said.
        decision: Decision,
        /// The PostgreSQL roles it has the rights of.
        #[serde(default)]
        roles: Vec<String>,
        /// The review it was granted by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// Who agreed to it, oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<Consent>,
    },
    /// A session was refused.
    SessionRefused {
        /// To do what.
        access: Access,
        /// What the policy said; nothing if it was not asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<Decision>,
        /// Why.
        error: Private,
    },
    /// A session's lease is about to be created in the database.
    LeaseIntended {
        /// The role.
        role: String,
        /// `VALID UNTIL`.
        ends: Timestamp,
    },
    /// A session can be used.
    SessionOpened {
        /// Its lease.
        role: String,
    },
    /// A session's end was moved.
    SessionRenewed {
        /// To when.
        ends: Timestamp,
    },
    /// Its owner has no more use for a session.
    SessionEnded,
    /// Somebody ended a session of somebody else.
    SessionKilled {
        /// Whose it is.
        owner: Actor,
    },
    /// A session is over.
    SessionClosed {
        /// Why.
        end: CloseReason,
    },
    /// A lease could not be ended; it stays closed and is tried again.
    RoleStuck {
        /// The role.
        role: String,
        /// How often it was tried.
        tries: u32,
        /// What the database said.
        error: Private,
    },
    /// A role that a crash or a failed try had left behind is gone.
    RoleReaped {
        /// The role.
        role: String,
    },
    /// A client was let in.
    ConnectionOpened {
        /// The process of its backend, if it has one already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<i64>,
    },
    /// A client was turned away.
    ConnectionRefused {
        /// Why.
        error: Private,
    },
    /// More attempts to get in were refused within a minute than are recorded one by one.
    RefusalsCounted {
        /// Where.
        at: Entrance,
        /// How many more.
        count: u64,
    },
    /// A client is gone.
    ConnectionClosed {
        /// How many statements it ran.
        statements: u64,
        /// Why, in a fixed phrase.
        end: String,
    },
    /// A statement is about to run.
    StatementIntended {
        /// The statement.
        #[serde(flatten)]
        statement: Statement,
        /// What will be masked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        masked: Vec<Masked>,
        /// The review that allowed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// Who agreed to it, oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<Consent>,
        /// The most rows the approvers allowed: the least of what each of them said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_rows: Option<u64>,
    },
    /// A statement waits for approvals.
    StatementHeld {
        /// The statement.
        #[serde(flatten)]
        statement: Statement,
        /// The request.
        request: RequestId,
        /// How many approvals it needs.
        needed: u32,
        /// The groups that may approve.
        #[serde(default)]
        approvers: Vec<String>,
        /// The hash an approval is bound to.
        binding: String,
    },
    /// A statement was refused; it did not run. Its text is empty if none could be read.
    StatementRefused {
        /// The statement.
        #[serde(flatten)]
        statement: Statement,
        /// The review that it waited for, or that was too old or for something else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// The SQLSTATE the client got.
        sqlstate: String,
        /// What the client was told.
        error: Private,
    },
    /// A statement succeeded.
    StatementFinished {
        /// What came of it.
        #[serde(flatten)]
        ran: Ran,
        /// The command tag.
        tag: String,
    },
    /// A statement failed in the database, or was stopped by a limit.
    StatementFailed {
        /// What came of it until then.
        #[serde(flatten)]
        ran: Ran,
        /// The SQLSTATE.
        sqlstate: String,
        /// What the database or the gateway said.
        error: Private,
    },
    /// A statement was sent and no answer came: it may have happened or not.
    StatementUnknown {
        /// What came of it until then.
        #[serde(flatten)]
        ran: Ran,
        /// What is known.
        error: Private,
    },
    /// A client asked to cancel what its connection runs.
    StatementCancelled {
        /// The record of the intent, if a statement was running.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<u64>,
    },
    /// An approver said yes.
    RequestApproved {
        /// The request.
        request: RequestId,
        /// How many have said so.
        have: u32,
        /// How many it needs.
        needed: u32,
        /// The most rows it may touch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_rows: Option<u64>,
        /// In the approver's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Private>,
    },
    /// An approver said no.
    RequestDenied {
        /// The request.
        request: RequestId,
        /// In the approver's words.
        note: Private,
    },
    /// Nobody decided in time.
    RequestExpired {
        /// The request.
        request: RequestId,
    },
    /// Who asked is gone or does not want it any more.
    RequestWithdrawn {
        /// The request.
        request: RequestId,
    },
    /// Who asked waits no longer in the connection; the request waits on.
    RequestKept {
        /// The request.
        request: RequestId,
        /// Until when.
        expires: Timestamp,
    },
    /// An approval was used up.
    RequestUsed {
        /// The request.
        request: RequestId,
    },
    /// Sessions and reviews that are over are about to leave the broker's memory; the log keeps them.
    StateForgotten {
        /// They were over before this time.
        before: Timestamp,
        /// How many there are.
        entries: u64,
    },
    /// A policy took effect.
    PolicyLoaded {
        /// Its SHA-256, in hex.
        policy: String,
    },
    /// A new policy has mistakes; the old one stays.
    PolicyRefused {
        /// The mistakes.
        error: Private,
    },
    /// The log was not whole and was mended.
    LogRepaired {
        /// How.
        #[serde(flatten)]
        repair: Repair,
    },
    /// Somebody read the log.
    AuditRead {
        /// `search`, `tail`, `show`, `replay` or `verify`.
        what: String,
        /// What was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<Private>,
    },
    /// The texts of a record are about to be erased.
    PayloadErased {
        /// The record.
        record: u64,
    },
}
