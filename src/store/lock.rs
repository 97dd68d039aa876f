//! One process a data directory: a lock that the system lets go when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::store::Error;

/// The name of the lock file in a data directory.
const NAME: &str = "broker.lock";

/// The right to work on a data directory, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; makes the directory (0700) if there is none.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, and says which.
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(NAME);
        let prepare = |doing, reason: std::io::Error| Error::Prepare {
            doing,
            path: path.display().to_string(),
            reason: reason.to_string(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| prepare("make the directory of", error))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| prepare("open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked {
                    directory: directory.display().to_string(),
                    pid: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(prepare("lock", error)),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)).map(drop))
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| prepare("write", error))?;
        Ok(Self { _file: file })
    }
}

/// Whether a process works on a directory at this moment.
#[must_use]
pub fn is_taken(directory: &Path) -> bool {
    File::open(directory.join(NAME)).is_ok_and(|file| {
        // A shared lock: two who ask at once do not take each other for a holder.
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    })
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text).is_ok();
    let pid = text.trim();
    if read && !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) {
        pid.to_owned()
    } else {
        "unknown".to_owned()
    }
}
