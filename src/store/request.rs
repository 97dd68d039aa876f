//! A review request as it is kept.

use serde::{Deserialize, Serialize};

use crate::model::name::DatabaseName;
use crate::model::session::{RequestId, SessionId};
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;

/// Something that waits for people to agree to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// A session or a statement.
    pub kind: Kind,
    /// Who asks.
    pub subject: Subject,
    /// For which database.
    pub database: DatabaseName,
    /// From which session, if it is a statement.
    pub session: Option<SessionId>,
    /// Why, in the subject's words.
    pub reason: String,
    /// What is asked, as the broker writes it for approvers; the store does not look into it.
    pub what: String,
    /// The hash an approval is bound to.
    pub binding: String,
    /// Where it is in its life.
    pub state: State,
    /// How many approvals it needs.
    pub needed: u32,
    /// The groups whose members may approve.
    pub approvers: Vec<String>,
    /// The approvals so far, oldest first.
    pub approvals: Vec<Approval>,
    /// Who denied it, if somebody did.
    pub denial: Option<Denial>,
    /// When it was asked.
    pub created: Timestamp,
    /// When it ends if nothing happens; an approval is worth something until then, too.
    pub expires: Timestamp,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To open a session.
    Session,
    /// To run one statement.
    Statement,
}

impl Kind {
    /// The word it is kept as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Statement => "statement",
        }
    }

    /// Reads the word it is kept as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Session, Self::Statement]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Where a request is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for approvals.
    Pending,
    /// Has all it needs; not used yet.
    Approved,
    /// Somebody said no.
    Denied,
    /// Its time was up.
    Expired,
    /// Who asked does not want it any more.
    Withdrawn,
    /// Approved and used.
    Used,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Used,
    ];

    /// The word it is kept as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }

    /// Reads the word it is kept as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One approver's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub approver: Subject,
    /// Why, if they said.
    pub reason: Option<String>,
    /// The most rows it may touch.
    pub max_rows: Option<u64>,
    /// When.
    pub at: Timestamp,
}

/// One approver's no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Who.
    pub by: Subject,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What an approval is about to be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// Who uses it.
    pub subject: subject::Id,
    /// The hash of what is about to happen.
    pub binding: String,
    /// When.
    pub now: Timestamp,
}

/// What came of trying to change a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It changed; this is what it is now. (An approval that is not the last one leaves it pending.)
    Done(Request),
    /// It has been settled before; this is what it is.
    Already(Request),
    /// The same approver has approved it before.
    Twice(Request),
    /// The approver is the one who asks, or acts on the asker's behalf, or has the asker act on theirs.
    Own(Request),
    /// Its time is up.
    Late(Request),
    /// What is to be done is not what was approved, or it is somebody else's.
    Different(Request),
    /// There is no such request.
    Missing,
}

/// Which requests to list; everything that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Asked by this subject.
    pub subject: Option<subject::Id>,
    /// From this session.
    pub session: Option<SessionId>,
    /// In one of these states; empty = any.
    pub states: Vec<State>,
    /// At most so many; 0 = no limit.
    pub limit: u32,
}
