//! The secret that masked tokens are made with: kept in the data directory, so that equal values give equal tokens after a restart.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::model::secret::Secret;
use crate::model::time::Entropy;

const NAME: &str = "mask.key";
const LENGTH: usize = 32;

/// Reads the secret, or makes it. Only one broker works on a data directory.
///
/// # Errors
/// When the file cannot be read or written, is no such secret, or others can read it.
pub fn open(directory: &Path, entropy: &dyn Entropy) -> io::Result<Secret<[u8; LENGTH]>> {
    let path = directory.join(NAME);
    let options = || {
        let mut options = OpenOptions::new();
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        options.custom_flags(no_follow);
        options
    };
    match options().read(true).open(&path) {
        Ok(file) => return read(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut bytes = [0; LENGTH];
    entropy.fill(&mut bytes);
    let secret = Secret::new(bytes);
    // Under another name first, so that a crash leaves no half of it.
    let draft = directory.join("mask.key.new");
    let mut file = options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(secret.expose())?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(secret)
}

fn read(mut file: File) -> io::Result<Secret<[u8; LENGTH]>> {
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "mask.key can be read by others; change its mode to 0600",
        ));
    }
    let mut bytes = [0; LENGTH];
    file.read_exact(&mut bytes)?;
    let more = file.read(&mut [0])?;
    if more > 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "mask.key is not 32 bytes long",
        ));
    }
    Ok(Secret::new(bytes))
}
