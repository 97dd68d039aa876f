//! The end of a lease: closed, its backends gone, what it owned given away, dropped; in this order, because a dropped
//! role's backend runs on.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::upstream::Error;
use crate::upstream::admin::{self, Admin, Live, Row};
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::role::name::Name;

/// How often closing and terminating are tried in turn before the role counts as stuck.
const ROUNDS: u32 = 5;

/// How long one round waits for a backend to go, in milliseconds.
const PATIENCE: u32 = 2_000;

/// A backend that authenticated just before its role was closed shows up in `pg_stat_activity` only now.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// Why a role could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// A step failed.
    #[error(transparent)]
    Failed(#[from] Error),
    /// Backends of the role do not go.
    #[error("{0} backends of the role do not end")]
    Backends(usize),
    /// It owns objects and nobody is there to take them.
    #[error("the role owns objects in {databases} and the grant names no `owner` to take them")]
    Owns {
        /// In which databases.
        databases: String,
    },
}

/// Closes the role and ends its backends: from here on nobody acts as it. Fine to repeat; a role that is gone is closed.
///
/// # Errors
/// When the database cannot be reached, or backends do not go.
pub async fn shut(admin: &Admin, name: &Name) -> Result<(), Stuck> {
    let live = admin.live().await?;
    let mut left = 0;
    for _ in 0..ROUNDS {
        // A session that has changed its own role in an open transaction holds the role's entry: closing then waits
        // or fails, and succeeds once the session is gone.
        let closed = close(&live, name).await;
        left = terminate(&live, name).await?;
        match closed {
            Ok(()) if left == 0 => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if !is_contended(&error) => return Err(error.into()),
            // Nobody is there any more: what holds the entry is a transaction that was prepared.
            Err(_) if left == 0 => {
                for (database, gid) in prepared(&live, name).await? {
                    roll_back(admin, &database, name, &gid).await?;
                }
            }
            Ok(()) | Err(_) => {}
        }
    }
    Err(Stuck::Backends(left))
}

async fn close(live: &Live, name: &Name) -> Result<(), Error> {
    let sql = format!(
        "SET LOCAL lock_timeout = '200ms'; \
         ALTER ROLE {} NOLOGIN PASSWORD NULL VALID UNTIL '-infinity'",
        Identifier(name.as_str())
    );
    live.batch("close the lease's role", &sql).await.map(drop)
}

/// Terminates the role's backends and waits for them by process id; returns how many are left.
async fn terminate(live: &Live, name: &Name) -> Result<usize, Error> {
    const DOING: &str = "end the lease's backends";
    let which = format!(
        "FROM pg_catalog.pg_stat_activity WHERE usename = {}",
        Literal(name.as_str())
    );
    // All are told first, then each is waited for.
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) {which}; \
         SELECT pid, pg_catalog.pg_terminate_backend(pid, {PATIENCE}) {which}"
    );
    let seen = live.batch(DOING, &sql).await?;
    if seen.is_empty() {
        return Ok(0);
    }
    let left = live.batch(DOING, &format!("SELECT pid {which}")).await?;
    Ok(left.len())
}

/// Gives away what the closed role owns and drops it. Fine to repeat; a role that is gone is dropped.
///
/// # Errors
/// When something stands in the way; the role stays, closed.
pub async fn drop_role(admin: &Admin, name: &Name, owner: Option<&str>) -> Result<(), Stuck> {
    let live = admin.live().await?;
    for (database, gid) in prepared(&live, name).await? {
        roll_back(admin, &database, name, &gid).await?;
    }
    let holdings = holdings(&live, name).await?;
    if owner.is_none() && !holdings.owns.is_empty() {
        let databases: Vec<_> = holdings.owns.into_iter().collect();
        return Err(Stuck::Owns {
            databases: databases.join(", "),
        });
    }
    for database in &holdings.touches {
        give_away(admin, database, name, owner).await?;
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let left = terminate(&live, name).await?;
    if left > 0 {
        return Err(Stuck::Backends(left));
    }
    // A drop that the server forgot in a crash would leave a role that no record of ours knows.
    let sql = format!(
        "SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; DROP ROLE IF EXISTS {}",
        Identifier(name.as_str())
    );
    live.batch("drop the lease's role", &sql).await?;
    Ok(())
}

/// What keeps a role from being dropped.
struct Holdings {
    /// Databases in which it owns something.
    owns: BTreeSet<String>,
    /// Databases in which it owns something or is named in an ACL, a policy or a default.
    touches: BTreeSet<String>,
}

/// The transactions a role has prepared: database and name.
async fn prepared(live: &Live, name: &Name) -> Result<Vec<(String, String)>, Error> {
    let sql = format!(
        "SELECT database, gid FROM pg_catalog.pg_prepared_xacts WHERE owner = {}",
        Literal(name.as_str())
    );
    let rows = live
        .batch("look what the lease's role has prepared", &sql)
        .await?;
    let read = |row: &Row| Some((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    Ok(rows.iter().filter_map(read).collect())
}

async fn holdings(live: &Live, name: &Name) -> Result<Holdings, Error> {
    let role = Literal(name.as_str());
    // Dependencies of shared objects (database ACLs) can be removed from any database: here. Memberships, which are
    // entries of the shared catalog too from 16 on, go with the role.
    let sql = format!(
        "SELECT COALESCE(d.datname, pg_catalog.current_database()), \
                pg_catalog.bool_or(s.deptype = 'o') \
         FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
         WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
           AND s.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {role}) \
           AND s.classid <> 'pg_catalog.pg_auth_members'::pg_catalog.regclass \
         GROUP BY 1"
    );
    let mut holdings = Holdings {
        owns: BTreeSet::new(),
        touches: BTreeSet::new(),
    };
    for row in live.batch("look what the lease's role owns", &sql).await? {
        let Some(database) = row.text(0) else {
            continue;
        };
        if row.is_true(1) {
            holdings.owns.insert(database.to_owned());
        }
        holdings.touches.insert(database.to_owned());
    }
    Ok(holdings)
}

/// Only who prepared a transaction, or a superuser, may roll it back, and only in its database.
async fn roll_back(admin: &Admin, database: &str, name: &Name, gid: &str) -> Result<(), Error> {
    const DOING: &str = "roll back what the lease had prepared";
    let live = admin::open(admin.target(), database).await?;
    let role = Identifier(name.as_str());
    live.batch(DOING, &format!("SET ROLE {role}")).await?;
    let sql = format!("ROLLBACK PREPARED {}", Literal(gid));
    live.batch(DOING, &sql).await.map(drop)
}

/// Reassigns what the role owns in one database and removes it from ACLs, in one transaction.
async fn give_away(
    admin: &Admin,
    database: &str,
    name: &Name,
    owner: Option<&str>,
) -> Result<(), Error> {
    const DOING: &str = "give away what the lease's role owns";
    let live = admin::open(admin.target(), database).await?;
    let role = Identifier(name.as_str());
    let mut sql = String::from("SET LOCAL lock_timeout = '5s';");
    if let Some(owner) = owner {
        // A function that runs with its owner's rights would run with the new owner's.
        for row in live.batch(DOING, &definer_functions(name)).await? {
            sql.push_str(row.text(0).unwrap_or_default());
        }
        sql.push_str(&format!(
            "REASSIGN OWNED BY {role} TO {};",
            Identifier(owner)
        ));
    }
    sql.push_str(&format!("DROP OWNED BY {role}"));
    live.batch(DOING, &sql).await.map(drop)
}

/// One `ALTER ROUTINE` for each function of the role that is `SECURITY DEFINER`. With `search_path` at `pg_catalog`,
/// `regprocedure` writes names in full.
fn definer_functions(name: &Name) -> String {
    format!(
        "SELECT pg_catalog.format('ALTER ROUTINE %s SECURITY INVOKER;', \
                                  p.oid::pg_catalog.regprocedure) \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner \
         WHERE p.prosecdef AND r.rolname = {}",
        Literal(name.as_str())
    )
}

/// Which of these roles exist.
///
/// # Errors
/// When the database cannot be reached.
pub async fn existing(admin: &Admin, names: &[Name]) -> Result<Vec<Name>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> = names
        .iter()
        .map(|name| Literal(name.as_str()).to_string())
        .collect();
    let sql = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ({})",
        list.join(", ")
    );
    let rows = admin.batch("look for leases left behind", &sql).await?;
    let name = |row: &Row| row.text(0).and_then(|name| name.parse().ok());
    Ok(rows.iter().filter_map(name).collect())
}

/// Closes many roles in one round trip, before anything else is done about them.
///
/// # Errors
/// When the database cannot be reached or one of them cannot be closed at once.
pub async fn close_all(admin: &Admin, names: &[Name]) -> Result<(), Error> {
    let mut sql = String::from("SET LOCAL lock_timeout = '200ms';");
    for name in names {
        let role = Identifier(name.as_str());
        sql.push_str(&format!("ALTER ROLE {role} NOLOGIN PASSWORD NULL;"));
    }
    admin
        .batch("close leases left behind", &sql)
        .await
        .map(drop)
}

/// The role does not exist.
fn is_gone(error: &Error) -> bool {
    error.sqlstate() == Some("42704")
}

/// Somebody holds the role's entry, or changed it at the same time (PostgreSQL says that as an internal error).
fn is_contended(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some("55P03" | "XX000" | "40P01" | "40001")
    )
}
