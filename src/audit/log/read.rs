//! Reads records back, with their texts where they have not been erased.

use std::sync::Arc;

use serde_json::Value;

use crate::audit::encode::{self, Entry, Hash, Leaf};
use crate::audit::event::Event;
use crate::audit::event::private::{Commitment, Private};
use crate::audit::log::Error;
use crate::audit::log::place::{self, Position};
use crate::audit::storage::Storage;
use crate::model::time::Timestamp;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// A record as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its place in the log.
    pub index: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its hash, which stands for everything before it, too.
    pub hash: Hash,
    /// What happened; erased texts are sealed.
    pub event: Event,
}

impl Record {
    /// The record as programs read it: one object, texts as strings, `null` where one has been erased.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields = serde_json::Map::new();
        fields.insert("index".to_owned(), self.index.into());
        fields.insert("time".to_owned(), self.time.to_string().into());
        fields.insert("hash".to_owned(), self.hash.to_string().into());
        if let Ok(Value::Object(event)) = serde_json::to_value(&self.event) {
            fields.extend(event);
        }
        let mut value = Value::Object(fields);
        plain(&mut value);
        value
    }
}

/// Puts texts in the places of the objects that hold or promise them.
fn plain(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::Object(fields) => {
            if let Some(text) = fields.remove("private") {
                *value = text;
            } else if fields.contains_key("sha256") && fields.contains_key("at") {
                *value = Value::Null;
            } else {
                fields.values_mut().for_each(plain);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A place in the log to read on from. It ends where the log was durable when it was opened.
#[derive(Debug)]
pub struct Cursor {
    storage: Arc<dyn Storage>,
    end: Position,
    segment: u64,
    offset: u64,
    next: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Cursor {
    /// Opens a cursor before record `from`.
    ///
    /// # Errors
    /// When the storage fails.
    pub(crate) fn open(storage: Arc<dyn Storage>, end: Position, from: u64) -> Result<Self, Error> {
        let names = storage
            .list()
            .map_err(Error::storage("list the files of", "log"))?;
        let segment = names
            .iter()
            .filter_map(|name| place::first_of(name))
            .filter(|first| *first <= end.segment && *first <= from)
            .max()
            .unwrap_or(end.segment);
        let mut cursor = Self {
            storage,
            end,
            segment,
            offset: 0,
            next: segment,
            buffer: Vec::new(),
            used: 0,
        };
        while cursor.next < from && cursor.next_line()?.is_some() {}
        Ok(cursor)
    }

    /// The same place in a log that has grown.
    #[must_use]
    pub(crate) fn extend(mut self, end: Position) -> Self {
        self.end = end;
        self
    }

    /// The file the last record came from, by its first record.
    pub(super) const fn segment(&self) -> u64 {
        self.segment
    }

    /// The next record with its texts.
    ///
    /// # Errors
    /// When the storage fails or the record cannot be read.
    pub fn advance(&mut self) -> Result<Option<Record>, Error> {
        let Some((hash, leaf)) = self.next_line()? else {
            return Ok(None);
        };
        self.record(hash, &leaf).map(Some)
    }

    /// Up to `count` of the next records.
    ///
    /// # Errors
    /// When the storage fails or a record cannot be read.
    pub fn next_many(&mut self, count: usize) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        while records.len() < count {
            let Some(record) = self.advance()? else { break };
            records.push(record);
        }
        Ok(records)
    }

    /// The next record's hash and leaf, texts still sealed.
    pub(crate) fn next_line(&mut self) -> Result<Option<(Hash, Vec<u8>)>, Error> {
        loop {
            if self.next >= self.end.count {
                return Ok(None);
            }
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                if !self.fill()? {
                    self.turn()?;
                }
                continue;
            };
            let line = rest.get(..length).unwrap_or_default();
            let is_header = self.offset == 0;
            let parsed = if is_header {
                None
            } else {
                Some(encode::parse_line(line).map_err(|error| self.damaged(&error))?)
            };
            let found = parsed.map(|(hash, leaf)| (hash, leaf.to_vec()));
            self.used += length + 1;
            self.offset += length as u64 + 1;
            if let Some(found) = found {
                self.next += 1;
                return Ok(Some(found));
            }
        }
    }

    /// Makes a record out of a leaf, its texts looked up.
    pub(crate) fn record(&self, hash: Hash, leaf: &[u8]) -> Result<Record, Error> {
        let mut value: Value = serde_json::from_slice(leaf)
            .map_err(|error| self.damaged(&encode::Error::Leaf(error.to_string())))?;
        self.unseal(&mut value)?;
        restore_moved(&mut value);
        let leaf: Leaf = serde_json::from_value(value)
            .map_err(|error| self.damaged(&encode::Error::Leaf(error.to_string())))?;
        Ok(Record {
            index: leaf.index,
            time: leaf.time,
            hash,
            event: leaf.event,
        })
    }

    fn unseal(&self, value: &mut Value) -> Result<(), Error> {
        match value {
            Value::Array(values) => values.iter_mut().try_for_each(|value| self.unseal(value)),
            Value::Object(fields) if fields.contains_key("sha256") => {
                if let Ok(commitment) = serde_json::from_value::<Commitment>(value.clone())
                    && let Some(text) = self.text(&commitment)?
                {
                    *value = serde_json::to_value(Private::from(text)).unwrap_or(Value::Null);
                }
                Ok(())
            }
            Value::Object(fields) => fields.values_mut().try_for_each(|value| self.unseal(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    /// The text behind a commitment; `None` when it has been erased or is not what was promised.
    fn text(&self, commitment: &Commitment) -> Result<Option<String>, Error> {
        let name = place::payload_name(self.segment);
        let size = usize::try_from(commitment.size)
            .unwrap_or(usize::MAX)
            .min(encode::MAX_TEXT);
        let bytes = match self.storage.read(&name, commitment.at, size + 256) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::storage("read", &name)(error)),
        };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let entry = Entry::parse(bytes.get(..end).unwrap_or_default());
        let text = bytes.get(end + 1..end + 1 + size);
        let (
            Ok(Entry {
                salt: Some(salt), ..
            }),
            Some(text),
        ) = (entry, text)
        else {
            return Ok(None);
        };
        if Hash::text(&salt, text).to_string() != commitment.sha256 {
            return Ok(None);
        }
        Ok(String::from_utf8(text.to_vec()).ok())
    }

    /// Reads more of the present file; `false` at its end.
    fn fill(&mut self) -> Result<bool, Error> {
        let name = place::log_name(self.segment);
        self.buffer.drain(..self.used.min(self.buffer.len()));
        self.used = 0;
        let from = self.offset + self.buffer.len() as u64;
        let more = self
            .storage
            .read(&name, from, CHUNK)
            .map_err(Error::storage("read", &name))?;
        self.buffer.extend_from_slice(&more);
        Ok(!more.is_empty())
    }

    /// Goes on to the next file, which is named by its first record.
    fn turn(&mut self) -> Result<(), Error> {
        if self.next <= self.segment || self.next > self.end.segment {
            return Err(self.damaged(&encode::Error::Line));
        }
        self.segment = self.next;
        self.offset = 0;
        self.buffer.clear();
        self.used = 0;
        Ok(())
    }

    fn damaged(&self, error: &encode::Error) -> Error {
        Error::Damaged {
            name: place::log_name(self.segment),
            offset: self.offset,
            record: self.next,
            what: error.to_string(),
        }
    }
}

/// Puts fields that found no room in the leaf back in their places; those that were erased are left out.
fn restore_moved(leaf: &mut Value) {
    let Value::Object(fields) = leaf else { return };
    let Some(Value::Object(moved)) = fields.remove(encode::MOVED) else {
        return;
    };
    for (name, value) in moved {
        let text = value.get("private").and_then(Value::as_str);
        let Some(value) = text.and_then(|text| serde_json::from_str(text).ok()) else {
            continue;
        };
        match name.split_once('.') {
            Some((group, inner)) => {
                if let Some(Value::Object(group)) = fields.get_mut(group) {
                    group.insert(inner.to_owned(), value);
                }
            }
            None => {
                fields.insert(name, value);
            }
        }
    }
}
