//! Checks a log and names the place where it was changed. Pure: it is fed the files, in order.
//!
//! It shares the spelling of lines with the writer (`encode`) and nothing else. What it proves: no record was changed,
//! removed or moved, and every text is the one that was recorded or was erased with a record of it. What it cannot
//! prove alone: that nobody with access to all files wrote the whole log anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::audit::encode::{self, Entry, Hash, Header, Leaf};
use crate::audit::event::private::Commitment;
use crate::audit::event::{Action, Repair};
use crate::audit::log::place::{self, Head, SLOT};
use crate::model::time::Timestamp;

/// Findings that are listed; more are only counted.
const LISTED: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The log's id.
    pub id: String,
    /// How many records there are.
    pub records: u64,
    /// The hash of the last one, which stands for all.
    pub hash: String,
    /// When the first was recorded.
    #[schema(value_type = Option<String>)]
    pub first: Option<Timestamp>,
    /// When the last was recorded.
    #[schema(value_type = Option<String>)]
    pub last: Option<Timestamp>,
    /// How many texts are there and are those that were recorded.
    pub texts: u64,
    /// How many texts were erased, with a record of it.
    pub erased: u64,
    /// What the log itself says about repairs.
    pub repairs: Vec<Repaired>,
    /// What is wrong; empty: the log is as it was written.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A repair that the log tells of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Repaired {
    /// The record that tells of it.
    pub record: u64,
    /// When.
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub repair: Repair,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The record it belongs to, as far as one can tell.
    pub record: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// A check under way.
#[derive(Debug)]
pub struct Verifier {
    report: Report,
    /// What the next record may be chained to: the hash that was written and, if they differ, the one computed.
    previous: Vec<Hash>,
    heads: Vec<Head>,
    /// Records that are checked; what is behind may be on its way.
    limit: Option<u64>,
    erased: BTreeMap<u64, Finding>,
    erasures: BTreeSet<u64>,
    started: bool,
}

impl Verifier {
    fn new(heads: Vec<Head>, limit: Option<u64>) -> Self {
        Self {
            report: Report::default(),
            previous: Vec::new(),
            heads,
            limit,
            erased: BTreeMap::new(),
            erasures: BTreeSet::new(),
            started: false,
        }
    }

    /// Begins a check of a log that is written to, as far as it was acknowledged.
    #[must_use]
    pub(crate) fn up_to(head: Head) -> Self {
        Self::new(vec![head], Some(head.count))
    }

    /// Begins a check with the bytes of the file `head`; `None`: it is not there.
    #[must_use]
    pub fn with_head(head: Option<&[u8]>) -> Self {
        let mut verifier = Self::new(Vec::new(), None);
        let Some(head) = head else {
            verifier.find(place::HEAD, 0, None, "the file is gone");
            return verifier;
        };
        if head.len() > 2 * SLOT {
            verifier.find(place::HEAD, 2 * SLOT as u64, None, "the file is too long");
        }
        for (offset, slot) in (0..).step_by(SLOT).zip(head.chunks(SLOT).take(2)) {
            match Head::parse(slot) {
                Some(found) => verifier.heads.push(found),
                None if slot.iter().all(|byte| *byte == 0) => {}
                None => verifier.find(place::HEAD, offset, None, "a slot is not what was written"),
            }
        }
        verifier
    }

    /// Checks the next file of the log and its texts.
    pub fn file(&mut self, first: u64, log: &[u8], payload: Option<&[u8]>) {
        if self.is_over() && first > 0 {
            return;
        }
        let name = place::log_name(first);
        let mut lines = log.split_inclusive(|byte| *byte == b'\n');
        let header = lines.next().unwrap_or_default();
        self.header(&name, first, header);
        let mut offset = header.len() as u64;
        let mut texts = Texts {
            name: place::payload_name(first),
            bytes: payload,
            cursor: 0,
            reading: Reading::InStep,
        };
        for line in lines {
            if self.is_over() {
                return;
            }
            self.line(&name, offset, line, &mut texts);
            offset += line.len() as u64;
        }
        let left = payload.map_or(0, <[u8]>::len) as u64;
        if left > texts.cursor && texts.reading != Reading::Lost && !self.is_over() {
            let what = "bytes that belong to no record";
            self.find(&texts.name, texts.cursor, None, what);
        }
    }

    /// Ends the check.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let erasures = std::mem::take(&mut self.erasures);
        for (record, finding) in std::mem::take(&mut self.erased) {
            if erasures.contains(&record) {
                self.report.erased += 1;
            } else {
                self.add(finding);
            }
        }
        let acknowledged = self.heads.iter().map(|head| head.count).max().unwrap_or(0);
        let records = self.report.records;
        if acknowledged > records {
            let what = format!(
                "{} records that had been acknowledged are gone",
                acknowledged - records
            );
            self.find(place::HEAD, 0, Some(records), &what);
        }
        self.report.hash = self
            .previous
            .first()
            .map(Hash::to_string)
            .unwrap_or_default();
        self.report
    }

    fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.report.records >= limit)
    }

    fn header(&mut self, name: &str, first: u64, line: &[u8]) {
        let parsed = line
            .strip_suffix(b"\n")
            .ok_or(encode::Error::Header)
            .and_then(Header::parse);
        let header = match parsed {
            Ok(header) => header,
            Err(error) => {
                self.find(name, 0, Some(first), &error.to_string());
                if !self.started {
                    self.previous.clear();
                }
                self.started = true;
                return;
            }
        };
        if !self.started {
            self.report.id.clone_from(&header.id);
            self.previous = vec![Hash::genesis(&header.id)];
        }
        self.started = true;
        let expected = self.report.records;
        if header.first != first || first != expected {
            let what = format!("record {expected} should come here, not {}", header.first);
            self.find(name, 0, Some(expected), &what);
            self.report.records = first;
            self.previous = vec![header.previous];
        } else if header.id != self.report.id && !self.report.id.is_empty() {
            self.find(name, 0, Some(first), "the file belongs to another log");
        } else if !self.previous.contains(&header.previous) {
            self.find(
                name,
                0,
                Some(first),
                "the file does not continue the one before it",
            );
            self.previous.push(header.previous);
        }
    }

    fn line(&mut self, name: &str, offset: u64, line: &[u8], texts: &mut Texts<'_>) {
        let index = self.report.records;
        let Some(whole) = line.strip_suffix(b"\n") else {
            self.find(name, offset, Some(index), "the record is not whole");
            return;
        };
        self.report.records += 1;
        let (stated, leaf) = match encode::parse_line(whole) {
            Ok(parts) => parts,
            Err(error) => {
                self.find(name, offset, Some(index), &error.to_string());
                self.previous.clear();
                texts.skip();
                return;
            }
        };
        let computed: Vec<Hash> = self.previous.iter().map(|hash| hash.chain(leaf)).collect();
        // After a line that was no record nothing is known of what comes before: the next one is taken at its word.
        if computed.contains(&stated) || self.previous.is_empty() {
            self.previous = vec![stated];
        } else {
            let what =
                "the record is not the one that was written, or does not follow the one before it";
            self.find(name, offset, Some(index), what);
            self.previous = vec![stated];
            self.previous.extend(computed);
        }
        let is_other = |head: &Head| head.count == index + 1 && head.hash != stated;
        if self.heads.iter().any(is_other) {
            let what = "the record is not the one that was acknowledged";
            self.find(name, offset, Some(index), what);
        }
        self.leaf(name, offset, leaf, texts);
    }

    fn leaf(&mut self, name: &str, offset: u64, leaf: &[u8], texts: &mut Texts<'_>) {
        let index = self.report.records - 1;
        let value = serde_json::from_slice::<Value>(leaf);
        let (Ok(value), Ok(leaf)) = (value, Leaf::parse(leaf)) else {
            self.find(name, offset, Some(index), "the record is no event");
            texts.skip();
            return;
        };
        if leaf.index != index {
            let what = format!("the record has the number {}", leaf.index);
            self.find(name, offset, Some(index), &what);
            self.report.records = leaf.index.saturating_add(1);
        }
        self.report.first.get_or_insert(leaf.time);
        self.report.last = Some(leaf.time);
        match leaf.event.action {
            Action::LogRepaired { repair } => self.report.repairs.push(Repaired {
                record: index,
                time: leaf.time,
                repair,
            }),
            Action::PayloadErased { record } => {
                self.erasures.insert(record);
            }
            _ => {}
        }
        for commitment in encode::commitments(&value) {
            self.text(leaf.index, &commitment, texts);
        }
    }

    fn text(&mut self, record: u64, commitment: &Commitment, texts: &mut Texts<'_>) {
        if texts.reading == Reading::Lost {
            return;
        }
        let at = texts.cursor;
        match texts.take(record, commitment) {
            Ok(State::Kept) => self.report.texts += 1,
            Ok(State::Erased) => {
                self.erased.entry(record).or_insert_with(|| Finding {
                    file: texts.name.clone(),
                    offset: at,
                    record: Some(record),
                    what: "a text was erased without a record of it".to_owned(),
                });
            }
            Err(what) => self.find(&texts.name, at, Some(record), what),
        }
    }

    fn find(&mut self, file: &str, offset: u64, record: Option<u64>, what: &str) {
        self.add(Finding {
            file: file.to_owned(),
            offset,
            record,
            what: what.to_owned(),
        });
    }

    fn add(&mut self, finding: Finding) {
        if self.report.findings.len() < LISTED {
            self.report.findings.push(finding);
        } else {
            self.report.more += 1;
        }
    }
}

enum State {
    Kept,
    Erased,
}

/// The texts of a file, one after the other without gaps.
struct Texts<'a> {
    name: String,
    bytes: Option<&'a [u8]>,
    cursor: u64,
    reading: Reading,
}

/// How the texts of a file stand to its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The next text belongs to the next promise.
    InStep,
    /// A record could not be read: its texts are skipped, they are not to blame.
    AfterGap,
    /// The end was reached too early: one finding is enough.
    Lost,
}

impl Texts<'_> {
    /// The record could not be read.
    fn skip(&mut self) {
        if self.reading == Reading::InStep {
            self.reading = Reading::AfterGap;
        }
    }

    fn take(&mut self, record: u64, commitment: &Commitment) -> Result<State, &'static str> {
        if self.reading == Reading::AfterGap {
            self.reading = Reading::InStep;
            self.cursor = self.cursor.max(commitment.at);
        }
        let start = self.cursor;
        let bytes = usize::try_from(start)
            .ok()
            .and_then(|start| self.bytes?.get(start..))
            .filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else {
            self.reading = Reading::Lost;
            return Err("the texts from here on are gone");
        };
        let size = usize::try_from(commitment.size).unwrap_or(usize::MAX);
        let expected = Entry {
            record,
            sha256: commitment
                .sha256
                .parse()
                .map_err(|_| "the record promises no hash")?,
            salt: None,
            size: commitment.size,
        };
        let header = expected.line().len();
        self.cursor += (header as u64)
            .saturating_add(commitment.size)
            .saturating_add(1);
        if commitment.at != start {
            return Err("the text is not where the record says");
        }
        let (line, rest) = bytes
            .split_at_checked(header)
            .ok_or("the text is not whole")?;
        let entry = line
            .strip_suffix(b"\n")
            .and_then(|line| Entry::parse(line).ok())
            .ok_or("what stands before the text is not what was written")?;
        if (Entry {
            salt: None,
            ..entry.clone()
        }) != expected
        {
            return Err("the text belongs to another record");
        }
        let (text, rest) = rest.split_at_checked(size).ok_or("the text is not whole")?;
        if rest.first() != Some(&b'\n') {
            return Err("the text is not whole");
        }
        match entry.salt {
            Some(salt) if Hash::text(&salt, text) == expected.sha256 => Ok(State::Kept),
            Some(_) => Err("the text is not the one that was recorded"),
            None if text.iter().all(|byte| *byte == b' ') => Ok(State::Erased),
            None => Err("the text was not erased whole"),
        }
    }
}
