//! `[[test]]`: a statement and the outcome its author expects.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::subject::{self, Subject};
use crate::policy::document::who::{kind, names, unknown};
use crate::policy::document::{Place, entry_name};

/// One entry.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Who asks.
    pub subject: Subject,
    /// Where.
    pub database: DatabaseName,
    /// In what kind of session.
    pub access: Access,
    /// The statement.
    pub sql: String,
    /// What is expected.
    pub expect: Expected,
    /// The result columns that must be masked, by name; `None` = not said.
    pub masked: Option<BTreeSet<String>>,
    /// The rule that must decide; `None` = not said.
    pub rule: Option<String>,
}

/// An expected outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It runs.
    Allow,
    /// It is refused.
    Deny,
    /// It waits for an approval.
    Review,
}

impl Expected {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Review => "review",
        }
    }
}

impl Case {
    pub(super) fn read(
        mut table: Table<'_>,
        place: Place,
        problems: &mut Problems,
    ) -> Option<Self> {
        let name = entry_name(&mut table, "test", &place, problems);
        let subject = subject(&mut table, problems);
        let database = table.parsed("database", problems);
        let database = table.require("database", database, problems);
        let access = table.parsed("access", problems);
        let sql = table.text("sql", problems);
        let sql = table.require("sql", sql, problems);
        let expect = table.read("expect", expected, problems);
        let expect = table.require("expect", expect, problems);
        let masked = names(&mut table, "masked", problems).into_iter().collect();
        let masked = table.has("masked").then_some(masked);
        let rule = table.text("rule", problems);
        table.finish(problems);
        Some(Self {
            name,
            place,
            subject,
            database: database?,
            access: access.unwrap_or(Access::Write),
            sql: sql?,
            expect: expect?,
            masked,
            rule,
        })
    }
}

/// `as = { groups = […], kind = "agent", claims = { … } }`.
fn subject(table: &mut Table<'_>, problems: &mut Problems) -> Subject {
    let mut subject = Subject {
        id: subject::Id {
            issuer: "https://policy.test".to_owned(),
            sub: "test".to_owned(),
        },
        kind: subject::Kind::Person,
        display: "test".to_owned(),
        groups: BTreeSet::new(),
        claims: BTreeMap::new(),
        behalf: None,
    };
    let Some(mut who) = table.table("as", problems) else {
        if !table.has("as") {
            problems.push(
                table
                    .problem(table.span(), "`as` is missing")
                    .hint("say who asks, for example `as = { groups = [\"engineers\"] }`"),
            );
        }
        return subject;
    };
    subject.groups = names(&mut who, "groups", problems).into_iter().collect();
    subject.claims = who.map("claims", problems).into_iter().collect();
    if let Some(kind) = who.read("kind", kind, problems) {
        subject.kind = kind;
    }
    if let Some(id) = who.read("subject", id, problems) {
        subject.id = id;
    }
    who.finish(problems);
    subject
}

fn id(text: &str) -> Result<subject::Id, String> {
    let (issuer, sub) = text
        .split_once('#')
        .ok_or_else(|| format!("`{text}` names no subject; write `issuer#sub`"))?;
    Ok(subject::Id {
        issuer: issuer.to_owned(),
        sub: sub.to_owned(),
    })
}

fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "allow" => Ok(Expected::Allow),
        "deny" => Ok(Expected::Deny),
        "review" => Ok(Expected::Review),
        other => Err(unknown("outcome", other, &["allow", "deny", "review"])),
    }
}
