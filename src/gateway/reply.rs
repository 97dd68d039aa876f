//! What the client is told: the one place for SQLSTATEs and messages, and for taking values out of what the upstream says.
//!
//! **Invariant:** only what implements [`ForClient`] reaches a client; errors of the standard library and of other crates do not.

use crate::mask;
use crate::model::session::{CloseReason, RequestId};
use crate::policy::Ceiling;
use crate::wire;
use crate::wire::backend;
use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::origin::{self, Origin};

/// Says itself to the client.
pub trait ForClient {
    /// The whole report.
    fn fields(&self) -> Fields;
}

/// An error of this SQLSTATE.
pub fn error(code: SqlState, message: impl Into<String>) -> Fields {
    Fields::new(Severity::Error, code, message)
}

/// An error after which the connection is closed.
pub fn fatal(code: SqlState, message: impl Into<String>) -> Fields {
    Fields::new(Severity::Fatal, code, message)
}

/// A notice.
pub fn notice(message: impl Into<String>) -> Fields {
    Fields::new(Severity::Notice, SqlState::SUCCESSFUL, message)
}

/// Writes an `ErrorResponse`.
pub fn write_error(fields: &Fields, out: &mut Vec<u8>) {
    write(&backend::Message::ErrorResponse(fields.clone()), out);
}

/// Writes a `NoticeResponse`.
pub fn write_notice(fields: &Fields, out: &mut Vec<u8>) {
    write(&backend::Message::NoticeResponse(fields.clone()), out);
}

/// Writes a message of ours. What we write fits into a message; were it not so, nothing would be written.
pub fn write(message: &backend::Message<'_>, out: &mut Vec<u8>) {
    message.encode(out).ok();
}

/// The transaction has failed; PostgreSQL's own words.
pub fn failed_transaction() -> Fields {
    error(
        SqlState::IN_FAILED_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// More prepared statements than a connection may keep here.
pub fn too_much_prepared() -> Fields {
    error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        "too many prepared statements on this connection",
    )
    .with_hint("Free some with DEALLOCATE, or let the driver keep fewer.")
}

/// More portals than a transaction may keep here.
pub fn too_many_portals() -> Fields {
    error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        "too many open portals on this connection",
    )
    .with_hint("Close portals and cursors that are read to their end.")
}

/// No such prepared statement; PostgreSQL's own words.
pub fn no_statement(name: &str) -> Fields {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    error(SqlState::INVALID_STATEMENT_NAME, message)
}

/// No such portal; PostgreSQL's own words.
pub fn no_portal(name: &str) -> Fields {
    error(
        SqlState::INVALID_CURSOR_NAME,
        format!("portal \"{name}\" does not exist"),
    )
}

/// Whether it is said of a prepared statement or portal that does not exist.
pub fn is_unknown(fields: &Fields) -> bool {
    matches!(
        fields.code,
        SqlState::INVALID_STATEMENT_NAME | SqlState::INVALID_CURSOR_NAME
    )
}

/// A prepared statement of this name exists; PostgreSQL's own words.
pub fn duplicate_statement(name: &str) -> Fields {
    error(
        SqlState::DUPLICATE_PREPARED_STATEMENT,
        format!("prepared statement \"{name}\" already exists"),
    )
}

/// A message that may not come during `COPY`; PostgreSQL's own words.
pub fn unexpected_in_copy(kind: u8) -> Fields {
    error(
        SqlState::PROTOCOL_VIOLATION,
        format!("unexpected message type 0x{kind:02X} during COPY from stdin"),
    )
}

/// A message that is longer than all that is held at once.
pub fn too_large(size: usize, most: u64) -> Fields {
    error(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("dbgate: a message of {size} bytes is longer than it holds ({most})"),
    )
    .with_hint("Send it in parts, or by COPY; or have `limits.messages` raised in the broker's configuration.")
}

/// All connections together hold as much as they may.
pub fn no_room(most: u64) -> Fields {
    error(
        SqlState::OUT_OF_MEMORY,
        format!("dbgate: clients are sending more in large messages than it holds at once ({most} bytes)"),
    )
    .with_hint("Try again, or send it in parts or by COPY; or have `limits.messages` raised in the broker's configuration.")
}

/// Functions are not called by OID.
pub fn function_call() -> Fields {
    error(
        SqlState::FEATURE_NOT_SUPPORTED,
        "dbgate does not pass on function calls of the fast-path protocol",
    )
    .with_hint("Call the function in a statement: SELECT function(…).")
}

/// A portal that `DECLARE CURSOR` made.
pub fn cursor_as_portal(name: &str) -> Fields {
    error(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("\"{name}\" is a cursor made by DECLARE"),
    )
    .with_hint("Use FETCH.")
}

/// A limit on rows was reached.
pub fn row_limit(limit: u64) -> Fields {
    let fields = error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        format!("dbgate: row limit of {} reached", grouped(limit)),
    )
    .with_hint("Ask for fewer rows: a WHERE that restricts, an aggregate, or LIMIT.");
    Origin::Limit.mark(fields)
}

/// More rows than the approvers agreed to.
pub fn agreed_rows(most: u64, request: &RequestId) -> Fields {
    error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        format!(
            "dbgate: request {request} was approved for at most {}, and this touches more",
            counted(most)
        ),
    )
    .with_detail("Nothing of it takes effect; the approval is used up.")
    .with_hint("Narrow it down with a WHERE, or ask for the approval of more rows.")
}

/// A statement with a maximum of rows that is fetched in portions: how many it touches is told at its end only.
pub fn agreed_in_portions(request: &RequestId) -> Fields {
    error(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("request {request} was approved for a maximum of rows, so it can't be fetched in portions"),
    )
    .with_hint("Execute it without a limit of rows (a fetch size of 0).")
}

/// A query with a maximum of rows behind messages of the extended protocol that no `Sync` has ended.
pub fn agreed_in_pipeline(request: &RequestId) -> Fields {
    error(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "request {request} was approved for a maximum of rows, so it must be sent by itself"
        ),
    )
    .with_hint("End the pipeline with Sync first.")
}

/// More rows than a rule lets be written.
pub fn ruled_rows(ceiling: &Ceiling) -> Fields {
    let message = format!("dbgate: this writes more than {}", counted(ceiling.rows));
    let fields = error(SqlState::INSUFFICIENT_PRIVILEGE, message)
        .with_detail(format!("{} Nothing of it takes effect.", ceiling.by));
    let hint = match (&ceiling.hint, ceiling.review) {
        (Some(hint), false) => hint.clone(),
        (None, false) => "Narrow it down with a WHERE, or do it in smaller parts.".to_owned(),
        (hint, true) => {
            let more = "With an approval it may write more: ask with `dbgate request DB -c …`, then run it with `dbgate exec DB --request ID -c …`.";
            hint.as_ref()
                .map_or_else(|| more.to_owned(), |hint| format!("{hint} {more}"))
        }
    };
    Origin::Denied.mark(fields.with_hint(hint))
}

/// A statement that a rule binds to a maximum of rows, in portions.
pub fn ruled_in_portions(ceiling: &Ceiling) -> Fields {
    let message = format!(
        "dbgate: this may write at most {}, so it can't be fetched in portions",
        counted(ceiling.rows)
    );
    error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_detail(ceiling.by.clone())
        .with_hint("Execute it without a limit of rows (a fetch size of 0).")
}

/// A query that a rule binds to a maximum of rows, behind messages that no `Sync` has ended.
pub fn ruled_in_pipeline(ceiling: &Ceiling) -> Fields {
    let message = format!(
        "dbgate: this may write at most {}, so it must be sent by itself",
        counted(ceiling.rows)
    );
    error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_detail(ceiling.by.clone())
        .with_hint("End the pipeline with Sync first.")
}

fn counted(rows: u64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{} rows", grouped(rows)),
    }
}

/// A limit on bytes was reached.
pub fn byte_limit(limit: u64) -> Fields {
    let fields = error(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        format!("dbgate: size limit of {} bytes reached", grouped(limit)),
    )
    .with_hint("Ask for fewer rows or columns.");
    Origin::Limit.mark(fields)
}

/// What helps when a session has used up what it had.
pub const SESSION: &str = "Open another session, or ask whoever keeps the policy for more.";
/// What helps when a subject has used up what it had in an hour.
pub const HOUR: &str = "It counts what the last hour saw: go on a little later.";

/// What a session may be sent, or the time its statements may run, is used up.
pub fn used_up(whose: &str, (most, what): (u64, &str), when: &str) -> Fields {
    let (code, most) = match what {
        "of running time" => {
            let span = std::time::Duration::from_micros(most);
            (
                SqlState::QUERY_CANCELED,
                crate::model::time::show_span(span),
            )
        }
        _ => (SqlState::CONFIGURATION_LIMIT_EXCEEDED, grouped(most)),
    };
    let message = format!("dbgate: {whose} of {most} {what}{when} is used up");
    let hint = if when.is_empty() { SESSION } else { HOUR };
    Origin::Limit.mark(error(code, message).with_hint(hint))
}

/// A limit on time was reached.
pub fn time_limit(limit: std::time::Duration) -> Fields {
    let span = crate::model::time::show_span(limit);
    let message = format!("dbgate: time limit of {span} reached");
    let fields = error(SqlState::QUERY_CANCELED, message)
        .with_hint("Do it in smaller steps, or ask whoever keeps the policy for more time.");
    Origin::Limit.mark(fields)
}

/// The columns of the rows that follow which are masked, by number from 1, and name.
pub fn masked<'a>(columns: impl IntoIterator<Item = (usize, &'a str)>) -> Fields {
    let fields = notice("dbgate: columns of this result are masked")
        .with_detail(origin::masked_detail(columns));
    Origin::Masked.mark(fields)
}

/// A hint of ours as a sentence, as hints of the server are.
pub fn sentence(hint: String) -> String {
    let mut letters = hint.chars();
    let mut sentence: String = match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => return hint,
    };
    if !sentence.ends_with(['.', '?']) {
        sentence.push('.');
    }
    sentence
}

/// A client that takes too long to say who it is.
pub fn too_slow(limit: std::time::Duration) -> Fields {
    let span = crate::model::time::show_span(limit);
    fatal(
        SqlState::QUERY_CANCELED,
        format!("canceling authentication: nothing that proves who you are came within {span}"),
    )
    .with_hint(
        "Connect again and answer at once; the broker's `handshake` limit says how long it waits.",
    )
}

/// The database takes too long to let the client in.
pub fn upstream_slow(limit: std::time::Duration) -> Fields {
    let span = crate::model::time::show_span(limit);
    fatal(
        SqlState::CANNOT_CONNECT_NOW,
        format!("the database did not answer within {span}"),
    )
    .with_hint("Try again in a moment; `dbgate broker check` tells an administrator why.")
}

/// The client closed its side in the middle of a message.
pub fn cut() -> Fields {
    fatal(
        SqlState::PROTOCOL_VIOLATION,
        "the connection was closed in the middle of a message",
    )
    .with_hint(NO_CLIENT)
}

/// The same encryption is asked for again.
pub fn asked_twice() -> Fields {
    fatal(
        SqlState::PROTOCOL_VIOLATION,
        "encryption was asked for twice",
    )
    .with_hint(NO_CLIENT)
}

/// Bytes came between the wish for TLS and TLS; PostgreSQL's own words.
pub fn early_data() -> Fields {
    fatal(
        SqlState::PROTOCOL_VIOLATION,
        "received unencrypted data after SSL request",
    )
    .with_detail(
        "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
    )
    .with_hint("Connect from another network, or with psql, to find out which.")
}

/// What helps who sends what is no PostgreSQL protocol.
const NO_CLIENT: &str = "Connect with a PostgreSQL client, such as psql or a driver; if this is one, something between it and dbgate changes its bytes.";

/// The session has ended.
pub fn ended(reason: &CloseReason) -> Fields {
    let fields = fatal(
        SqlState::ADMIN_SHUTDOWN,
        format!("the dbgate session has ended: {reason}"),
    )
    .with_hint("Ask for a new one: `dbgate connect`, `dbgate tunnel` or `dbgate env`.");
    Origin::Ended.mark(fields)
}

/// The broker stops.
pub fn stopping() -> Fields {
    fatal(SqlState::ADMIN_SHUTDOWN, "dbgate is shutting down")
        .with_hint("Connect again in a moment; the session goes on.")
}

/// The database's connection broke.
pub fn upstream_lost() -> Fields {
    fatal(
        SqlState::CONNECTION_FAILURE,
        "the database closed the connection",
    )
    .with_hint("Connect again; the session goes on.")
}

/// As [`upstream_lost`], while a `COMMIT` was under way.
pub fn commit_unknown() -> Fields {
    fatal(
        SqlState::CONNECTION_FAILURE,
        "the database closed the connection before it answered",
    )
    .with_detail("Whether the last statement took effect is unknown.")
    .with_hint("Connect again and look before you repeat it.")
}

/// The upstream does what no PostgreSQL does.
pub fn upstream_protocol() -> Fields {
    fatal(
        SqlState::CONNECTION_FAILURE,
        "the database's answer is not acceptable; the connection is closed",
    )
}

/// A pinned setting has changed at the upstream.
pub fn pinned_changed(name: &str) -> Fields {
    fatal(
        SqlState::CONNECTION_EXCEPTION,
        format!("the setting \"{name}\" was changed at the database; dbgate cannot go on"),
    )
    .with_hint("Connect again and leave this setting as it is.")
}

/// The catalog of the database can't be read: names can't be resolved.
pub fn no_catalog() -> Fields {
    error(
        SqlState::CONNECTION_FAILURE,
        "dbgate cannot read the database's catalog, and decides nothing without it",
    )
    .with_hint("Try again in a moment.")
}

/// The policy wants an approval for something that was permitted before.
pub fn changed_meanwhile() -> Fields {
    let fields = error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "the policy has changed since this statement was bound",
    )
    .with_hint("Bind it again.");
    Origin::Denied.mark(fields)
}

/// The audit log cannot be written.
pub fn unrecorded() -> Fields {
    error(
        SqlState::IO_ERROR,
        "dbgate cannot write its audit log, and nothing runs unrecorded",
    )
    .with_hint("The operators see this in /readyz; try again in a moment.")
}

/// Something inside dbgate failed.
pub fn internal() -> Fields {
    fatal(
        SqlState::INTERNAL_ERROR,
        "dbgate failed; the connection is closed",
    )
}

/// A report of the upstream about a statement that touches protected data: the cause stays, everything that may carry a value goes.
pub fn scrubbed(fields: &Fields) -> Fields {
    let kind = match fields.severity {
        Severity::Error | Severity::Fatal | Severity::Panic => "an error",
        Severity::Warning | Severity::Notice | Severity::Debug | Severity::Info | Severity::Log => {
            "a notice"
        }
    };
    let mut scrubbed = Fields::new(
        fields.severity,
        fields.code,
        format!(
            "the database reported {kind}: {} (SQLSTATE {})",
            class(fields.code),
            fields.code
        ),
    )
    .with_detail("dbgate left out its text, because the statement touches protected data.");
    scrubbed.position = fields.position;
    scrubbed
}

/// A report of the upstream as it may be passed on: bounded, without the internals of functions, and never taken for one of dbgate's.
pub fn clipped(mut fields: Fields) -> Fields {
    let content = &mut *fields;
    if content.routine.as_deref().is_some_and(origin::is_ours) {
        content.routine = None;
    }
    for text in [
        Some(&mut content.message),
        content.detail.as_mut(),
        content.hint.as_mut(),
        content.context.as_mut(),
        content.internal_query.as_mut(),
    ]
    .into_iter()
    .flatten()
    {
        clip(text, 64 * 1024);
    }
    fields
}

fn clip(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    let end = (0..=limit)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.truncate(end);
    text.push('…');
}

/// A command tag is words and numbers; anything else is no tag.
pub fn is_tag(tag: &str) -> bool {
    tag.len() <= 64
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')
}

/// What the class of a SQLSTATE means.
fn class(code: SqlState) -> &'static str {
    match code.class() {
        "00" | "01" | "02" => "no error",
        "08" => "connection",
        "0A" => "not supported",
        "21" => "more or fewer rows than fit",
        "22" => "invalid data",
        "23" => "a constraint is violated",
        "25" => "transaction state",
        "26" | "34" => "unknown name",
        "28" => "authorization",
        "40" => "transaction rolled back",
        "42" => "syntax, name or privilege",
        "44" => "view check",
        "53" => "resources",
        "54" => "limit of the program",
        "55" => "object state",
        "57" => "operator intervention",
        "58" => "system",
        "P0" => "raised by a function",
        _ => "other",
    }
}

/// `10000` as `10 000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

impl ForClient for wire::error::Error {
    fn fields(&self) -> Fields {
        let fields = fatal(self.sqlstate(), self.to_string());
        match self {
            Self::NotUtf8 => fields.with_hint(
                "dbgate speaks UTF-8 with every client: send text as UTF-8, or let the driver convert it.",
            ),
            Self::Version { .. } => {
                fields.with_hint("Use a client of PostgreSQL 7.4 or later, which speak protocol 3.")
            }
            Self::Startup(_) => {
                fields.with_hint("Look at the connection's parameters, `options` among them.")
            }
            Self::WrongProof => fields,
            Self::Binding => fields.with_hint(
                "Somebody may stand between you and dbgate; connect without a proxy that ends TLS.",
            ),
            Self::TooLarge(_) | Self::EmbeddedZero => {
                fields.with_hint("Send it in smaller parts, without zero bytes in text.")
            }
            Self::FrameTooLong { kind, .. } if *kind != 0 => fields.with_hint(
                "Send it in smaller parts, such as `COPY` in pieces, or the values as parameters.",
            ),
            Self::FrameTooLong { .. }
            | Self::Length(_)
            | Self::UnexpectedKind(_)
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Unterminated
            | Self::Meaningless { .. }
            | Self::Unfinished
            | Self::Scram(_) => fields.with_hint(NO_CLIENT),
        }
    }
}

impl ForClient for mask::Refusal {
    fn fields(&self) -> Fields {
        let fields = error(SqlState::INSUFFICIENT_PRIVILEGE, self.to_string());
        let fields = Origin::Denied.mark(fields);
        match self {
            Self::Unexpected { .. } | Self::Columns { .. } => {
                fields.with_hint("Name the tables and columns of the statement in full.")
            }
            Self::Row { .. } | Self::Malformed => fields,
        }
    }
}
