//! `[[protect]]`: which columns, with which mask, clear for whom, which predicates may touch them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::problem::{Problem, Problems};
use crate::config::table::Table;
use crate::model::name::DatabaseName;
use crate::policy::document::allow::globs;
use crate::policy::document::who::{names, unknown};
use crate::policy::document::{Place, entry_name, word};
use crate::policy::obligation::{Mask, Scope, Unit};
use crate::policy::pattern::{self, Glob};
use crate::sql::lineage::How;

/// One entry.
#[derive(Debug, Clone)]
pub struct Protect {
    /// Its name, made up from its place when it has none.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// On which databases; empty = all.
    pub databases: Vec<Glob>,
    /// Which columns.
    pub columns: Vec<pattern::Column>,
    /// Columns whose comment has one of these words behind an `@`.
    pub tags: Vec<String>,
    /// How their values are shown.
    pub mask: Mask,
    /// Groups whose members see them as they are.
    pub clear_for: Vec<String>,
    /// How they may be used without being shown.
    pub predicates: BTreeSet<How>,
}

/// What may be done with a protected column when the entry does not say: nothing that orders or searches.
const PREDICATES: [How; 4] = [How::Equality, How::NullTest, How::Grouping, How::Join];

const MASKS: [&str; 8] = [
    "redact", "null", "partial", "email", "token", "bucket", "truncate", "constant",
];

impl Protect {
    /// Whether it speaks of this database.
    #[must_use]
    pub fn concerns(&self, database: &DatabaseName) -> bool {
        self.databases.is_empty()
            || self
                .databases
                .iter()
                .any(|glob| glob.matches(database.as_str()))
    }

    pub(super) fn read(mut table: Table<'_>, place: Place, problems: &mut Problems) -> Self {
        let protect = Self {
            name: entry_name(&mut table, "protect", &place, problems),
            databases: globs(&mut table, "databases", problems),
            columns: table.each("columns", str::parse, problems),
            tags: table.each("tags", tag, problems),
            // A mask that is not known is a problem, so this policy never comes into force.
            mask: mask(&mut table, problems).unwrap_or(Mask::Redact),
            clear_for: names(&mut table, "clear_for", problems),
            predicates: predicates(&mut table, problems),
            place,
        };
        if !table.has("columns") && !table.has("tags") {
            problems.push(
                table
                    .problem(table.span(), "a `[[protect]]` says which columns")
                    .hint("write `columns = [\"schema.table.column\"]` or `tags = [\"pii\"]`"),
            );
        }
        table.finish(problems);
        protect
    }
}

fn tag(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == ':';
    if !text.is_empty() && text.chars().all(is_word) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no tag: a word, which the column's comment has behind an `@`"
    ))
}

fn predicates(table: &mut Table<'_>, problems: &mut Problems) -> BTreeSet<How> {
    let named = table.each("predicates", word::<How>, problems);
    if table.has("predicates") {
        named.into_iter().collect()
    } else {
        PREDICATES.into_iter().collect()
    }
}

fn mask(table: &mut Table<'_>, problems: &mut Problems) -> Option<Mask> {
    let name = table.text("mask", problems);
    let name = table.require("mask", name, problems)?;
    let mask = match name.as_str() {
        "redact" => Mask::Redact,
        "null" => Mask::Null,
        "partial" => partial(table, problems),
        "email" => Mask::Email,
        "token" => token(table, problems),
        "bucket" => {
            let size = table.number("size", 1..1_000_000_000_000_000_001, problems);
            Mask::Bucket {
                size: table.require("size", size, problems).unwrap_or(1),
            }
        }
        "truncate" => {
            let unit = table.read("unit", unit, problems);
            Mask::Truncate {
                unit: table.require("unit", unit, problems).unwrap_or(Unit::Year),
            }
        }
        "constant" => {
            let value = table.text("value", problems);
            Mask::Constant {
                value: Arc::from(table.require("value", value, problems).unwrap_or_default()),
            }
        }
        other => {
            let message = unknown("mask", other, &MASKS);
            problems.push(table.problem(table.span_of("mask"), message));
            // Its settings are not judged: they may be right for the mask that was meant.
            for key in ["first", "last", "key", "scope", "size", "unit", "value"] {
                table.text(key, &mut Problems::new());
            }
            return None;
        }
    };
    Some(mask)
}

fn partial(table: &mut Table<'_>, problems: &mut Problems) -> Mask {
    let first = table.number("first", 0..101, problems).unwrap_or_default();
    let last = table.number("last", 0..101, problems).unwrap_or_default();
    if first + last == 0 {
        problems.push(missing_part(table));
    }
    Mask::Partial {
        first: u16::try_from(first).unwrap_or_default(),
        last: u16::try_from(last).unwrap_or_default(),
    }
}

fn missing_part(table: &Table<'_>) -> Problem {
    table
        .problem(table.span_of("mask"), "`partial` keeps nothing")
        .hint("write `last = 4` or `first = 1`, or use `redact`")
}

fn token(table: &mut Table<'_>, problems: &mut Problems) -> Mask {
    let key = table.text("key", problems);
    let scope = table.read("scope", scope, problems);
    Mask::Token {
        key: Arc::from(key.unwrap_or_else(|| "default".to_owned())),
        scope: scope.unwrap_or(Scope::Database),
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "session" => Ok(Scope::Session),
        "database" => Ok(Scope::Database),
        "everywhere" => Ok(Scope::Everywhere),
        other => Err(unknown(
            "scope",
            other,
            &["session", "database", "everywhere"],
        )),
    }
}

fn unit(text: &str) -> Result<Unit, String> {
    match text {
        "year" => Ok(Unit::Year),
        "quarter" => Ok(Unit::Quarter),
        "month" => Ok(Unit::Month),
        "day" => Ok(Unit::Day),
        "hour" => Ok(Unit::Hour),
        other => Err(unknown(
            "unit",
            other,
            &["year", "quarter", "month", "day", "hour"],
        )),
    }
}
