//! An approval that was asked for ahead of its use, brought along by the session that uses it.

use crate::broker::request::What;
use crate::broker::session::Session;
use crate::broker::{Broker, Error};
use crate::model::session::RequestId;
use crate::model::time::Timestamp;
use crate::policy::binding::Binding;
use crate::policy::{Approval, Consent};
use crate::store::request::{self, Request};

/// What a session brought along for a statement that needs an approval.
#[derive(Debug)]
pub enum Brought {
    /// Nothing, or it has been used for an earlier statement.
    Nothing,
    /// Its approval, used up by now.
    Approval(Box<Approval>),
    /// A request that is not good for this.
    Unfit {
        /// The request.
        request: RequestId,
        /// Why, as a sentence.
        why: String,
    },
}

/// The statement an approval is to be used for, as approvers would read it.
#[derive(Debug)]
pub struct Use<'a> {
    /// What an approval must be bound to.
    pub binding: &'a Binding,
    /// Its text, with passwords left out.
    pub statement: &'a str,
    /// What it touches, one line a relation.
    pub footprint: Vec<String>,
}

impl Broker {
    /// The approval that a session brought along for this statement, used up by this call.
    ///
    /// # Errors
    /// When the use cannot be recorded or kept; then it is not used.
    pub async fn approval(&self, session: &Session, of: &Use<'_>) -> Result<Brought, Error> {
        let Some(id) = session.request.as_ref().filter(|_| session.brings()) else {
            return Ok(Brought::Nothing);
        };
        let subject = session.subject.id.clone();
        let used = self.desk.spend(id.clone(), subject, of.binding.to_string());
        if let Some(request) = used.await? {
            session.spend();
            let agreed = approval(&request, of.binding);
            return Ok(Brought::Approval(Box::new(agreed)));
        }
        let why = match self.core.store.request(id).await? {
            Some(request) if request.kind == request::Kind::Session => return Ok(Brought::Nothing),
            Some(request) if request.subject.is(&session.subject) => {
                unfit(&request, session, of, self.core.clock.now())
            }
            _ => "There is no such request any more.".to_owned(),
        };
        Ok(Brought::Unfit {
            request: id.clone(),
            why,
        })
    }
}

/// Why a request is not good for this.
fn unfit(request: &Request, session: &Session, of: &Use<'_>, now: Timestamp) -> String {
    match request.state {
        request::State::Approved if request.expires > now => {}
        request::State::Approved | request::State::Expired => {
            return "Its time is up.".to_owned();
        }
        request::State::Pending => return "It is not approved yet.".to_owned(),
        request::State::Used => return "It has been used already.".to_owned(),
        request::State::Withdrawn => return "It was withdrawn.".to_owned(),
        request::State::Denied => {
            let denial = request.denial.as_ref();
            return denial.map_or_else(
                || "It was denied.".to_owned(),
                |denial| format!("It was denied by {}: {}", denial.by.display, denial.reason),
            );
        }
    }
    let what = What::of(request);
    if request.database != session.database {
        format!("It was approved for the database `{}`.", request.database)
    } else if what.statement.as_deref() != Some(of.statement) {
        "It was approved for a statement of another text.".to_owned()
    } else if request.reason != session.reason {
        "It was approved for another reason than this session was opened for.".to_owned()
    } else if what.access != session.access.to_string() {
        format!("It was approved for a session to {}.", what.access)
    } else if what.footprint != of.footprint {
        "The statement touches something else by now than what was approved.".to_owned()
    } else {
        "It was approved for other parameters, or what the statement touches is defined differently by now."
            .to_owned()
    }
}

/// What the approvers agreed to, for the decision: the tightest maximum counts.
pub(super) fn approval(request: &Request, binding: &Binding) -> Approval {
    Approval {
        request: request.id.clone(),
        binding: binding.clone(),
        max_rows: request
            .approvals
            .iter()
            .filter_map(|given| given.max_rows)
            .min(),
        given: request
            .approvals
            .iter()
            .map(|given| Consent {
                by: given.approver.clone(),
                at: given.at,
                max_rows: given.max_rows,
            })
            .collect(),
    }
}
