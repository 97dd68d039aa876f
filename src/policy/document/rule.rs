//! `[[rule]]`: which statements are denied, which wait for an approval.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::model::time::{Timestamp, parse_span};
use crate::policy::document::allow::{globs, needed};
use crate::policy::document::hours::Hours;
use crate::policy::document::who::{Who, names, unknown};
use crate::policy::document::{Place, entry_name, word};
use crate::policy::pattern::{self, Glob};
use crate::sql::footprint::{Hazard, Kind};

/// One entry. All its conditions must hold; of a list, one suffices.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What it does with a statement that fits.
    pub effect: Effect,
    /// For whom; none = everyone.
    pub who: Who,
    /// On which databases; empty = all.
    pub databases: Vec<Glob>,
    /// At which hours; none = always.
    pub hours: Option<Hours>,
    /// In sessions of that access; none = both.
    pub access: Option<Access>,
    /// Which kinds of statement; empty = all.
    pub statements: BTreeSet<Kind>,
    /// Which hazards; empty = also statements without any.
    pub hazards: BTreeSet<Hazard>,
    /// Tables that are touched in any way.
    pub tables: Vec<pattern::Object>,
    /// Tables that are read.
    pub reads: Vec<pattern::Object>,
    /// Tables whose rows are written.
    pub writes: Vec<pattern::Object>,
    /// Functions that are called.
    pub functions: Vec<pattern::Object>,
    /// Only statements that write to a table with a protected column.
    pub writes_protected: bool,
    /// Only statements that write more rows than that.
    pub rows_above: Option<u64>,
    /// What would help, in the author's words.
    pub hint: Option<String>,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The statement is refused.
    Deny,
    /// The statement waits for an approval.
    Review(Review),
}

/// The terms of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Groups whose members may approve.
    pub approvers: BTreeSet<String>,
    /// How many of them must.
    pub needed: u32,
    /// How long a statement waits in its connection.
    pub hold: Duration,
    /// How long it may wait inside an open transaction; zero = it is refused there.
    pub in_transaction: Duration,
    /// When the request ends if nobody decides, and how long an approval can be used.
    pub expires: Duration,
}

/// What a statement must look like before rules can be asked about it.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Who asks.
    pub subject: &'a Subject,
    /// Where.
    pub database: &'a DatabaseName,
    /// In what kind of session.
    pub access: Access,
    /// When.
    pub now: Timestamp,
}

const HOLD: Duration = Duration::from_secs(10 * 60);
const EXPIRES: Duration = Duration::from_secs(24 * 3600);

impl Rule {
    /// Whether it speaks of this subject, database and access, whatever the statement.
    #[must_use]
    pub fn concerns(&self, situation: &Situation<'_>) -> bool {
        let here = situation.database.as_str();
        (self.databases.is_empty() || self.databases.iter().any(|glob| glob.matches(here)))
            && self.access.is_none_or(|access| access == situation.access)
            && self
                .hours
                .as_ref()
                .is_none_or(|hours| hours.contain(situation.now))
            && self.who.matches(situation.subject)
    }

    pub(super) fn read(mut table: Table<'_>, place: Place, problems: &mut Problems) -> Self {
        let name = entry_name(&mut table, "rule", &place, problems);
        let effect = effect(&mut table, problems);
        let mut hazards: BTreeSet<Hazard> = words(&mut table, "hazards", problems);
        if table.flag("missing_where", problems).unwrap_or_default() {
            hazards.insert(Hazard::NoWhere);
        }
        let rule = Self {
            name,
            effect,
            who: Who::read(&mut table, problems),
            databases: globs(&mut table, "databases", problems),
            hours: Hours::read(&mut table, problems),
            access: table.parsed("access", problems),
            statements: words(&mut table, "statements", problems),
            hazards,
            tables: table.each("tables", str::parse, problems),
            reads: table.each("reads", str::parse, problems),
            writes: table.each("writes", str::parse, problems),
            functions: table.each("functions", str::parse, problems),
            writes_protected: table.flag("writes_protected", problems).unwrap_or_default(),
            rows_above: table.number("rows_above", 0..1 << 50, problems),
            hint: table.text("hint", problems),
            place,
        };
        if rule.is_unconditional() && !table.has("statements") && !table.has("hazards") {
            problems.push(
                table
                    .problem(table.span(), "this rule fits every statement")
                    .hint("say which: `statements`, `hazards`, `tables`, `reads`, `writes`, `functions`, `writes_protected`, `rows_above` or `missing_where`"),
            );
        }
        table.finish(problems);
        rule
    }

    fn is_unconditional(&self) -> bool {
        let no_name = [&self.tables, &self.reads, &self.writes, &self.functions]
            .iter()
            .all(|list| list.is_empty());
        no_name
            && self.statements.is_empty()
            && self.hazards.is_empty()
            && !self.writes_protected
            && self.rows_above.is_none()
    }
}

fn words<T: DeserializeOwned + Ord>(
    table: &mut Table<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> BTreeSet<T> {
    table.each(key, word::<T>, problems).into_iter().collect()
}

fn effect(table: &mut Table<'_>, problems: &mut Problems) -> Effect {
    let effect = table.text("effect", problems);
    let effect = table.require("effect", effect, problems);
    let review = review(table, problems);
    match effect.as_deref() {
        Some("review") => {
            if review.approvers.is_empty() && !table.has("approvers") {
                problems.push(
                    table
                        .problem(table.span(), "`approvers` is missing")
                        .hint("name the groups whose members may approve"),
                );
            }
            Effect::Review(review)
        }
        Some("deny") => {
            for key in ["approvers", "needed", "hold", "in_transaction", "expires"] {
                if table.has(key) {
                    let span = table.span_of(key);
                    problems.push(
                        table
                            .problem(
                                span,
                                format!("`{key}` has no meaning in a rule that denies"),
                            )
                            .hint("write `effect = \"review\"`, or remove it"),
                    );
                }
            }
            Effect::Deny
        }
        Some(other) => {
            let message = unknown("effect", other, &["deny", "review"]);
            problems.push(table.problem(table.span_of("effect"), message));
            Effect::Deny
        }
        None => Effect::Deny,
    }
}

fn review(table: &mut Table<'_>, problems: &mut Problems) -> Review {
    Review {
        approvers: names(table, "approvers", problems).into_iter().collect(),
        needed: needed(table, problems),
        hold: table.read("hold", parse_span, problems).unwrap_or(HOLD),
        in_transaction: table
            .read("in_transaction", parse_span, problems)
            .unwrap_or_default(),
        expires: table
            .read("expires", parse_span, problems)
            .unwrap_or(EXPIRES),
    }
}
