//! What a client saw of a statement, bounded, with timing: written while it runs, replayed later.
//!
//! A transcript is JSON, one step a line: `{"t":0,"columns":["id","email"]}`, `{"t":812,"row":["1","a***"]}`,
//! `{"t":900,"notice":"…"}`, and at the end `{"t":950,"omitted":12}` if there was no room for twelve rows. `t` is in
//! microseconds since the statement was sent. Values are those the client received, after masking.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::event::private::Private;

/// Bytes of a transcript that are kept, unless the configuration says otherwise.
pub const LIMIT: usize = 256 * 1024;

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
    /// A notice.
    Notice(String),
    /// Rows and notices that found no room.
    Omitted(u64),
}

/// How a column's values come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The type's OID.
    pub type_oid: u32,
    /// In binary.
    pub binary: bool,
}

/// Writes a transcript.
#[derive(Debug)]
pub struct Recorder {
    text: String,
    limit: usize,
    formats: Vec<Format>,
    omitted: u64,
    last: u64,
}

impl Recorder {
    /// A transcript of at most about `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
            formats: Vec::new(),
            omitted: 0,
            last: 0,
        }
    }

    /// Whether rows still find room; if not, [`Recorder::skip`] is cheaper than [`Recorder::row`].
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.text.len() < self.limit
    }

    /// The columns of the rows that follow.
    pub fn columns(&mut self, at: Duration, columns: Vec<(String, Format)>) {
        let (names, formats) = columns.into_iter().unzip();
        self.formats = formats;
        self.step(at, What::Columns(names));
    }

    /// A row as the client receives it.
    pub fn row<'a>(&mut self, at: Duration, values: impl Iterator<Item = Option<&'a [u8]>>) {
        if !self.has_room() {
            self.skip(at, 1);
            return;
        }
        // A value longer than all the room is cut before it is copied.
        let room = self.limit;
        let values = values
            .enumerate()
            .map(|(column, value)| value.map(|value| self.show(column, value, room)))
            .collect();
        self.step(at, What::Row(values));
    }

    /// A notice as the client receives it.
    pub fn notice(&mut self, at: Duration, text: &str) {
        self.step(at, What::Notice(text.to_owned()));
    }

    /// Rows that were not looked at.
    pub fn skip(&mut self, at: Duration, rows: u64) {
        self.omitted += rows;
        self.last = micros(at);
    }

    /// The transcript; nothing if the client saw nothing.
    #[must_use]
    pub fn finish(mut self) -> Option<Private> {
        if self.omitted > 0 {
            let step = Step {
                t: self.last,
                what: What::Omitted(self.omitted),
            };
            self.put(&step);
        }
        (!self.text.is_empty()).then(|| self.text.into())
    }

    fn step(&mut self, at: Duration, what: What) {
        let step = Step {
            t: micros(at),
            what,
        };
        let before = self.text.len();
        self.put(&step);
        if self.text.len() > self.limit {
            self.text.truncate(before);
            self.skip(at, 1);
            // What comes after a gap would look as if nothing were missing.
            self.limit = before;
        }
    }

    fn put(&mut self, step: &Step) {
        // Neither a map with odd keys nor anything else in a step can fail to be written.
        if let Ok(line) = serde_json::to_string(step) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    fn show(&self, column: usize, value: &[u8], room: usize) -> String {
        let value = value.get(..room).unwrap_or(value);
        match self.formats.get(column) {
            Some(format) if format.binary => binary(format.type_oid, value),
            Some(_) | None => String::from_utf8_lossy(value).into_owned(),
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

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

/// Common types in binary as PostgreSQL would write them; others as hex.
fn binary(type_oid: u32, value: &[u8]) -> String {
    let shown = match type_oid {
        16 => value
            .first()
            .map(|byte| if *byte == 0 { "f" } else { "t" }.to_owned()),
        21 => value
            .try_into()
            .ok()
            .map(|value| i16::from_be_bytes(value).to_string()),
        23 => value
            .try_into()
            .ok()
            .map(|value| i32::from_be_bytes(value).to_string()),
        26 => value
            .try_into()
            .ok()
            .map(|value| u32::from_be_bytes(value).to_string()),
        20 => value
            .try_into()
            .ok()
            .map(|value| i64::from_be_bytes(value).to_string()),
        700 => value
            .try_into()
            .ok()
            .map(|value| f32::from_be_bytes(value).to_string()),
        701 => value
            .try_into()
            .ok()
            .map(|value| f64::from_be_bytes(value).to_string()),
        18 | 19 | 25 | 114 | 1042 | 1043 | 705 => String::from_utf8(value.to_vec()).ok(),
        3802 => value
            .split_first()
            .and_then(|(_, json)| String::from_utf8(json.to_vec()).ok()),
        _ => None,
    };
    shown.unwrap_or_else(|| {
        use std::fmt::Write;
        value.iter().fold("\\x".to_owned(), |mut hex, byte| {
            // Writing to a string cannot fail.
            write!(hex, "{byte:02x}").ok();
            hex
        })
    })
}
