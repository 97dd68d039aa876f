//! Leases in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{failed, parse, swap};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::lease::{self, Lease};

const COLUMNS: &str = "role, session, database, state, created, ends, tries, error, next, detail";

pub(super) fn add(connection: &Connection, lease: &Lease) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO lease (role, session, database, state, created, ends, detail)
             VALUES (?1, ?2, ?3, 'intent', ?4, ?5, ?6)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                lease.role,
                lease.session.as_str(),
                lease.database.as_str(),
                lease.created.micros(),
                lease.ends.micros(),
                lease.detail,
            ])
        })
        .map(drop)
        .map_err(failed("keep a lease"))
}

pub(super) fn find(connection: &Connection, role: &str) -> Result<Option<Lease>, Error> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM lease WHERE role = ?1"))
        .and_then(|mut statement| statement.query_row([role], |row| Ok(read(row))).optional())
        .map_err(failed("find a lease"))?
        .transpose()
}

pub(super) fn list(connection: &Connection) -> Result<Vec<Lease>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM lease ORDER BY created, role");
    let mut statement = connection
        .prepare_cached(&sql)
        .map_err(failed("list leases"))?;
    let rows = statement
        .query_map([], |row| Ok(read(row)))
        .map_err(failed("list leases"))?;
    rows.map(|row| row.map_err(failed("list leases")).flatten())
        .collect()
}

pub(super) fn change(
    connection: &Connection,
    role: &str,
    from: lease::State,
    to: lease::State,
) -> Result<bool, Error> {
    swap(
        connection,
        "change a lease",
        "UPDATE lease SET state = ?3 WHERE role = ?1 AND state = ?2",
        params![role, from.as_str(), to.as_str()],
    )
}

pub(super) fn stick(
    connection: &Connection,
    role: &str,
    error: &str,
    next: Timestamp,
) -> Result<bool, Error> {
    swap(
        connection,
        "mark a lease as stuck",
        "UPDATE lease SET state = 'stuck', tries = tries + 1, error = ?2, next = ?3 WHERE role = ?1",
        params![role, error, next.micros()],
    )
}

pub(super) fn end(connection: &Connection, role: &str) -> Result<bool, Error> {
    swap(
        connection,
        "forget a lease",
        "DELETE FROM lease WHERE role = ?1",
        [role],
    )
}

fn read(row: &Row<'_>) -> Result<Lease, Error> {
    let failed = failed("read a lease");
    let state: String = row.get("state").map_err(&failed)?;
    let session: String = row.get("session").map_err(&failed)?;
    let database: String = row.get("database").map_err(&failed)?;
    let next: Option<i64> = row.get("next").map_err(&failed)?;
    Ok(Lease {
        role: row.get("role").map_err(&failed)?,
        session: parse("lease", &session)?,
        database: parse("lease", &database)?,
        state: lease::State::parse(&state).ok_or_else(|| Error::Corrupt {
            what: "lease",
            reason: format!("`{state}` is no state"),
        })?,
        created: Timestamp::from_micros(row.get("created").map_err(&failed)?),
        ends: Timestamp::from_micros(row.get("ends").map_err(&failed)?),
        tries: row.get("tries").map_err(&failed)?,
        error: row.get("error").map_err(&failed)?,
        next: next.map(Timestamp::from_micros),
        detail: row.get("detail").map_err(&failed)?,
    })
}
