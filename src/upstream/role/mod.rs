//! A lease in the database: a role that is created, let in for a moment, and ended.
//!
//! **Invariant:** a lease has rights by membership alone, and may log in only between [`open_door`] and [`close_door`].

pub mod end;
pub mod name;

use std::fmt::Write as _;

use crate::model::time::Timestamp;
use crate::upstream::Error;
use crate::upstream::admin::{Admin, Row};
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::role::name::Name;
use crate::upstream::target::GROUP;

/// From this version on, memberships have options of their own.
const MEMBERSHIP_OPTIONS: u32 = 160_000;

/// What a lease's role is to be.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Its name.
    pub name: &'a Name,
    /// The roles it is a member of; settings are those of the first.
    pub roles: &'a [String],
    /// When its password ends.
    pub until: Timestamp,
    /// How many connections it may have at once.
    pub connections: u32,
}

/// A role that was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// `pg_authid.oid`.
    pub oid: u32,
    /// The database's clock at that moment.
    pub clock: Timestamp,
    /// The settings of the grant's first role that a session may have, later ones winning over earlier ones.
    pub settings: Vec<(String, String)>,
}

/// Creates the role in one round trip; it cannot log in yet.
///
/// # Errors
/// When the database cannot be reached or the admin role lacks a right; then there is no role.
pub async fn create(admin: &Admin, plan: &Plan<'_>) -> Result<Created, Error> {
    const DOING: &str = "create the lease's role";
    let live = admin.live().await?;
    let options = live.version >= MEMBERSHIP_OPTIONS;
    let name = Identifier(plan.name.as_str());
    let mut sql = String::new();
    if let Some(first) = plan.roles.first() {
        sql.push_str(&settings(first));
    }
    // Rights come by membership only: a direct GRANT would leave residue in every ACL.
    let _infallible = write!(
        sql,
        "CREATE ROLE {name} NOLOGIN INHERIT CONNECTION LIMIT {limit} PASSWORD NULL VALID UNTIL {until};",
        limit = plan.connections,
        until = Literal(&plan.until.to_string()),
    );
    let group = live.group.then_some(GROUP);
    for role in plan.roles.iter().map(String::as_str).chain(group) {
        // With SET FALSE the session cannot become the role it is a member of, whatever slips through the guard.
        let with = if options {
            " WITH INHERIT TRUE, SET FALSE"
        } else {
            ""
        };
        let _infallible = write!(sql, "GRANT {} TO {name}{with};", Identifier(role));
    }
    // Who ends a role must be a member of it: to signal its backends and to give away what it owns.
    let with = if options {
        " WITH INHERIT TRUE, SET TRUE"
    } else {
        ""
    };
    let _infallible = write!(
        sql,
        "GRANT {name} TO CURRENT_USER{with};\
         SELECT 'role', oid, {NOW} FROM pg_catalog.pg_roles WHERE rolname = {literal}",
        literal = Literal(plan.name.as_str()),
    );
    created(DOING, &live.batch(DOING, &sql).await?)
}

/// The database's clock in microseconds since 1970.
const NOW: &str =
    "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8";

/// Settings of a role here and everywhere, those for this database last; only what any session may set.
fn settings(role: &str) -> String {
    format!(
        "SELECT 'setting', c.name, c.value FROM (\
           SELECT s.setdatabase, pg_catalog.split_part(e, '=', 1) AS name, \
                  pg_catalog.substr(e, pg_catalog.strpos(e, '=') + 1) AS value \
           FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) e \
           WHERE s.setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role}) \
             AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database \
                                       WHERE datname = pg_catalog.current_database()))) c \
         LEFT JOIN pg_catalog.pg_settings g ON pg_catalog.lower(g.name) = pg_catalog.lower(c.name) \
         WHERE COALESCE(g.context, 'user') IN ('user', 'backend') ORDER BY c.setdatabase;",
        role = Literal(role),
    )
}

fn created(doing: &'static str, rows: &[Row]) -> Result<Created, Error> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for row in rows.iter().filter(|row| row.text(0) == Some("setting")) {
        if let (Some(name), Some(value)) = (row.text(1), row.text(2)) {
            settings.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            settings.push((name.to_owned(), value.to_owned()));
        }
    }
    let role = rows.iter().find(|row| row.text(0) == Some("role"));
    let role = role.ok_or_else(|| Error::Answer {
        doing,
        what: "the role is not there".to_owned(),
    })?;
    Ok(Created {
        oid: role.parse(doing, 1)?,
        clock: Timestamp::from_micros(role.parse(doing, 2)?),
        settings,
    })
}

/// Lets the role log in with the password behind `verifier`, and takes away what a session may have set on it.
///
/// # Errors
/// When the database cannot be reached, or a session of the role holds its entry for longer than a moment.
pub async fn open_door(
    admin: &Admin,
    name: &Name,
    verifier: &str,
    until: Timestamp,
) -> Result<(), Error> {
    let role = Identifier(name.as_str());
    let sql = format!(
        "SET LOCAL lock_timeout = '2s'; ALTER ROLE {role} RESET ALL; \
         ALTER ROLE {role} IN DATABASE {database} RESET ALL; \
         ALTER ROLE {role} LOGIN PASSWORD {verifier} VALID UNTIL {until}",
        database = Identifier(&admin.target().database),
        verifier = Literal(verifier),
        until = Literal(&until.to_string()),
    );
    admin
        .batch("let the lease's role log in", &sql)
        .await
        .map(drop)
}

/// Ends what [`open_door`] began: the role cannot log in and has no password.
///
/// # Errors
/// When the database cannot be reached, or a session of the role holds its entry for longer than a moment.
pub async fn close_door(admin: &Admin, name: &Name) -> Result<(), Error> {
    let sql = format!(
        "SET LOCAL lock_timeout = '300ms'; ALTER ROLE {} NOLOGIN PASSWORD NULL",
        Identifier(name.as_str())
    );
    admin.batch("close the lease's role", &sql).await.map(drop)
}

/// What the database shows of leases, its own clock included.
#[derive(Debug, Clone)]
pub struct Look {
    /// The database's clock.
    pub clock: Timestamp,
    /// Roles that may log in at this moment.
    pub open: Vec<Name>,
    /// Backends of leases: role and process id.
    pub backends: Vec<(Name, u32)>,
    /// Members of leases beside the admin role: before PostgreSQL 15 a role may give itself to others.
    pub members: Vec<(Name, String)>,
}

/// Looks at all leases there are, in one round trip.
///
/// # Errors
/// When the database cannot be reached.
pub async fn look(admin: &Admin) -> Result<Look, Error> {
    const DOING: &str = "look at the leases";
    let sql = format!(
        "SELECT 'clock', {NOW}, NULL, NULL \
         UNION ALL SELECT 'open', NULL, rolname, NULL FROM pg_catalog.pg_roles \
           WHERE rolcanlogin AND pg_catalog.starts_with(rolname::pg_catalog.text, {prefix}) \
         UNION ALL SELECT 'backend', pid, usename, NULL FROM pg_catalog.pg_stat_activity \
           WHERE pg_catalog.starts_with(usename::pg_catalog.text, {prefix}) \
         UNION ALL SELECT 'member', NULL, r.rolname, m.rolname \
           FROM pg_catalog.pg_auth_members a \
           JOIN pg_catalog.pg_roles r ON r.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member \
           WHERE pg_catalog.starts_with(r.rolname::pg_catalog.text, {prefix}) \
             AND m.rolname <> CURRENT_USER",
        prefix = Literal(name::PREFIX),
    );
    let mut look = Look {
        clock: Timestamp::EPOCH,
        open: Vec::new(),
        backends: Vec::new(),
        members: Vec::new(),
    };
    for row in admin.batch(DOING, &sql).await? {
        let name = row.text(2).and_then(|name| name.parse().ok());
        match (row.text(0), name) {
            (Some("clock"), _) => look.clock = Timestamp::from_micros(row.parse(DOING, 1)?),
            (Some("open"), Some(name)) => look.open.push(name),
            (Some("backend"), Some(name)) => look.backends.push((name, row.parse(DOING, 1)?)),
            (Some("member"), Some(name)) => look.members.push((name, row.parse(DOING, 3)?)),
            // A role with the prefix that no lease of ours can have: not ours to judge.
            _ => {}
        }
    }
    Ok(look)
}
