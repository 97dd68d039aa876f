//! The state in one SQLite file: WAL, `synchronous = FULL`, one thread that reads and writes.
//!
//! Calls that arrive while a commit is on its way share the next one.

mod lease;
mod migrate;
mod request;
mod session;
mod token;
mod worker;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::model::session::{CloseReason, RequestId, SessionId};
use crate::model::subject;
use crate::model::time::Timestamp;
use crate::store;
use crate::store::lease::Lease;
use crate::store::lock;
use crate::store::request::{Approval, Denial, Request, Settled, Spend};
use crate::store::session::{Credential, Session};
use crate::store::token::{Digest, Token};
use crate::store::{Answer, Error, Store};
use worker::Worker;

/// The first release without the WAL-reset race that corrupted databases.
const OLDEST: i32 = 3_051_003;

/// The name of the file in the data directory.
const NAME: &str = "state.sqlite";

/// A state store in a data directory of its own. Dropping it carries out what is queued, then closes the file.
#[derive(Debug)]
pub struct Sqlite {
    worker: Worker,
}

impl Sqlite {
    /// Opens the state in `directory`, makes it if there is none, and brings it to the present version. Blocks.
    ///
    /// # Errors
    /// When another process has the directory, the file is damaged or newer than this program, or the disk fails.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        if rusqlite::version_number() < OLDEST {
            return Err(Error::Outdated {
                found: rusqlite::version().to_owned(),
            });
        }
        let lock = lock::Lock::take(directory)?;
        let mut connection = connect(directory)?;
        migrate::run(&mut connection)?;
        Ok(Self {
            worker: Worker::start(connection, lock)?,
        })
    }
}

/// The leases that are kept in `directory`, read beside a broker that may be at work there; none where there is no state.
/// Blocks, and changes nothing.
///
/// # Errors
/// When the state cannot be read.
pub fn peek(directory: &Path) -> Result<Vec<Lease>, Error> {
    let path = directory.join(NAME);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let wrap = failed("read the state");
    // Side files are made by whoever works on the state, never by who looks: without them, the file stands for itself.
    let still = !directory.join(format!("{NAME}-wal")).exists();
    let mut url = url::Url::from_file_path(&path).map_err(|()| Error::Failed {
        doing: "read the state",
        reason: format!("`{}` is no absolute path", path.display()),
    })?;
    if still {
        url.query_pairs_mut().append_pair("immutable", "1");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(url.as_str(), flags).map_err(&wrap)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(&wrap)?;
    lease::list(&connection)
}

fn connect(directory: &Path) -> Result<Connection, Error> {
    let path = directory.join(NAME);
    let prepare = |doing, reason: String| Error::Prepare {
        doing,
        path: path.display().to_string(),
        reason,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| prepare("make the directory of", error.to_string()))?;
    // SQLite gives its side files the mode of the main file.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| prepare("open", error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags)
        .map_err(|error| prepare("open", error.to_string()))?;
    configure(&connection).map_err(|error| prepare("read", error.to_string()))?;
    let health: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| prepare("read", error.to_string()))?;
    if health == "ok" {
        Ok(connection)
    } else {
        Err(prepare("read", health))
    }
}

fn configure(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Puts what was tried in front of what SQLite said. Its messages name columns, never values.
fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| Error::Failed {
        doing,
        reason: error.to_string(),
    }
}

/// Runs a statement that must change one row or none.
fn swap(
    connection: &Connection,
    doing: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<bool, Error> {
    let changed = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(parameters))
        .map_err(failed(doing))?;
    Ok(changed == 1)
}

/// How many rows a time is too late for.
fn count(
    connection: &Connection,
    doing: &'static str,
    sql: &str,
    time: Timestamp,
) -> Result<u64, Error> {
    connection
        .query_row(sql, [time.micros()], |row| row.get(0))
        .map(i64::cast_unsigned)
        .map_err(failed(doing))
}

/// Deletes the rows a time is too late for; says how many they were.
fn delete(
    connection: &Connection,
    doing: &'static str,
    sql: &str,
    time: Timestamp,
) -> Result<u64, Error> {
    connection
        .execute(sql, [time.micros()])
        .map(|deleted| deleted as u64)
        .map_err(failed(doing))
}

fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt {
        what,
        reason: error.to_string(),
    })
}

fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt {
        what,
        reason: error.to_string(),
    })
}

/// Reads a word, id or name back into its type.
fn parse<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Error::Corrupt {
        what,
        reason: error.to_string(),
    })
}

impl Store for Sqlite {
    fn add_session(&self, session: &Session) -> Answer<()> {
        let session = session.clone();
        self.worker
            .submit(move |connection| session::add(connection, &session))
    }

    fn session(&self, id: &SessionId) -> Answer<Option<Session>> {
        let id = id.clone();
        self.worker
            .submit(move |connection| session::find(connection, &id))
    }

    fn sessions(&self, filter: &store::session::Filter) -> Answer<Vec<Session>> {
        let filter = filter.clone();
        self.worker
            .submit(move |connection| session::list(connection, &filter))
    }

    fn open_session(&self, id: &SessionId) -> Answer<bool> {
        let id = id.clone();
        self.worker
            .submit(move |connection| session::open(connection, &id))
    }

    fn begin_close(&self, id: &SessionId, why: &CloseReason, at: Timestamp) -> Answer<bool> {
        let (id, why) = (id.clone(), why.clone());
        self.worker
            .submit(move |connection| session::begin_close(connection, &id, &why, at))
    }

    fn finish_close(&self, id: &SessionId, at: Timestamp) -> Answer<bool> {
        let id = id.clone();
        self.worker
            .submit(move |connection| session::finish_close(connection, &id, at))
    }

    fn renew_session(&self, id: &SessionId, ends: Timestamp, to: Timestamp) -> Answer<bool> {
        let id = id.clone();
        self.worker
            .submit(move |connection| session::renew(connection, &id, ends, to))
    }

    fn replace_role(&self, id: &SessionId, old: Option<&str>, new: Option<&str>) -> Answer<bool> {
        let (id, old, new) = (id.clone(), old.map(str::to_owned), new.map(str::to_owned));
        self.worker.submit(move |connection| {
            session::replace_role(connection, &id, old.as_deref(), new.as_deref())
        })
    }

    fn replace_credential(&self, id: &SessionId, credential: &Credential) -> Answer<bool> {
        let (id, credential) = (id.clone(), credential.clone());
        self.worker
            .submit(move |connection| session::replace_credential(connection, &id, &credential))
    }

    fn sessions_of_family(&self, family: &str) -> Answer<Vec<Session>> {
        let family = family.to_owned();
        self.worker
            .submit(move |connection| session::of_family(connection, &family))
    }

    fn add_lease(&self, lease: &Lease) -> Answer<()> {
        let lease = lease.clone();
        self.worker
            .submit(move |connection| lease::add(connection, &lease))
    }

    fn lease(&self, role: &str) -> Answer<Option<Lease>> {
        let role = role.to_owned();
        self.worker
            .submit(move |connection| lease::find(connection, &role))
    }

    fn leases(&self) -> Answer<Vec<Lease>> {
        self.worker.submit(lease::list)
    }

    fn move_lease(
        &self,
        role: &str,
        from: store::lease::State,
        to: store::lease::State,
    ) -> Answer<bool> {
        let role = role.to_owned();
        self.worker
            .submit(move |connection| lease::change(connection, &role, from, to))
    }

    fn stick_lease(&self, role: &str, error: &str, next: Timestamp) -> Answer<bool> {
        let (role, error) = (role.to_owned(), error.to_owned());
        self.worker
            .submit(move |connection| lease::stick(connection, &role, &error, next))
    }

    fn end_lease(&self, role: &str) -> Answer<bool> {
        let role = role.to_owned();
        self.worker
            .submit(move |connection| lease::end(connection, &role))
    }

    fn add_request(&self, request: &Request) -> Answer<()> {
        let request = request.clone();
        self.worker
            .submit(move |connection| request::add(connection, &request))
    }

    fn request(&self, id: &RequestId) -> Answer<Option<Request>> {
        let id = id.clone();
        self.worker
            .submit(move |connection| request::find(connection, &id))
    }

    fn requests(&self, filter: &store::request::Filter) -> Answer<Vec<Request>> {
        let filter = filter.clone();
        self.worker
            .submit(move |connection| request::list(connection, &filter))
    }

    fn approve(&self, id: &RequestId, approval: &Approval) -> Answer<Settled> {
        let (id, approval) = (id.clone(), approval.clone());
        self.worker
            .submit(move |connection| request::approve(connection, &id, &approval))
    }

    fn deny(&self, id: &RequestId, denial: &Denial) -> Answer<Settled> {
        let (id, denial) = (id.clone(), denial.clone());
        self.worker
            .submit(move |connection| request::deny(connection, &id, &denial))
    }

    fn keep_request(&self, id: &RequestId, what: &str, expires: Timestamp) -> Answer<Settled> {
        let (id, what) = (id.clone(), what.to_owned());
        self.worker
            .submit(move |connection| request::keep(connection, &id, &what, expires))
    }

    fn withdraw(&self, id: &RequestId) -> Answer<Settled> {
        let id = id.clone();
        self.worker
            .submit(move |connection| request::withdraw(connection, &id))
    }

    fn spend(&self, id: &RequestId, spend: &Spend) -> Answer<Settled> {
        let (id, spend) = (id.clone(), spend.clone());
        self.worker
            .submit(move |connection| request::spend(connection, &id, &spend))
    }

    fn expire_requests(&self, now: Timestamp) -> Answer<Vec<Request>> {
        self.worker
            .submit(move |connection| request::expire(connection, now))
    }

    fn add_token(&self, token: &Token) -> Answer<()> {
        let token = token.clone();
        self.worker
            .submit(move |connection| token::add(connection, &token))
    }

    fn token(&self, digest: &Digest, now: Timestamp) -> Answer<Option<Token>> {
        let digest = *digest;
        self.worker
            .submit(move |connection| token::find(connection, &digest, now))
    }

    fn past_token(&self, digest: &Digest) -> Answer<Option<Token>> {
        let digest = *digest;
        self.worker
            .submit(move |connection| token::find(connection, &digest, Timestamp::EPOCH))
    }

    fn has_family(&self, family: &str) -> Answer<bool> {
        let family = family.to_owned();
        self.worker
            .submit(move |connection| token::has_family(connection, &family))
    }

    fn end_family(&self, family: &str) -> Answer<u64> {
        let family = family.to_owned();
        self.worker
            .submit(move |connection| token::end_family(connection, &family))
    }

    fn end_subject(&self, subject: &subject::Id) -> Answer<u64> {
        let subject = subject.clone();
        self.worker
            .submit(move |connection| token::end_subject(connection, &subject))
    }

    fn use_once(&self, what: &str, until: Timestamp) -> Answer<bool> {
        let what = what.to_owned();
        self.worker
            .submit(move |connection| token::use_once(connection, &what, until))
    }

    fn forgettable(&self, keep: Timestamp) -> Answer<u64> {
        self.worker.submit(move |connection| {
            Ok(session::forgettable(connection, keep)? + request::forgettable(connection, keep)?)
        })
    }

    fn forget(&self, now: Timestamp, keep: Timestamp) -> Answer<u64> {
        self.worker.submit(move |connection| {
            Ok(token::forget(connection, now)?
                + session::forget(connection, keep)?
                + request::forget(connection, keep)?)
        })
    }

    fn trouble(&self) -> Option<String> {
        self.worker.trouble()
    }
}
