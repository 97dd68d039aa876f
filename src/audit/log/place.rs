//! Where things are: names of files, how far they reach, and the note of what has been acknowledged.

use crate::audit::encode::Hash;

/// The file that says what has been acknowledged.
pub(crate) const HEAD: &str = "head";

/// The length of each of its two slots.
pub(crate) const SLOT: usize = 256;

/// What a slot begins with.
const MAGIC: &str = "dbgate-audit-head/1";

/// How far a log reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The log's id.
    pub id: String,
    /// The index of the first record of the last file, which names it.
    pub segment: u64,
    /// The length of the last file.
    pub log: u64,
    /// The length of its payload file.
    pub payload: u64,
    /// How many records there are.
    pub count: u64,
    /// The hash of the last record.
    pub hash: Hash,
}

impl Position {
    /// The name of the last file.
    pub(crate) fn log_name(&self) -> String {
        log_name(self.segment)
    }

    /// The name of its payload file.
    pub(crate) fn payload_name(&self) -> String {
        payload_name(self.segment)
    }
}

/// The name of the file that begins with record `first`.
pub(crate) fn log_name(first: u64) -> String {
    format!("log/{first:020}.log")
}

/// The name of the texts of the file that begins with record `first`.
pub(crate) fn payload_name(first: u64) -> String {
    format!("payload/{first:020}.dat")
}

/// The first record of a file of the log, by its name.
pub(crate) fn first_of(name: &str) -> Option<u64> {
    let first = name
        .strip_prefix("log/")?
        .strip_suffix(".log")?
        .parse()
        .ok()?;
    (log_name(first) == name).then_some(first)
}

/// What has been acknowledged at least. After a power cut this may be older than the log, never newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many records.
    pub(crate) count: u64,
    /// The hash of the last of them.
    pub(crate) hash: Hash,
}

impl Head {
    /// The slot's bytes. The checksum tells a torn one from a whole one.
    pub(crate) fn slot(self) -> Vec<u8> {
        let text = format!("{MAGIC} {} {}", self.count, self.hash);
        let check = Hash::leaf(text.as_bytes());
        let mut slot = format!("{text} {check}").into_bytes();
        slot.resize(SLOT - 1, b' ');
        slot.push(b'\n');
        slot
    }

    /// Reads a slot; `None` when it is torn or was never written.
    pub(crate) fn parse(slot: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(slot).ok()?;
        let mut words = text.split(' ').skip(1);
        let head = Self {
            count: words.next()?.parse().ok()?,
            hash: words.next()?.parse().ok()?,
        };
        (head.slot() == slot).then_some(head)
    }

    /// Where the slot for this count is: they take turns, so that a torn one leaves the one before.
    pub(crate) const fn offset(turn: u64) -> u64 {
        (turn % 2) * SLOT as u64
    }

    /// The later of the two in the file.
    pub(crate) fn latest(file: &[u8]) -> Option<Self> {
        file.chunks(SLOT)
            .filter_map(Self::parse)
            .max_by_key(|head| head.count)
    }
}
