//! Whom an entry speaks of: groups, subjects, kinds, claims.

use std::convert::Infallible;

use crate::config::problem::{Problems, nearest};
use crate::config::table::Table;
use crate::model::subject::{self, Subject};
use crate::policy::pattern::Glob;

/// A condition on the subject. An empty one holds for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    groups: Vec<String>,
    subjects: Vec<String>,
    kinds: Vec<subject::Kind>,
    claims: Vec<(String, Glob)>,
}

impl Who {
    /// Whether the subject is meant: in one of the groups or named, and of one of the kinds, and with all claims.
    #[must_use]
    pub fn matches(&self, subject: &Subject) -> bool {
        self.is_named(subject)
            && (self.kinds.is_empty() || self.kinds.contains(&subject.kind))
            && self.claims.iter().all(|(claim, value)| {
                subject
                    .claims
                    .get(claim)
                    .is_some_and(|came| value.matches(came))
            })
    }

    fn is_named(&self, subject: &Subject) -> bool {
        if self.groups.is_empty() && self.subjects.is_empty() {
            return true;
        }
        let id = subject.id.to_string();
        self.groups.iter().any(|g| subject.groups.contains(g)) || self.subjects.contains(&id)
    }

    /// No condition at all.
    #[must_use]
    pub const fn is_everyone(&self) -> bool {
        self.groups.is_empty()
            && self.subjects.is_empty()
            && self.kinds.is_empty()
            && self.claims.is_empty()
    }

    /// What is looked for, for people to read.
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        wanted.extend(self.groups.iter().map(|g| format!("group `{g}`")));
        wanted.extend(self.subjects.iter().map(|s| format!("subject `{s}`")));
        wanted.extend(self.kinds.iter().map(|k| format!("a {}", kind_name(*k))));
        wanted.extend(
            self.claims
                .iter()
                .map(|(c, v)| format!("claim `{c}` = `{v}`")),
        );
        wanted
    }

    /// The names of the claims that are looked at, beyond groups.
    pub(in crate::policy) fn claim_names(&self) -> impl Iterator<Item = &str> {
        self.claims.iter().map(|(claim, _)| claim.as_str())
    }

    pub(super) fn read(table: &mut Table<'_>, problems: &mut Problems) -> Self {
        Self {
            groups: names(table, "groups", problems),
            subjects: table.each("subjects", subject, problems),
            kinds: table.each("kinds", kind, problems),
            claims: table
                .map("claims", problems)
                .into_iter()
                .map(|(claim, value)| (claim, Glob::new(value)))
                .collect(),
        }
    }
}

pub(super) fn names(
    table: &mut Table<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<String> {
    table.each(key, |name| Ok::<_, Infallible>(name.to_owned()), problems)
}

/// The word for a kind of subject.
pub(in crate::policy) const fn kind_name(kind: subject::Kind) -> &'static str {
    match kind {
        subject::Kind::Person => "person",
        subject::Kind::Job => "job",
        subject::Kind::Agent => "agent",
    }
}

pub(super) fn kind(text: &str) -> Result<subject::Kind, String> {
    match text {
        "person" => Ok(subject::Kind::Person),
        "job" => Ok(subject::Kind::Job),
        "agent" => Ok(subject::Kind::Agent),
        other => Err(unknown(
            "kind of subject",
            other,
            &["person", "job", "agent"],
        )),
    }
}

/// A subject is written as the audit log writes it: `issuer#sub`.
fn subject(text: &str) -> Result<String, String> {
    match text.split_once('#') {
        Some((issuer, sub)) if issuer.contains("://") && !sub.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` names no subject; write issuer and `sub`, as in `https://login.example#248289`"
        )),
    }
}

/// The sentence for a word that is none of those known.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("`{word}` is no {what}; did you mean `{near}`?"),
        None => format!("`{word}` is no {what}; known are {}", known.join(", ")),
    }
}
