//! What a client saw of a statement, bounded, with timing: written while it runs, replayed later.
//!
//! A transcript is JSON, one step a line: `{"t":0,"columns":["id","email"]}`, `{"t":812,"row":["1","a***"]}`,
//! `{"t":900,"notice":"…"}`, `{"t":901,"line":"1\ta***"}` for a line of `COPY`, and at the end `{"t":950,"omitted":12}` if there was no
//! room for twelve rows. `t` is in microseconds since the statement was sent.
//!
//! **Invariant:** rows are taken from the very messages that go to the client, so that no value comes here before its mask.

pub(super) mod cut;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::event::private::Private;
use crate::audit::recording::cut::Cut;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{CopyLayout, Facts};
use crate::wire::backend::kind;
use crate::wire::copy::{Piece, Tuples};
use crate::wire::row::{self, DataRow, RowDescription};
use crate::wire::value::{self, Type};

/// Bytes of a value that are kept; what follows is told by its length.
const CELL: usize = 8 * 1024;

/// A message has its kind and its length in front.
const HEADER: usize = 5;

/// How much of what a client sees is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of a transcript, about.
    pub bytes: usize,
    /// Rows of a statement.
    pub rows: u64,
}

impl Default for Limit {
    /// Enough for what a person looks at; a long export is told by its number of rows.
    fn default() -> Self {
        Self {
            bytes: 256 * 1024,
            rows: 500,
        }
    }
}

/// One step of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Microseconds since the statement was sent.
    pub t: u64,
    /// What the client saw.
    #[serde(flatten)]
    pub what: What,
}

/// What a client saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The names of the columns.
    Columns(Vec<String>),
    /// A row; `None` is NULL.
    Row(Vec<Option<String>>),
    /// A line of `COPY`, without its end.
    Line(String),
    /// A notice.
    Notice(String),
    /// Rows and notices that found no room.
    Omitted(u64),
}

/// A step as it is written, without a copy of what it shows.
#[derive(Serialize)]
struct Written<'a> {
    t: u64,
    #[serde(flatten)]
    what: Seen<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Seen<'a> {
    Columns(Vec<&'a str>),
    Row(Vec<Option<Cow<'a, str>>>),
    Line(Cow<'a, str>),
    Notice(Cow<'a, str>),
    Omitted(u64),
}

/// How a column's values come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    kind: Option<Type>,
    format: row::Format,
}

/// Writes a transcript.
#[derive(Debug)]
pub struct Recorder {
    text: Vec<u8>,
    limit: Limit,
    formats: Vec<Format>,
    /// Of `COPY` in binary format.
    tuples: Option<Tuples>,
    /// A message whose rest is still to come.
    cut: Option<Box<Cut>>,
    omitted: u64,
    last: u64,
}

impl Recorder {
    /// A transcript within that limit.
    #[must_use]
    pub const fn new(limit: Limit) -> Self {
        Self {
            text: Vec::new(),
            limit,
            formats: Vec::new(),
            tuples: None,
            cut: None,
            omitted: 0,
            last: 0,
        }
    }

    /// Whether rows still find room; if not, [`Recorder::skip`] is cheaper than [`Recorder::sent`].
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.limit.rows > 0 && self.text.len() < self.limit.bytes
    }

    /// Bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len() + self.cut.as_ref().map_or(0, |cut| cut.size())
    }

    /// Nothing more finds room. What came after a gap would look as if nothing were missing.
    pub fn close(&mut self) {
        self.limit = Limit { bytes: 0, rows: 0 };
        self.omitted = self
            .omitted
            .saturating_add(u64::from(self.cut.take().is_some()));
    }

    /// The columns of the rows that follow; told once, however often they are described.
    pub fn columns(&mut self, at: Duration, columns: &RowDescription, catalog: &Catalog) {
        let is_new = self.formats.is_empty();
        self.formats = columns
            .fields
            .iter()
            .map(|field| Format {
                kind: type_of(field.type_oid, catalog),
                format: field.format,
            })
            .collect();
        if is_new && self.has_room() {
            let names = columns.fields.iter().map(|field| field.name.as_str());
            self.step(at, Seen::Columns(names.collect()));
        }
    }

    /// Data of `COPY … TO STDOUT` follows.
    pub fn copied(&mut self, facts: &Facts, catalog: &Catalog) {
        let copy = facts.copy.as_ref();
        if copy.is_some_and(|copy| copy.layout == CopyLayout::Binary) {
            self.tuples = Some(Tuples::default());
            self.formats = facts
                .outputs
                .iter()
                .map(|output| Format {
                    kind: type_of(output.type_oid, catalog),
                    format: row::Format::Binary,
                })
                .collect();
        }
    }

    /// Messages with rows or lines of `COPY`, as they were sent to the client; `rows` counts those that begin here. The last one may
    /// be incomplete: its rest comes first at the next call.
    pub fn sent(&mut self, at: Duration, messages: &[u8], rows: u64) {
        let mut rest = messages;
        let mut left = rows;
        if let Some(cut) = &mut self.cut {
            rest = cut.feed(rest);
            self.whole(at);
        }
        while left > 0
            && self.has_room()
            && let Some((message, after)) = split(rest)
        {
            self.message(at, message);
            left -= 1;
            rest = after;
        }
        // Tuples in binary need not end where messages do.
        if left == 1 && self.has_room() && self.tuples.is_none() {
            self.cut = Cut::of(rest, self.limit.bytes - self.text.len()).map(Box::new);
            if let Some(cut) = &mut self.cut {
                cut.feed(rest.get(HEADER..).unwrap_or_default());
                left = 0;
            }
        }
        self.skip(at, left);
    }

    /// The rest of a message has come, if nothing is missing any more.
    fn whole(&mut self, at: Duration) {
        let Some(cut) = self.cut.take_if(|cut| cut.is_complete()) else {
            return;
        };
        match cut.finish(&self.formats) {
            _ if !self.has_room() => self.skip(at, 1),
            Some(cut::Shown::Row(values)) => {
                self.limit.rows -= 1;
                let values = values.into_iter().map(|value| value.map(Cow::Owned));
                self.step(at, Seen::Row(values.collect()));
            }
            Some(cut::Shown::Line(line)) => {
                self.limit.rows -= 1;
                self.step(at, Seen::Line(line.into()));
            }
            None => self.skip(at, 1),
        }
    }

    /// A notice as the client receives it.
    pub fn notice(&mut self, at: Duration, text: &str) {
        if self.has_room() {
            self.step(at, Seen::Notice(clipped(text.as_bytes())));
        }
    }

    /// Rows that were not looked at.
    pub fn skip(&mut self, at: Duration, rows: u64) {
        if rows > 0 {
            self.omitted = self.omitted.saturating_add(rows);
            self.last = micros(at);
            self.close();
        }
    }

    /// The transcript; nothing if the client saw nothing.
    #[must_use]
    pub fn finish(&mut self) -> Option<Private> {
        self.close();
        let omitted = std::mem::take(&mut self.omitted);
        if omitted > 0 {
            let step = Written {
                t: self.last,
                what: Seen::Omitted(omitted),
            };
            // A map with such keys can be written, and memory takes it.
            serde_json::to_writer(&mut self.text, &step).ok();
            self.text.push(b'\n');
        }
        let text = String::from_utf8(std::mem::take(&mut self.text)).ok()?;
        (!text.is_empty()).then(|| text.into())
    }

    fn message(&mut self, at: Duration, message: &[u8]) {
        let (kind, body) = match message.split_at_checked(HEADER) {
            Some(([kind, ..], body)) => (*kind, body),
            _ => return,
        };
        match (kind, self.tuples.take()) {
            (kind::DATA_ROW, _) => match DataRow::decode(body) {
                Ok(row) => self.row(at, &row),
                Err(_) => self.skip(at, 1),
            },
            (_, Some(mut tuples)) => {
                tuples.feed(body);
                loop {
                    match tuples.next_piece() {
                        Ok(Some(Piece::Tuple(row))) if self.has_room() => self.row(at, &row),
                        Ok(Some(Piece::Tuple(_))) | Err(_) => return self.skip(at, 1),
                        Ok(Some(Piece::Header | Piece::Trailer)) => {}
                        Ok(None) => break,
                    }
                }
                self.tuples = Some(tuples);
            }
            (_, None) => {
                self.limit.rows -= 1;
                self.step(at, Seen::Line(line(body)));
            }
        }
    }

    fn row(&mut self, at: Duration, row: &DataRow<'_>) {
        self.limit.rows -= 1;
        let formats = std::mem::take(&mut self.formats);
        let values = row.values().enumerate();
        let values =
            values.map(|(column, value)| Some(shown(value?, formats.get(column).copied())));
        self.step(at, Seen::Row(values.collect()));
        self.formats = formats;
    }

    fn step(&mut self, at: Duration, what: Seen<'_>) {
        let step = Written {
            t: micros(at),
            what,
        };
        let before = self.text.len();
        serde_json::to_writer(&mut self.text, &step).ok();
        self.text.push(b'\n');
        if self.text.len() > self.limit.bytes {
            self.text.truncate(before);
            self.skip(at, 1);
        }
    }
}

/// Reads a transcript; lines that are none are left out.
#[must_use]
pub fn parse(transcript: &str) -> Vec<Step> {
    transcript
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// The first message, and what follows it.
fn split(messages: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = messages.get(1..)?.first_chunk()?;
    let total = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    messages.split_at_checked(total.checked_add(1)?)
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

/// The type behind an OID, of which values in binary can be read: domains are what they are made of, labels of enums are text.
fn type_of(oid: u32, catalog: &Catalog) -> Option<Type> {
    /// Domains over domains over … end here.
    const DEEPEST: usize = 32;
    let mut oid = oid;
    for _ in 0..DEEPEST {
        if let Some(kind) = Type::of_oid(oid) {
            return Some(kind);
        }
        let found = catalog.types.get(&oid)?;
        match found.kind {
            'e' => return Some(Type::Text),
            'b' if found.name.name == "citext" => return Some(Type::Text),
            'd' => oid = found.base,
            _ => return None,
        }
    }
    None
}

/// A value as text: those in binary as PostgreSQL would write them, or as hex.
fn shown(value: &[u8], format: Option<Format>) -> Cow<'_, str> {
    match format {
        Some(Format {
            kind,
            format: row::Format::Binary,
        }) => {
            let mut text = String::new();
            match kind.and_then(|kind| value::decode(kind, value, &mut text)) {
                Some(()) if text.len() > CELL => cut::beginning(&text, value.len()).into(),
                Some(()) => text.into(),
                None => hex(value, value.len()).into(),
            }
        }
        Some(_) | None => clipped(value),
    }
}

/// A line without its end; what is no text, as hex.
fn line(body: &[u8]) -> Cow<'_, str> {
    let end = body.strip_suffix(b"\n").unwrap_or(body);
    match str::from_utf8(end) {
        Ok(_) if !end.contains(&0) => clipped(end),
        _ => hex(body, body.len()).into(),
    }
}

/// Text that is not longer than is kept of it.
fn clipped(text: &[u8]) -> Cow<'_, str> {
    match text.get(..CELL) {
        Some(kept) if text.len() > CELL => {
            cut::beginning(&String::from_utf8_lossy(kept), text.len()).into()
        }
        _ => String::from_utf8_lossy(text),
    }
}

/// Bytes, of which there are so many, in hex.
fn hex(value: &[u8], length: usize) -> String {
    use std::fmt::Write;
    let kept = value.get(..CELL / 2).unwrap_or(value);
    let mut hex = kept.iter().fold("\\x".to_owned(), |mut hex, byte| {
        // Writing to a string cannot fail.
        write!(hex, "{byte:02x}").ok();
        hex
    });
    if kept.len() < length {
        write!(hex, "… ({length} bytes)").ok();
    }
    hex
}
