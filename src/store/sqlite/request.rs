//! Review requests in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{count, delete, failed, from_json, parse, swap, to_json};
use crate::model::session::RequestId;
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::request::{self, Approval, Denial, Request, Settled, Spend};

const COLUMNS: &str = "id, kind, subject, database, session, reason, what, binding, state, needed, approvers, denial, \
                       created, expires";

pub(super) fn add(connection: &Connection, request: &Request) -> Result<(), Error> {
    let subject = to_json("request", &request.subject)?;
    let approvers = to_json("request", &request.approvers)?;
    connection
        .prepare_cached(
            "INSERT INTO request (id, kind, issuer, sub, subject, database, session, reason, what, binding, state,
                 needed, approvers, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'pending', ?11, ?12, ?13, ?14)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                request.id.as_str(),
                request.kind.as_str(),
                request.subject.id.issuer,
                request.subject.id.sub,
                subject,
                request.database.as_str(),
                request.session.as_ref().map(|session| session.as_str()),
                request.reason,
                request.what,
                request.binding,
                request.needed,
                approvers,
                request.created.micros(),
                request.expires.micros(),
            ])
        })
        .map(drop)
        .map_err(failed("keep a request"))
}

pub(super) fn find(connection: &Connection, id: &RequestId) -> Result<Option<Request>, Error> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM request WHERE id = ?1"))
        .and_then(|mut statement| {
            statement
                .query_row([id.as_str()], |row| Ok(read(row)))
                .optional()
        })
        .map_err(failed("find a request"))?
        .transpose()?;
    found
        .map(|request| with_approvals(connection, request))
        .transpose()
}

pub(super) fn list(
    connection: &Connection,
    filter: &request::Filter,
) -> Result<Vec<Request>, Error> {
    let states: Vec<_> = filter.states.iter().map(|state| state.as_str()).collect();
    let states = to_json("filter", &states)?;
    let limit = match filter.limit {
        0 => -1,
        limit => i64::from(limit),
    };
    let subject = filter.subject.as_ref();
    collect(
        connection,
        &format!(
            "SELECT {COLUMNS} FROM request
             WHERE (?1 IS NULL OR issuer = ?1) AND (?2 IS NULL OR sub = ?2) AND (?3 IS NULL OR session = ?3)
                 AND (?4 = '[]' OR state IN (SELECT value FROM json_each(?4)))
             ORDER BY created DESC, id LIMIT ?5"
        ),
        params![
            subject.map(|subject| &subject.issuer),
            subject.map(|subject| &subject.sub),
            filter.session.as_ref().map(|session| session.as_str()),
            states,
            limit,
        ],
    )
}

pub(super) fn approve(
    connection: &Connection,
    id: &RequestId,
    approval: &Approval,
) -> Result<Settled, Error> {
    let request = match pending(connection, id, approval.at)? {
        Ok(request) => request,
        Err(settled) => return Ok(settled),
    };
    if are_one(&request.subject, &approval.approver) {
        return Ok(Settled::Own(request));
    }
    let approver = &approval.approver.id;
    let counted = swap(
        connection,
        "count an approval",
        "INSERT INTO approval (request, issuer, sub, approval, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        params![
            id.as_str(),
            approver.issuer,
            approver.sub,
            to_json("approval", approval)?,
            approval.at.micros(),
        ],
    )?;
    if !counted {
        return Ok(Settled::Twice(request));
    }
    swap(
        connection,
        "approve a request",
        "UPDATE request SET state = 'approved' WHERE id = ?1 AND state = 'pending'
             AND needed <= (SELECT count(*) FROM approval WHERE request = ?1)",
        [id.as_str()],
    )?;
    done(connection, id)
}

pub(super) fn deny(
    connection: &Connection,
    id: &RequestId,
    denial: &Denial,
) -> Result<Settled, Error> {
    if let Err(settled) = pending(connection, id, denial.at)? {
        return Ok(settled);
    }
    let changed = swap(
        connection,
        "deny a request",
        "UPDATE request SET state = 'denied', denial = ?2 WHERE id = ?1 AND state = 'pending'",
        params![id.as_str(), to_json("denial", denial)?],
    )?;
    settled(connection, id, changed)
}

pub(super) fn keep(
    connection: &Connection,
    id: &RequestId,
    what: &str,
    expires: Timestamp,
) -> Result<Settled, Error> {
    let changed = swap(
        connection,
        "keep a request",
        "UPDATE request SET what = ?2, expires = ?3 WHERE id = ?1 AND state = 'pending'",
        params![id.as_str(), what, expires.micros()],
    )?;
    settled(connection, id, changed)
}

pub(super) fn withdraw(connection: &Connection, id: &RequestId) -> Result<Settled, Error> {
    let changed = swap(
        connection,
        "withdraw a request",
        "UPDATE request SET state = 'withdrawn' WHERE id = ?1 AND state IN ('pending', 'approved')",
        [id.as_str()],
    )?;
    settled(connection, id, changed)
}

pub(super) fn spend(
    connection: &Connection,
    id: &RequestId,
    spend: &Spend,
) -> Result<Settled, Error> {
    let Some(request) = find(connection, id)? else {
        return Ok(Settled::Missing);
    };
    if request.subject.id != spend.subject || request.binding != spend.binding {
        return Ok(Settled::Different(request));
    }
    if request.state == request::State::Approved && request.expires <= spend.now {
        return Ok(Settled::Late(request));
    }
    let changed = swap(
        connection,
        "use an approval",
        "UPDATE request SET state = 'used' WHERE id = ?1 AND state = 'approved'",
        [id.as_str()],
    )?;
    settled(connection, id, changed)
}

pub(super) fn expire(connection: &Connection, now: Timestamp) -> Result<Vec<Request>, Error> {
    collect(
        connection,
        &format!(
            "UPDATE request SET state = 'expired' WHERE state IN ('pending', 'approved') AND expires <= ?1
             RETURNING {COLUMNS}"
        ),
        [now.micros()],
    )
}

pub(super) fn forgettable(connection: &Connection, keep: Timestamp) -> Result<u64, Error> {
    let sql =
        "SELECT count(*) FROM request WHERE state NOT IN ('pending', 'approved') AND expires < ?1";
    count(connection, "count requests", sql, keep)
}

pub(super) fn forget(connection: &Connection, keep: Timestamp) -> Result<u64, Error> {
    let sql = "DELETE FROM request WHERE state NOT IN ('pending', 'approved') AND expires < ?1";
    delete(connection, "forget requests", sql, keep)
}

/// The request if it waits and is not too late, else what is to be said about it.
fn pending(
    connection: &Connection,
    id: &RequestId,
    now: Timestamp,
) -> Result<Result<Request, Settled>, Error> {
    let Some(request) = find(connection, id)? else {
        return Ok(Err(Settled::Missing));
    };
    if request.state != request::State::Pending {
        return Ok(Err(Settled::Already(request)));
    }
    if request.expires <= now {
        return Ok(Err(Settled::Late(request)));
    }
    Ok(Ok(request))
}

/// Whether two subjects stand for one person: the same, one for the other, or both for a third.
fn are_one(left: &Subject, right: &Subject) -> bool {
    fn faces(subject: &Subject) -> impl Iterator<Item = &subject::Id> {
        std::iter::once(&subject.id).chain(&subject.behalf)
    }
    faces(left).any(|left| faces(right).any(|right| left == right))
}

fn done(connection: &Connection, id: &RequestId) -> Result<Settled, Error> {
    Ok(find(connection, id)?.map_or(Settled::Missing, Settled::Done))
}

fn settled(connection: &Connection, id: &RequestId, changed: bool) -> Result<Settled, Error> {
    Ok(match find(connection, id)? {
        Some(request) if changed => Settled::Done(request),
        Some(request) => Settled::Already(request),
        None => Settled::Missing,
    })
}

fn collect(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<Request>, Error> {
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(failed("list requests"))?;
    let rows = statement
        .query_map(parameters, |row| Ok(read(row)))
        .map_err(failed("list requests"))?;
    let requests: Vec<Request> = rows
        .map(|row| row.map_err(failed("list requests")).flatten())
        .collect::<Result<_, _>>()?;
    requests
        .into_iter()
        .map(|request| with_approvals(connection, request))
        .collect()
}

fn with_approvals(connection: &Connection, mut request: Request) -> Result<Request, Error> {
    let mut statement = connection
        .prepare_cached("SELECT approval FROM approval WHERE request = ?1 ORDER BY at, rowid")
        .map_err(failed("list approvals"))?;
    let rows = statement
        .query_map([request.id.as_str()], |row| row.get::<_, String>(0))
        .map_err(failed("list approvals"))?;
    request.approvals = rows
        .map(|row| from_json("approval", &row.map_err(failed("list approvals"))?))
        .collect::<Result<_, _>>()?;
    Ok(request)
}

fn read(row: &Row<'_>) -> Result<Request, Error> {
    let failed = failed("read a request");
    let text = |column: &str| row.get::<_, String>(column).map_err(&failed);
    let unknown = |word: &str| Error::Corrupt {
        what: "request",
        reason: format!("`{word}` is no kind or state"),
    };
    let (kind, state) = (text("kind")?, text("state")?);
    let session: Option<String> = row.get("session").map_err(&failed)?;
    let denial: Option<String> = row.get("denial").map_err(&failed)?;
    Ok(Request {
        id: parse("request", &text("id")?)?,
        kind: request::Kind::parse(&kind).ok_or_else(|| unknown(&kind))?,
        subject: from_json("request", &text("subject")?)?,
        database: parse("request", &text("database")?)?,
        session: session
            .as_deref()
            .map(|id| parse("request", id))
            .transpose()?,
        reason: text("reason")?,
        what: text("what")?,
        binding: text("binding")?,
        state: request::State::parse(&state).ok_or_else(|| unknown(&state))?,
        needed: row.get("needed").map_err(&failed)?,
        approvers: from_json("request", &text("approvers")?)?,
        approvals: Vec::new(),
        denial: denial
            .as_deref()
            .map(|denial| from_json("denial", denial))
            .transpose()?,
        created: Timestamp::from_micros(row.get("created").map_err(&failed)?),
        expires: Timestamp::from_micros(row.get("expires").map_err(&failed)?),
    })
}
