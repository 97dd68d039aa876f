//! Where the log's bytes go: the contract, so that tests can fail, fill up and lose power at will.

pub mod files;

use std::fmt;
use std::io;

/// A small set of files, named by paths such as `log/00000000000000000000.log`.
///
/// Nothing is durable before `sync` of that file has succeeded, except what `create` and `remove` do to names.
/// All calls may block. Only one process works on a storage at a time; its owner sees to that.
pub trait Storage: Send + Sync + fmt::Debug {
    /// The names of all files.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Makes an empty file; afterwards its name is durable. It is an error if it is there.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, also behind the end. After an error any part may have been written.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// What the system says. Afterwards nothing is known about what was written since the last success.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Forgets open files and what is cached of them, so that the next read sees what is on the disk.
    fn reopen(&self);
}
