//! `[[allow]]`: who may open which databases, do what there, as which roles, on which conditions.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::problem::Problems;
use crate::config::table::Table;
use crate::model::access::Access;
use crate::model::name::{DatabaseName, ObjectName};
use crate::model::subject::Subject;
use crate::model::time::{Timestamp, parse_span};
use crate::policy::document::hours::Hours;
use crate::policy::document::who::{Who, names, unknown};
use crate::policy::document::{Place, entry_name};
use crate::policy::pattern::{self, Glob};

/// What one may do with a database, and with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// `SELECT`, `COPY … TO STDOUT`, `SHOW`, transactions.
    Read,
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`, `COPY … FROM STDIN`, temporary tables.
    Write,
    /// `CREATE`, `ALTER`, `DROP`, `TRUNCATE`, `COMMENT`, `VACUUM` and their like.
    Define,
    /// `CALL`, `DO`.
    Call,
    /// Everything else: grants, roles, settings of the server.
    Admin,
    /// Reading the broker's audit log.
    Audit,
    /// Seeing and ending other people's sessions.
    Sessions,
}

const POWERS: [(&str, Power); 7] = [
    ("read", Power::Read),
    ("write", Power::Write),
    ("define", Power::Define),
    ("call", Power::Call),
    ("admin", Power::Admin),
    ("audit", Power::Audit),
    ("sessions", Power::Sessions),
];

impl Power {
    /// The word for it in a policy.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Define => "define",
            Self::Call => "call",
            Self::Admin => "admin",
            Self::Audit => "audit",
            Self::Sessions => "sessions",
        }
    }

    /// Whether it is about databases, not about the broker itself.
    const fn is_of_databases(self) -> bool {
        !matches!(self, Self::Audit | Self::Sessions)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let found = POWERS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, power)| *power)
            .ok_or_else(|| unknown("thing to do", text, &POWERS.map(|(name, _)| name)))
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub struct Allow {
    /// Its name, made up from its place when it has none.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// For whom.
    pub who: Who,
    /// On which databases.
    pub databases: Vec<Glob>,
    /// What.
    pub powers: BTreeSet<Power>,
    /// On which tables; empty = all.
    pub tables: Vec<pattern::Object>,
    /// The PostgreSQL roles whose member the lease becomes.
    pub roles: Vec<String>,
    /// Who gets what a session leaves behind.
    pub owner: Option<String>,
    /// The longest session.
    pub max_duration: Duration,
    /// A session must say what it is for.
    pub require_reason: bool,
    /// A word of the reason must be a ticket of that form.
    pub ticket: Option<Glob>,
    /// When.
    pub hours: Option<Hours>,
    /// Groups whose members must agree to a session; empty = nobody.
    pub approvers: Vec<String>,
    /// How many of them.
    pub needed: u32,
}

/// The longest session when the entry names none.
const LONGEST: Duration = Duration::from_secs(8 * 3600);

impl Allow {
    /// Whether it speaks of this subject on this database.
    #[must_use]
    pub fn concerns(&self, subject: &Subject, database: &DatabaseName) -> bool {
        self.databases
            .iter()
            .any(|glob| glob.matches(database.as_str()))
            && self.who.matches(subject)
    }

    /// Whether a session of that access can be opened by it.
    #[must_use]
    pub fn opens(&self, access: Access) -> bool {
        match access {
            Access::Read => self.powers.contains(&Power::Read),
            Access::Write => self.changes(),
        }
    }

    /// Whether it allows more than reading.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.powers
            .iter()
            .any(|power| power.is_of_databases() && *power != Power::Read)
    }

    /// Whether it is in force at that moment.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.hours.as_ref().is_none_or(|hours| hours.contain(now))
    }

    /// Whether what a session is for says enough: anything at all, and a ticket.
    #[must_use]
    pub fn is_satisfied_by(&self, reason: Option<&str>) -> bool {
        let reason = reason.unwrap_or_default();
        let has_words = !reason.trim().is_empty();
        (!self.require_reason || has_words)
            && self.ticket.as_ref().is_none_or(|ticket| {
                let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')');
                let mut words = reason.split(ends).filter(|word| !word.is_empty());
                words.any(|word| ticket.matches(word.trim_end_matches('.')))
            })
    }

    /// Whether it covers the table.
    #[must_use]
    pub fn covers(&self, table: &ObjectName) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| pattern.matches(table))
    }

    pub(super) fn read(mut table: Table<'_>, place: Place, problems: &mut Problems) -> Self {
        let name = entry_name(&mut table, "allow", &place, problems);
        let who = Who::read(&mut table, problems);
        let everyone = table.flag("everyone", problems).unwrap_or_default();
        if everyone != who.is_everyone() {
            let message = if everyone {
                "`everyone = true` and a narrower condition exclude each other"
            } else {
                "an `[[allow]]` says for whom"
            };
            problems.push(table.problem(table.span(), message).hint(
                "name `groups`, `subjects`, `kinds` or `claims`, or write `everyone = true`",
            ));
        }
        let allow = Self {
            who,
            databases: globs(&mut table, "databases", problems),
            powers: table
                .each("do", Power::parse, problems)
                .into_iter()
                .collect(),
            tables: table.each("tables", str::parse, problems),
            roles: table.each("roles", role, problems),
            owner: table.read("owner", role, problems),
            max_duration: table
                .read("max_duration", parse_span, problems)
                .unwrap_or(LONGEST),
            require_reason: table.flag("require_reason", problems).unwrap_or_default(),
            ticket: table.text("ticket", problems).map(Glob::new),
            hours: Hours::read(&mut table, problems),
            approvers: names(&mut table, "approvers", problems),
            needed: needed(&mut table, problems),
            name,
            place,
        };
        allow.check(&table, problems);
        table.finish(problems);
        allow
    }

    fn check(&self, table: &Table<'_>, problems: &mut Problems) {
        let of_databases = self.powers.iter().any(|power| power.is_of_databases());
        if !table.has("do") {
            problems.push(
                table
                    .problem(table.span(), "`do` is missing")
                    .hint("write for example `do = [\"read\"]`"),
            );
        }
        if of_databases && !table.has("databases") {
            problems.push(
                table
                    .problem(table.span(), "`databases` is missing")
                    .hint("write for example `databases = [\"prod\"]`, or `[\"*\"]` for all"),
            );
        }
        if of_databases && self.roles.is_empty() && !table.has("roles") {
            problems.push(
                table
                    .problem(table.span(), "`roles` is missing")
                    .hint("name the PostgreSQL roles that give the session its rights"),
            );
        }
        if self.max_duration < Duration::from_secs(60) {
            let span = table.span_of("max_duration");
            problems.push(table.problem(span, "a session lasts at least a minute"));
        }
    }
}

/// How many must agree.
pub(super) fn needed(table: &mut Table<'_>, problems: &mut Problems) -> u32 {
    let needed = table.number("needed", 1..101, problems).unwrap_or(1);
    u32::try_from(needed).unwrap_or(u32::MAX)
}

/// Patterns over names of databases.
pub(super) fn globs(
    table: &mut Table<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<Glob> {
    names(table, key, problems)
        .into_iter()
        .map(Glob::new)
        .collect()
}

/// A PostgreSQL role that a lease may be a member of.
fn role(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 63 || text.contains('\0') {
        return Err(format!("`{text}` is no role name: 1 to 63 bytes"));
    }
    if text.starts_with("pg_") && !["pg_read_all_data", "pg_write_all_data"].contains(&text) {
        return Err(format!(
            "`{text}` gives rights over the server; use a role of your own"
        ));
    }
    Ok(text.to_owned())
}
