//! Feeds the files of a log to the verifier.

use crate::audit::log::Error;
use crate::audit::log::place::{self, Head, Position};
use crate::audit::storage::Storage;
use crate::audit::verify::{Report, Verifier};

/// Up to where to check.
#[derive(Debug, Clone)]
pub enum Extent {
    /// To the end; nobody writes to the log.
    All,
    /// As far as the log is durable, by its writer's own word.
    Durable(Position),
    /// As far as the note of what was acknowledged says; another process may write to the log.
    Acknowledged,
}

/// Checks a log. Blocks.
///
/// # Errors
/// When the storage fails. What is wrong with the log is in the report.
pub fn check(storage: &dyn Storage, extent: &Extent) -> Result<Report, Error> {
    let head = |names: &[String]| whole(storage, names, place::HEAD);
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    let mut verifier = match extent {
        Extent::All => Verifier::with_head(head(&names)?.as_deref()),
        Extent::Durable(end) => Verifier::up_to(Head {
            count: end.count,
            hash: end.hash,
        }),
        Extent::Acknowledged => match head(&names)?.as_deref().and_then(Head::latest) {
            Some(head) => Verifier::up_to(head),
            None => Verifier::with_head(None),
        },
    };
    // What was there when the head was read is there in this list, too.
    let names = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    let mut segments: Vec<u64> = names
        .iter()
        .filter_map(|name| place::first_of(name))
        .collect();
    segments.sort_unstable();
    for first in segments {
        let log = whole(storage, &names, &place::log_name(first))?.unwrap_or_default();
        let payload = whole(storage, &names, &place::payload_name(first))?;
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
