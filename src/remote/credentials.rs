//! Where a sign-in is kept between commands: the system's keyring, a private file, or nowhere.
//!
//! **Invariant:** a file is never chosen silently, and a store has shown that it works before anybody signs in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::config::client::TokenStore;
use crate::model::secret::Secret;
use crate::model::time::{Entropy, Timestamp};
use crate::remote::private_file::{self, Directory, Lock};

/// The service all our keyring entries are under.
const SERVICE: &str = "dbgate";

/// A keyring may ask its owner to unlock it; somebody who does not sit there won't.
const KEYRING_PATIENCE: Duration = Duration::from_secs(60);

/// What is kept of a sign-in: what the next command needs, and no more.
#[derive(Debug, Clone)]
pub struct Login {
    /// The issuer.
    pub issuer: String,
    /// The client that was signed in as.
    pub client_id: String,
    /// Who: a refresh must lead back to them.
    pub sub: String,
    /// For the next ID token; some issuers give none.
    pub refresh_token: Option<Secret<String>>,
    /// The broker's own token.
    pub token: Secret<String>,
    /// When the broker's token ends.
    pub expires: Timestamp,
}

/// The same as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    issuer: String,
    client_id: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    token: String,
    expires: Timestamp,
}

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No keyring answers.
    #[error("no keyring can be used: {why}")]
    Keyring {
        /// What went wrong, at its root.
        why: String,
    },
    /// The file store refuses or fails.
    #[error(transparent)]
    File(#[from] private_file::Error),
    /// It gave back something else than was put in.
    #[error("the {store} does not give back what it was given")]
    Unfaithful {
        /// Which store.
        store: TokenStore,
    },
    /// What is there can't be read.
    #[error("the sign-in kept in the {store} can't be read: {why}")]
    Unreadable {
        /// Which store.
        store: TokenStore,
        /// What is wrong with it.
        why: String,
    },
}

/// A store for sign-ins, one a broker.
#[derive(Debug, Clone)]
pub struct Store {
    kind: TokenStore,
    directory: PathBuf,
    entropy: Arc<dyn Entropy>,
}

impl Store {
    /// The store of that kind; its files are below `config_dir`. Nothing is touched yet.
    #[must_use]
    pub fn new(kind: TokenStore, config_dir: &Path, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            kind,
            directory: config_dir.join("tokens"),
            entropy,
        }
    }

    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> TokenStore {
        self.kind
    }

    /// Where it keeps things, for people to read.
    #[must_use]
    pub fn place(&self) -> String {
        match self.kind {
            TokenStore::Keyring => "the system's keyring".to_owned(),
            TokenStore::File => format!("a file in `{}`", self.directory.display()),
            TokenStore::Memory => "memory only".to_owned(),
        }
    }

    /// Writes, reads and deletes something, so that a sign-in is never lost for want of a place.
    ///
    /// # Errors
    /// When the store does not do that.
    pub async fn probe(&self) -> Result<(), Error> {
        if self.kind == TokenStore::Memory {
            return Ok(());
        }
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let text = u128::from_le_bytes(random);
        let (entry, canary) = (format!("probe-{:08x}", text >> 96), format!("{text:032x}"));
        self.put(entry.clone(), Secret::new(canary.clone())).await?;
        let found = self.take_out(entry.clone()).await;
        let removed = self.delete(entry).await;
        let same = found?.is_some_and(|found| *found.expose() == canary);
        removed?;
        if same {
            Ok(())
        } else {
            Err(Error::Unfaithful { store: self.kind })
        }
    }

    /// The sign-in at a broker, if there is one.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn load(&self, broker: &Url) -> Result<Option<Login>, Error> {
        let Some(text) = self.take_out(entry(broker)).await? else {
            return Ok(None);
        };
        read(text.expose())
            .map(Some)
            .map_err(|why| Error::Unreadable {
                store: self.kind,
                why,
            })
    }

    /// Keeps a sign-in.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn save(&self, broker: &Url, login: &Login) -> Result<(), Error> {
        let text = write(login).map_err(|why| Error::Unreadable {
            store: self.kind,
            why,
        })?;
        self.put(entry(broker), text).await
    }

    /// Forgets a sign-in; says whether there was one.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn forget(&self, broker: &Url) -> Result<bool, Error> {
        self.delete(entry(broker)).await
    }

    /// Keeps other commands from refreshing at the same time: a refresh token that is used twice ends the login.
    ///
    /// # Errors
    /// When the lock file is not ours.
    pub async fn lock(&self) -> Result<Option<Lock>, Error> {
        if self.kind == TokenStore::Memory {
            return Ok(None);
        }
        let directory = self.directory.clone();
        blocking(move || Ok(Some(Directory::open(&directory)?.lock("lock")?))).await
    }

    async fn put(&self, name: String, text: Secret<String>) -> Result<(), Error> {
        let this = self.clone();
        match self.kind {
            TokenStore::Keyring => {
                keyring(move || {
                    keyring::v1::Entry::new(SERVICE, &name)?.set_password(text.expose())
                })
                .await
            }
            TokenStore::File => {
                blocking(move || {
                    let directory = Directory::open(&this.directory)?;
                    Ok(directory.write(&name, text.expose().as_bytes(), this.entropy.as_ref())?)
                })
                .await
            }
            TokenStore::Memory => Ok(()),
        }
    }

    async fn take_out(&self, name: String) -> Result<Option<Secret<String>>, Error> {
        match self.kind {
            TokenStore::Keyring => {
                keyring(
                    move || match keyring::v1::Entry::new(SERVICE, &name)?.get_password() {
                        Ok(text) => Ok(Some(Secret::new(text))),
                        Err(keyring::v1::Error::NoEntry) => Ok(None),
                        Err(error) => Err(error),
                    },
                )
                .await
            }
            TokenStore::File => {
                let path = self.directory.clone();
                let found = blocking(move || {
                    if !path.exists() {
                        return Ok(None);
                    }
                    Ok(Directory::open(&path)?.read(&name)?)
                })
                .await?;
                let text = found.map(|bytes| String::from_utf8(bytes.to_vec()));
                let text = text.transpose().map_err(|_| Error::Unreadable {
                    store: self.kind,
                    why: "it is not UTF-8".to_owned(),
                })?;
                Ok(text.map(Secret::new))
            }
            TokenStore::Memory => Ok(None),
        }
    }

    async fn delete(&self, name: String) -> Result<bool, Error> {
        match self.kind {
            TokenStore::Keyring => {
                keyring(move || {
                    match keyring::v1::Entry::new(SERVICE, &name)?.delete_credential() {
                        Ok(()) => Ok(true),
                        Err(keyring::v1::Error::NoEntry) => Ok(false),
                        Err(error) => Err(error),
                    }
                })
                .await
            }
            TokenStore::File => {
                let path = self.directory.clone();
                blocking(move || {
                    if !path.exists() {
                        return Ok(false);
                    }
                    Ok(Directory::open(&path)?.remove(&name)?)
                })
                .await
            }
            TokenStore::Memory => Ok(false),
        }
    }
}

/// The entry of a broker: a name that can't collide or lead anywhere, whatever the URL.
fn entry(broker: &Url) -> String {
    let origin = broker.as_str().trim_end_matches('/');
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, origin.as_bytes());
    let hash: String = digest
        .as_ref()
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("login-{hash}")
}

fn write(login: &Login) -> Result<Secret<String>, String> {
    let exposed = |secret: &Secret<String>| secret.expose().clone();
    let written = Written {
        version: 1,
        issuer: login.issuer.clone(),
        client_id: login.client_id.clone(),
        sub: login.sub.clone(),
        refresh_token: login.refresh_token.as_ref().map(exposed),
        token: exposed(&login.token),
        expires: login.expires,
    };
    serde_json::to_string(&written)
        .map(Secret::new)
        .map_err(|error| error.to_string())
}

fn read(text: &str) -> Result<Login, String> {
    // The error's text would quote what it could not read.
    let written: Written = serde_json::from_str(text).map_err(|error| {
        format!(
            "it is not as it was written (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    if written.version != 1 {
        return Err("it is of another version of dbgate".to_owned());
    }
    Ok(Login {
        issuer: written.issuer,
        client_id: written.client_id,
        sub: written.sub,
        refresh_token: written.refresh_token.map(Secret::new),
        token: Secret::new(written.token),
        expires: written.expires,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(Error::Keyring {
            why: "it was interrupted".to_owned(),
        }),
    }
}

async fn keyring<T: Send + 'static>(
    work: impl FnOnce() -> keyring::v1::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let working = blocking(move || {
        work().map_err(|error| Error::Keyring {
            why: match (error, keyring::v1::Entry::store_status()) {
                // The error itself says nothing; the reason is kept apart.
                (keyring::v1::Error::NoDefaultStore, Err(cause)) => {
                    format!("nothing here answers as one ({})", root(cause))
                }
                // Who does not sit there does not answer the question for its password.
                (error @ keyring::v1::Error::NoStorageAccess(_), _) => {
                    format!("it is locked, or may not be used ({})", root(&error))
                }
                (error, _) => root(&error),
            },
        })
    });
    match tokio::time::timeout(KEYRING_PATIENCE, working).await {
        Ok(done) => done,
        Err(_) => Err(Error::Keyring {
            why: "it did not answer within a minute; is it locked?".to_owned(),
        }),
    }
}

/// The last cause, which is the one that says something.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
