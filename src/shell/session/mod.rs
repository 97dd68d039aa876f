//! One sitting at the shell: reads, runs, shows, until it is over.

mod command;
mod names;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::time::{Clock, Timestamp};
use crate::remote::broker::Broker;
use crate::remote::pg::{self, Connection, Event};
use crate::shell::drive::{self, Driver, Ends, Outcome};
use crate::shell::input::history::History;
use crate::shell::input::{Line, Printer, Reader, SharedNames};
use crate::shell::keys::Keys;
use crate::shell::render::{Book, Form, Style};
use crate::shell::report::{self, Place};
use crate::shell::screen::Screen;
use crate::shell::text::{self, End, Part, Script};
use crate::wire::backend::TransactionStatus;
use crate::wire::error::Fields;

/// What a sitting is about.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database's offered name.
    pub database: DatabaseName,
    /// Who sits there.
    pub subject: String,
    /// The session's id.
    pub session: String,
    /// Read or write.
    pub access: Access,
    /// When the session ends.
    pub ends: Timestamp,
    /// Where histories are; without it, there is none.
    pub history: Option<PathBuf>,
    /// Who explains refusals.
    pub broker: Broker,
}

/// How a sitting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The person left.
    Left,
    /// A script failed: by the database.
    Failed,
    /// A script failed: by the policy.
    Refused,
    /// The session is over.
    Over,
    /// The connection is gone and there is no other.
    Lost,
}

/// One sitting.
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct Session {
    settings: Settings,
    clock: Arc<dyn Clock>,
    connection: Connection,
    driver: Driver,
    book: Book<Screen>,
    names: SharedNames,
    stale: bool,
    form: Form,
    timing: bool,
    refusal: Option<Refusal>,
    end: Option<Ending>,
    /// Why the session has ended, when that came in answer to something that nobody waits for.
    last_words: Option<Box<Fields>>,
    /// Whether Ctrl-C stopped the last statement: what was entered behind it does not run.
    canceled: bool,
    depth: usize,
}

/// The last refusal, for `\why`.
struct Refusal {
    fields: Box<Fields>,
    sql: String,
}

/// How deep `\i` may go.
const DEEPEST: usize = 16;

impl Session {
    /// Sits down.
    ///
    /// # Errors
    /// When Ctrl-C can't be watched.
    pub fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        connection: Connection,
        screen: Screen,
    ) -> io::Result<Self> {
        let style = Style {
            form: Form::Fitting,
            width: screen.width(),
            color: screen.looks().out_color,
        };
        Ok(Self {
            settings,
            clock,
            connection,
            driver: Driver::new(None)?,
            book: Book::new(screen, style),
            names: SharedNames::default(),
            stale: true,
            form: Form::Fitting,
            timing: false,
            refusal: None,
            end: None,
            last_words: None,
            canceled: false,
            depth: 0,
        })
    }

    /// Runs a script and leaves; stops at the first failure.
    ///
    /// # Errors
    /// When the output can't be written.
    pub async fn script(mut self, script: &str) -> io::Result<Ending> {
        let finished = self.run(script, Some("stdin"), true).await?;
        self.connection.close().await;
        Ok(self.end.unwrap_or(if finished {
            Ending::Left
        } else {
            Ending::Failed
        }))
    }

    /// Talks with a person until that person leaves.
    ///
    /// # Errors
    /// When the terminal can't be used.
    pub async fn interact(mut self) -> io::Result<Ending> {
        // However this ends, the terminal is left as it was.
        let _keys = Keys::remember();
        self.timing = true;
        self.welcome()?;
        let color = self.book.out().looks().talk_color;
        let history = self.history()?;
        let mut reader =
            Reader::new(history, color, Arc::clone(&self.names)).map_err(io::Error::other)?;
        let printer = reader.printer();
        while self.end.is_none() {
            let (back, line) = self.read(reader, printer.as_ref()).await?;
            reader = back;
            match line {
                Line::Dropped => {}
                Line::End => break,
                // The connection went while somebody was typing.
                Line::Text(_) if self.end.is_some() => break,
                Line::Text(text) => {
                    if let Err(why) = reader.remember(&text) {
                        self.book.out().tell(
                            "1;33",
                            "warning: ",
                            &format!("not kept in the history: {why}"),
                        )?;
                    }
                    // A Ctrl-C that came too late for the last statement is not meant for this one.
                    while self.driver.was_interrupted().await {}
                    self.run(&text, None, false).await?;
                }
            }
        }
        if self.end.is_none() && self.connection.status() != TransactionStatus::Idle {
            self.book
                .out()
                .say("The open transaction is rolled back.")?;
        }
        self.connection.close().await;
        Ok(self.end.unwrap_or(Ending::Left))
    }

    fn welcome(&mut self) -> io::Result<()> {
        let Settings {
            database, access, ..
        } = &self.settings;
        let text = format!(
            "Connected to `{database}` to {access}, {} left. \\? helps, \\q quits.",
            self.left()
        );
        self.book.out().say(&text)?;
        for notice in self.connection.greetings() {
            report::notice(self.book.out(), &notice)?;
        }
        Ok(())
    }

    fn history(&mut self) -> io::Result<Option<History>> {
        let Some(directory) = &self.settings.history else {
            return Ok(None);
        };
        match History::open(directory, &self.settings.database) {
            Ok(history) => Ok(Some(history)),
            Err(error) => {
                let text = format!("there is no history this time: {error}");
                self.book.out().tell("1;33", "warning: ", &text)?;
                Ok(None)
            }
        }
    }

    /// What is left of the session.
    fn left(&self) -> String {
        let seconds = self.clock.now().until(self.settings.ends).as_secs();
        match seconds {
            0 => "no time".to_owned(),
            1..=90 => format!("{seconds}s"),
            91..=5_400 => format!("{}m", seconds.div_ceil(60)),
            _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        }
    }

    /// `shop read 42m => `: database, access, time left, and `*` in a transaction, `!` in a failed one.
    fn prompt(&mut self) -> (String, String) {
        let (mark, color) = match self.connection.status() {
            TransactionStatus::Idle => ("=>", "1"),
            TransactionStatus::Open => ("=*>", "1;33"),
            TransactionStatus::Failed => ("=!>", "1;31"),
        };
        let Settings {
            database, access, ..
        } = &self.settings;
        let left = self.left();
        let raw = format!("{database} {access} {left} {mark} ");
        if !self.book.out().looks().talk_color {
            return (raw.clone(), raw);
        }
        let access_color = match access {
            Access::Read => "32",
            Access::Write => "1;31",
        };
        let styled = format!(
            "\x1b[1m{database}\x1b[0m \x1b[{access_color}m{access}\x1b[0m {left} \x1b[{color}m{mark}\x1b[0m "
        );
        (raw, styled)
    }

    /// Reads a line; meanwhile, names for completion are fetched and what the gateway says is told.
    async fn read(
        &mut self,
        mut reader: Reader,
        printer: Option<&Printer>,
    ) -> io::Result<(Reader, Line)> {
        let prompt = self.prompt();
        let reading = tokio::task::spawn_blocking(move || {
            let line = reader.read(&prompt);
            (reader, line)
        });
        tokio::pin!(reading);
        let read = loop {
            tokio::select! {
                read = &mut reading => break read,
                () = self.idle(printer) => {}
            }
        };
        self.finish_names().await;
        self.tell_last_words(printer);
        let (reader, line) = read.map_err(io::Error::other)?;
        Ok((reader, line.map_err(io::Error::other)?))
    }

    /// Listens to the gateway while nothing runs. Once the connection is gone there is nothing to listen to.
    async fn idle(&mut self, printer: Option<&Printer>) {
        if self.stale && self.end.is_none() && self.connection.status() == TransactionStatus::Idle {
            self.fetch_names().await;
            self.stale = false;
            self.tell_last_words(printer);
        }
        if self.end.is_some() {
            return std::future::pending().await;
        }
        let text = match self.connection.next().await {
            Ok(Event::Notice(fields)) => format!("notice: {}", fields.message),
            Ok(Event::Notification(channel, payload)) => {
                format!("notification on `{channel}`: {payload}")
            }
            Ok(Event::Failed(fields)) => self.failed(&fields),
            Ok(_) => return,
            Err(error) => {
                self.end.get_or_insert(Ending::Lost);
                format!("error: {error}")
            }
        };
        tell(printer, &text);
    }

    /// An error that came while nothing runs, for people; the session may have ended by it.
    fn failed(&mut self, fields: &Fields) -> String {
        if drive::is_end(fields) {
            self.end = Some(Ending::Over);
        }
        let hint = fields.hint.as_ref();
        let hint = hint.map(|hint| format!("\nhint: {hint}"));
        format!("error: {}{}", fields.message, hint.unwrap_or_default())
    }

    fn tell_last_words(&mut self, printer: Option<&Printer>) {
        if let Some(fields) = self.last_words.take() {
            let text = self.failed(&fields);
            tell(printer, &text);
        }
    }

    /// Runs the parts of a text; with `stop`, no further than the first failure. Says whether it came to the end.
    async fn run(&mut self, script: &str, file: Option<&str>, stop: bool) -> io::Result<bool> {
        let mut parts = Script::new(script);
        while let Some(part) = parts.next() {
            let fine = match part {
                Part::Command { text, line } => {
                    let place = Place {
                        file: file.map(ToOwned::to_owned),
                        line,
                    };
                    Box::pin(self.command(text, &place)).await?
                }
                Part::Stray { text, line } => {
                    let place = Place {
                        file: file.map(ToOwned::to_owned),
                        line,
                    };
                    return self.stray(text, &place);
                }
                Part::Statement { text, line, end } => {
                    let place = Place {
                        file: file.map(ToOwned::to_owned),
                        line,
                    };
                    let data = (file.is_some() && text::is_copy_in(text))
                        .then(|| parts.data().as_bytes().to_vec());
                    let ends = Ends {
                        source: data.map(|data| Box::new(io::Cursor::new(data)) as _),
                        ..Ends::default()
                    };
                    let form = if end == End::GoExpanded {
                        Form::Expanded
                    } else {
                        self.form
                    };
                    self.statement(text, &place, form, ends).await?
                }
            };
            let canceled = std::mem::take(&mut self.canceled);
            if self.end.is_some() || canceled || (stop && !fine) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A command where none may be: the statement before it may not be what the person wants to run.
    fn stray(&mut self, text: &str, place: &Place) -> io::Result<bool> {
        let word = text.split_whitespace().next().unwrap_or_default();
        let place = match &place.file {
            Some(file) => format!("{file}:{}: ", place.line),
            None => String::new(),
        };
        let out = self.book.out();
        let text = format!(
            "{place}`{word}` stands behind a statement that has not ended; neither was run"
        );
        out.tell("1;31", "error: ", &text)?;
        out.tell(
            "36",
            "hint: ",
            "end a statement with ; or \\g; Ctrl-C drops what is typed",
        )?;
        Ok(false)
    }

    /// Runs one statement and tells what came of it; says whether it went well.
    async fn statement(
        &mut self,
        sql: &str,
        place: &Place,
        form: Form,
        ends: Ends<'_>,
    ) -> io::Result<bool> {
        self.book.set_form(form);
        self.book.set_width();
        let began = Instant::now();
        let outcome = match self
            .driver
            .run(&mut self.connection, sql, &mut self.book, ends)
            .await
        {
            Ok(outcome) => outcome,
            Err(error) => return self.broken(error),
        };
        let took = began.elapsed();
        let fine = outcome.failure.is_none();
        self.canceled = outcome.stopped.is_some();
        self.settle(outcome, sql, place)?;
        if self.timing {
            let text = format!("time: {}", span(took));
            self.book.out().tell("2", &text, "")?;
        }
        Ok(fine)
    }

    fn settle(&mut self, outcome: Outcome, sql: &str, place: &Place) -> io::Result<()> {
        let changes = ["CREATE", "ALTER", "DROP"]
            .iter()
            .any(|verb| outcome.tag.starts_with(verb));
        self.stale |= changes;
        let Some(fields) = outcome.failure else {
            return Ok(());
        };
        report::error(self.book.out(), &fields, sql, place)?;
        let script = place.file.is_some() && self.depth == 0;
        if drive::is_end(&fields) || (script && drive::is_rejection(&fields)) {
            self.end = Some(Ending::Over);
        } else if drive::is_refusal(&fields) {
            if script {
                self.end = Some(Ending::Refused);
            } else {
                self.book
                    .out()
                    .tell("36", "hint: ", "\\why explains the refusal")?;
            }
            let sql = sql.to_owned();
            self.refusal = Some(Refusal { fields, sql });
        }
        Ok(())
    }

    fn broken(&mut self, error: drive::Error) -> io::Result<bool> {
        match error {
            drive::Error::Io(error) => {
                self.book
                    .out()
                    .tell("1;31", "error: ", &error.to_string())?;
            }
            drive::Error::Interrupted => {
                self.book.out().tell(
                    "1;31",
                    "error: ",
                    "the statement was left, and the connection with it",
                )?;
                self.end = Some(Ending::Lost);
            }
            drive::Error::Connection(error) => {
                self.book
                    .out()
                    .tell("1;31", "error: ", &error.to_string())?;
                // What can't be sent is our own mistake; the connection goes on.
                if !matches!(error, pg::Error::Wire(_)) {
                    self.end = Some(Ending::Lost);
                }
            }
        }
        Ok(false)
    }
}

/// `1.234 s`, `12.3 ms`.
fn span(span: std::time::Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1000.0)
    } else if seconds < 60.0 {
        format!("{seconds:.3} s")
    } else {
        let whole = span.as_secs();
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

fn tell(printer: Option<&Printer>, text: &str) {
    if let Some(printer) = printer {
        // A printer that has given up has no terminal any more.
        let _unsaid = printer.send(format!("{}\n", crate::model::escape::block(text)));
    }
}
