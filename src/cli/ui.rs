//! What a command says: data to stdout, talk to stderr, color and prompts only where a person sits.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use serde::Serialize;

use crate::cli::error::{Error, Kind};
use crate::cli::globals::{Globals, Output, When};
use crate::model::escape;
use crate::shell::screen::{Looks, Screen};
use crate::shell::spinner::Spinner;

/// A column of a list: its title, and how an item fills it.
pub type Column<'a, T> = (&'a str, fn(&T) -> String);

/// Where a command's words go.
pub struct Ui {
    out: Stream,
    talk: Stream,
    output: Output,
    talkative: Talkative,
    interactive: bool,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talkative {
    Quiet,
    Normal,
    Verbose,
}

/// One of the two streams.
#[expect(
    clippy::struct_excessive_bools,
    reason = "two independent facts: `--color always` colors a file, too"
)]
struct Stream {
    writer: Box<dyn Write + Send>,
    terminal: bool,
    color: bool,
}

/// How a piece of talk stands out, where color is allowed.
#[derive(Debug, Clone, Copy)]
enum Style {
    Red,
    Yellow,
    Cyan,
    Bold,
    Dim,
}

impl Ui {
    /// The process's own streams, as the global options want them.
    #[must_use]
    pub fn new(globals: &Globals) -> Self {
        let (out, talk) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            out: Stream {
                writer: Box::new(io::stdout()),
                terminal: out,
                color: colored(globals.color, out),
            },
            talk: Stream {
                writer: Box::new(io::stderr()),
                terminal: talk,
                color: colored(globals.color, talk),
            },
            output: globals.output.unwrap_or(Output::Table),
            talkative: match (globals.quiet, globals.verbose) {
                (true, _) => Talkative::Quiet,
                (false, 0) => Talkative::Normal,
                (false, _) => Talkative::Verbose,
            },
            interactive: io::stdin().is_terminal() && talk && !globals.no_input,
        }
    }

    /// The form in which data is shown.
    #[must_use]
    pub const fn output(&self) -> Output {
        self.output
    }

    /// Whether data is for programs.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        matches!(self.output, Output::Json | Output::Ndjson)
    }

    /// Whether somebody can be asked.
    #[must_use]
    pub const fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether stdout is a terminal.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// Whether data may be colored.
    #[must_use]
    pub const fn is_colored(&self) -> bool {
        self.out.color
    }

    /// Whether talk may be colored.
    #[must_use]
    pub const fn is_talk_colored(&self) -> bool {
        self.talk.color
    }

    /// Whether only errors are to be told.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        matches!(self.talkative, Talkative::Quiet)
    }

    /// Stdout itself, for data that is streamed. Text from elsewhere goes through [`escape`] first, unless it is
    /// a machine's format.
    pub fn out(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.out.writer
    }

    /// Says what happens: `Waiting for approval by …`. Not with `--quiet`.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn status(&mut self, text: &str) -> Result<(), Error> {
        if self.is_quiet() {
            return Ok(());
        }
        self.talk.line(None, "", text)
    }

    /// Says what somebody needs in order to go on, `--quiet` or not.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        self.talk.line(None, "", text)
    }

    /// Says more about what happens, with `-v` only.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn detail(&mut self, text: &str) -> Result<(), Error> {
        if self.talkative != Talkative::Verbose {
            return Ok(());
        }
        self.talk.line(Some(Style::Dim), "", text)
    }

    /// Warns.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn warn(&mut self, text: &str) -> Result<(), Error> {
        self.talk.line(Some(Style::Yellow), "warning: ", text)
    }

    /// Names the next step.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn hint(&mut self, text: &str) -> Result<(), Error> {
        if self.is_quiet() {
            return Ok(());
        }
        self.talk.line(Some(Style::Cyan), "hint: ", text)
    }

    /// Tells a failure: as `error: …`, `detail: …` and `hint: …`, or as one JSON document.
    ///
    /// # Errors
    /// When stderr can't be written.
    pub fn error(&mut self, error: &Error) -> Result<(), Error> {
        if error.message.is_empty() {
            return Ok(());
        }
        if self.is_json() {
            let text = error.to_json().to_string();
            writeln!(self.talk.writer, "{}", escape::json(&text))?;
            return Ok(());
        }
        self.talk
            .line(Some(Style::Red), "error: ", &error.message)?;
        if let Some(detail) = &error.detail {
            self.talk.line(Some(Style::Bold), "detail: ", detail)?;
        }
        if let Some(hint) = &error.hint {
            self.talk.line(Some(Style::Cyan), "hint: ", hint)?;
        }
        Ok(())
    }

    /// Shows text as data; what could disturb a terminal is escaped, lines stay.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.out.writer, "{}", escape::block(text))?;
        self.out.writer.flush()?;
        Ok(())
    }

    /// Shows one thing: a line for each fact, or one JSON object with its schema's name first.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn record<T: Serialize>(
        &mut self,
        schema: &str,
        item: &T,
        facts: &[Column<'_, T>],
    ) -> Result<(), Error> {
        if self.is_json() {
            return self.json(schema, item);
        }
        let width = facts
            .iter()
            .map(|(title, _)| title.len())
            .max()
            .unwrap_or(0);
        for (title, show) in facts {
            let text = show(item);
            if !text.is_empty() {
                writeln!(self.out.writer, "{title:width$}  {}", escape::line(&text))?;
            }
        }
        self.out.writer.flush()?;
        Ok(())
    }

    /// Shows many things: a table, CSV, one JSON object with `items`, or a JSON object a line.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn list<T: Serialize>(
        &mut self,
        schema: &str,
        items: &[T],
        columns: &[Column<'_, T>],
    ) -> Result<(), Error> {
        match self.output {
            Output::Json => return self.json(schema, &serde_json::json!({ "items": items })),
            Output::Ndjson => return items.iter().try_for_each(|item| self.json(schema, item)),
            Output::Csv => self.csv(items, columns)?,
            Output::Table => self.table(items, columns)?,
        }
        self.out.writer.flush()?;
        Ok(())
    }

    /// Shows one JSON document on a line of its own; an object gets `schema` as its first field.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub fn json<T: Serialize>(&mut self, schema: &str, item: &T) -> Result<(), Error> {
        let value = serde_json::to_value(item)
            .map_err(|error| Error::failed(format!("show the answer as JSON: {error}")))?;
        let value = match value {
            serde_json::Value::Object(fields) => {
                let mut all = serde_json::Map::new();
                all.insert("schema".to_owned(), schema.into());
                all.extend(fields);
                serde_json::Value::Object(all)
            }
            other => other,
        };
        writeln!(self.out.writer, "{}", escape::json(&value.to_string()))?;
        self.out.writer.flush()?;
        Ok(())
    }

    /// Both streams for a command that runs statements.
    #[must_use]
    pub fn screen(&self) -> Screen {
        let looks = Looks {
            out_terminal: self.out.terminal,
            out_color: self.out.color,
            talk_color: self.talk.color,
            spins: self.talk.terminal && !self.is_quiet() && !self.is_json(),
            // What is told besides JSON errors would be in the way of who reads them.
            quiet: self.is_quiet() || self.is_json(),
        };
        Screen::new(Box::new(io::stdout()), Box::new(io::stderr()), looks)
    }

    /// A spinner on stderr, seen after 300 ms by people only; it goes when it is dropped.
    #[must_use]
    pub fn spinner(&self, text: &str) -> Spinner {
        let seen = self.talk.terminal && !self.is_quiet() && !self.is_json();
        Spinner::start(text, seen)
    }

    /// Asks a question that is answered with yes or no. Enter means no.
    ///
    /// # Errors
    /// When nobody can be asked; `flag` is what to give then.
    pub fn confirm(&mut self, question: &str, flag: &str) -> Result<bool, Error> {
        let answer = self.ask(&format!("{question} [y/N]"), flag)?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for a line.
    ///
    /// # Errors
    /// When nobody can be asked; `flag` is what to give then.
    pub fn ask(&mut self, question: &str, flag: &str) -> Result<String, Error> {
        if !self.interactive {
            return Err(Error::usage(format!("nobody can be asked: {question}"))
                .with_hint(format!("answer with {flag}")));
        }
        write!(self.talk.writer, "{} ", escape::line(question))?;
        self.talk.writer.flush()?;
        let mut answer = String::new();
        let read = io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Error::setup(format!("read the answer: {error}")))?;
        if read == 0 {
            return Err(Error::new(Kind::Signal(2), "no answer"));
        }
        Ok(answer.trim().to_owned())
    }

    fn csv<T>(&mut self, items: &[T], columns: &[Column<'_, T>]) -> Result<(), Error> {
        let mut csv = csv::Writer::from_writer(&mut self.out.writer);
        let wrong = |error: csv::Error| Error::from(io::Error::from(error));
        csv.write_record(columns.iter().map(|(title, _)| title.to_ascii_lowercase()))
            .map_err(wrong)?;
        for item in items {
            csv.write_record(columns.iter().map(|(_, show)| show(item)))
                .map_err(wrong)?;
        }
        csv.flush()?;
        Ok(())
    }

    fn table<T>(&mut self, items: &[T], columns: &[Column<'_, T>]) -> Result<(), Error> {
        if items.is_empty() {
            return Ok(());
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        if !self.out.terminal {
            table.set_width(u16::MAX);
        }
        table.set_header(columns.iter().map(|(title, _)| *title));
        for item in items {
            table.add_row(
                columns
                    .iter()
                    .map(|(_, show)| escape::line(&show(item)).into_owned()),
            );
        }
        for line in table.to_string().lines() {
            writeln!(
                self.out.writer,
                "{}",
                line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end())
            )?;
        }
        Ok(())
    }
}

impl Stream {
    fn line(&mut self, style: Option<Style>, label: &str, text: &str) -> Result<(), Error> {
        let text = escape::block(text);
        let result = match style {
            Some(style) if self.color => {
                let code = style.code();
                let (inside, outside) = if label.is_empty() {
                    (&*text, "")
                } else {
                    (label, &*text)
                };
                writeln!(self.writer, "\x1b[{code}m{inside}\x1b[0m{outside}")
            }
            _ => writeln!(self.writer, "{label}{text}"),
        };
        result?;
        self.writer.flush()?;
        Ok(())
    }
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Red => "1;31",
            Self::Yellow => "1;33",
            Self::Cyan => "36",
            Self::Bold => "1",
            Self::Dim => "2",
        }
    }
}

/// `--color` beats `NO_COLOR`, which beats `CLICOLOR_FORCE`; then a terminal that is not dumb decides, per stream.
fn colored(when: When, terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR") => false,
        When::Auto if set("CLICOLOR_FORCE") || set("FORCE_COLOR") => true,
        When::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// A time for people: without what is shorter than a second.
pub(crate) fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}
