//! The log's bytes in a directory.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Advice, fadvise};

use crate::audit::storage::Storage;
use crate::store;
use crate::store::lock;

/// The folders a log has, below its directory.
const FOLDERS: [&str; 3] = ["log", "payload", "cut"];

/// A directory (0700) with files (0600).
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    open: Mutex<HashMap<String, Arc<File>>>,
    _lock: Option<lock::Lock>,
}

impl Files {
    /// Takes a directory for a writer; makes it if there is none.
    ///
    /// # Errors
    /// When another process has it, or it cannot be made.
    pub fn open(directory: &Path) -> Result<Self, store::Error> {
        let lock = lock::Lock::take(directory)?;
        for folder in FOLDERS {
            let path = directory.join(folder);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|error| store::Error::Prepare {
                    doing: "make",
                    path: path.display().to_string(),
                    reason: error.to_string(),
                })?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
            _lock: Some(lock),
        })
    }

    /// Looks at a directory that a writer may have at the same time.
    #[must_use]
    pub fn read_only(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: Mutex::default(),
            _lock: None,
        }
    }

    fn file(&self, name: &str) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(name) {
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(self._lock.is_some())
            .open(self.directory.join(name))?;
        // Two files of each kind are written to; readers of old ones come and go.
        if open.len() >= 16 {
            open.clear();
        }
        let file = Arc::new(file);
        open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// Makes the entries of the directory that holds `name` durable.
    fn sync_folder(&self, name: &str) -> io::Result<()> {
        let path = self.directory.join(name);
        let folder = path.parent().unwrap_or(&self.directory);
        File::open(folder)?.sync_all()
    }
}

impl Storage for Files {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in ["", "log", "payload", "cut"] {
            let entries = match fs::read_dir(self.directory.join(folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    let name = Path::new(folder).join(entry.file_name());
                    names.push(name.to_string_lossy().into_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        let rest = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(rest).unwrap_or(usize::MAX).min(length)];
        let mut filled = 0;
        while let Some(buffer) = bytes.get_mut(filled..).filter(|buffer| !buffer.is_empty()) {
            match file.read_at(buffer, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.directory.join(name))?;
        file.sync_all()?;
        self.sync_folder(name)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(name.to_owned(), Arc::new(file));
        Ok(())
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.file(name)?.set_len(length)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let file = self.file(name)?;
        file.sync_data()?;
        // Writing to a file that somebody has removed works, and keeps nothing.
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the file has been removed",
            ));
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(name);
        fs::remove_file(self.directory.join(name))?;
        self.sync_folder(name)
    }

    fn reopen(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for file in open.values() {
            // After a failed sync the cache may hold pages that never reached the disk. This is a request, not a
            // guarantee, which is why the writer also moves on to a new file.
            fadvise(file.as_ref(), 0, None, Advice::DontNeed).ok();
        }
        open.clear();
    }
}
