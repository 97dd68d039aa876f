//! The two streams of a shell or script: data to one, talk to the other, and a spinner that gives way to both.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use crate::model::escape;
use crate::shell::spinner::Spinner;

/// Where data and talk go.
pub struct Screen {
    out: BufWriter<Box<dyn Write + Send>>,
    talk: Box<dyn Write + Send>,
    looks: Looks,
    spinner: Option<Spinner>,
    /// Whether a person saw something since the last [`Screen::rest`].
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Something,
}

/// What the streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Looks {
    /// Whether data goes to a terminal.
    pub out_terminal: bool,
    /// Whether data may have color.
    pub out_color: bool,
    /// Whether talk may have color.
    pub talk_color: bool,
    /// Whether a spinner may turn on the talk's stream.
    pub spins: bool,
    /// Whether only errors and warnings are told.
    pub quiet: bool,
}

impl Screen {
    /// Takes the streams.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, talk: Box<dyn Write + Send>, looks: Looks) -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, out),
            talk,
            looks,
            spinner: None,
            seen: Seen::Nothing,
        }
    }

    /// What the streams are.
    #[must_use]
    pub const fn looks(&self) -> Looks {
        self.looks
    }

    /// The terminal's width, when data goes to one.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        if !self.looks.out_terminal {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        Some(size.map_or(80, |size| usize::from(size.ws_col)).max(20))
    }

    /// Whether a spinner could turn now and does not.
    #[must_use]
    pub const fn could_spin(&self) -> bool {
        self.looks.spins && self.spinner.is_none()
    }

    /// Lets a spinner turn until something is written; what it tells of has gone on for `elapsed`.
    pub fn spin(&mut self, text: &str, elapsed: Duration) {
        self.spinner = Some(Spinner::shown(text, elapsed));
    }

    /// Changes what the spinner says.
    pub fn spin_on(&self, text: impl FnOnce() -> String) {
        if let Some(spinner) = &self.spinner {
            spinner.say(&text());
        }
    }

    /// Writes out what is left; says whether a person has seen anything new since the last time.
    ///
    /// # Errors
    /// When the stream can't be written.
    pub fn rest(&mut self) -> io::Result<bool> {
        self.out.flush()?;
        Ok(std::mem::replace(&mut self.seen, Seen::Nothing) == Seen::Something)
    }

    /// Stops the spinner.
    pub fn still(&mut self) {
        self.spinner = None;
    }

    /// Says what happens, unless it is to be quiet.
    ///
    /// # Errors
    /// When the stream can't be written.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        if self.looks.quiet {
            return Ok(());
        }
        self.tell("", "", text)
    }

    /// Says something behind a colored label, such as `error: `.
    ///
    /// # Errors
    /// When the stream can't be written.
    pub fn tell(&mut self, color: &str, label: &str, text: &str) -> io::Result<()> {
        self.spinner = None;
        self.seen = Seen::Something;
        self.out.flush()?;
        let text = escape::block(text);
        if self.looks.talk_color && !color.is_empty() {
            writeln!(self.talk, "\x1b[{color}m{label}\x1b[0m{text}")?;
        } else {
            writeln!(self.talk, "{label}{text}")?;
        }
        self.talk.flush()
    }

    /// Writes what came from elsewhere: raw to a file or pipe, escaped to a terminal.
    ///
    /// # Errors
    /// When the stream can't be written.
    pub fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.looks.out_terminal {
            let text = String::from_utf8_lossy(bytes);
            self.write_all(escape::block(&text).as_bytes())
        } else {
            self.write_all(bytes)
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.looks.out_terminal {
            self.spinner = None;
            self.seen = Seen::Something;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
