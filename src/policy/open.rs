//! May this subject open this database, with which roles, for how long?

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::identity::claims::{CAME, LOOKED_FOR};
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::model::time::Timestamp;
use crate::policy::document::allow::{Allow, Power};
use crate::policy::document::who::kind_name;
use crate::policy::obligation::Limits;
use crate::policy::permit::Demand;
use crate::policy::{Denial, Policy, Reason};

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// Which database.
    pub database: &'a DatabaseName,
    /// Read or write.
    pub access: Access,
    /// For how long; none = an hour, or less where the policy says so.
    pub duration: Option<Duration>,
    /// What for.
    pub reason: Option<&'a str>,
    /// Whether enough people have agreed to it.
    pub approved: bool,
    /// When.
    pub now: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It may be opened, on these terms.
    Granted(Grant),
    /// Somebody must agree first.
    Review(Demand),
    /// It may not.
    Refused(Box<Denial>),
}

/// The terms of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The entries it rests on.
    pub rules: Vec<String>,
    /// PostgreSQL roles whose member the lease becomes, in the policy's order.
    pub roles: Vec<String>,
    /// Who gets what the session leaves behind; without one it can create nothing.
    pub owner: Option<String>,
    /// How long it lasts.
    pub duration: Duration,
    /// How long it could have been asked for.
    pub longest: Duration,
    /// How much may run in it.
    pub limits: Limits,
}

/// How long a session lasts when nobody says.
const USUAL: Duration = Duration::from_secs(3600);
/// How long a session waits for its approval, and how long the approval can be used.
const EXPIRES: Duration = Duration::from_secs(24 * 3600);

/// Decides whether a session may be opened. Used again whenever the policy changes, to end what is no longer allowed.
#[must_use]
pub fn open(policy: &Policy, ask: &Ask<'_>) -> Opening {
    let fitting: Vec<&Allow> = policy
        .allows()
        .iter()
        .filter(|allow| allow.concerns(ask.subject, ask.database))
        .collect();
    if !fitting
        .iter()
        .any(|allow| allow.opens(Access::Read) || allow.changes())
    {
        return refuse(no_role_matched(policy, ask));
    }
    let opening: Vec<&Allow> = fitting
        .iter()
        .copied()
        .filter(|allow| allow.opens(ask.access))
        .collect();
    if opening.is_empty() {
        return refuse(wrong_access(ask));
    }
    let holding: Vec<&Allow> = opening
        .iter()
        .copied()
        .filter(|allow| missing(allow, ask).is_none())
        .collect();
    if holding.is_empty() {
        let first = opening.first().and_then(|allow| missing(allow, ask));
        return refuse(first.unwrap_or_else(|| no_role_matched(policy, ask)));
    }
    // What can be had without asking anybody is granted; roles that need an approval wait for it.
    let (free, asking): (Vec<&Allow>, Vec<&Allow>) = holding
        .iter()
        .copied()
        .partition(|allow| ask.approved || allow.approvers.is_empty());
    if free.is_empty() {
        return demand(&asking)
            .map_or_else(|| refuse(no_role_matched(policy, ask)), Opening::Review);
    }
    grant(policy, ask, &free)
}

/// What a subject may do with a database, for `ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The database.
    pub database: DatabaseName,
    /// What may be done there.
    pub powers: Vec<&'static str>,
    /// The widest access a session can have.
    pub access: Access,
    /// The longest session.
    pub longest: Duration,
    /// Every way in needs an approval.
    pub review: bool,
}

/// The databases among `offered` that the subject may ask for.
#[must_use]
pub fn databases<'a>(
    policy: &Policy,
    subject: &Subject,
    offered: impl IntoIterator<Item = &'a DatabaseName>,
) -> Vec<Offer> {
    offered
        .into_iter()
        .filter_map(|database| offer(policy, subject, database))
        .collect()
}

/// Whether the subject may do this with the broker itself: read the audit log, see others' sessions.
#[must_use]
pub fn may(policy: &Policy, subject: &Subject, power: Power, now: Timestamp) -> bool {
    policy.allows().iter().any(|allow| {
        allow.powers.contains(&power) && allow.who.matches(subject) && allow.holds_at(now)
    })
}

fn offer(policy: &Policy, subject: &Subject, database: &DatabaseName) -> Option<Offer> {
    let entries: Vec<&Allow> = policy
        .allows()
        .iter()
        .filter(|allow| allow.concerns(subject, database))
        .filter(|allow| allow.opens(Access::Read) || allow.changes())
        .collect();
    let powers: BTreeSet<Power> = entries.iter().flat_map(|a| a.powers.clone()).collect();
    let writes = entries.iter().any(|allow| allow.changes());
    Some(Offer {
        database: database.clone(),
        powers: powers.iter().map(|power| power.name()).collect(),
        access: if writes { Access::Write } else { Access::Read },
        longest: entries.iter().map(|allow| allow.max_duration).max()?,
        review: entries.iter().all(|allow| !allow.approvers.is_empty()),
    })
}

/// The condition of the entry that does not hold, as a refusal.
fn missing(allow: &Allow, ask: &Ask<'_>) -> Option<Denial> {
    let detail = crate::policy::denial::by("Entry", &allow.name, &allow.place);
    if !allow.holds_at(ask.now) {
        let message = format!("`{}` cannot be opened at this hour", ask.database);
        return Some(Denial::new(Reason::Condition, message).detail(detail));
    }
    if !allow.is_satisfied_by(ask.reason) {
        let (what, hint) = match &allow.ticket {
            Some(ticket) => (
                "with a ticket",
                format!("Name one of the form `{ticket}` in `--reason`."),
            ),
            None => (
                "for a reason",
                "Say what it is for with `--reason`.".to_owned(),
            ),
        };
        let message = format!("`{}` is opened only {what}", ask.database);
        return Some(
            Denial::new(Reason::Condition, message)
                .detail(detail)
                .hint(hint),
        );
    }
    None
}

/// The shorter a session is, the more entries allow it: those that allow less than its length give no roles.
fn grant(policy: &Policy, ask: &Ask<'_>, free: &[&Allow]) -> Opening {
    let longest = free.iter().map(|allow| allow.max_duration).max();
    let longest = longest.unwrap_or_default();
    let duration = ask.duration.unwrap_or(USUAL).min(longest);
    let mut used: Vec<&Allow> = free
        .iter()
        .copied()
        .filter(|allow| allow.max_duration >= duration)
        .collect();
    if ask.access == Access::Read && used.iter().any(|allow| !allow.changes()) {
        // A session for reading needs no roles that can write where others do.
        used.retain(|allow| !allow.changes());
    }
    let mut roles: Vec<String> = Vec::new();
    for role in used.iter().flat_map(|allow| &allow.roles) {
        if !roles.contains(role) {
            roles.push(role.clone());
        }
    }
    Opening::Granted(Grant {
        rules: used.iter().map(|allow| allow.name.clone()).collect(),
        roles,
        owner: used.iter().find_map(|allow| allow.owner.clone()),
        duration,
        longest,
        limits: policy.limits().of(ask.subject.kind),
    })
}

/// By the first entry whose approvers can be asked.
fn demand(asking: &[&Allow]) -> Option<Demand> {
    let allow = asking.first()?;
    Some(Demand {
        rule: allow.name.clone(),
        approvers: allow.approvers.iter().cloned().collect(),
        needed: allow.needed,
        hold: Duration::ZERO,
        in_transaction: Duration::ZERO,
        expires: EXPIRES,
        hint: None,
    })
}

fn refuse(denial: Denial) -> Opening {
    Opening::Refused(Box::new(denial))
}

fn wrong_access(ask: &Ask<'_>) -> Denial {
    let (message, hint) = match ask.access {
        Access::Write => ("for reading only", "Ask for it with `--access read`."),
        Access::Read => (
            "for other things than reading",
            "Ask for it with `--access write`.",
        ),
    };
    let message = format!("you may open `{}` {message}", ask.database);
    Denial::new(Reason::NotAllowed, message).hint(hint)
}

/// Says which claims were looked for and which came, so that the person can tell the one who can mend it.
fn no_role_matched(policy: &Policy, ask: &Ask<'_>) -> Denial {
    let name = ask.database.as_str();
    let here: Vec<&Allow> = policy
        .allows()
        .iter()
        .filter(|allow| allow.databases.iter().any(|glob| glob.matches(name)))
        .collect();
    let mut wanted: Vec<String> = here.iter().flat_map(|allow| allow.who.wanted()).collect();
    wanted.sort();
    wanted.dedup();
    let looked_for = if wanted.is_empty() {
        format!("no entry of the policy opens `{name}` for anybody")
    } else {
        format!("looked for {}", wanted.join(", "))
    };
    let groups: Vec<String> = ask
        .subject
        .groups
        .iter()
        .map(|g| format!("`{g}`"))
        .collect();
    let named = |entry: &str| ask.subject.claims.get(entry);
    let mut came = match (groups.is_empty(), named(LOOKED_FOR), named(CAME)) {
        (true, Some(claim), Some(names)) => {
            format!("the token has no group in the claim `{claim}`; its claims are {names}")
        }
        (true, ..) => "no groups came".to_owned(),
        (false, Some(claim), _) => {
            format!("groups {} came, by the claim `{claim}`", groups.join(", "))
        }
        (false, None, _) => format!("groups {} came", groups.join(", ")),
    };
    let claims: BTreeSet<&str> = here.iter().flat_map(|a| a.who.claim_names()).collect();
    for claim in claims {
        match ask.subject.claims.get(claim) {
            Some(value) => came.push_str(&format!(", claim `{claim}` = `{value}`")),
            None => came.push_str(&format!(", no claim `{claim}`")),
        }
    }
    let kind = kind_name(ask.subject.kind);
    Denial::new(
        Reason::NoRoleMatched,
        format!("you may not open `{name}`: no role matched"),
    )
    .detail(format!("For this {kind}, {looked_for}; {came}."))
    .hint("Run `dbgate status` to see who you are, or ask an administrator for one of the groups.")
}
