//! Versions of the state, forward only: each migration in a transaction of its own, counted in `user_version`.

use rusqlite::Connection;

use super::failed;
use crate::store::Error;

/// What brings version n to n + 1.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/0001_init.sql")];

/// Brings the state to the present version.
pub(super) fn run(connection: &mut Connection) -> Result<(), Error> {
    let failed = failed("bring the state to the present version");
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(&failed)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for (version, migration) in (1_u32..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        let transaction = connection.transaction().map_err(&failed)?;
        transaction.execute_batch(migration).map_err(&failed)?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(())
}
