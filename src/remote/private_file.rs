//! Files only their owner may read, in a directory only its owner may enter; anything looser is refused, not mended.
//!
//! **Invariant:** every name is resolved below an open directory, without following links, and what was opened is
//! what was checked. A file has mode 0600 from its first moment and its final name only when it is whole.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::model::time::Entropy;

/// Longer files are not ours.
const MAX_LENGTH: u64 = 64 * 1024;

/// Why a private file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else could read or change it.
    #[error("`{path}` is refused: {why}")]
    Unsafe {
        /// What.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The system says no.
    #[error("{doing} `{path}`: {why}")]
    Io {
        /// A verb phrase.
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// What went wrong.
        why: io::Error,
    },
}

/// A directory of private files.
#[derive(Debug)]
pub struct Directory {
    handle: OwnedFd,
    path: PathBuf,
}

/// A lock that ends when it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] OwnedFd);

impl Directory {
    /// Opens a directory; one that is not there is made, with mode 0700.
    ///
    /// # Errors
    /// When it, or the directory it is in, could be changed by others.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Unsafe {
                path: path.to_owned(),
                why: "it is no directory to keep files in",
            });
        };
        let at = |doing| {
            let path = path.to_owned();
            move |why: Errno| io_error(doing, path, why)
        };
        make_parents(parent)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = fs::open(parent, flags, Mode::empty()).map_err(at("open the directory of"))?;
        let stat = fs::fstat(&above).map_err(at("look at the directory of"))?;
        check_parent(&stat, parent)?;
        match fs::mkdirat(&above, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(at("make")(error)),
        }
        let handle = fs::openat(&above, name, flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| not_a_link(error, path, at("open")))?;
        let stat = fs::fstat(&handle).map_err(at("look at"))?;
        check_owner(&stat, path)?;
        if stat.st_mode & 0o077 != 0 {
            return Err(Error::Unsafe {
                path: path.to_owned(),
                why: "others may enter it; run `chmod 700` on it",
            });
        }
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// Reads a file, if there is one.
    ///
    /// # Errors
    /// When others could have read or changed it, or it can't be read.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let path = self.path.join(name);
        // Not blocking: a FIFO of that name would keep us for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                let other = |error| io_error("open", path.clone(), error);
                return Err(not_a_link(error, &path, other));
            }
        };
        let stat = fs::fstat(&handle).map_err(|error| io_error("look at", path.clone(), error))?;
        check_file(&stat, &path)?;
        let mut content = Zeroizing::new(Vec::new());
        let read = File::from(handle)
            .take(MAX_LENGTH + 1)
            .read_to_end(&mut content);
        read.map_err(|why| Error::Io {
            doing: "read",
            path: path.clone(),
            why,
        })?;
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_LENGTH {
            return Err(Error::Unsafe {
                path,
                why: "it is longer than 64 KiB",
            });
        }
        Ok(Some(content))
    }

    /// Replaces a file, or makes one: whole or not at all.
    ///
    /// # Errors
    /// When what is there under that name is not a private file of ours, or it can't be written.
    pub fn write(&self, name: &str, content: &[u8], entropy: &dyn Entropy) -> Result<(), Error> {
        let path = self.path.join(name);
        let at = |doing| {
            let path = path.clone();
            move |why: Errno| io_error(doing, path, why)
        };
        match fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => check_file(&stat, &path)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(at("look at")(error)),
        }
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let temporary = format!(".{name}.{:016x}", u64::from_le_bytes(random));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = fs::openat(&self.handle, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(at("make"))?;
        let mut file = File::from(handle);
        let written = file
            .write_all(content)
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(fs::renameat(&self.handle, &temporary, &self.handle, name)?))
            .and_then(|()| Ok(fs::fsync(&self.handle)?));
        written.map_err(|why| {
            // Whether it is there any more or not: it must not stay.
            let _gone = fs::unlinkat(&self.handle, &temporary, AtFlags::empty());
            Error::Io {
                doing: "write",
                path: path.clone(),
                why,
            }
        })
    }

    /// Removes a file; says whether there was one.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        match fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(io_error("remove", self.path.join(name), error)),
        }
    }

    /// Takes a lock, waiting for whoever has it. It blocks.
    ///
    /// # Errors
    /// When the lock file is not ours.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        let path = self.path.join(name);
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle =
            fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| {
                let other = |error| io_error("open", path.clone(), error);
                not_a_link(error, &path, other)
            })?;
        let stat = fs::fstat(&handle).map_err(|error| io_error("look at", path.clone(), error))?;
        check_file(&stat, &path)?;
        fs::flock(&handle, FlockOperation::LockExclusive)
            .map_err(|error| io_error("lock", path, error))?;
        Ok(Lock(handle))
    }
}

/// Directories above that are missing are made for the owner alone.
fn make_parents(parent: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|why| Error::Io {
            doing: "make",
            path: parent.to_owned(),
            why,
        })
}

fn check_parent(stat: &Stat, path: &Path) -> Result<(), Error> {
    let wrong = |why| {
        Err(Error::Unsafe {
            path: path.to_owned(),
            why,
        })
    };
    let us = rustix::process::geteuid().as_raw();
    if stat.st_uid != us && stat.st_uid != 0 {
        return wrong("it belongs to somebody else");
    }
    // In a sticky directory (`/tmp`) others can't rename what is ours.
    if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
        return wrong("others may change what is in it; run `chmod go-w` on it");
    }
    Ok(())
}

fn check_owner(stat: &Stat, path: &Path) -> Result<(), Error> {
    if stat.st_uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::Unsafe {
        path: path.to_owned(),
        why: "it belongs to somebody else",
    })
}

fn check_file(stat: &Stat, path: &Path) -> Result<(), Error> {
    let wrong = |why| {
        Err(Error::Unsafe {
            path: path.to_owned(),
            why,
        })
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return wrong("it is a link"),
        _ => return wrong("it is no regular file"),
    }
    check_owner(stat, path)?;
    if stat.st_mode & 0o077 != 0 {
        return wrong("others may read or change it; run `chmod 600` on it");
    }
    if stat.st_nlink > 1 {
        return wrong("it has another name (a hard link)");
    }
    Ok(())
}

fn not_a_link(error: Errno, path: &Path, other: impl FnOnce(Errno) -> Error) -> Error {
    if error == Errno::LOOP || error == Errno::NOTDIR {
        return Error::Unsafe {
            path: path.to_owned(),
            why: "it is a link, or not what it should be",
        };
    }
    other(error)
}

fn io_error(doing: &'static str, path: PathBuf, why: Errno) -> Error {
    Error::Io {
        doing,
        path,
        why: why.into(),
    }
}
