//! Policy files become a policy, or a list of all mistakes in them.
//!
//! Reading order: this file → `allow` → `protect` → `rule` → `limits` → `case`; `who` and `hours` are conditions.

use std::fmt;

use aws_lc_rs::digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::config::problem::{Problem, Problems, Source, nearest};
use crate::config::table::{self, Table};
use crate::model::name::{DatabaseName, ObjectName};
use crate::policy::document::allow::Allow;
use crate::policy::document::case::Case;
use crate::policy::document::limits::LimitSet;
use crate::policy::document::protect::Protect;
use crate::policy::document::rule::Rule;
use crate::policy::document::trust::Trust;

pub mod allow;
pub mod case;
pub mod hours;
pub mod limits;
pub mod protect;
pub mod rule;
mod trust;
pub mod who;

/// Everything that was decided in advance.
///
/// **Invariant:** only [`compile`] makes one, and only from texts without a mistake.
#[derive(Debug, Clone)]
pub struct Policy {
    hash: String,
    allows: Vec<Allow>,
    protects: Vec<Protect>,
    rules: Vec<Rule>,
    limits: LimitSet,
    trusts: Vec<Trust>,
    cases: Vec<Case>,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Reads policy files, in their order, into one policy.
///
/// # Errors
/// All mistakes in all files.
pub fn compile(sources: &[Source]) -> Result<Policy, Problems> {
    let mut problems = Problems::new();
    let mut policy = Policy {
        hash: hash(sources),
        allows: Vec::new(),
        protects: Vec::new(),
        rules: Vec::new(),
        limits: LimitSet::default(),
        trusts: Vec::new(),
        cases: Vec::new(),
    };
    for source in sources {
        policy.read(source, &mut problems);
    }
    policy.check_names(sources, &mut problems);
    problems.or(policy)
}

impl Policy {
    /// SHA-256 over names and texts of all files, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Who may do what.
    #[must_use]
    pub fn allows(&self) -> &[Allow] {
        &self.allows
    }

    /// What is masked.
    #[must_use]
    pub fn protects(&self) -> &[Protect] {
        &self.protects
    }

    /// What is denied or reviewed.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How much may run.
    #[must_use]
    pub const fn limits(&self) -> &LimitSet {
        &self.limits
    }

    /// What its author expects of it.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The functions it vouches for in that database.
    pub fn trusted(&self, database: &DatabaseName) -> impl Iterator<Item = ObjectName> {
        self.trusts
            .iter()
            .filter(|trust| trust.concerns(database))
            .flat_map(|trust| trust.functions.iter().cloned())
    }

    fn read(&mut self, source: &Source, problems: &mut Problems) {
        let content = table::parse(source, problems);
        let mut top = Table::top(source, &content);
        let place = |table: &Table<'_>| Place {
            file: source.name.clone(),
            line: source.locate(table.span().start).0,
        };
        for table in top.tables("allow", problems) {
            let place = place(&table);
            self.allows.push(Allow::read(table, place, problems));
        }
        for table in top.tables("protect", problems) {
            let place = place(&table);
            self.protects.push(Protect::read(table, place, problems));
        }
        for table in top.tables("rule", problems) {
            let place = place(&table);
            self.rules.push(Rule::read(table, place, problems));
        }
        for table in top.tables("trust", problems) {
            self.trusts.push(Trust::read(table, problems));
        }
        for table in top.tables("test", problems) {
            let place = place(&table);
            self.cases.extend(Case::read(table, place, problems));
        }
        if let Some(table) = top.table("limits", problems) {
            self.limits = self.limits.and(LimitSet::read(table, problems));
        }
        top.finish(problems);
    }

    /// Names are how refusals and tests speak of entries, so each stands for one.
    fn check_names(&self, sources: &[Source], problems: &mut Problems) {
        let allows = self.allows.iter().map(|a| (&a.name, &a.place));
        let protects = self.protects.iter().map(|p| (&p.name, &p.place));
        let rules = self.rules.iter().map(|r| (&r.name, &r.place));
        let mut seen: std::collections::BTreeMap<&str, &Place> = std::collections::BTreeMap::new();
        for (name, place) in allows.chain(protects).chain(rules) {
            if let Some(first) = seen.insert(name, place) {
                let message = format!("there are two entries `{name}`, the other is at {first}");
                problems.extend(at_line(sources, place, message).into());
            }
        }
        for case in &self.cases {
            let Some(rule) = &case.rule else { continue };
            if !seen.contains_key(rule.as_str()) {
                let problem = at_line(sources, &case.place, format!("there is no entry `{rule}`"));
                let near = nearest(rule, seen.keys().copied());
                problems.push(match near {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
        }
    }
}

fn at_line(sources: &[Source], place: &Place, message: String) -> Problem {
    let empty = Source::new(place.file.as_str(), "");
    let source = sources
        .iter()
        .find(|source| source.name == place.file)
        .unwrap_or(&empty);
    let start = source
        .text
        .split_inclusive('\n')
        .take(place.line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = source.text.get(start..).unwrap_or_default();
    let length = rest.find('\n').unwrap_or(rest.len());
    Problem::at(source, start..start + length, message)
}

/// Lengths are hashed, too, so that no two lists of files read the same.
fn hash(sources: &[Source]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for source in sources {
        for part in [source.name.as_bytes(), source.text.as_bytes()] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
    }
    hex(context.finish().as_ref())
}

/// Hexadecimal digits.
pub(in crate::policy) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ok = write!(text, "{byte:02x}");
        text
    })
}

/// An entry's name, or one made up from its place.
fn entry_name(
    table: &mut Table<'_>,
    section: &str,
    place: &Place,
    problems: &mut Problems,
) -> String {
    let name = table.text("name", problems).unwrap_or_default();
    if name.is_empty() {
        format!("{section} at {place}")
    } else {
        name
    }
}

/// A word of one of the closed sets that serde knows (kinds of statement, hazards, uses of a column).
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let from = StrDeserializer::<serde::de::value::Error>::new(text);
    T::deserialize(from).map_err(|error| {
        // serde lists the words it knows in backticks after the one it got.
        let message = error.to_string();
        let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        who::unknown("word known here", text, &known)
    })
}
