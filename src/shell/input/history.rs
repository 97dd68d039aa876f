//! What was typed, per database: in a file of its own for the owner's eyes only, without passwords.

use std::path::Path;

use crate::audit::scrub;
use crate::model::name::DatabaseName;
use crate::model::time::Entropy;
use crate::remote::private_file::{Directory, Error};

/// How many entries are kept.
pub(in crate::shell) const MOST: usize = 1000;

/// A longer entry is a paste that nobody wants to go back to.
const LONGEST: usize = 16 * 1024;

/// The history of one database.
pub struct History {
    directory: Directory,
    file: String,
}

impl History {
    /// Opens it.
    ///
    /// # Errors
    /// When its directory is not private.
    pub fn open(directory: &Path, database: &DatabaseName) -> Result<Self, Error> {
        Ok(Self {
            directory: Directory::open(directory)?,
            file: format!("{database}.jsonl"),
        })
    }

    /// All entries, the oldest first.
    ///
    /// # Errors
    /// When the file is not private or can't be read.
    pub fn entries(&self) -> Result<Vec<String>, Error> {
        let content = self.directory.read(&self.file)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&content);
        // A line that is no entry was not written by us; the others are still good.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Adds an entry; other shells may have added theirs meanwhile.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn add(&self, entry: &str, entropy: &dyn Entropy) -> Result<(), Error> {
        if entry.len() > LONGEST {
            return Ok(());
        }
        let _lock = self.directory.lock(&format!("{}.lock", self.file))?;
        let mut entries = self.entries()?;
        let entry = scrubbed(entry);
        if entries.last() == Some(&entry) {
            return Ok(());
        }
        entries.push(entry);
        let surplus = entries.len().saturating_sub(MOST);
        let lines: Vec<_> = entries
            .iter()
            .skip(surplus)
            .map(|entry| format!("{}\n", serde_json::Value::from(entry.as_str())))
            .collect();
        self.directory
            .write(&self.file, lines.concat().as_bytes(), entropy)
    }
}

/// What is typed without the passwords in it.
#[must_use]
pub fn scrubbed(entry: &str) -> String {
    scrub::statement(entry).into_owned()
}
