//! The configuration's databases and webhook, with their files read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::audit::recording::Limit;
use crate::broker::request::webhook;
use crate::config::broker::{Config, Database, UpstreamTls};
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::net;
use crate::net::tls::Roots;
use crate::server::{Error, read};
use crate::upstream::target::{Address, Target, Tls};

/// Every database that is offered.
///
/// # Errors
/// When a file with a password or a certificate can't be read.
pub fn read_all(config: &Config) -> Result<Vec<Target>, Error> {
    config
        .databases
        .iter()
        .map(|(name, database)| read_one(name, database))
        .collect()
}

/// Files with secrets that everybody on this machine can read.
#[must_use]
pub fn exposed(config: &Config) -> Vec<&Path> {
    let passwords = config.databases.values();
    let passwords = passwords.filter_map(|database| database.password_file.as_ref());
    let hook = config.webhook.iter().map(|hook| &hook.secret_file);
    std::iter::once(&config.tls.key)
        .chain(passwords)
        .chain(hook)
        .filter(|path| std::fs::metadata(path).is_ok_and(|about| about.mode() & 0o007 != 0))
        .map(PathBuf::as_path)
        .collect()
}

/// Who is told of requests, with the key.
pub(super) fn webhook(config: &Config) -> Result<Option<webhook::Options>, Error> {
    let Some(hook) = &config.webhook else {
        return Ok(None);
    };
    let secret = secret(&hook.secret_file)?;
    Ok(Some(webhook::Options {
        url: hook.url.clone(),
        secret,
    }))
}

/// How much of what clients see is kept in the log.
pub(super) fn transcript(config: &Config) -> Limit {
    let default = Limit::default();
    Limit {
        bytes: config.transcript.bytes.unwrap_or(default.bytes),
        rows: config.transcript.rows.unwrap_or(default.rows),
    }
}

/// One of them.
///
/// # Errors
/// As [`read_all`].
pub fn read_one(name: &DatabaseName, database: &Database) -> Result<Target, Error> {
    let tls = match database.tls {
        UpstreamTls::Off => Tls::Off,
        UpstreamTls::VerifyFull => {
            let wrap = |source| Error::Target {
                database: name.clone(),
                source,
            };
            Tls::On(
                net::tls::client(
                    &Roots::from_file(database.ca_file.as_deref()).map_err(wrap)?,
                    &[],
                )
                .map_err(wrap)?,
            )
        }
    };
    Ok(Target {
        name: name.clone(),
        address: address(database),
        database: database.dbname.clone(),
        admin: database.admin.clone(),
        password: database.password_file.as_deref().map(secret).transpose()?,
        tls,
    })
}

fn address(database: &Database) -> Address {
    let port = database.port;
    if database.host.starts_with('/') {
        Address::Unix {
            directory: database.host.clone().into(),
            port,
        }
    } else {
        Address::Tcp {
            host: database.host.clone(),
            port,
        }
    }
}

/// A secret from a file of its own; the line's end does not belong to it.
fn secret(path: &Path) -> Result<Secret<String>, Error> {
    let bytes = Secret::new(read(path)?);
    let text = String::from_utf8_lossy(bytes.expose());
    Ok(Secret::from(text.trim_end_matches(['\r', '\n'])))
}
