//! Opens a log that may have been left in the middle of a write, and checks one whose disk has failed.

use super::place::{self, Head, Position};
use super::writer::start_segment;
use super::{Error, Options};
use crate::audit::encode::{self, Entry, Hash, Header};
use crate::audit::event::Repair;
use crate::audit::event::private::Commitment;
use crate::audit::storage::Storage;

/// Finds the end of the log, cuts off what a crash left behind it, and says what was done.
pub(super) fn open(options: &Options) -> Result<(Position, Option<Repair>), Error> {
    let storage = options.storage.as_ref();
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    let head = acknowledged(storage, &names)?;
    let mut segments: Vec<u64> = names
        .iter()
        .filter_map(|name| place::first_of(name))
        .collect();
    segments.sort_unstable();
    loop {
        let Some(last) = segments.pop() else {
            if let Some(head) = head.filter(|head| head.count > 0) {
                return Err(damaged(
                    0,
                    0,
                    0,
                    &format!("{} records are gone", head.count),
                ));
            }
            return Ok((begin(options)?, None));
        };
        let found = scan(storage, last, head)?;
        let Some(mut found) = found else {
            // The crash came before the file's first line was durable: it holds nothing.
            let name = place::log_name(last);
            storage
                .remove(&name)
                .map_err(Error::storage("remove", &name))?;
            continue;
        };
        check_start(storage, &segments, &found)?;
        check_texts(storage, &mut found, head)?;
        return settle(options, found, head);
    }
}

/// Cuts the last file back to `position` and checks that what is before is still on the disk; says how much was cut.
pub(super) fn restore(options: &Options, position: &Position) -> Result<u64, Error> {
    let storage = options.storage.as_ref();
    storage.reopen();
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    let (log_name, payload_name) = (position.log_name(), position.payload_name());
    if !names.contains(&log_name) {
        return Err(damaged(
            position.segment,
            0,
            position.count,
            "the file is gone",
        ));
    }
    if !names.iter().any(|name| name == place::HEAD) {
        storage
            .create(place::HEAD)
            .map_err(Error::storage("create", place::HEAD))?;
    }
    let mut cut = 0;
    for (name, length) in [(&log_name, position.log), (&payload_name, position.payload)] {
        let found = storage.length(name).map_err(Error::storage("read", name))?;
        if found > length {
            storage
                .truncate(name, length)
                .map_err(Error::storage("cut", name))?;
            cut += found - length;
        }
        storage.sync(name).map_err(Error::storage("sync", name))?;
    }
    let head = Head {
        count: position.count,
        hash: position.hash,
    };
    match scan(storage, position.segment, Some(head))? {
        Some(found) if found.end == *position => Ok(cut),
        _ => Err(damaged(
            position.segment,
            position.log,
            position.count,
            "what was acknowledged is not on the disk",
        )),
    }
}

/// What a file of the log holds.
struct Found {
    header: Header,
    /// The end of the last whole record.
    end: Position,
    /// The length of the file.
    length: u64,
    /// What is wrong behind the end, if anything is there.
    torn: Option<&'static str>,
    /// Records that may not have been acknowledged: where their lines are and what they promise.
    recent: Vec<(Position, Vec<Commitment>)>,
}

fn begin(options: &Options) -> Result<Position, Error> {
    let mut bytes = [0; 16];
    options.entropy.fill(&mut bytes);
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let storage = &options.storage;
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    if !names.iter().any(|name| name == place::HEAD) {
        storage
            .create(place::HEAD)
            .map_err(Error::storage("create", place::HEAD))?;
    }
    let nothing = Position {
        hash: Hash::genesis(&id),
        id,
        segment: 0,
        log: 0,
        payload: 0,
        count: 0,
    };
    start_segment(options, &nothing)
}

fn acknowledged(storage: &dyn Storage, names: &[String]) -> Result<Option<Head>, Error> {
    if !names.iter().any(|name| name == place::HEAD) {
        return Ok(None);
    }
    let bytes = storage
        .read(place::HEAD, 0, 2 * place::SLOT)
        .map_err(Error::storage("read", place::HEAD))?;
    Ok(Head::latest(&bytes))
}

/// Walks through a file. `None`: it does not even have its first line.
fn scan(storage: &dyn Storage, segment: u64, head: Option<Head>) -> Result<Option<Found>, Error> {
    let name = place::log_name(segment);
    let length = storage
        .length(&name)
        .map_err(Error::storage("read", &name))?;
    let bytes = storage
        .read(&name, 0, usize::try_from(length).unwrap_or(usize::MAX))
        .map_err(Error::storage("read", &name))?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(first) = lines.next().and_then(|line| line.strip_suffix(b"\n")) else {
        return Ok(None);
    };
    let header = Header::parse(first)
        .ok()
        .filter(|header| header.first == segment)
        .ok_or_else(|| damaged(segment, 0, segment, "no header of a log file"))?;
    let acknowledged = head.map_or(0, |head| head.count);
    let mut found = Found {
        end: Position {
            id: header.id.clone(),
            segment,
            log: first.len() as u64 + 1,
            payload: 0,
            count: segment,
            hash: header.previous,
        },
        header,
        length,
        torn: None,
        recent: Vec::new(),
    };
    for line in lines {
        let next = line
            .strip_suffix(b"\n")
            .ok_or("a record was not written to its end")
            .and_then(|whole| follow(&found.end, whole));
        match next {
            Ok((end, texts)) => {
                let before = std::mem::replace(&mut found.end, end);
                if found.end.count > acknowledged {
                    found.recent.push((before, texts));
                }
            }
            Err(what) => {
                // A line that is whole but wrong is no crash's work if it was acknowledged.
                if found.end.count < acknowledged && line.ends_with(b"\n") {
                    return Err(damaged(segment, found.end.log, found.end.count, what));
                }
                found.torn = Some(what);
                break;
            }
        }
    }
    Ok(Some(found))
}

/// The position behind a line, if it is the record that belongs there, and the texts it promises.
fn follow(before: &Position, line: &[u8]) -> Result<(Position, Vec<Commitment>), &'static str> {
    let (hash, leaf) = encode::parse_line(line).map_err(|_| "a line is no record")?;
    if before.hash.chain(leaf) != hash {
        return Err("a record does not follow the one before it");
    }
    let value: serde_json::Value =
        serde_json::from_slice(leaf).map_err(|_| "a record is no event")?;
    if value.get("index").and_then(serde_json::Value::as_u64) != Some(before.count) {
        return Err("a record has the number of another");
    }
    let texts = encode::commitments(&value);
    let payload = texts
        .iter()
        .map(|text| text.at + entry_length(before.count, text))
        .max();
    let end = Position {
        log: before.log + line.len() as u64 + 1,
        payload: payload.unwrap_or(before.payload),
        count: before.count + 1,
        hash,
        ..before.clone()
    };
    Ok((end, texts))
}

/// How many bytes a text takes in the payload file, with what stands before and behind it.
fn entry_length(record: u64, text: &Commitment) -> u64 {
    let numbers = record.to_string().len() + text.size.to_string().len();
    // Two hashes, three spaces and the end of the line; the end of the text.
    (numbers + 64 + 64 + 3 + 1) as u64 + text.size + 1
}

/// Checks that the last file continues the one before it.
fn check_start(storage: &dyn Storage, before: &[u64], found: &Found) -> Result<(), Error> {
    let header = &found.header;
    let wrong = |what: &str| Err(damaged(header.first, 0, header.first, what));
    let Some(previous) = before.last() else {
        return match header.first {
            0 if header.previous == Hash::genesis(&header.id) => Ok(()),
            0 => wrong("the first file does not begin a log"),
            _ => wrong("the files before it are gone"),
        };
    };
    let name = place::log_name(*previous);
    let length = storage
        .length(&name)
        .map_err(Error::storage("read", &name))?;
    let tail = (encode::MAX_LEAF + 256) as u64;
    let bytes = storage
        .read(&name, length.saturating_sub(tail), encode::MAX_LEAF + 256)
        .map_err(Error::storage("read", &name))?;
    let last = bytes
        .strip_suffix(b"\n")
        .and_then(|bytes| bytes.rsplit(|byte| *byte == b'\n').next());
    match last.map(encode::parse_line) {
        Some(Ok((hash, _))) if hash == header.previous => Ok(()),
        _ => wrong("it does not continue the file before it"),
    }
}

/// Takes back records whose texts are not there, as far as they may not have been acknowledged.
fn check_texts(storage: &dyn Storage, found: &mut Found, head: Option<Head>) -> Result<(), Error> {
    let name = place::payload_name(found.end.segment);
    let acknowledged = head.map_or(0, |head| head.count);
    for (before, texts) in std::mem::take(&mut found.recent) {
        for text in texts {
            if before.count >= acknowledged && !is_there(storage, &name, before.count, &text)? {
                found.torn = Some("a record's texts were not written to their end");
                found.end = before;
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_there(
    storage: &dyn Storage,
    name: &str,
    record: u64,
    text: &Commitment,
) -> Result<bool, Error> {
    let length = usize::try_from(entry_length(record, text)).unwrap_or(usize::MAX);
    let bytes = match storage.read(name, text.at, length) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::storage("read", name)(error)),
    };
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let entry = parts.next().map(Entry::parse);
    let kept = parts.next().and_then(|kept| kept.strip_suffix(b"\n"));
    let (Some(Ok(entry)), Some(kept)) = (entry, kept) else {
        return Ok(false);
    };
    Ok(match entry.salt {
        Some(salt) => Hash::text(&salt, kept).to_string() == text.sha256,
        None => entry.sha256.to_string() == text.sha256,
    })
}

/// Cuts the files to what was found, keeping what is cut, and says whether there was anything to mend.
fn settle(
    options: &Options,
    found: Found,
    head: Option<Head>,
) -> Result<(Position, Option<Repair>), Error> {
    let storage = options.storage.as_ref();
    let end = found.end;
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    for name in [place::HEAD, &end.payload_name()] {
        if !names.iter().any(|there| there == name) {
            storage
                .create(name)
                .map_err(Error::storage("create", name))?;
        }
    }
    let mut cut = 0;
    for (name, length) in [(end.log_name(), end.log), (end.payload_name(), end.payload)] {
        cut += cut_off(storage, &names, &name, length)?;
    }
    let head = head.filter(|head| head.count > end.count);
    let lost = head.map_or(0, |head| head.count - end.count);
    if cut == 0 && lost == 0 {
        return Ok((end, None));
    }
    let cause = match found.torn {
        _ if lost > 0 => "records that had been acknowledged are gone",
        Some(what) => what,
        None if found.length > end.log => "the end of the log was not whole",
        None => "texts without a record were left behind",
    };
    let repair = Repair {
        cause: cause.to_owned(),
        kept: end.count,
        cut,
        lost,
        lost_hash: head.map(|head| head.hash.to_string()),
    };
    Ok((end, Some(repair)))
}

/// Cuts a file to `length`; what is behind is kept under `cut/`, for whoever wants to know what it was.
fn cut_off(storage: &dyn Storage, names: &[String], name: &str, length: u64) -> Result<u64, Error> {
    let found = storage.length(name).map_err(Error::storage("read", name))?;
    let Some(rest) = found.checked_sub(length).filter(|rest| *rest > 0) else {
        return Ok(0);
    };
    let bytes = storage
        .read(name, length, usize::try_from(rest).unwrap_or(usize::MAX))
        .map_err(Error::storage("read", name))?;
    let file = name.rsplit('/').next().unwrap_or(name);
    let copy = (0_u32..)
        .map(|number| format!("cut/{file}.{length}.{number}"))
        .find(|copy| !names.contains(copy));
    if let Some(copy) = copy {
        storage
            .create(&copy)
            .and_then(|()| storage.write(&copy, 0, &bytes))
            .and_then(|()| storage.sync(&copy))
            .map_err(Error::storage("write", &copy))?;
    }
    storage
        .truncate(name, length)
        .and_then(|()| storage.sync(name))
        .map_err(Error::storage("cut", name))?;
    Ok(rest)
}

fn damaged(segment: u64, offset: u64, record: u64, what: &str) -> Error {
    Error::Damaged {
        name: place::log_name(segment),
        offset,
        record,
        what: what.to_owned(),
    }
}
