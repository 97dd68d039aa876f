//! Tokens and once-marks in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{delete, failed, from_json, swap, to_json};
use crate::model::subject;
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::token::{Digest, Token};

pub(super) fn add(connection: &Connection, token: &Token) -> Result<(), Error> {
    let subject = to_json("token", &token.subject)?;
    connection
        .prepare_cached(
            "INSERT INTO token (digest, issuer, sub, subject, family, issued, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                token.digest.0,
                token.subject.id.issuer,
                token.subject.id.sub,
                subject,
                token.family,
                token.issued.micros(),
                token.expires.micros(),
            ])
        })
        .map(drop)
        .map_err(failed("keep a token"))
}

pub(super) fn find(
    connection: &Connection,
    digest: &Digest,
    now: Timestamp,
) -> Result<Option<Token>, Error> {
    connection
        .prepare_cached(
            "SELECT digest, subject, family, issued, expires FROM token WHERE digest = ?1 AND expires > ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![digest.0, now.micros()], |row| Ok(read(row)))
                .optional()
        })
        .map_err(failed("find a token"))?
        .transpose()
}

pub(super) fn has_family(connection: &Connection, family: &str) -> Result<bool, Error> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM token WHERE family = ?1)")
        .and_then(|mut statement| statement.query_row([family], |row| row.get(0)))
        .map_err(failed("find a login"))
}

pub(super) fn end_family(connection: &Connection, family: &str) -> Result<u64, Error> {
    connection
        .execute("DELETE FROM token WHERE family = ?1", [family])
        .map(|changed| changed as u64)
        .map_err(failed("forget tokens"))
}

pub(super) fn end_subject(connection: &Connection, subject: &subject::Id) -> Result<u64, Error> {
    connection
        .execute(
            "DELETE FROM token WHERE issuer = ?1 AND sub = ?2",
            [&subject.issuer, &subject.sub],
        )
        .map(|changed| changed as u64)
        .map_err(failed("forget tokens"))
}

pub(super) fn use_once(
    connection: &Connection,
    what: &str,
    until: Timestamp,
) -> Result<bool, Error> {
    swap(
        connection,
        "mark as used",
        "INSERT INTO once (what, until) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![what, until.micros()],
    )
}

pub(super) fn forget(connection: &Connection, now: Timestamp) -> Result<u64, Error> {
    let mut forgotten = 0;
    for sql in [
        "DELETE FROM token WHERE expires <= ?1
           AND family NOT IN (SELECT family FROM session WHERE state <> 'closed' AND family IS NOT NULL)",
        "DELETE FROM once WHERE until <= ?1",
    ] {
        forgotten += delete(connection, "forget tokens", sql, now)?;
    }
    Ok(forgotten)
}

fn read(row: &Row<'_>) -> Result<Token, Error> {
    let failed = failed("read a token");
    let subject: String = row.get("subject").map_err(&failed)?;
    Ok(Token {
        digest: Digest(row.get("digest").map_err(&failed)?),
        subject: from_json("token", &subject)?,
        family: row.get("family").map_err(&failed)?,
        issued: Timestamp::from_micros(row.get("issued").map_err(&failed)?),
        expires: Timestamp::from_micros(row.get("expires").map_err(&failed)?),
    })
}
