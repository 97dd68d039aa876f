//! Finds records: by who, database, table, session, time, decision and text.

use std::collections::{BTreeSet, VecDeque};

use crate::audit::event::footprint::Footprint;
use crate::audit::event::private::Private;
use crate::audit::event::{Action, Context, Decision, Outcome, Ran, Statement};
use crate::audit::log::{Error, Log, Record};
use crate::model::name::DatabaseName;
use crate::model::session::SessionId;
use crate::model::time::Timestamp;

/// Records that are answered at once, unless the caller wants fewer.
pub const LIMIT: usize = 1000;

/// What to look for; everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// The subject, by `sub`, or by a part of the name, in any case; also on whose behalf.
    pub who: Option<String>,
    /// The database.
    pub database: Option<DatabaseName>,
    /// A table, with or without its schema.
    pub table: Option<String>,
    /// The session.
    pub session: Option<SessionId>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// What the policy said.
    pub decision: Option<Outcome>,
    /// The event's name, as in the log: `statement_refused`.
    pub event: Option<String>,
    /// A part of a statement, reason or error, in any case.
    pub text: Option<String>,
    /// Only records from this one on.
    pub from: u64,
    /// The last matches instead of the first ones.
    pub newest: bool,
    /// At most so many; 0 = [`LIMIT`].
    pub limit: usize,
}

/// What was found, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on, if there may be more.
    pub next: Option<u64>,
}

/// Looks for records. Blocks.
///
/// # Errors
/// When the storage fails.
pub fn search(log: &Log, filter: &Filter) -> Result<Found, Error> {
    let limit = match filter.limit {
        0 => LIMIT,
        limit => limit.min(LIMIT),
    };
    let mut cursor = log.read(filter.from)?;
    let mut statements = Statements {
        log,
        filter,
        open: BTreeSet::new(),
    };
    let mut records = VecDeque::new();
    while let Some((hash, leaf)) = cursor.next_line()? {
        if !may_match(filter, &leaf) {
            continue;
        }
        let record = cursor.record(hash, &leaf)?;
        if !statements.hold(&record)? || !is_there(filter, &record) {
            continue;
        }
        if filter.newest && records.len() == limit {
            records.pop_front();
        }
        records.push_back(record);
        if !filter.newest && records.len() == limit {
            break;
        }
    }
    let next = records
        .back()
        .filter(|_| !filter.newest && records.len() == limit)
        .map(|record| record.index + 1);
    Ok(Found {
        records: records.into(),
        next,
    })
}

/// Every record of a session, in order. Blocks.
///
/// # Errors
/// When the storage fails.
pub fn session(log: &Log, id: &SessionId) -> Result<Vec<Record>, Error> {
    let mut filter = Filter {
        session: Some(id.clone()),
        ..Filter::default()
    };
    let mut records = Vec::new();
    loop {
        let found = search(log, &filter)?;
        records.extend(found.records);
        match found.next {
            Some(next) => filter.from = next,
            None => return Ok(records),
        }
    }
}

/// A look at the bytes, before anything is taken apart.
fn may_match(filter: &Filter, leaf: &[u8]) -> bool {
    let Ok(leaf) = std::str::from_utf8(leaf) else {
        return true;
    };
    let has = |part: &str| leaf.contains(part);
    filter.session.as_ref().is_none_or(|id| has(id.as_str()))
        && filter
            .database
            .as_ref()
            .is_none_or(|name| has(name.as_str()))
        && filter.event.as_ref().is_none_or(|name| {
            has(name) || (filter.asks_for_statements() && has("statement_intended"))
        })
}

/// Statements that are what was asked for, and have not ended: what came of them was asked for, too, though its record does not repeat
/// what they touch and say.
struct Statements<'a> {
    log: &'a Log,
    filter: &'a Filter,
    open: BTreeSet<u64>,
}

impl Statements<'_> {
    /// Whether a record is about a statement that is looked for.
    fn hold(&mut self, record: &Record) -> Result<bool, Error> {
        let action = &record.event.action;
        let held = is_about(self.filter, record);
        if !self.filter.asks_for_statements() {
            return Ok(held);
        }
        if held && matches!(action, Action::StatementIntended { .. }) {
            self.open.insert(record.index);
        }
        let Some(Ran { intent, .. }) = ran(action) else {
            return Ok(held);
        };
        Ok(self.open.remove(intent) || held || self.is_earlier(*intent)?)
    }

    /// Whether a statement is looked for whose intent lies before the first record that was read.
    fn is_earlier(&self, intent: u64) -> Result<bool, Error> {
        if intent >= self.filter.from {
            return Ok(false);
        }
        let record = self.log.read(intent)?.advance()?;
        Ok(record.is_some_and(|record| is_about(self.filter, &record)))
    }
}

impl Filter {
    /// Whether anything is asked that only the record of an intent tells.
    const fn asks_for_statements(&self) -> bool {
        self.table.is_some() || self.decision.is_some() || self.text.is_some()
    }
}

/// Whether a record is of the time, place and person that are looked for.
fn is_there(filter: &Filter, record: &Record) -> bool {
    let context = &record.event.context;
    let action = &record.event.action;
    filter.who.as_ref().is_none_or(|who| is_by(who, context))
        && (filter.database.is_none() || filter.database == context.database)
        && (filter.session.is_none() || filter.session == context.session)
        && filter.since.is_none_or(|since| record.time >= since)
        && filter.until.is_none_or(|until| record.time < until)
        && filter
            .event
            .as_ref()
            .is_none_or(|event| name(action).as_ref() == Some(event))
}

/// Whether a record itself says what is looked for.
fn is_about(filter: &Filter, record: &Record) -> bool {
    let context = &record.event.context;
    let action = &record.event.action;
    filter
        .table
        .as_ref()
        .is_none_or(|table| footprint(action).is_some_and(|footprint| touches(table, footprint)))
        && filter.decision.is_none_or(|outcome| {
            decision(action).is_some_and(|said| said.outcome == outcome)
                || (outcome == Outcome::Review && is_of_review(action))
        })
        && filter
            .text
            .as_ref()
            .is_none_or(|text| says(text, context, action))
}

/// Whether an event belongs to a review: what people said, and what ran or was granted by it.
const fn is_of_review(action: &Action) -> bool {
    matches!(
        action,
        Action::RequestApproved { .. }
            | Action::RequestDenied { .. }
            | Action::RequestExpired { .. }
            | Action::RequestWithdrawn { .. }
            | Action::RequestKept { .. }
            | Action::RequestUsed { .. }
            | Action::StatementIntended {
                request: Some(_),
                ..
            }
            | Action::SessionGranted {
                request: Some(_),
                ..
            }
    )
}

/// The event's name, as in the log.
#[must_use]
pub fn name(action: &Action) -> Option<String> {
    let value = serde_json::to_value(action).ok()?;
    value.get("event")?.as_str().map(str::to_owned)
}

/// The statement an event is about.
#[must_use]
pub const fn statement(action: &Action) -> Option<&Statement> {
    match action {
        Action::StatementIntended { statement, .. }
        | Action::StatementHeld { statement, .. }
        | Action::StatementRefused { statement, .. } => Some(statement),
        _ => None,
    }
}

/// What came of a statement, if the event says so.
#[must_use]
pub const fn ran(action: &Action) -> Option<&Ran> {
    match action {
        Action::StatementFinished { ran, .. }
        | Action::StatementFailed { ran, .. }
        | Action::StatementUnknown { ran, .. } => Some(ran),
        _ => None,
    }
}

/// What the policy said, if the event has it.
#[must_use]
pub const fn decision(action: &Action) -> Option<&Decision> {
    match action {
        Action::SessionHeld { decision, .. } | Action::SessionGranted { decision, .. } => {
            Some(decision)
        }
        Action::SessionRefused { decision, .. } => decision.as_ref(),
        _ => match statement(action) {
            Some(statement) => statement.decision.as_ref(),
            None => None,
        },
    }
}

/// What went wrong, or what somebody who decided says, if the event has it.
#[must_use]
pub const fn error(action: &Action) -> Option<&Private> {
    match action {
        Action::LoginRefused { error }
        | Action::SessionRefused { error, .. }
        | Action::RoleStuck { error, .. }
        | Action::ConnectionRefused { error }
        | Action::StatementRefused { error, .. }
        | Action::StatementFailed { error, .. }
        | Action::StatementUnknown { error, .. }
        | Action::PolicyRefused { error } => Some(error),
        Action::RequestApproved {
            note: Some(note), ..
        }
        | Action::RequestDenied { note, .. } => Some(note),
        _ => None,
    }
}

fn footprint(action: &Action) -> Option<&Footprint> {
    statement(action)?.footprint.as_ref()
}

fn is_by(who: &str, context: &Context) -> bool {
    let Some(actor) = &context.subject else {
        return false;
    };
    let behalf = actor.behalf.as_ref();
    actor.id.sub == who
        || actor.id.to_string() == who
        || actor.name.to_lowercase().contains(&who.to_lowercase())
        || behalf.is_some_and(|person| person.sub == who || person.to_string() == who)
}

fn touches(table: &str, footprint: &Footprint) -> bool {
    let known = footprint.tables.keys().map(String::as_str);
    let defines = footprint.defines.as_ref().and_then(Private::text);
    known
        .chain(defines.into_iter().flat_map(str::lines))
        .any(|name| {
            let unqualified = name.split_once('.').map_or(name, |(_, name)| name);
            name == table || unqualified == table
        })
}

fn says(text: &str, context: &Context, action: &Action) -> bool {
    let wanted = text.to_lowercase();
    let statement = statement(action);
    [
        statement.map(|statement| &statement.statement),
        statement.and_then(|statement| statement.parameters.as_ref()),
        context.reason.as_ref(),
        error(action),
    ]
    .into_iter()
    .flatten()
    .filter_map(Private::text)
    .any(|text| text.to_lowercase().contains(&wanted))
}
