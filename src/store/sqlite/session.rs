//! Sessions in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{count, delete, failed, from_json, parse, swap, to_json};
use crate::model::secret::Secret;
use crate::model::session::{CloseReason, SessionId};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::session::{self, Credential, Phase, Session};
use crate::store::token::Digest;

const COLUMNS: &str = "id, subject, family, database, access, reason, opened, ends, state, why, changed, role, \
                       verifier, digest, request, \"grant\"";

pub(super) fn add(connection: &Connection, session: &Session) -> Result<(), Error> {
    let subject = to_json("session", &session.subject)?;
    connection
        .prepare_cached(
            "INSERT INTO session (id, issuer, sub, subject, family, database, access, reason, opened, ends, state,
                 role, verifier, digest, request, \"grant\")
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'opening', ?11, ?12, ?13, ?14, ?15)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                session.id.as_str(),
                session.subject.id.issuer,
                session.subject.id.sub,
                subject,
                session.family,
                session.database.as_str(),
                session.access.to_string(),
                session.reason,
                session.opened.micros(),
                session.ends.micros(),
                session.role,
                session.credential.verifier.expose(),
                session.credential.digest.0,
                session.request.as_ref().map(|request| request.as_str()),
                session.grant,
            ])
        })
        .map(drop)
        .map_err(failed("keep a session"))
}

pub(super) fn find(connection: &Connection, id: &SessionId) -> Result<Option<Session>, Error> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM session WHERE id = ?1"))
        .and_then(|mut statement| {
            statement
                .query_row([id.as_str()], |row| Ok(read(row)))
                .optional()
        })
        .map_err(failed("find a session"))?
        .transpose()
}

pub(super) fn list(
    connection: &Connection,
    filter: &session::Filter,
) -> Result<Vec<Session>, Error> {
    let phase = match filter.phase {
        Phase::Any => "1",
        Phase::Live => "state IN ('opening', 'open')",
        Phase::Unfinished => "state <> 'closed'",
        Phase::Closed => "state = 'closed'",
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM session
         WHERE {phase} AND (?1 IS NULL OR issuer = ?1) AND (?2 IS NULL OR sub = ?2) AND (?3 IS NULL OR database = ?3)
         ORDER BY opened DESC, id LIMIT ?4"
    );
    let limit = match filter.limit {
        0 => -1,
        limit => i64::from(limit),
    };
    let subject = filter.subject.as_ref();
    collect(
        connection,
        &sql,
        params![
            subject.map(|subject| &subject.issuer),
            subject.map(|subject| &subject.sub),
            filter.database.as_ref().map(|database| database.as_str()),
            limit,
        ],
    )
}

pub(super) fn of_family(connection: &Connection, family: &str) -> Result<Vec<Session>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM session WHERE family = ?1 AND state IN ('opening', 'open') ORDER BY opened DESC, id"
    );
    collect(connection, &sql, [family])
}

pub(super) fn open(connection: &Connection, id: &SessionId) -> Result<bool, Error> {
    swap(
        connection,
        "open a session",
        "UPDATE session SET state = 'open' WHERE id = ?1 AND state = 'opening'",
        [id.as_str()],
    )
}

pub(super) fn begin_close(
    connection: &Connection,
    id: &SessionId,
    why: &CloseReason,
    at: Timestamp,
) -> Result<bool, Error> {
    swap(
        connection,
        "close a session",
        "UPDATE session SET state = 'closing', why = ?2, changed = ?3 WHERE id = ?1 AND state IN ('opening', 'open')",
        params![id.as_str(), to_json("close reason", why)?, at.micros()],
    )
}

pub(super) fn finish_close(
    connection: &Connection,
    id: &SessionId,
    at: Timestamp,
) -> Result<bool, Error> {
    swap(
        connection,
        "close a session",
        "UPDATE session SET state = 'closed', changed = ?2, role = NULL WHERE id = ?1 AND state = 'closing'",
        params![id.as_str(), at.micros()],
    )
}

pub(super) fn renew(
    connection: &Connection,
    id: &SessionId,
    ends: Timestamp,
    to: Timestamp,
) -> Result<bool, Error> {
    swap(
        connection,
        "renew a session",
        "UPDATE session SET ends = ?3 WHERE id = ?1 AND state = 'open' AND ends = ?2",
        params![id.as_str(), ends.micros(), to.micros()],
    )
}

pub(super) fn replace_role(
    connection: &Connection,
    id: &SessionId,
    old: Option<&str>,
    new: Option<&str>,
) -> Result<bool, Error> {
    swap(
        connection,
        "change a session's role",
        "UPDATE session SET role = ?3 WHERE id = ?1 AND state IN ('opening', 'open') AND role IS ?2",
        params![id.as_str(), old, new],
    )
}

pub(super) fn replace_credential(
    connection: &Connection,
    id: &SessionId,
    credential: &Credential,
) -> Result<bool, Error> {
    swap(
        connection,
        "change a session's credential",
        "UPDATE session SET verifier = ?2, digest = ?3 WHERE id = ?1 AND state IN ('opening', 'open')",
        params![
            id.as_str(),
            credential.verifier.expose(),
            credential.digest.0
        ],
    )
}

pub(super) fn forgettable(connection: &Connection, keep: Timestamp) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM session WHERE state = 'closed' AND changed < ?1";
    count(connection, "count sessions", sql, keep)
}

pub(super) fn forget(connection: &Connection, keep: Timestamp) -> Result<u64, Error> {
    let sql = "DELETE FROM session WHERE state = 'closed' AND changed < ?1";
    delete(connection, "forget sessions", sql, keep)
}

fn collect(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Session>, Error> {
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(failed("list sessions"))?;
    let rows = statement
        .query_map(parameters, |row| Ok(read(row)))
        .map_err(failed("list sessions"))?;
    rows.map(|row| row.map_err(failed("list sessions")).flatten())
        .collect()
}

fn read(row: &Row<'_>) -> Result<Session, Error> {
    let failed = failed("read a session");
    let text = |column: &str| row.get::<_, String>(column).map_err(&failed);
    let request: Option<String> = row.get("request").map_err(&failed)?;
    Ok(Session {
        id: parse("session", &text("id")?)?,
        subject: from_json("session", &text("subject")?)?,
        family: row.get("family").map_err(&failed)?,
        database: parse("session", &text("database")?)?,
        access: parse("session", &text("access")?)?,
        reason: text("reason")?,
        opened: Timestamp::from_micros(row.get("opened").map_err(&failed)?),
        ends: Timestamp::from_micros(row.get("ends").map_err(&failed)?),
        state: read_state(row)?,
        role: row.get("role").map_err(&failed)?,
        credential: Credential {
            verifier: Secret::new(text("verifier")?),
            digest: Digest(row.get("digest").map_err(&failed)?),
        },
        request: request
            .as_deref()
            .map(|id| parse("session", id))
            .transpose()?,
        grant: text("grant")?,
    })
}

fn read_state(row: &Row<'_>) -> Result<session::State, Error> {
    let failed = failed("read a session");
    let state: String = row.get("state").map_err(&failed)?;
    let why: Option<String> = row.get("why").map_err(&failed)?;
    let why: Option<CloseReason> = why
        .as_deref()
        .map(|why| from_json("session", why))
        .transpose()?;
    let changed: Option<i64> = row.get("changed").map_err(&failed)?;
    match (state.as_str(), why, changed.map(Timestamp::from_micros)) {
        ("opening", None, None) => Ok(session::State::Opening),
        ("open", None, None) => Ok(session::State::Open),
        ("closing", Some(why), Some(since)) => Ok(session::State::Closing { why, since }),
        ("closed", Some(why), Some(at)) => Ok(session::State::Closed { why, at }),
        (state, ..) => Err(Error::Corrupt {
            what: "session",
            reason: format!("`{state}` is no state, or one without its reason"),
        }),
    }
}
