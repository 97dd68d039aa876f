//! Feeds the files of a log to the verifier.

use crate::audit::log::Error;
use crate::audit::log::place::{self, Head, Position};
use crate::audit::storage::Storage;
use crate::audit::verify::{Report, Verifier};

/// Checks a log; a living one up to `end`, one that nobody writes to (`None`) to its end. Blocks.
///
/// # Errors
/// When the storage fails. What is wrong with the log is in the report.
pub fn check(storage: &dyn Storage, end: Option<&Position>) -> Result<Report, Error> {
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    let mut verifier = match end {
        Some(end) => Verifier::new(vec![Head {
            count: end.count,
            hash: end.hash,
        }]),
        None => Verifier::with_head(whole(storage, &names, place::HEAD)?.as_deref()),
    };
    let mut segments: Vec<u64> = names
        .iter()
        .filter_map(|name| place::first_of(name))
        .filter(|first| end.is_none_or(|end| *first <= end.segment))
        .collect();
    segments.sort_unstable();
    for first in segments {
        let mut log = whole(storage, &names, &place::log_name(first))?.unwrap_or_default();
        let mut payload = whole(storage, &names, &place::payload_name(first))?;
        if let Some(end) = end.filter(|end| end.segment == first) {
            log.truncate(usize::try_from(end.log).unwrap_or(usize::MAX));
            if let Some(payload) = &mut payload {
                payload.truncate(usize::try_from(end.payload).unwrap_or(usize::MAX));
            }
        }
        verifier.file(first, &log, payload.as_deref());
    }
    Ok(verifier.finish())
}

fn whole(storage: &dyn Storage, names: &[String], name: &str) -> Result<Option<Vec<u8>>, Error> {
    if !names.iter().any(|there| there == name) {
        return Ok(None);
    }
    storage
        .length(name)
        .and_then(|length| storage.read(name, 0, usize::try_from(length).unwrap_or(usize::MAX)))
        .map(Some)
        .map_err(Error::storage("read", name))
}
