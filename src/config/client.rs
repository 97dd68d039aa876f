//! The developer's file: what `dbgate login` remembers, for the commands after it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::config::problem::{Problems, Source};
use crate::config::table::{self, Table};

/// What a developer's machine remembers. It holds no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The broker that was signed in at last.
    pub url: Option<Url>,
    /// Certificates to trust for it, PEM.
    pub ca_file: Option<PathBuf>,
    /// Where tokens are kept.
    pub token_store: Option<TokenStore>,
}

/// Where tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStore {
    /// The operating system's keyring.
    Keyring,
    /// A file only its owner may read.
    File,
    /// Nowhere: they go with the process.
    Memory,
}

impl fmt::Display for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyring => "keyring",
            Self::File => "file",
            Self::Memory => "memory",
        })
    }
}

impl FromStr for TokenStore {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            other => Err(format!(
                "`{other}` is no token store; write `keyring`, `file` or `memory`"
            )),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn parse(source: &Source) -> Result<Config, Problems> {
    let mut problems = Problems::new();
    let document = table::parse(source, &mut problems);
    let mut top = Table::top(source, &document);
    let config = Config {
        url: top.parsed("url", &mut problems),
        ca_file: top.text("ca_file", &mut problems).map(PathBuf::from),
        token_store: top.parsed("token_store", &mut problems),
    };
    top.finish(&mut problems);
    problems.or(config)
}

/// The text [`parse`] reads.
#[must_use]
pub fn write(config: &Config) -> String {
    let mut document = toml::Table::new();
    if let Some(url) = &config.url {
        document.insert("url".to_owned(), url.as_str().into());
    }
    if let Some(path) = &config.ca_file {
        document.insert("ca_file".to_owned(), path.to_string_lossy().as_ref().into());
    }
    if let Some(store) = config.token_store {
        document.insert("token_store".to_owned(), store.to_string().into());
    }
    format!("# Written by `dbgate login`. It holds no secrets.\n{document}")
}
