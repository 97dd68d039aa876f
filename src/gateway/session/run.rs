//! One statement on its way: its recorded permit, how its rows pass, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::Recorded;
use crate::audit::event;
use crate::audit::event::private::Private;
use crate::audit::recording::{Limit, Recorder};
use crate::gateway::budget::account::Account;
use crate::gateway::budget::{Budget, Sent};
use crate::gateway::intent::Intent;
use crate::gateway::reply::{self, ForClient};
use crate::gateway::session::answer::trial::Maximum;
use crate::gateway::startup::Tells;
use crate::mask::copy::Lines;
use crate::mask::{Keys, Plan, Terms};
use crate::model::session::RequestId;
use crate::model::subject::Subject;
use crate::policy::{Guarded, Protection, Shown};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{CopyFormat, CopyLayout, Facts, Kind};
use crate::wire::backend::Message;
use crate::wire::error::Fields;
use crate::wire::frame::Frame;
use crate::wire::row::{DataRow, RowDescription};

/// Names a run within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(super) u64);

/// One statement on its way.
///
/// **Invariant:** it holds the record of its intent; there is no other way to make one.
///
/// ```compile_fail
/// use dbgate::gateway::session::run::Run;
///
/// fn forge(permit: dbgate::policy::Permit) -> Run {
///     Run::new(permit, Default::default())
/// }
/// ```
#[derive(Debug)]
pub struct Run {
    intent: Recorded<Intent>,
    lens: Lens,
    rows: Rows,
    started: Option<Duration>,
    sent: Sent,
    stopped: Option<Box<Fields>>,
    reported: bool,
    decided: Decided,
    line: Vec<u8>,
    recorder: Recorder,
    /// Whether the first line of its `COPY` data, the names of the columns, is still to come.
    header: Header,
    /// What it takes of what its session may.
    account: Option<Account>,
}

/// The first line of `COPY` data that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Expected,
    Past,
}

/// What ends `COPY` data in binary format: where a row has its number of values, -1.
const TRAILER: [u8; 2] = [0xFF, 0xFF];

/// When a statement was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// By a clock that never jumps.
    pub at: Duration,
    /// [`crate::gateway::session::state::State::generation`] of that moment: what names meant on the connection.
    pub generation: u64,
}

/// What the rows of a statement are looked at through.
#[derive(Debug, Clone)]
pub struct Lens {
    /// What is protected.
    pub protection: Arc<Protection>,
    /// Types that are not built in.
    pub catalog: Arc<Catalog>,
    /// Who looks.
    pub subject: Arc<Subject>,
    /// Keys of tokens.
    pub keys: Arc<Keys>,
    /// How much of what the client sees is kept for the log.
    pub kept: Limit,
}

impl Lens {
    fn terms(&self) -> Terms<'_> {
        Terms {
            protection: &self.protection,
            subject: &self.subject,
            catalog: &self.catalog,
            keys: &self.keys,
        }
    }
}

/// How rows pass to the client.
#[derive(Debug)]
pub enum Rows {
    /// It is not known yet what they are: none may pass.
    Unknown,
    /// As they are.
    Clean,
    /// Masked.
    Masked(Box<Plan>),
    /// Lines of a `COPY`, masked.
    Lines(Box<Lines>),
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, and this is its command tag.
    Done(String),
    /// It failed with this report of the upstream's.
    Failed(Box<Fields>),
    /// We stopped it.
    Stopped(Box<Fields>),
    /// It was never run: something before it failed, or nobody executed it.
    Skipped,
    /// The connection was lost before the answer came.
    Unknown,
}

/// What is recorded about the end of a statement.
#[derive(Debug)]
pub struct Report {
    /// The record of its intent.
    pub intent: u64,
    /// What it is.
    pub kind: Kind,
    /// Its text, if it failed: what the upstream says may quote from it.
    pub text: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How much the client received.
    pub sent: Sent,
    /// How long it took.
    pub took: Duration,
    /// The review that allowed it.
    pub request: Option<RequestId>,
    /// Who agreed to it.
    pub approvals: Vec<event::Consent>,
    /// What was masked, with how many values.
    pub masked: Vec<event::Masked>,
    /// What the client saw.
    pub transcript: Option<Private>,
}

impl Run {
    /// A statement whose intent is on record.
    #[must_use]
    pub const fn new(intent: Recorded<Intent>, lens: Lens, decided: Decided) -> Self {
        Self {
            recorder: Recorder::new(lens.kept),
            intent,
            lens,
            rows: Rows::Unknown,
            started: None,
            sent: Sent { rows: 0, bytes: 0 },
            stopped: None,
            reported: false,
            decided,
            line: Vec::new(),
            header: Header::Past,
            account: None,
        }
    }

    /// What it returns counts against what its session may.
    #[must_use]
    pub fn counted(self, budget: &Arc<Budget>, now: Duration) -> Self {
        let account = Account::new(budget, self.intent.inner().permit().limits(), now);
        Self {
            account: Some(account),
            ..self
        }
    }

    /// When it was decided.
    #[must_use]
    pub const fn decided(&self) -> Decided {
        self.decided
    }

    /// What was protected when it was decided.
    #[must_use]
    pub const fn protection(&self) -> &Arc<Protection> {
        &self.lens.protection
    }

    /// The record of its intent.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.intent.index()
    }

    /// What it was permitted for.
    #[must_use]
    pub fn intent(&self) -> &Intent {
        self.intent.inner()
    }

    /// What it touches.
    #[must_use]
    pub fn facts(&self) -> &Arc<Facts> {
        self.intent().permit().shared_facts()
    }

    /// Whether it is a `COPY` of such a format.
    fn copies(&self, such: impl FnOnce(&CopyFormat) -> bool) -> bool {
        self.facts().copy.as_ref().is_some_and(such)
    }

    /// The review that allowed it.
    #[must_use]
    pub fn request(&self) -> Option<&RequestId> {
        let approval = self.intent().permit().approval();
        approval.map(|approval| &approval.request)
    }

    /// The most rows it may write, and by whom: approvers or a rule. The server tells how many it were at its end.
    pub(in crate::gateway) fn most(&self) -> Option<Maximum<'_>> {
        if !self.facts().kind.writes_rows() {
            return None;
        }
        Maximum::of(self.intent().permit())
    }

    /// It has come to its end with this tag: stops it when the tag tells of more rows than it may write, or does not tell.
    pub fn ended_with(&mut self, tag: &str) {
        let rows = tag.rsplit(' ').next().and_then(|rows| rows.parse().ok());
        let passed = |most: &Maximum<'_>| rows.is_none_or(|rows: u64| rows > most.rows());
        let passed = self.most().filter(passed).map(|most| most.passed());
        if let Some(fields) = passed {
            self.stop(fields);
        }
    }

    /// Whether it is a `COPY … FROM STDIN`.
    #[must_use]
    pub fn takes_data(&self) -> bool {
        self.facts().kind == Kind::CopyIn && !reads_file(self.facts())
    }

    /// Whether the upstream's reports about it must carry no value.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        match self.intent().permit().guarded() {
            Guarded::Yes => true,
            Guarded::No => false,
        }
    }

    /// A newer permit for the same statement takes the place of this one's.
    pub fn renew(&mut self, renewed: Self) {
        self.intent = renewed.intent;
        self.lens = renewed.lens;
        self.decided = renewed.decided;
        self.rows = Rows::Unknown;
    }

    /// It is being executed.
    pub fn start(&mut self, now: Duration) {
        self.started.get_or_insert(now);
    }

    /// Learns what its rows will be.
    ///
    /// # Errors
    /// When they can't be shown with the masks they need.
    pub fn describe(&mut self, rows: &RowDescription, now: Duration) -> Result<(), Fields> {
        let permit = self.intent.inner().permit();
        let plan = Plan::new(permit.masks(), permit.facts(), rows, &self.lens.terms())
            .map_err(|refusal| refusal.fields())?;
        self.rows = if plan.is_clean() {
            Rows::Clean
        } else {
            Rows::Masked(Box::new(plan))
        };
        let at = self.since_start(now);
        self.recorder.columns(at, rows, &self.lens.catalog);
        Ok(())
    }

    /// Learns what its `COPY` data will be.
    ///
    /// # Errors
    /// When it can't be shown with the masks it needs.
    pub fn describe_copy(&mut self) -> Result<(), Fields> {
        let permit = self.intent.inner().permit();
        let lines = Lines::new(permit.masks(), permit.facts(), &self.lens.terms())
            .map_err(|refusal| refusal.fields())?;
        self.rows = lines.map_or(Rows::Clean, |lines| Rows::Lines(Box::new(lines)));
        if matches!(self.rows, Rows::Clean) && self.copies(|format| format.header) {
            self.header = Header::Expected;
        }
        self.recorder.copied(permit.facts(), &self.lens.catalog);
        Ok(())
    }

    /// The masked values that could be taken for real ones, since the last time.
    pub fn take_shown(&mut self) -> Option<Shown> {
        match &mut self.rows {
            Rows::Masked(plan) => Some(plan.take_shown()),
            Rows::Lines(lines) => Some(lines.take_shown()),
            Rows::Unknown | Rows::Clean => None,
        }
    }

    /// What a client that wants to know is told, before the rows, of the columns that are masked.
    #[must_use]
    pub fn masks(&self, tells: Tells, rows: &RowDescription) -> Option<Vec<u8>> {
        let (Tells::Masks, Rows::Masked(plan)) = (tells, &self.rows) else {
            return None;
        };
        let columns = plan.counts().filter_map(|(index, _)| {
            let field = rows.fields.get(index)?;
            Some((index + 1, field.name.as_str()))
        });
        let mut told = Vec::new();
        reply::write_notice(&reply::masked(columns), &mut told);
        Some(told)
    }

    /// How its rows pass.
    #[must_use]
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Passes one row on, masked as need be. `Ok(false)`: a limit is reached, and [`Self::stop`] has been called.
    ///
    /// # Errors
    /// When the row does not fit its description, or none came.
    pub fn row(
        &mut self,
        frame: &Frame,
        now: Duration,
        out: &mut Vec<u8>,
    ) -> Result<bool, &'static str> {
        let before = out.len();
        let mut rows = 1;
        let ends = frame.body() == TRAILER && self.copies(|of| of.layout == CopyLayout::Binary);
        match &mut self.rows {
            Rows::Unknown => return Err("a row that it had not described"),
            Rows::Clean => {
                rows = u64::from(!ends);
                out.extend_from_slice(frame.bytes());
            }
            Rows::Masked(plan) => {
                let row = DataRow::decode(frame.body()).map_err(|_| "a malformed row")?;
                plan.apply(&row, out)
                    .map_err(|_| "a row that does not fit its description")?;
            }
            Rows::Lines(lines) => {
                let line = &mut self.line;
                line.clear();
                rows = lines
                    .apply(frame.body(), line)
                    .map_err(|_| "a line that does not fit its COPY")?;
                if !line.is_empty() {
                    reply::write(&Message::CopyData(line), out);
                }
            }
        }
        let length = u64::try_from(out.len() - before).unwrap_or(u64::MAX);
        if self.passes(rows, length, now) {
            let sent = out.get(before..).unwrap_or_default();
            self.saw(now, sent, u64::from(!sent.is_empty()));
            return Ok(true);
        }
        out.truncate(before);
        Ok(false)
    }

    /// Keeps rows for the log as they were sent to the client.
    pub fn saw(&mut self, now: Duration, messages: &[u8], rows: u64) {
        let at = self.since_start(now);
        self.recorder.sent(at, messages, rows);
    }

    /// Keeps a notice for the log as the client was told it.
    pub fn noticed(&mut self, now: Duration, text: &str) {
        let at = self.since_start(now);
        self.recorder.notice(at, text);
    }

    /// How many bytes are kept for the log until its end.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.recorder.size()
    }

    /// Keeps no more for the log.
    pub fn keep_no_more(&mut self) {
        self.recorder.close();
    }

    fn since_start(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started.unwrap_or(now))
    }

    /// Counts what passes; false, and stopped, when it would be more than the limits allow.
    pub fn passes(&mut self, rows: u64, bytes: u64, now: Duration) -> bool {
        let mut rows = rows;
        if rows > 0 && std::mem::replace(&mut self.header, Header::Past) == Header::Expected {
            rows -= 1;
        }
        let limits = self.intent.inner().permit().limits();
        let sent = Sent {
            rows: self.sent.rows.saturating_add(rows),
            bytes: self.sent.bytes.saturating_add(bytes),
        };
        if let Some(limit) = limits.rows.filter(|limit| sent.rows > *limit) {
            self.stopped = Some(Box::new(self.row_limit(limit)));
            return false;
        }
        if let Some(limit) = limits.bytes.filter(|limit| sent.bytes > *limit) {
            self.stopped = Some(Box::new(reply::byte_limit(limit)));
            return false;
        }
        if let Some(account) = &mut self.account
            && let Err(fields) = account.pass(limits, Sent { rows, bytes }, now)
        {
            self.stopped = Some(Box::new(fields));
            return false;
        }
        self.sent = sent;
        true
    }

    fn row_limit(&self, limit: u64) -> Fields {
        let agreed = self.intent().permit().approval();
        match agreed {
            Some(agreed) if agreed.max_rows == Some(limit) => {
                reply::agreed_rows(limit, &agreed.request)
            }
            _ => reply::row_limit(limit),
        }
    }

    /// How much may pass unread: nothing unless rows are clean and no limit is near.
    #[must_use]
    pub fn room(&self, now: Duration) -> Option<Sent> {
        if self.stopped.is_some() || !matches!(self.rows, Rows::Clean) {
            return None;
        }
        let limits = self.intent.inner().permit().limits();
        let left = |limit: Option<u64>, used: u64| {
            limit.map_or(u64::MAX, |limit| limit.saturating_sub(used))
        };
        let room = Sent {
            rows: left(limits.rows, self.sent.rows),
            bytes: left(limits.bytes, self.sent.bytes),
        };
        let room = match &self.account {
            Some(account) => room.least(account.left(limits, now)),
            None => room,
        };
        (room.rows > 0 && room.bytes > 1024 * 1024).then_some(room)
    }

    /// Stops it for this reason, unless it was stopped before.
    pub fn stop(&mut self, fields: Fields) {
        self.stopped.get_or_insert_with(|| Box::new(fields));
    }

    /// Why it was stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<&Fields> {
        self.stopped.as_deref()
    }

    /// When it must have ended.
    #[must_use]
    pub fn deadline(&self, turn: Duration) -> Option<(Duration, Duration)> {
        let limit = self.intent.inner().permit().limits().statement_time;
        let left = self.account.as_ref().and_then(Account::time);
        let limit = limit.into_iter().chain(left).min()?;
        let began = self.started.unwrap_or(turn).max(turn);
        Some((began.saturating_add(limit), limit))
    }

    /// Its time is up.
    pub fn expire(&mut self, limit: Duration, now: Duration) {
        let limits = self.intent.inner().permit().limits();
        self.stop(match &self.account {
            Some(account) if account.time() == Some(limit) => account.out_of_time(limits, now),
            _ => reply::time_limit(limit),
        });
    }

    /// Whether the rows have to be described before they can pass.
    #[must_use]
    pub fn needs_description(&self) -> bool {
        let facts = self.facts();
        match facts.kind {
            Kind::Insert
            | Kind::Update
            | Kind::Delete
            | Kind::Merge
            | Kind::Create
            | Kind::Alter
            | Kind::Drop
            | Kind::Truncate
            | Kind::Grant
            | Kind::Role
            | Kind::Do
            | Kind::Prepare
            | Kind::Declare => !facts.outputs.is_empty(),
            Kind::CopyIn
            | Kind::CopyOut
            | Kind::Deallocate
            | Kind::Close
            | Kind::Set
            | Kind::Transaction
            | Kind::Listen
            | Kind::Notify
            | Kind::Lock
            | Kind::Comment
            | Kind::Discard
            | Kind::Empty => false,
            Kind::Select
            | Kind::Explain
            | Kind::Execute
            | Kind::Fetch
            | Kind::Show
            | Kind::Call
            | Kind::Maintain
            | Kind::Other => true,
        }
    }

    /// Reports what came of it, the first time.
    pub fn finish(&mut self, outcome: Outcome, now: Duration) -> Option<Report> {
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        if let Some(account) = &mut self.account {
            account.settle(self.intent.inner().permit().limits(), now);
        }
        // Whole runs of messages are counted on the way, in binary format with what ends the data; the server says how many rows it were.
        if let (Outcome::Done(tag), Kind::CopyOut) = (&outcome, self.facts().kind)
            && let Some(rows) = tag.strip_prefix("COPY ").and_then(|n| n.parse().ok())
        {
            self.sent.rows = rows;
        }
        let mut masked = self.intent().masked().to_vec();
        let mut count = |index: usize, count: u64| {
            let column = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if let Some(known) = masked.iter_mut().find(|known| known.column == column) {
                known.values = Some(count);
            }
        };
        match &self.rows {
            Rows::Masked(plan) => plan.counts().for_each(|(index, of)| count(index, of)),
            Rows::Lines(lines) => lines.counts().for_each(|(index, of)| count(index, of)),
            Rows::Unknown | Rows::Clean => {}
        }
        Some(Report {
            intent: self.intent.index(),
            kind: self.facts().kind,
            text: match &outcome {
                Outcome::Failed(_) => self.intent().permit().statement().text().to_owned(),
                Outcome::Done(_) | Outcome::Stopped(_) | Outcome::Skipped | Outcome::Unknown => {
                    String::new()
                }
            },
            outcome,
            sent: self.sent,
            took: self.since_start(now),
            request: self.request().cloned(),
            approvals: self.intent().approvals(),
            masked,
            transcript: self.recorder.finish(),
        })
    }
}

/// Whether a `COPY` reads or writes something other than the connection.
pub fn reads_file(facts: &Facts) -> bool {
    use crate::sql::footprint::Hazard;
    facts.hazards.contains(&Hazard::ServerFile) || facts.hazards.contains(&Hazard::CopyProgram)
}
