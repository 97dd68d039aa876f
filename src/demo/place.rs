//! The demo's folder: certificates, passwords, configuration and policy, written before the broker starts.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::demo::database::{ADMIN, DATABASE};
use crate::demo::script;
use crate::model::secret::Secret;
use crate::model::time::{Entropy, Timestamp};
use crate::net;
use crate::net::tls::authority::Authority;

/// The demo's certificates outlast a demo by far.
const DAYS: u32 = 30;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder.
    #[error("{step}: {source}")]
    File {
        /// What was being done.
        step: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A certificate.
    #[error("make the demo's certificates: {0}")]
    Certificate(#[from] net::Error),
}

/// The folder and what is in it.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    temporary: bool,
}

impl Place {
    /// Makes `dir`, or a folder of its own below `temporary` when none is named.
    ///
    /// # Errors
    /// When it can't be made, or is not empty.
    pub fn make(
        dir: Option<&Path>,
        temporary: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let root = dir.map_or_else(
            || temporary.join(format!("dbgate-demo-{}", token(entropy, 6))),
            Path::to_owned,
        );
        let step = format!("make the demo's folder `{}`", root.display());
        fs::create_dir_all(&root).map_err(file(&step))?;
        let root = root.canonicalize().map_err(file(&step))?;
        if fs::read_dir(&root).map_err(file(&step))?.next().is_some() {
            let source = io::Error::other("it is not empty; name a new folder");
            return Err(Error::File { step, source });
        }
        // PostgreSQL's account has to pass through; what is secret inside has modes of its own.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(file(&step))?;
        Ok(Self {
            root,
            temporary: dir.is_none(),
        })
    }

    /// A path inside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the authority's certificate and a leaf for this machine's loopback names.
    ///
    /// # Errors
    /// When a key can't be made or a file can't be written.
    pub fn write_certificates(&self, now: Timestamp) -> Result<(), Error> {
        let authority = Authority::new("dbgate demo", now.before(Duration::from_secs(3600)), DAYS)?;
        let leaf = authority.issue(&["localhost", "127.0.0.1", "::1"], now, DAYS)?;
        self.write("ca.pem", authority.certificate(), 0o644)?;
        self.write("server.pem", &leaf.certificate, 0o644)?;
        self.write("server.key", leaf.key.expose(), 0o600)
    }

    /// Writes the broker's configuration.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write_config(
        &self,
        upstream: &Upstream<'_>,
        address: SocketAddr,
        issuer: &str,
    ) -> Result<(), Error> {
        self.write("admin.password", upstream.password.expose(), 0o600)?;
        let text = format!(
            "# The demo's broker. Paths are taken from this file's folder.\n\
             data_dir = \"broker\"\n\
             audit_dir = \"audit\"\n\
             policy_files = [\"policy.toml\"]\n\n\
             [listen]\n\
             address = \"{address}\"\n\n\
             [tls]\n\
             certificate = \"server.pem\"\n\
             key = \"server.key\"\n\n\
             {issuer}\n\
             [[database]]\n\
             name = \"{DATABASE}\"\n\
             host = {host:?}\n\
             port = {port}\n\
             dbname = \"{dbname}\"\n\
             admin = \"{ADMIN}\"\n\
             password_file = \"admin.password\"\n\
             {tls}",
            host = upstream.host,
            port = upstream.port,
            dbname = upstream.dbname,
            tls = upstream.tls(),
        );
        self.write("broker.toml", &text, 0o644)
    }

    /// Writes a file of this mode.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), Error> {
        let path = self.path(name);
        let step = format!("write `{}`", path.display());
        let mut file_handle = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(file(&step))?;
        file_handle.write_all(text.as_bytes()).map_err(file(&step))
    }

    /// Writes what a shell reads to act as one of the people: `. ada.env`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_settings(&self, name: &str, settings: &[(&str, &str)]) -> Result<(), Error> {
        let lines: String = settings
            .iter()
            .map(|(name, value)| format!("export {name}={}\n", script::quoted(value)))
            .collect();
        self.write(&format!("{name}.env"), &lines, 0o600)
    }

    /// Removes the folder when it was made without a name.
    pub fn clear(&self) {
        if self.temporary {
            fs::remove_dir_all(&self.root).ok();
        }
    }
}

/// Where the demo's database is.
#[derive(Debug)]
pub struct Upstream<'a> {
    /// Host, or the folder of the socket.
    pub host: String,
    /// Port.
    pub port: u16,
    /// PostgreSQL's name for the database.
    pub dbname: &'a str,
    /// The admin role's password.
    pub password: &'a Secret<String>,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whom to trust then, when it is not whom the system trusts.
    pub ca_file: Option<&'a Path>,
}

impl Upstream<'_> {
    /// The lines about encryption.
    fn tls(&self) -> String {
        let mode = if self.encrypted { "verify-full" } else { "off" };
        let trusted = self.ca_file.filter(|_| self.encrypted);
        let file = trusted
            .map(|path| format!("ca_file = {:?}\n", path.display().to_string()))
            .unwrap_or_default();
        format!("tls = \"{mode}\"\n{file}")
    }
}

/// Random letters and digits, for passwords and folders.
#[must_use]
pub fn token(entropy: &dyn Entropy, length: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0_u8; length];
    entropy.fill(&mut bytes);
    bytes
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte & 31)))
        .map(|byte| char::from(*byte))
        .collect()
}

fn file(step: &str) -> impl FnOnce(io::Error) -> Error + use<> {
    let step = step.to_owned();
    move |source| Error::File { step, source }
}
