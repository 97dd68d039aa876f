//! Who may decide a request: a member of its groups, and never who asks, in whatever guise.

use crate::broker::Error;
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::store::request::{self, Request};

/// Who may decide: a member of the groups, and never who asks, in whatever guise.
pub(super) fn check(request: &Request, approver: &Subject, now: Timestamp) -> Result<(), Error> {
    if is_same(&request.subject, approver) {
        return Err(Error::OwnRequest);
    }
    if !may_decide(approver, request) {
        return Err(Error::NotApprover {
            groups: request.approvers.clone(),
        });
    }
    if request.state != request::State::Pending {
        return Err(Error::Settled(request.state));
    }
    if request.expires <= now {
        return Err(Error::Settled(request::State::Expired));
    }
    let twice = request
        .approvals
        .iter()
        .any(|given| is_same(&given.approver, approver));
    if twice { Err(Error::Twice) } else { Ok(()) }
}

/// The same person, an agent of theirs, or the person behind an agent. Two issuers may know one person: the same `sub`, or the same
/// e-mail address, is taken for the same person, because letting somebody approve themselves is worse than asking somebody else.
#[must_use]
pub fn is_same(one: &Subject, other: &Subject) -> bool {
    let names = |subject: &Subject| -> Vec<subject::Id> {
        std::iter::once(subject.id.clone())
            .chain(subject.behalf.clone())
            .collect()
    };
    let (ones, others) = (names(one), names(other));
    let shared = ones
        .iter()
        .any(|id| others.iter().any(|other| id.sub == other.sub));
    let (ones, others) = (mails(one), mails(other));
    let mail = ones
        .iter()
        .any(|mail| others.iter().any(|of| mail.eq_ignore_ascii_case(of)));
    shared || mail
}

/// The e-mail addresses that are known of somebody.
fn mails(subject: &Subject) -> Vec<&str> {
    let claims = ["email", "preferred_username", "upn"];
    let claimed = claims.iter().filter_map(|name| subject.claims.get(*name));
    let all = claimed
        .map(String::as_str)
        .chain([subject.display.as_str()]);
    all.filter(|text| text.contains('@')).collect()
}

/// Whether they are in a group that may decide it. Agents and jobs decide nothing: an approval is a person's.
pub(super) fn may_decide(viewer: &Subject, request: &Request) -> bool {
    viewer.kind == subject::Kind::Person
        && request
            .approvers
            .iter()
            .any(|group| viewer.groups.contains(group))
}
