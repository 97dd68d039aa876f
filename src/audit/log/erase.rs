//! Forgets the texts of a record; the log goes on to verify, and says who did it.

use super::place;
use super::{Error, Log};
use crate::audit::encode::{self, Entry};
use crate::audit::event::{Action, Context, Event};

impl Log {
    /// Erases the texts of a record and says how many there were. First the record of it, then the act. Blocks.
    ///
    /// # Errors
    /// When there is no such record, or the disk fails; then it may be done again.
    pub fn erase(&self, context: Context, record: u64) -> Result<usize, Error> {
        let mut cursor = self.read(record)?;
        let line = cursor.next_line()?;
        let Some((_, leaf)) = line else {
            return Err(Error::Missing { record });
        };
        let leaf: serde_json::Value = serde_json::from_slice(&leaf)
            .map_err(|error| encode::Error::Leaf(error.to_string()))?;
        let texts = encode::commitments(&leaf);
        self.append_blocking(Event::new(context, Action::PayloadErased { record }))?;
        let name = place::payload_name(cursor.segment());
        for text in &texts {
            let entry = Entry {
                record,
                sha256: text.sha256.parse()?,
                salt: None,
                size: text.size,
            };
            let mut bytes = entry.line().into_bytes();
            let blank = usize::try_from(text.size).unwrap_or(encode::MAX_TEXT);
            bytes.resize(bytes.len() + blank, b' ');
            self.storage()
                .write(&name, text.at, &bytes)
                .map_err(Error::storage("erase in", &name))?;
        }
        self.storage()
            .sync(&name)
            .map_err(Error::storage("sync", &name))?;
        Ok(texts.len())
    }
}
