//! What stays the same each time a tunnel starts: its port and secret, in a file only its owner can read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::model::secret::Secret;
use crate::model::time::Entropy;
use crate::remote::private_file::Directory;
use crate::tunnel::{Error, Local};

/// The user name of all tunnels.
pub const USER: &str = "dbgate";

/// Ports to choose from: below those the systems give out by themselves.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A place that is remembered.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    port: u16,
    secret: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Entries {
    #[serde(default)]
    tunnels: BTreeMap<String, Entry>,
}

/// The file's name, and that of its lock.
const FILE: &str = "tunnels.json";
const LOCK: &str = "tunnels.lock";

/// The file of places.
#[derive(Debug, Clone)]
pub struct Places {
    directory: PathBuf,
}

/// Where a tunnel listens and who may come in.
#[derive(Debug, Clone)]
pub struct Place {
    /// The port.
    pub port: u16,
    /// Who may come in.
    pub local: Local,
    /// How its port was come by.
    pub origin: Origin,
}

/// How a port was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was the one last time.
    Remembered,
    /// Somebody asked for it.
    Asked,
    /// It is as good as any other.
    Chosen,
}

impl Place {
    /// The next port, for a place that was only chosen.
    #[must_use]
    pub fn next(self) -> Self {
        let step = self.port.wrapping_sub(FIRST).wrapping_add(1) % COUNT;
        let port = FIRST.saturating_add(step);
        Self { port, ..self }
    }
}

/// A new secret for people and tools to present: 24 random bytes in letters that need no quoting.
#[must_use]
pub fn secret(entropy: &dyn Entropy) -> Secret<String> {
    let mut bytes = [0; 24];
    entropy.fill(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

impl Places {
    /// The file in a configuration directory.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self { directory }
    }

    /// The place of `name`: as it was, or a new one that nobody has. A port that is asked for goes before the one remembered. Nothing
    /// is written yet.
    ///
    /// # Errors
    /// When the file cannot be read, or others can read it.
    pub fn of(&self, name: &str, port: Option<u16>, entropy: &dyn Entropy) -> Result<Place, Error> {
        let entries = self.read(&self.open()?)?;
        let known = entries.tunnels.get(name);
        let secret = match known {
            Some(entry) => Secret::new(entry.secret.clone()),
            None => secret(entropy),
        };
        let user = USER.to_owned();
        Ok(Place {
            port: port
                .or(known.map(|entry| entry.port))
                .unwrap_or_else(|| vacant(name, &entries)),
            local: Local { user, secret },
            origin: match (port, known) {
                (Some(_), _) => Origin::Asked,
                (None, Some(_)) => Origin::Remembered,
                (None, None) => Origin::Chosen,
            },
        })
    }

    /// Remembers a place that turned out to be good.
    ///
    /// # Errors
    /// When the file cannot be read or written, or others can read it.
    pub fn keep(&self, name: &str, place: &Place, entropy: &dyn Entropy) -> Result<(), Error> {
        if place.origin == Origin::Remembered {
            return Ok(());
        }
        let directory = self.open()?;
        // Two tunnels that start at once must not overwrite each other's places.
        let _lock = directory.lock(LOCK).map_err(|error| self.failed(&error))?;
        let mut entries = self.read(&directory)?;
        let entry = Entry {
            port: place.port,
            secret: place.local.secret.expose().clone(),
        };
        entries.tunnels.insert(name.to_owned(), entry);
        let text = serde_json::to_vec_pretty(&entries).map_err(|error| self.failed(&error))?;
        let written = directory.write(FILE, &text, entropy);
        written.map_err(|error| self.failed(&error))
    }

    fn open(&self) -> Result<Directory, Error> {
        Directory::open(&self.directory).map_err(|error| self.failed(&error))
    }

    fn read(&self, directory: &Directory) -> Result<Entries, Error> {
        let text = directory.read(FILE).map_err(|error| self.failed(&error))?;
        let Some(text) = text else {
            return Ok(Entries::default());
        };
        serde_json::from_slice(&text).map_err(|error| self.failed(&error))
    }

    fn failed(&self, why: &impl ToString) -> Error {
        Error::Place {
            path: self.directory.join(FILE),
            why: why.to_string(),
        }
    }
}

/// A port that no other place has, the same for the same name on every machine where it can be.
fn vacant(name: &str, entries: &Entries) -> u16 {
    // FNV-1a: nothing secret, only spread.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let start = u16::try_from(hash % u32::from(COUNT)).unwrap_or(0);
    let ports = (0..COUNT).map(|step| FIRST.saturating_add(start.wrapping_add(step) % COUNT));
    let taken = |port: &u16| entries.tunnels.values().any(|entry| entry.port == *port);
    ports.into_iter().find(|port| !taken(port)).unwrap_or(FIRST)
}
