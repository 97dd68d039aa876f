//! The line editor: many lines to a statement, colors, completion, history.

pub mod history;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, ExternalPrinter as _, Helper};

use crate::net::entropy;
use crate::shell::complete::{self, Names};
use crate::shell::input::history::History;
use crate::shell::text::{self, Kind, Script};

/// Names for completion, read while the person types.
pub type SharedNames = Arc<RwLock<Names>>;

/// What was entered.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Statements or a command.
    Text(String),
    /// Ctrl-C: what was typed is dropped.
    Dropped,
    /// Ctrl-D.
    End,
}

/// Says something while a line is being edited, without breaking the line; nobody waits until it is said.
pub type Printer = mpsc::Sender<String>;

/// The line editor.
pub struct Reader {
    editor: Editor<Assistant, MemHistory>,
    history: Option<History>,
}

impl Reader {
    /// Makes one.
    ///
    /// # Errors
    /// When the terminal can't be used.
    pub fn new(
        history: Option<History>,
        color: bool,
        names: SharedNames,
    ) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(history::MOST)?
            .completion_type(rustyline::CompletionType::List)
            .bracketed_paste(true)
            .auto_add_history(false)
            .color_mode(if color {
                rustyline::ColorMode::Enabled
            } else {
                rustyline::ColorMode::Disabled
            })
            .build();
        let mut editor = Editor::with_history(config.clone(), MemHistory::with_config(&config))?;
        editor.set_helper(Some(Assistant { names, color }));
        for entry in history
            .iter()
            .filter_map(|history| history.entries().ok())
            .flatten()
        {
            editor.add_history_entry(entry)?;
        }
        Ok(Self { editor, history })
    }

    /// What says things while a line is being edited, where the terminal can do that.
    pub fn printer(&mut self) -> Option<Printer> {
        let mut printer = self.editor.create_external_printer().ok()?;
        let (sender, texts) = mpsc::channel();
        // It has a thread of its own: it blocks while nobody edits, and for ever once the terminal is gone.
        thread::spawn(move || {
            for text in texts {
                if printer.print(text).is_err() {
                    return;
                }
            }
        });
        Some(sender)
    }

    /// Reads until a statement or command is complete. It blocks.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn read(&mut self, prompt: &(String, String)) -> Result<Line, ReadlineError> {
        match self.editor.readline(prompt) {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Dropped),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error),
        }
    }

    /// Keeps an entry, in memory and on disk; says why when the disk does not.
    ///
    /// # Errors
    /// When the file of this database can't be written.
    pub fn remember(&mut self, entry: &str) -> Result<(), String> {
        let entry = entry.trim();
        if entry.is_empty() {
            return Ok(());
        }
        self.editor
            .add_history_entry(history::scrubbed(entry))
            .map_err(|error| error.to_string())?;
        match &self.history {
            Some(history) => history
                .add(entry, &entropy::System)
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

/// What helps while typing.
struct Assistant {
    names: SharedNames,
    color: bool,
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        Ok(complete::complete(line, cursor, &names))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if Script::new(context.input()).is_open() {
            Ok(ValidationResult::Incomplete)
        } else {
            Ok(ValidationResult::Valid(None))
        }
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _cursor: usize) -> Cow<'l, str> {
        if !self.color || line.len() > 16 * 1024 {
            return Cow::Borrowed(line);
        }
        Cow::Owned(highlight(line))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }

    fn highlight_char(&self, _line: &str, _cursor: usize, _kind: CmdKind) -> bool {
        self.color
    }
}

/// SQL with colors; a command stays as it is.
#[must_use]
pub fn highlight(line: &str) -> String {
    if line.trim_start().starts_with('\\') {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len() * 2);
    for piece in text::pieces(line) {
        let written = line.get(piece.range).unwrap_or_default();
        let color = match piece.kind {
            Kind::Keyword => "1;34",
            Kind::String => "32",
            Kind::Number => "36",
            Kind::Comment => "2",
            Kind::Unfinished => "33",
            Kind::Name
            | Kind::Quoted
            | Kind::Space
            | Kind::Semicolon
            | Kind::Open
            | Kind::Close
            | Kind::Dot
            | Kind::Backslash
            | Kind::Symbol => {
                out.push_str(written);
                continue;
            }
        };
        out.extend(["\x1b[", color, "m", written, "\x1b[0m"]);
    }
    out
}
