//! Runs one statement string: rows to the book, notices to the screen, `COPY` to and from where it belongs.

use std::future::poll_fn;
use std::io::{self, Write};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::model::session::RequestId;
use crate::remote::broker::Broker;
use crate::remote::pg::{self, Connection, Event};
use crate::shell::keys::Keys;
use crate::shell::render::Book;
use crate::shell::report;
use crate::shell::screen::Screen;
use crate::shell::spinner;
use crate::wire::error::{Fields, SqlState};
use crate::wire::frame::Frame;
use crate::wire::origin::{self, Origin};

/// A second Ctrl-C within this time ends the connection.
const TWICE: Duration = Duration::from_secs(2);

/// When the broker is asked again to let a request wait on.
const AGAIN: Duration = Duration::from_secs(5);

/// After a cancel, the answer may take this long.
const GRACE: Duration = Duration::from_secs(10);

/// What can go wrong while a statement runs, other than the statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection.
    #[error(transparent)]
    Connection(#[from] pg::Error),
    /// Our own output or input.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Ctrl-C twice, or a server that does not answer a cancel.
    #[error("interrupted")]
    Interrupted,
}

/// Why a statement was canceled from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C was pressed.
    Interrupted,
    /// The patience for an approval ran out; the request waits on.
    GaveUp,
}

/// What a statement string came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The error that ended it.
    pub failure: Option<Box<Fields>>,
    /// The request it waited for, or still waits for.
    pub request: Option<String>,
    /// Why it was canceled from here.
    pub stopped: Option<Stop>,
    /// The last command tag.
    pub tag: String,
}

/// Where `COPY` data comes from and goes to.
#[derive(Default)]
pub struct Ends<'a> {
    /// What `COPY … FROM STDIN` reads; without it, it gets nothing.
    pub source: Option<Box<dyn AsyncRead + Send + Unpin + 'a>>,
    /// What `COPY … TO STDOUT` writes; without it, the screen.
    pub sink: Option<Box<dyn Write + Send + 'a>>,
    /// Leave out how many rows there were.
    pub hush: bool,
}

/// Runs statement strings on a connection.
pub struct Driver {
    interrupts: Signal,
    /// How long a statement may wait for an approval; `None` is until somebody presses Ctrl-C.
    patience: Option<Patience>,
}

/// How long a statement may wait for an approval, and who is told that it waits on without us.
#[derive(Debug)]
pub struct Patience {
    /// How long.
    pub span: Duration,
    /// Where the request waits.
    pub broker: Broker,
}

/// What one run works with.
struct Job<'a, 'b> {
    book: &'a mut Book<Screen>,
    ends: Ends<'b>,
    outcome: Outcome,
    /// Keys are not shown while it lives.
    keys: Option<Keys>,
    began: Instant,
    /// Since when nobody has seen anything new.
    still: Instant,
    /// Bytes of `COPY` data so far.
    copied: u64,
    /// When the patience for an approval ends.
    deadline: Option<Instant>,
    /// When a cancel was asked for.
    cancelled: Option<Instant>,
}

/// How many events are taken before somebody looks whether Ctrl-C was pressed: a fast server leaves no other moment for it.
const GLANCE: u32 = 64;

impl Driver {
    /// From now on Ctrl-C cancels statements instead of ending the process.
    ///
    /// # Errors
    /// When the signal can't be watched.
    pub fn new(patience: Option<Patience>) -> io::Result<Self> {
        Ok(Self {
            interrupts: signal(SignalKind::interrupt())?,
            patience,
        })
    }

    /// Whether Ctrl-C was pressed and nobody has taken notice yet.
    pub async fn was_interrupted(&mut self) -> bool {
        poll_fn(|context| Poll::Ready(self.interrupts.poll_recv(context).is_ready())).await
    }

    /// Runs `sql` to its end.
    ///
    /// # Errors
    /// When the connection breaks, our own files do, or it is interrupted for good.
    pub async fn run(
        &mut self,
        connection: &mut Connection,
        sql: &str,
        book: &mut Book<Screen>,
        ends: Ends<'_>,
    ) -> Result<Outcome, Error> {
        let now = Instant::now();
        let mut job = Job {
            keys: book.out().looks().spins.then(Keys::hush),
            book,
            ends,
            outcome: Outcome::default(),
            began: now,
            still: now,
            copied: 0,
            deadline: None,
            cancelled: None,
        };
        let result = self.follow(connection, sql, &mut job).await;
        job.book.out().still();
        drop(job.keys);
        let outcome = job.outcome;
        match result {
            // The server said why before it closed the connection.
            Err(Error::Connection(pg::Error::Lost(_))) if outcome.failure.is_some() => Ok(outcome),
            Err(error) => Err(error),
            Ok(()) => Ok(outcome),
        }
    }

    async fn follow(
        &mut self,
        connection: &mut Connection,
        sql: &str,
        job: &mut Job<'_, '_>,
    ) -> Result<(), Error> {
        connection.query(sql).await?;
        let mut glance = 0_u32;
        loop {
            glance = glance.wrapping_add(1);
            if glance.is_multiple_of(GLANCE) && self.was_interrupted().await {
                job.cancel(connection)?;
            }
            let event = match connection.pending().await? {
                Some(event) => event,
                None => match self.wait(connection, job).await? {
                    Some(event) => event,
                    None => continue,
                },
            };
            if let Event::Notice(fields) = &event
                && let Some(request) = waits_for(fields)
            {
                job.outcome.request = Some(request);
                job.deadline = self.deadline();
            }
            if !matches!(event, Event::Notice(_)) {
                job.deadline = None;
            }
            let shown = matches!(
                event,
                Event::Columns(_) | Event::Row(_) | Event::CopyData(_)
            );
            // Who has asked for a stop does not want to see what is still under way.
            if shown && job.outcome.stopped == Some(Stop::Interrupted) {
                continue;
            }
            if self.take(event, connection, job).await? {
                return Ok(());
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = self.patience.as_ref()?;
        Instant::now().checked_add(patience.span)
    }

    /// Waits no longer for the approval. When the broker does not let the request wait on by itself, it has just been decided, and the
    /// answer is on its way; else it is asked again then.
    async fn give_up(&self, job: &mut Job<'_, '_>) -> Option<Instant> {
        let patience = self.patience.as_ref()?;
        let id = job.outcome.request.as_ref()?;
        if patience.broker.keep(id).await.is_err() {
            return Some(Instant::now() + AGAIN);
        }
        job.outcome.stopped = Some(Stop::GaveUp);
        None
    }

    /// Waits for what comes next, with an eye on the keys and the clock; `None`: something else has happened.
    async fn wait(
        &mut self,
        connection: &mut Connection,
        job: &mut Job<'_, '_>,
    ) -> Result<Option<Event>, Error> {
        job.rest()?;
        let limit = job.cancelled.map(|at| at + GRACE);
        let spin = job
            .book
            .out()
            .could_spin()
            .then(|| job.still + spinner::DELAY);
        tokio::select! {
            event = connection.next() => return Ok(Some(event?)),
            _ = self.interrupts.recv() => job.cancel(connection)?,
            () = until(spin) => {
                let text = job.progress();
                job.book.out().spin(&text, job.began.elapsed());
            }
            () = until(job.deadline) => job.deadline = self.give_up(job).await,
            () = until(limit) => return Err(Error::Interrupted),
        }
        Ok(None)
    }

    /// Acts on one event; says whether it was the last.
    async fn take(
        &mut self,
        event: Event,
        connection: &mut Connection,
        job: &mut Job<'_, '_>,
    ) -> Result<bool, Error> {
        match event {
            Event::Columns(fields) => job.book.begin(&fields)?,
            Event::Row(row) => {
                job.book.row(&row)?;
                if job.book.rows().is_multiple_of(1000) {
                    job.spin_on();
                }
            }
            Event::Complete(tag) => {
                let rows = job.book.end(&tag)?;
                if job.ends.hush {
                    job.outcome.tag = tag;
                    return Ok(false);
                }
                if let Some(rows) = rows
                    && job.book.out().looks().out_terminal
                {
                    let text = if rows == 1 {
                        "(1 row)".to_owned()
                    } else {
                        format!("({rows} rows)")
                    };
                    job.book.out().say(&text)?;
                } else if !tag.starts_with("SELECT") {
                    job.book.out().say(&tag)?;
                }
                job.outcome.tag = tag;
            }
            Event::Empty | Event::CopyDone | Event::CopyOut => {}
            Event::Notice(fields) => match Origin::of(&fields) {
                Some(Origin::Masked) => job.book.mark(origin::masked_columns(&fields)),
                _ => report::notice(job.book.out(), &fields)?,
            },
            Event::Failed(fields) => {
                job.book.cut()?;
                job.outcome.failure = Some(fields);
            }
            Event::CopyIn => self.copy_in(connection, job).await?,
            Event::CopyData(frame) => {
                let before = job.copied >> 20;
                job.copied += u64::try_from(frame.body().len()).unwrap_or_default();
                if job.copied >> 20 > before {
                    job.spin_on();
                }
                copy_out(job, &frame)?;
            }
            Event::Notification(channel, payload) => {
                job.book
                    .out()
                    .say(&format!("notification on `{channel}`: {payload}"))?;
            }
            Event::Ready(_) => return Ok(true),
        }
        Ok(false)
    }
}

impl Driver {
    /// Sends the source's data, until it ends, the server has had enough, or somebody presses Ctrl-C.
    async fn copy_in(
        &mut self,
        connection: &mut Connection,
        job: &mut Job<'_, '_>,
    ) -> Result<(), Error> {
        // What is typed now may be the data.
        job.keys = None;
        let Some(mut source) = job.ends.source.take() else {
            connection
                .copy_end(Some("there is no data to read"))
                .await?;
            return Ok(());
        };
        let mut chunk = vec![0; 32 * 1024];
        loop {
            let read = tokio::select! {
                read = source.read(&mut chunk) => read,
                _ = self.interrupts.recv() => {
                    job.outcome.stopped = Some(Stop::Interrupted);
                    return Ok(connection.copy_end(Some("canceled by the user")).await?);
                }
            };
            match read {
                Ok(0) => return Ok(connection.copy_end(None).await?),
                Ok(read) => {
                    job.copied += u64::try_from(read).unwrap_or_default();
                    job.spin_on();
                    connection
                        .copy_data(chunk.get(..read).unwrap_or_default())
                        .await?;
                }
                Err(error) => {
                    connection.copy_end(Some("the data can't be read")).await?;
                    return Err(Error::Io(error));
                }
            }
            if let Some(Event::Failed(fields)) = connection.pending().await? {
                job.outcome.failure = Some(fields);
                return Ok(connection
                    .copy_end(Some("the server has refused it"))
                    .await?);
            }
        }
    }
}

impl Job<'_, '_> {
    /// Asks the gateway to cancel; the second time within a moment it is not asked but left.
    fn cancel(&mut self, connection: &Connection) -> Result<(), Error> {
        let now = Instant::now();
        self.outcome.stopped = Some(Stop::Interrupted);
        if self.cancelled.is_some_and(|at| now < at + TWICE) {
            return Err(Error::Interrupted);
        }
        self.cancelled.get_or_insert(now);
        self.book.out().say("Canceling the statement.")?;
        let canceller = connection.canceller();
        // It goes on by itself: the statement's own connection tells how it ended.
        tokio::spawn(async move { canceller.send().await });
        Ok(())
    }

    /// Writes out what there is before a wait.
    fn rest(&mut self) -> io::Result<()> {
        if self.book.out().rest()? {
            self.still = Instant::now();
        }
        self.spin_on();
        Ok(())
    }

    /// Lets the spinner tell how far it has come.
    fn spin_on(&mut self) {
        let text = self.progress();
        self.book.out().spin_on(|| text);
    }

    /// How far it has come: rows, bytes of a `COPY`, or the request it waits for.
    fn progress(&self) -> String {
        const MEGABYTE: u64 = 1 << 20;
        match (&self.outcome.request, self.book.rows(), self.copied) {
            (Some(request), 0, 0) => format!("Waiting for the approval of {request}"),
            (_, 0, 0) => "Running".to_owned(),
            (_, 0, copied @ 1..MEGABYTE) => format!("Running, {copied} bytes"),
            (_, 0, copied) => format!("Running, {} MiB", copied / MEGABYTE),
            (_, 1, _) => "Running, 1 row".to_owned(),
            (_, rows, _) => format!("Running, {rows} rows"),
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The request a notice says the statement waits for.
fn waits_for(fields: &Fields) -> Option<String> {
    let marked = Origin::of(fields) == Some(Origin::Waiting);
    if !marked && !fields.message.starts_with("dbgate: waiting") {
        return None;
    }
    let texts = [
        Some(&fields.message),
        fields.detail.as_ref(),
        fields.hint.as_ref(),
    ];
    texts
        .into_iter()
        .flatten()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
        .find(|word| word.parse::<RequestId>().is_ok())
        .map(ToOwned::to_owned)
}

fn copy_out(job: &mut Job<'_, '_>, frame: &Frame) -> io::Result<()> {
    match &mut job.ends.sink {
        Some(sink) => sink.write_all(frame.body()),
        None => job.book.out().pass(frame.body()),
    }
}

/// Whether an error is the policy's, not the database's.
#[must_use]
pub fn is_refusal(fields: &Fields) -> bool {
    match Origin::of(fields) {
        Some(Origin::Denied) => true,
        Some(_) => false,
        // PostgreSQL's own words for the same SQLSTATE begin so.
        None => {
            fields.code == SqlState::INSUFFICIENT_PRIVILEGE
                && !fields.message.starts_with("permission denied")
                && !fields.message.starts_with("must be ")
        }
    }
}

/// Whether an error says that a request was denied, or not decided in time.
#[must_use]
pub fn is_rejection(fields: &Fields) -> bool {
    Origin::of(fields) == Some(Origin::Rejected)
}

/// Whether an error says that the session is over.
#[must_use]
pub fn is_end(fields: &Fields) -> bool {
    match Origin::of(fields) {
        Some(Origin::Ended) => true,
        Some(_) => false,
        None => {
            fields.code == SqlState::ADMIN_SHUTDOWN
                && fields.message.starts_with("the dbgate session")
        }
    }
}
