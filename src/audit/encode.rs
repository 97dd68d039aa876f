//! The bytes of the log: lines and their hashes, commitments and the texts behind them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::audit::event::Event;
use crate::audit::event::private::Commitment;
use crate::audit::scrub;
use crate::model::time::{Entropy, Timestamp};

/// The longest leaf, in bytes.
pub const MAX_LEAF: usize = 64 * 1024;

/// The longest text that is kept whole, in bytes; of a longer one the beginning is kept.
pub const MAX_TEXT: usize = 1024 * 1024;

/// The longest string in a leaf, in bytes; what may be longer is a text.
const MAX_STRING: usize = 2048;

/// What a file of the log begins with.
const MAGIC: &str = "dbgate-audit-log/1";

/// The field under which a leaf commits to fields that found no room in it.
pub const MOVED: &str = "moved";

/// The only field of a text that is still clear.
const PRIVATE: &str = "private";

/// What stands in place of the salt of an erased text.
pub const ERASED: &str = "----------------------------------------------------------------";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// From its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What the first record of a log is chained to.
    #[must_use]
    pub fn genesis(id: &str) -> Self {
        Self::of(&[&[3], id.as_bytes()])
    }

    /// The hash of a leaf alone (RFC 6962).
    #[must_use]
    pub fn leaf(leaf: &[u8]) -> Self {
        Self::of(&[&[0], leaf])
    }

    /// The hash of a record: of its leaf and of everything before it.
    #[must_use]
    pub fn chain(self, leaf: &[u8]) -> Self {
        Self::of(&[&[1], &self.0, &Self::leaf(leaf).0])
    }

    /// The commitment to a text.
    #[must_use]
    pub fn text(salt: &Self, text: &[u8]) -> Self {
        Self::of(&[&[2], &salt.0, text])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part);
        }
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Several hashes make a record: one write each, and not one for every digit.
        let digit = |four: u8| match four {
            0..=9 => b'0' + four,
            _ => b'a' - 10 + four,
        };
        let mut text = [0; 64];
        let (pairs, _) = text.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Hash {
    type Err = Error;

    /// 64 digits in lower case and nothing else, so that a hash has one spelling.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(Error::Hash),
        };
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(Error::Hash);
        }
        for (to, [high, low]) in hash.iter_mut().zip(pairs) {
            *to = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

/// The first line of a file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The log's id: 32 hex digits, chosen when it was made.
    pub id: String,
    /// The index of the first record in this file.
    pub first: u64,
    /// The hash of the record before it.
    pub previous: Hash,
}

impl Header {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{MAGIC} {} {} {}\n", self.id, self.first, self.previous)
    }

    /// Reads the line, without its end.
    ///
    /// # Errors
    /// When it is spelled in any other way than [`Header::line`] does.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(line).map_err(|_| Error::Header)?;
        let mut words = text.split(' ').skip(1);
        let mut word = || words.next().ok_or(Error::Header);
        let header = Self {
            id: word()?.to_owned(),
            first: word()?.parse().map_err(|_| Error::Header)?,
            previous: word()?.parse()?,
        };
        let is_id = header.id.len() == 32
            && header
                .id
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // A number has several spellings; only ours is a header.
        if is_id && header.line().strip_suffix('\n') == Some(text) {
            Ok(header)
        } else {
            Err(Error::Header)
        }
    }
}

/// Takes a line apart into the hash and the leaf.
///
/// # Errors
/// When it has no hash and no leaf.
pub fn parse_line(line: &[u8]) -> Result<(Hash, &[u8]), Error> {
    let (hash, rest) = line.split_at_checked(64).ok_or(Error::Line)?;
    let hash = std::str::from_utf8(hash)
        .map_err(|_| Error::Hash)?
        .parse()?;
    match rest.split_first() {
        Some((b' ', leaf)) => Ok((hash, leaf)),
        _ => Err(Error::Line),
    }
}

/// What a leaf says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its place in the log, from 0.
    pub index: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Leaf {
    /// Reads a leaf; texts stay sealed.
    ///
    /// # Errors
    /// When it is no leaf of this version.
    pub fn parse(leaf: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(leaf).map_err(|error| Error::Leaf(error.to_string()))
    }
}

/// A record ready to be written.
#[derive(Debug)]
pub struct Sealed {
    /// The line for the log, with its end.
    pub line: Vec<u8>,
    /// The texts for the payload file.
    pub payload: Vec<u8>,
    /// The record's hash.
    pub hash: Hash,
}

/// The place of the next record.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its index.
    pub index: u64,
    /// The hash of the record before it.
    pub previous: Hash,
    /// The length of the payload file.
    pub at: u64,
}

/// An event as it will be written, but for its place: what it says holds no passwords. Only this can be sealed.
#[derive(Debug, Clone)]
pub struct Clean(Value);

impl Clean {
    /// Takes the secrets out of an event. Long texts take long.
    ///
    /// # Errors
    /// When it has no JSON.
    pub fn new(event: Event) -> Result<Self, Error> {
        let value = serde_json::to_value(event);
        let mut value = value.map_err(|error| Error::Leaf(error.to_string()))?;
        scrub("", &mut value);
        Ok(Self(value))
    }
}

fn scrub(name: &str, value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| scrub(name, value)),
        Value::Object(fields) => match private(fields) {
            Some(text) => {
                let clean = match name {
                    "statement" => scrub::statement(text),
                    "parameters" | "transcript" => scrub::json(text),
                    _ => scrub::plain(text),
                };
                if let Cow::Owned(clean) = clean {
                    fields.insert(PRIVATE.to_owned(), clean.into());
                }
            }
            None => fields
                .iter_mut()
                .for_each(|(name, value)| scrub(name, value)),
        },
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes the texts out of an event, puts commitments in their places, and hashes it.
///
/// # Errors
/// When the leaf is longer than [`MAX_LEAF`].
pub fn seal(
    place: Place,
    time: Timestamp,
    event: &Clean,
    entropy: &dyn Entropy,
) -> Result<Sealed, Error> {
    let broken = |error: serde_json::Error| Error::Leaf(error.to_string());
    let mut texts = Texts {
        place,
        entropy,
        payload: Vec::new(),
    };
    let mut fields = Map::new();
    fields.insert("index".to_owned(), place.index.into());
    fields.insert(
        "time".to_owned(),
        serde_json::to_value(time).map_err(broken)?,
    );
    if let Value::Object(event) = texts.take_from(&event.0)? {
        fields.extend(event);
    }
    let mut value = Value::Object(fields);
    let mut leaf = serde_json::to_vec(&value).map_err(broken)?;
    while leaf.len() > MAX_LEAF {
        if !texts.move_largest(&mut value)? {
            return Err(Error::TooLong { length: leaf.len() });
        }
        leaf = serde_json::to_vec(&value).map_err(broken)?;
    }
    let hash = place.previous.chain(&leaf);
    let mut line = Vec::with_capacity(leaf.len() + 66);
    line.extend_from_slice(hash.to_string().as_bytes());
    line.push(b' ');
    line.extend_from_slice(&leaf);
    line.push(b'\n');
    Ok(Sealed {
        line,
        payload: texts.payload,
        hash,
    })
}

struct Texts<'a> {
    place: Place,
    entropy: &'a dyn Entropy,
    payload: Vec<u8>,
}

impl Texts<'_> {
    /// A value with commitments in the places of its texts.
    fn take_from(&mut self, value: &Value) -> Result<Value, Error> {
        match value {
            Value::Array(values) => values.iter().map(|value| self.take_from(value)).collect(),
            Value::Object(fields) => match private(fields) {
                Some(text) => serde_json::to_value(self.commit(text))
                    .map_err(|error| Error::Leaf(error.to_string())),
                None => fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.take_from(value)?)))
                    .collect(),
            },
            Value::String(text) => {
                let end = text.floor_char_boundary(MAX_STRING);
                Ok(text.get(..end).unwrap_or_default().into())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    /// Makes a text of the largest list or group of fields; the leaf keeps a commitment to it under `moved`.
    fn move_largest(&mut self, leaf: &mut Value) -> Result<bool, Error> {
        let Value::Object(fields) = leaf else {
            return Ok(false);
        };
        let Some(path) = largest(fields) else {
            return Ok(false);
        };
        let value = match path.split_once('.') {
            Some((name, inner)) => fields
                .get_mut(name)
                .and_then(|group| group.as_object_mut()?.remove(inner)),
            None => fields.remove(&path),
        };
        let text = value.unwrap_or(Value::Null).to_string();
        let commitment = serde_json::to_value(self.commit(&text))
            .map_err(|error| Error::Leaf(error.to_string()))?;
        match fields
            .entry(MOVED)
            .or_insert_with(|| Value::Object(Map::new()))
        {
            Value::Object(moved) => moved.insert(path, commitment),
            _ => None,
        };
        Ok(true)
    }

    fn commit(&mut self, text: &str) -> Commitment {
        let mut salt = [0; 32];
        self.entropy.fill(&mut salt);
        let salt = Hash(salt);
        let kept = text
            .get(..text.floor_char_boundary(MAX_TEXT))
            .unwrap_or_default();
        let clipped = kept.len() < text.len();
        let entry = Entry {
            record: self.place.index,
            sha256: Hash::text(&salt, kept.as_bytes()),
            salt: Some(salt),
            size: kept.len() as u64,
        };
        let at = self.place.at + self.payload.len() as u64;
        self.payload.extend_from_slice(entry.line().as_bytes());
        self.payload.extend_from_slice(kept.as_bytes());
        self.payload.push(b'\n');
        Commitment {
            sha256: entry.sha256.to_string(),
            size: entry.size,
            at,
            whole: clipped.then_some(text.len() as u64),
            whole_sha256: clipped.then(|| Hash::text(&salt, text.as_bytes()).to_string()),
        }
    }
}

/// The path of the largest list or group of fields. What holds a commitment stays, so that a leaf shows all of its commitments, but what
/// is in it without one may go.
fn largest(fields: &Map<String, Value>) -> Option<String> {
    let is_group = |value: &Value| value.is_array() || value.is_object();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != MOVED) {
        if commitments(value).is_empty() {
            found.extend(is_group(value).then(|| (value.to_string().len(), name.clone())));
            continue;
        }
        let inner = value.as_object().into_iter().flatten();
        let inner = inner.filter(|(_, value)| is_group(value) && commitments(value).is_empty());
        found.extend(inner.map(|(of, value)| (value.to_string().len(), format!("{name}.{of}"))));
    }
    let (length, path) = found.into_iter().max()?;
    (length > 512).then_some(path)
}

/// The text of what serializes as a clear [`crate::audit::event::private::Private`].
fn private(fields: &Map<String, Value>) -> Option<&str> {
    let mut fields = fields.iter();
    match (fields.next(), fields.next()) {
        (Some((key, Value::String(text))), None) if key == PRIVATE => Some(text),
        _ => None,
    }
}

/// The commitments in a leaf, in the order of their texts.
#[must_use]
pub fn commitments(leaf: &Value) -> Vec<Commitment> {
    fn collect(value: &Value, found: &mut Vec<Commitment>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            Value::Object(fields) => match fields.contains_key("sha256") {
                true => found.extend(serde_json::from_value::<Commitment>(value.clone()).ok()),
                false => fields.values().for_each(|value| collect(value, found)),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    collect(leaf, &mut found);
    found.sort_by_key(|commitment| commitment.at);
    found
}

/// What stands before a text in the payload file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record it belongs to.
    pub record: u64,
    /// The commitment.
    pub sha256: Hash,
    /// The salt; none: erased.
    pub salt: Option<Hash>,
    /// The length of the text.
    pub size: u64,
}

impl Entry {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let Self {
            record,
            sha256,
            size,
            ..
        } = self;
        match self.salt {
            Some(salt) => format!("{record} {sha256} {salt} {size}\n"),
            None => format!("{record} {sha256} {ERASED} {size}\n"),
        }
    }

    /// Reads the line, without its end.
    ///
    /// # Errors
    /// When it is spelled in any other way than [`Entry::line`] does.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(line).map_err(|_| Error::Entry)?;
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(Error::Entry);
        let entry = Self {
            record: word()?.parse().map_err(|_| Error::Entry)?,
            sha256: word()?.parse()?,
            salt: match word()? {
                ERASED => None,
                salt => Some(salt.parse()?),
            },
            size: word()?.parse().map_err(|_| Error::Entry)?,
        };
        if entry.line().strip_suffix('\n') == Some(text) {
            Ok(entry)
        } else {
            Err(Error::Entry)
        }
    }
}

/// Bytes that are not those of a log, or an event that does not fit into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The leaf would be too long.
    #[error("the record would have {length} bytes, {MAX_LEAF} are the limit")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// Not 64 hex digits in lower case.
    #[error("no hash")]
    Hash,
    /// No header of a log file.
    #[error("no header of a log file")]
    Header,
    /// No line of a log.
    #[error("no record")]
    Line,
    /// No entry of a payload file.
    #[error("no entry of a payload file")]
    Entry,
    /// No leaf of this version.
    #[error("no event: {0}")]
    Leaf(String),
}
