//! `dbgate exec`: one shot for scripts. Stops at the first error, and says where it was.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncRead;

use crate::cli::error::{Error, Kind};
use crate::cli::globals::{Globals, Output};
use crate::cli::session;
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;
use crate::model::time::parse_span;
use crate::remote::pg::Connection;
use crate::shell::drive::{self, Driver, Ends, Outcome, Patience, Stop};
use crate::shell::render::{Book, Form, Style};
use crate::shell::report::{self, Place};
use crate::shell::screen::Screen;
use crate::shell::text::{self, End, Part, Script};
use crate::wire::backend::TransactionStatus;
use crate::wire::error::{Fields, SqlState};

/// Run SQL and exit: for scripts and CI
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "dbgate exec [OPTIONS] <DATABASE> <-c SQL | -f FILE | ->",
    after_long_help = "\
Examples:
  dbgate exec shop -c 'select count(*) from orders'
  dbgate exec shop -f report.sql --output csv > report.csv
  echo 'select 1' | dbgate exec shop -
  dbgate exec shop --access write --wait 10m --reason INC-7 -c 'delete from carts where id = 7'

Statements run one after the other, each on its own unless the SQL begins a transaction or
--single-transaction is given. The first error ends it: exit code 1, or 3 when the policy refused."
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Args {
    /// The database's name, as `dbgate ls` shows it
    database: DatabaseName,

    /// `-`: read SQL from stdin
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true, conflicts_with_all = ["command", "file"])]
    stdin: Option<String>,

    /// Run this SQL; may be given more than once
    #[arg(long, short, value_name = "SQL", conflicts_with = "file")]
    command: Vec<String>,

    /// Run the SQL in this file; `-` is stdin; may be given more than once
    #[arg(long, short, value_name = "FILE")]
    file: Vec<String>,

    /// Run everything in one transaction
    #[arg(long, short = '1')]
    single_transaction: bool,

    /// How long to wait for approvals, such as 10m; without it, a statement that needs one ends with code 5
    #[arg(long, env = "DBGATE_WAIT", hide_env_values = true, value_name = "SPAN", value_parser = parse_span)]
    wait: Option<Duration>,

    /// With --output csv: put ' before cells that a spreadsheet would take for formulas
    #[arg(long)]
    csv_safe: bool,

    #[command(flatten)]
    session: session::Args,
}

/// A piece of SQL and where it came from.
struct Source {
    name: Option<String>,
    text: String,
}

/// Everything a statement needs to run.
struct Run<'a> {
    args: &'a Args,
    connection: Connection,
    driver: Driver,
    book: Book<Screen>,
    json: bool,
    /// How many statements have run.
    done: usize,
}

/// Runs the command.
///
/// # Errors
/// When no session is granted, or at the first statement that fails.
pub async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let sources = args.sources()?;
    let broker = globals.broker(ui).await?;
    let patience = args.wait.unwrap_or_default();
    let ask = args.session.to_ask(&args.database);
    let granted = session::open(ui, &broker, ask, patience).await?;
    let waits = Patience {
        span: patience,
        broker: broker.clone(),
    };
    let driver = Driver::new(Some(waits))?;
    let mut killed = signal::killed()?;
    let connection = session::connect(&broker, &granted, "dbgate exec").await?;
    let screen = ui.screen();
    let style = style(ui, &screen, args);
    let mut run = Run {
        args,
        connection,
        driver,
        book: Book::new(screen, style),
        json: ui.is_json(),
        done: 0,
    };
    let result = tokio::select! {
        result = run.all(&sources) => result,
        number = killed.wait() => Err(Error::signal(number)),
    };
    let closed = run.book.close().map_err(Error::from);
    run.connection.close().await;
    // The session has done what it was for. Should the broker be gone by now, its end comes by itself.
    let _ended = broker.end_session(&granted.session.id).await;
    result.and(closed)
}

fn style(ui: &Ui, screen: &Screen, args: &Args) -> Style {
    let form = match ui.output() {
        Output::Table => Form::Table,
        Output::Csv if args.csv_safe => Form::CsvSafe,
        Output::Csv => Form::Csv,
        Output::Json => Form::Json,
        Output::Ndjson => Form::Ndjson,
    };
    Style {
        form,
        width: screen.width(),
        color: screen.looks().out_color,
    }
}

impl Args {
    /// Reads all SQL before a session is asked for: a file that is missing costs nobody a session.
    fn sources(&self) -> Result<Vec<Source>, Error> {
        if self.command.is_empty() && self.file.is_empty() && self.stdin.is_none() {
            return Err(Error::usage("there is no SQL to run")
                .with_hint("give it with `-c SQL`, `-f FILE`, or `-` to read stdin"));
        }
        let commands = self.command.iter().map(|text| {
            Ok(Source {
                name: None,
                text: text.clone(),
            })
        });
        let files = self
            .file
            .iter()
            .chain(&self.stdin)
            .map(|name| Source::read(name));
        commands.chain(files).collect()
    }
}

impl Source {
    fn read(name: &str) -> Result<Self, Error> {
        let bytes = if name == "-" {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map(|_| bytes)
        } else {
            std::fs::read(Path::new(name))
        };
        let name = if name == "-" { "stdin" } else { name };
        let bytes = bytes.map_err(|error| {
            Error::setup(format!("read `{name}`: {error}"))
                .with_hint("`-f` takes the path of a file with SQL, `-` reads stdin")
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error
                .as_bytes()
                .get(..error.utf8_error().valid_up_to())
                .unwrap_or_default();
            let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
            Error::failed(format!("{name}:{line}: the text is not UTF-8"))
                .with_hint("convert it first, for example with `iconv -t utf-8`")
        })?;
        Ok(Self {
            name: Some(name.to_owned()),
            text: text
                .strip_prefix('\u{feff}')
                .map(ToOwned::to_owned)
                .unwrap_or(text),
        })
    }
}

impl Run<'_> {
    async fn all(&mut self, sources: &[Source]) -> Result<(), Error> {
        let bare = Place {
            file: None,
            line: 1,
        };
        if self.args.single_transaction {
            self.statement("begin", &bare, None).await?;
        }
        for source in sources {
            self.source(source).await?;
        }
        if self.args.single_transaction {
            self.statement("commit", &bare, None).await?;
        }
        Ok(())
    }

    async fn source(&mut self, source: &Source) -> Result<(), Error> {
        let form = self.book.form();
        let mut script = Script::new(&source.text);
        while let Some(part) = script.next() {
            match part {
                Part::Statement { text, line, end } => {
                    let place = Place {
                        file: source.name.clone(),
                        line,
                    };
                    let data =
                        (source.name.is_some() && text::is_copy_in(text)).then(|| script.data());
                    if end == End::GoExpanded && form == Form::Table {
                        self.book.set_form(Form::Expanded);
                    }
                    self.statement(text, &place, data).await?;
                    self.book.set_form(form);
                }
                // `pg_dump` writes these two to keep psql from running commands; here there are none to run.
                Part::Command { text, .. }
                    if text.starts_with("\\restrict") || text.starts_with("\\unrestrict") => {}
                Part::Command { text, line } | Part::Stray { text, line } => {
                    let name = source.name.as_deref().unwrap_or("-c");
                    let word = text.split_whitespace().next().unwrap_or("\\");
                    return Err(Error::usage(format!("{name}:{line}: `{word}` is no SQL"))
                        .with_hint("backslash commands work in `dbgate connect`"));
                }
            }
        }
        Ok(())
    }

    async fn statement(
        &mut self,
        sql: &str,
        place: &Place,
        data: Option<&str>,
    ) -> Result<(), Error> {
        let source: Box<dyn AsyncRead + Send + Unpin> = match data {
            Some(data) => Box::new(io::Cursor::new(data.as_bytes().to_vec())),
            None => Box::new(tokio::io::stdin()),
        };
        let ends = Ends {
            source: Some(source),
            ..Ends::default()
        };
        let outcome = self
            .driver
            .run(&mut self.connection, sql, &mut self.book, ends)
            .await;
        let outcome = outcome.map_err(|error| match error {
            drive::Error::Connection(error) => Error::from(error),
            drive::Error::Io(error) => Error::from(error),
            drive::Error::Interrupted => Error::told(Kind::Signal(2)),
        })?;
        match outcome.stopped {
            Some(Stop::Interrupted) => return Err(Error::new(Kind::Signal(2), "canceled")),
            Some(Stop::GaveUp) => {
                let id = outcome.request.as_deref();
                return Err(session::waiting(id.unwrap_or_default()));
            }
            None => {}
        }
        match &outcome.failure {
            None => {
                self.done += 1;
                Ok(())
            }
            Some(fields) => {
                let mut fields = fields.clone();
                if place.file.is_some() && fields.hint.is_none() {
                    fields.hint = Some(self.left_behind().to_owned());
                }
                self.failure(&fields, &outcome, sql, place)
            }
        }
    }

    /// What a file that ends with an error has done so far.
    const fn left_behind(&self) -> &'static str {
        match (self.connection.status(), self.done) {
            (_, 0) => "it was the first statement: nothing of the file has run",
            (TransactionStatus::Idle, _) => {
                "the statements before it have taken effect, those after it have not run: mend it and go on from there"
            }
            (TransactionStatus::Open | TransactionStatus::Failed, _) => {
                "its transaction is rolled back, and what comes after it has not run: mend it and run it again"
            }
        }
    }

    fn failure(
        &mut self,
        fields: &Fields,
        outcome: &Outcome,
        sql: &str,
        place: &Place,
    ) -> Result<(), Error> {
        let kind = kind(fields, outcome.request.is_some());
        if self.json {
            let prefix = report::prefix(fields, sql, place);
            let fields = &report::without_secrets(fields, sql);
            return Err(Error {
                kind,
                message: format!("{prefix}{}", fields.message),
                detail: fields.detail.as_deref().map(Into::into),
                hint: fields.hint.as_deref().map(Into::into),
                code: Some(fields.code.as_str().into()),
                request: outcome.request.as_deref().map(Into::into),
            });
        }
        report::error(self.book.out(), fields, sql, place)?;
        Err(Error::told(kind))
    }
}

/// The exit code's kind for an error of the database or the gateway.
fn kind(fields: &Fields, held: bool) -> Kind {
    let over = drive::is_end(fields) || drive::is_rejection(fields);
    if over || (held && fields.code != SqlState::QUERY_CANCELED) {
        Kind::Ended
    } else if drive::is_refusal(fields) {
        Kind::Refused
    } else {
        Kind::Failed
    }
}
