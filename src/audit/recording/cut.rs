//! A message that comes in pieces: of each value the beginning is kept, however long it is.

use std::borrow::Cow;

use crate::audit::recording::{CELL, Format, HEADER, hex, line, shown};
use crate::wire::backend::kind;
use crate::wire::row;
use crate::wire::value;

/// A row or a line whose rest is still to come.
#[derive(Debug)]
pub(super) struct Cut {
    /// Bytes of the message that are still to come.
    left: usize,
    content: Content,
    /// Bytes that are kept at most.
    room: usize,
}

#[derive(Debug)]
enum Content {
    Row {
        /// Columns whose length has not come.
        columns: Option<usize>,
        /// The beginning of a number.
        number: Vec<u8>,
        /// Bytes of the last value that are still to come.
        value: usize,
        values: Vec<Option<Value>>,
    },
    Line(Value),
}

/// The beginning of a value.
#[derive(Debug, Default)]
struct Value {
    kept: Vec<u8>,
    length: usize,
    last: u8,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Shown {
    Row(Vec<Option<String>>),
    Line(String),
}

impl Value {
    fn feed(&mut self, bytes: &[u8]) {
        let room = CELL.saturating_sub(self.kept.len());
        self.kept.extend(bytes.iter().take(room));
        self.length += bytes.len();
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    fn is_whole(&self) -> bool {
        self.kept.len() == self.length
    }

    fn shown(&self, format: Option<Format>) -> String {
        if self.is_whole() {
            return shown(&self.kept, format).into_owned();
        }
        let text = match format {
            Some(Format {
                kind,
                format: row::Format::Binary,
            }) => kind.and_then(|kind| {
                let mut text = String::new();
                let kept = self.kept.get(..whole_characters(&self.kept))?;
                value::decode(kind, kept, &mut text)?;
                Some(Cow::Owned(text))
            }),
            Some(_) | None => Some(String::from_utf8_lossy(&self.kept)),
        };
        match text {
            Some(text) => beginning(&text, self.length),
            None => hex(&self.kept, self.length),
        }
    }

    fn line(&self) -> String {
        let kept = self.kept.get(..whole_characters(&self.kept));
        match kept.map(str::from_utf8) {
            _ if self.is_whole() => line(&self.kept).into_owned(),
            Some(Ok(text)) if !text.contains('\0') => {
                beginning(text, self.length - usize::from(self.last == b'\n'))
            }
            _ => hex(&self.kept, self.length),
        }
    }
}

impl Cut {
    /// A message of which nothing has come but that it begins. `None` when its header is not there, or it is of no such kind.
    pub(super) fn of(messages: &[u8], room: usize) -> Option<Self> {
        let (of, rest) = messages.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?);
        let content = match *of {
            kind::DATA_ROW => Content::Row {
                columns: None,
                number: Vec::new(),
                value: 0,
                values: Vec::new(),
            },
            kind::COPY_DATA => Content::Line(Value::default()),
            _ => return None,
        };
        let left = usize::try_from(length).ok()?;
        Some(Self {
            left: left.checked_sub(HEADER - 1)?,
            content,
            room,
        })
    }

    /// Takes what belongs to it; what is behind it is given back.
    pub(super) fn feed<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (own, rest) = bytes.split_at(self.left.min(bytes.len()));
        self.left -= own.len();
        match &mut self.content {
            Content::Line(value) => value.feed(own),
            Content::Row { .. } => self.feed_row(own),
        }
        rest
    }

    fn feed_row(&mut self, mut bytes: &[u8]) {
        let Content::Row {
            columns,
            number,
            value,
            values,
        } = &mut self.content
        else {
            return;
        };
        while !bytes.is_empty() {
            if *value > 0 {
                let (own, rest) = bytes.split_at((*value).min(bytes.len()));
                *value -= own.len();
                bytes = rest;
                if let Some(Some(last)) = values.last_mut() {
                    let before = last.kept.len();
                    // What finds no room in the transcript is not kept either; its length is counted on.
                    let kept = own.get(..self.room.min(own.len())).unwrap_or_default();
                    last.feed(kept);
                    last.length += own.len() - kept.len();
                    self.room = self.room.saturating_sub(last.kept.len() - before);
                }
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            number.push(*byte);
            match (columns.is_some(), number.as_slice()) {
                (false, [high, low]) => {
                    *columns = Some(usize::from(u16::from_be_bytes([*high, *low])));
                    number.clear();
                }
                (true, [a, b, c, d]) => {
                    let length = i32::from_be_bytes([*a, *b, *c, *d]);
                    number.clear();
                    *value = usize::try_from(length).unwrap_or(0);
                    values.push((length >= 0).then(Value::default));
                }
                _ => {}
            }
        }
    }

    /// Whether nothing more is to come.
    pub(super) const fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Bytes it holds.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Row { values, .. } => values.iter().flatten().map(|v| v.kept.len()).sum(),
            Content::Line(value) => value.kept.len(),
        }
    }

    /// What it says, if it is as long as it said.
    pub(super) fn finish(self, formats: &[Format]) -> Option<Shown> {
        match self.content {
            Content::Line(value) => Some(Shown::Line(value.line())),
            Content::Row {
                columns,
                value: 0,
                values,
                ..
            } if columns == Some(values.len()) => {
                let values = values.iter().enumerate();
                let values =
                    values.map(|(at, value)| Some(value.as_ref()?.shown(formats.get(at).copied())));
                Some(Shown::Row(values.collect()))
            }
            Content::Row { .. } => None,
        }
    }
}

/// The beginning of a text that has so many bytes.
pub(super) fn beginning(text: &str, length: usize) -> String {
    let kept = text.get(..text.floor_char_boundary(CELL)).unwrap_or(text);
    let kept = kept.trim_end_matches(char::REPLACEMENT_CHARACTER);
    format!("{kept}… ({length} bytes)")
}

/// Up to where a text that was cut has whole characters.
fn whole_characters(text: &[u8]) -> usize {
    match str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}
