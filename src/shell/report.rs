//! Errors and notices of a database, for people: what, where in the statement, and what would help.

use std::io;

use crate::audit::scrub;
use crate::shell::screen::Screen;
use crate::wire::error::{Fields, Severity};

/// Where a statement came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Option<String>,
    /// The line of the statement's first character there, from 1.
    pub line: usize,
}

/// Where in a statement something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The line within the statement, from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
    /// How many characters of it stand before the spot.
    pub before: usize,
}

/// Finds the spot an error points at.
#[must_use]
pub fn spot(fields: &Fields, sql: &str) -> Option<Spot> {
    let position = usize::try_from(fields.position?).ok()?.checked_sub(1)?;
    let mut left = position;
    for (index, line) in sql.split('\n').enumerate() {
        let length = line.chars().count();
        if left <= length {
            return Some(Spot {
                line: index + 1,
                text: line.to_owned(),
                before: left,
            });
        }
        left -= length + 1;
    }
    None
}

/// `file:line: ` of the error, when the statement comes from a file.
#[must_use]
pub fn prefix(fields: &Fields, sql: &str, place: &Place) -> String {
    let within = spot(fields, sql).map_or(0, |spot| spot.line - 1);
    match &place.file {
        Some(file) => format!("{file}:{}: ", place.line + within),
        None => String::new(),
    }
}

/// Tells of an error in `sql`.
///
/// # Errors
/// When the stream can't be written.
pub fn error(screen: &mut Screen, fields: &Fields, sql: &str, place: &Place) -> io::Result<()> {
    let prefix = prefix(fields, sql, place);
    let fields = &without_secrets(fields, sql);
    screen.tell("1;31", "error: ", &format!("{prefix}{}", fields.message))?;
    if let Some(spot) = spot(fields, &scrub::statement(sql)) {
        let line = match place.file {
            Some(_) => place.line + spot.line - 1,
            None => spot.line,
        };
        excerpt(screen, &spot, line)?;
    }
    rest(screen, fields)
}

/// An error about `sql` as it may be shown and kept (a terminal's scrollback, the log of a CI job): passwords in the statement are neither
/// quoted nor pointed at.
#[must_use]
pub fn without_secrets(fields: &Fields, sql: &str) -> Fields {
    let clean = scrub::statement(sql);
    if clean == sql {
        return fields.clone();
    }
    let quoting = |text: &String| scrub::quoting(text, sql).into_owned();
    let mut fields = fields.clone();
    fields.message = quoting(&fields.message);
    let content = &mut *fields;
    for part in [&mut content.detail, &mut content.hint, &mut content.context] {
        *part = part.as_ref().map(quoting);
    }
    fields.position = fields.position.and_then(|at| moved(at, sql, &clean));
    fields
}

/// Where a position of one text is in the other, if what is before or after it is the same in both.
fn moved(position: u32, from: &str, to: &str) -> Option<u32> {
    let before = usize::try_from(position).ok()?.checked_sub(1)?;
    let (at, _) = from.char_indices().nth(before)?;
    let (head, tail) = from.split_at_checked(at)?;
    if to.starts_with(head) {
        return Some(position);
    }
    let head = to.strip_suffix(tail)?;
    u32::try_from(head.chars().count() + 1).ok()
}

/// Tells of a notice.
///
/// # Errors
/// When the stream can't be written.
pub fn notice(screen: &mut Screen, fields: &Fields) -> io::Result<()> {
    let (color, label) = match fields.severity {
        Severity::Warning => ("1;33", "warning: "),
        Severity::Error | Severity::Fatal | Severity::Panic => ("1;31", "error: "),
        Severity::Info => ("36", "info: "),
        Severity::Debug => ("36", "debug: "),
        Severity::Log => ("36", "log: "),
        Severity::Notice => ("36", "notice: "),
    };
    if screen.looks().quiet && color == "36" {
        return Ok(());
    }
    screen.tell(color, label, &fields.message)?;
    rest(screen, fields)
}

fn rest(screen: &mut Screen, fields: &Fields) -> io::Result<()> {
    if let Some(detail) = &fields.detail {
        screen.tell("1", "detail: ", detail)?;
    }
    if let Some(context) = &fields.context {
        screen.tell("1", "context: ", context)?;
    }
    if let Some(hint) = &fields.hint {
        screen.tell("36", "hint: ", hint)?;
    }
    Ok(())
}

/// The line, by its number, with a caret below the spot; of a long line the part around it.
fn excerpt(screen: &mut Screen, spot: &Spot, line: usize) -> io::Result<()> {
    const AROUND: usize = 40;
    let from = spot.before.saturating_sub(AROUND);
    let part: String = spot
        .text
        .chars()
        .skip(from)
        .take(AROUND * 2)
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect();
    let part = crate::model::escape::line(&part).into_owned();
    let lead: String = spot
        .text
        .chars()
        .skip(from)
        .take(spot.before - from)
        .collect();
    let lead = crate::model::escape::line(&lead.replace('\t', " ")).into_owned();
    let blanks = " ".repeat(unicode_width::UnicodeWidthStr::width(lead.as_str()));
    let label = format!("line {line}: ");
    screen.tell("", &label, &part)?;
    screen.tell("", &" ".repeat(label.len()), &format!("{blanks}^"))
}
