//! Is a database ready for a broker? Every right is tried on a role made for it, and what is missing comes with the line that mends it.
//!
//! Reading order: this file (what is found) → `release` (known holes) → `right` (tried in a transaction that is rolled
//! back) → `trial` (a role that logs in and is ended) → `hba` (who is admitted from where) → `left` (what was left behind).
//!
//! **Invariant:** nothing of it stays in the database; what a killed check leaves is a closed role that the next check removes.

pub mod hba;
mod left;
pub mod release;
mod right;
mod trial;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::session::SessionId;
use crate::model::time::{Clock, Entropy};
use crate::upstream::Error;
use crate::upstream::admin::{self, Admin, Live};
use crate::upstream::quote::Identifier;
use crate::upstream::role::name::Name;
use crate::upstream::target::Target;

/// How the clocks may differ before it is worth a word.
const SKEW: Duration = Duration::from_secs(5);

/// How many connections of the admin role a broker uses at once, and a few to spare.
const CONNECTIONS: i64 = 10;

/// From this version on, memberships have options, and `CREATEROLE` alone gives nothing away.
const OPTIONS: u32 = 160_000;

/// What was found about one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// The thing, as a word a program can match.
    pub item: &'static str,
    /// The role, file or release it is about, when there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether it is as it should be.
    pub state: State,
    /// What was found, in a sentence.
    pub text: String,
    /// What mends it, line by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<Mend>,
}

/// Whether a thing is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and should be otherwise.
    Warning,
    /// It does not work, or is not safe.
    Missing,
}

/// One line that mends something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mend {
    /// Where it goes.
    pub place: Place,
    /// In which database of the same server, when it is not the one that is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The line.
    pub line: String,
}

/// Where a mending line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// To the database, as a superuser or whoever owns the thing.
    Sql,
    /// To the top of `pg_hba.conf`, followed by `SELECT pg_reload_conf()`.
    #[serde(rename = "pg_hba")]
    Hba,
    /// To the machine of the database.
    Machine,
    /// To the broker's own machine.
    Broker,
}

/// Roles that one grant of the policy gives, and who takes what its sessions leave behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The roles; settings are those of the first.
    pub roles: Vec<String>,
    /// Who takes over.
    pub owner: Option<String>,
}

/// What is to be checked.
#[derive(Debug)]
pub struct Ask {
    /// The database.
    pub target: Arc<Target>,
    /// What the policy grants there.
    pub grants: BTreeSet<Grant>,
    /// What a session's startup packet carries.
    pub parameters: Vec<(String, String)>,
    /// Roles that the broker could not drop, and why.
    pub stuck: Vec<(String, String)>,
    /// All leases the broker keeps there.
    pub known: BTreeSet<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// What was found about a database.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The server's version, such as `15.19`.
    pub version: String,
    /// Everything that was looked at.
    pub items: Vec<Item>,
}

impl Item {
    fn new(item: &'static str, state: State, text: impl Into<String>) -> Self {
        Self {
            item,
            subject: None,
            state,
            text: text.into(),
            mend: Vec::new(),
        }
    }

    /// It is as it should be.
    pub fn ok(item: &'static str, text: impl Into<String>) -> Self {
        Self::new(item, State::Ok, text)
    }

    /// It could not be looked at.
    pub fn unknown(item: &'static str, text: impl Into<String>) -> Self {
        Self::new(item, State::Unknown, text)
    }

    /// It works, and should be otherwise.
    pub fn warning(item: &'static str, text: impl Into<String>) -> Self {
        Self::new(item, State::Warning, text)
    }

    /// It does not work, or is not safe.
    pub fn missing(item: &'static str, text: impl Into<String>) -> Self {
        Self::new(item, State::Missing, text)
    }

    /// The same, about that one of several.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same, with a command for the broker's own machine.
    #[must_use]
    pub fn here(self, line: impl Into<String>) -> Self {
        self.at(Place::Broker, line)
    }

    fn sql(self, line: impl Into<String>) -> Self {
        self.at(Place::Sql, line)
    }

    fn at(mut self, place: Place, line: impl Into<String>) -> Self {
        self.mend.push(Mend {
            place,
            database: None,
            line: line.into(),
        });
        self
    }

    fn sql_in(mut self, database: &str, line: impl Into<String>) -> Self {
        self.mend.push(Mend {
            place: Place::Sql,
            database: Some(database.to_owned()),
            line: line.into(),
        });
        self
    }
}

/// The words of a grant of membership that works on that server.
fn membership(version: u32) -> &'static str {
    if version >= OPTIONS {
        " WITH INHERIT TRUE, SET TRUE"
    } else {
        ""
    }
}

/// Looks at a database and tries everything a broker will do there.
///
/// # Errors
/// When the database cannot be reached, or refuses the admin role altogether.
pub async fn run(ask: &Ask) -> Result<Report, Error> {
    let admin = Admin::new(Arc::clone(&ask.target));
    let live = admin.live().await?;
    let mut items = release::items(live.version);
    let database = alone(&live).await?;
    let me = myself(&live, ask).await?;
    items.extend(me.items);
    items.extend(left::clean(&admin, &live, database).await?);
    let tried = right::tried(&live, &ask.target, &ask.grants).await?;
    let may = tried.iter().all(|item| item.state != State::Missing);
    items.extend(tried);
    if me.standby {
        items.push(Item::missing(
            "standby",
            "the server is a standby: roles can be made on the primary alone",
        ));
    } else if may {
        let name = Name::scratch(database, &SessionId::random(&*ask.entropy));
        items.extend(trial::run(ask, &admin, &name).await?);
    } else {
        items.push(Item::unknown(
            "lease",
            "not tried: what is missing above comes first",
        ));
    }
    items.extend(hba::items(&live, ask).await?);
    items.extend(left::items(&live, &ask.stuck).await?);
    items.extend(left::strange(&live, &ask.known).await?);
    Ok(Report {
        version: release::show(live.version),
        items,
    })
}

/// The first right that the admin role lacks for that grant, if any.
///
/// # Errors
/// When the database cannot be asked.
pub async fn lacks(target: &Target, grant: Grant) -> Result<Option<Item>, Error> {
    // A connection of its own: the rights are tried in a transaction.
    let live = admin::open(target, &target.database).await?;
    let tried = right::tried(&live, target, &BTreeSet::from([grant])).await?;
    Ok(tried
        .into_iter()
        .find(|item| item.state == State::Missing && (live.group || item.item != "lease-group")))
}

/// What to say, and to mend, when the admin role does not get in.
#[must_use]
pub fn outside(target: &Target, error: &Error) -> Item {
    let mut item = Item::missing("connect", error.to_string());
    let (database, admin) = (&target.database, &target.admin);
    match error.sqlstate() {
        Some("28000") => hba::admin(target, item),
        Some("42501") => item.sql(format!(
            "GRANT CONNECT ON DATABASE {} TO {};",
            Identifier(database),
            Identifier(admin)
        )),
        Some("3D000") => item.sql(format!("CREATE DATABASE {};", Identifier(database))),
        // PostgreSQL says the same of a role that is not there.
        Some("28P01") => {
            item.text.push_str(
                "; is there such a role, and is its password the one in `password_file`?",
            );
            item.sql(format!(
                "CREATE ROLE {} LOGIN CREATEROLE; -- if there is none",
                Identifier(admin)
            ))
            .sql(format!("\\password {admin}"))
        }
        _ => item,
    }
}

/// Two checks of a database at once would take each other's role for one left behind. The lock goes with the connection.
/// Returns the database's OID.
async fn alone(live: &Live) -> Result<u32, Error> {
    const DOING: &str = "wait for another check of this database";
    let sql = "SELECT oid, pg_catalog.pg_advisory_lock(1684169332) FROM pg_catalog.pg_database \
               WHERE datname = pg_catalog.current_database()";
    let rows = live.batch(DOING, sql).await?;
    let row = rows.first().ok_or_else(|| Error::Answer {
        doing: DOING,
        what: "nothing".to_owned(),
    })?;
    row.parse(DOING, 0)
}

struct Myself {
    items: Vec<Item>,
    standby: bool,
}

/// The admin role itself, and the server's clock.
async fn myself(live: &Live, ask: &Ask) -> Result<Myself, Error> {
    const DOING: &str = "look at the admin role";
    let sql = "SELECT rolsuper, rolconnlimit, pg_catalog.pg_is_in_recovery(), \
                      (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8 \
               FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
    let before = ask.clock.now();
    let rows = live.batch(DOING, sql).await?;
    let row = rows.first().ok_or_else(|| Error::Answer {
        doing: DOING,
        what: "the admin role is not there".to_owned(),
    })?;
    let name = &ask.target.admin;
    let admin = Identifier(name);
    let mut items = vec![if row.is_true(0) {
        Item::warning(
            "superuser",
            format!("`{name}` is a superuser; the broker needs none"),
        )
        .sql(format!("ALTER ROLE {admin} NOSUPERUSER CREATEROLE;"))
    } else {
        Item::ok("superuser", format!("`{name}` is no superuser"))
    }];
    let limit: i64 = row.parse(DOING, 1)?;
    if (0..CONNECTIONS).contains(&limit) {
        items.push(
            Item::missing(
                "connections",
                format!(
                    "`{name}` may have {limit} connections, the broker uses up to {CONNECTIONS}"
                ),
            )
            .sql(format!("ALTER ROLE {admin} CONNECTION LIMIT -1;")),
        );
    }
    let theirs = crate::model::time::Timestamp::from_micros(row.parse(DOING, 3)?);
    let ours = ask.clock.now();
    let skew = theirs.until(before).max(ours.until(theirs));
    items.push(if skew > SKEW {
        Item::warning(
            "clock",
            format!(
                "the clocks of broker and database differ by {}; a session ends by the earlier one",
                crate::model::time::show_span(Duration::from_secs(skew.as_secs()))
            ),
        )
        .at(Place::Machine, "set both clocks by NTP")
    } else {
        Item::ok("clock", "the clocks of broker and database agree")
    });
    Ok(Myself {
        items,
        standby: row.is_true(2),
    })
}
