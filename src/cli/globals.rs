//! Options every command takes, and how they lead to the broker.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use url::Url;

use crate::api::types;
use crate::cli::error::Error;
use crate::cli::remembered;
use crate::cli::ui::Ui;
use crate::config::client;
use crate::model::secret::Secret;
use crate::net::clock;
use crate::net::entropy;
use crate::remote::broker::{Address, Broker};
use crate::remote::credentials::Store;
use crate::remote::sign_in::Account;

/// Global options.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Globals {
    /// The broker's address, such as https://db.example.com
    #[arg(
        long,
        global = true,
        env = "DBGATE_URL",
        value_name = "URL",
        value_parser = broker_url,
        hide_env_values = true
    )]
    pub url: Option<Url>,

    /// Trust the certificates in this PEM file instead of the system's
    #[arg(
        long,
        global = true,
        env = "DBGATE_CA_FILE",
        value_name = "FILE",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub ca_file: Option<PathBuf>,

    /// Sign in with the OIDC ID token in this file; `-` reads stdin (DBGATE_ID_TOKEN holds a token itself)
    #[arg(
        long,
        global = true,
        env = "DBGATE_ID_TOKEN_FILE",
        value_name = "FILE",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub id_token_file: Option<PathBuf>,

    /// Where tokens are kept
    #[arg(
        long,
        global = true,
        env = "DBGATE_TOKEN_STORE",
        value_name = "STORE",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub token_store: Option<TokenStore>,

    /// Where configuration, history and remembered tokens are
    #[arg(
        long,
        global = true,
        env = "DBGATE_CONFIG_DIR",
        value_name = "DIR",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub config_dir: Option<PathBuf>,

    /// The form of what goes to stdout
    #[arg(
        long,
        short,
        global = true,
        env = "DBGATE_OUTPUT",
        value_name = "FORM",
        hide_env_values = true
    )]
    pub output: Option<Output>,

    /// When to use color; NO_COLOR and TERM=dumb are honored
    #[arg(
        long,
        global = true,
        env = "DBGATE_COLOR",
        value_name = "WHEN",
        default_value = "auto",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub color: When,

    /// Never ask; fail where a question would be asked
    #[arg(long, global = true, env = "DBGATE_NO_INPUT", value_parser = clap::builder::FalseyValueParser::new(), hide_env_values = true, hide_short_help = true)]
    pub no_input: bool,

    /// Tell errors and warnings only
    #[arg(
        long,
        short,
        global = true,
        conflicts_with = "verbose",
        hide_env_values = true
    )]
    pub quiet: bool,

    /// Tell more
    #[arg(long, short, global = true, action = clap::ArgAction::Count, hide_env_values = true, hide_short_help = true)]
    pub verbose: u8,
}

/// The form of what goes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One JSON document
    Json,
    /// One JSON document a line
    Ndjson,
}

/// When to use color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// Where tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenStore {
    /// The operating system's keyring
    Keyring,
    /// A file only its owner may read
    File,
    /// Nowhere: they go with the process
    Memory,
}

impl From<TokenStore> for client::TokenStore {
    fn from(store: TokenStore) -> Self {
        match store {
            TokenStore::Keyring => Self::Keyring,
            TokenStore::File => Self::File,
            TokenStore::Memory => Self::Memory,
        }
    }
}

/// Reads a broker's address from the command line; what it must look like is said at once.
///
/// # Errors
/// When it is no URL.
pub fn broker_url(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .map_err(|error| format!("{error}; write it as `https://host` or `https://host:port`"))
}

impl Globals {
    /// The broker's address: as given, else the one that was signed in at last.
    ///
    /// # Errors
    /// When none is configured, or what is remembered can't be read.
    pub fn address(&self) -> Result<Address, Error> {
        let remembered = remembered::read(self)?;
        let url = self.url.clone().or_else(|| remembered.url.clone());
        let url = url.ok_or_else(|| {
            Error::setup("no broker is configured").with_hint(
                "give its address with `--url` or `DBGATE_URL`, or run `dbgate login URL`",
            )
        })?;
        // Certificates are remembered for one broker, not for all.
        let ca_file = remembered
            .ca_file
            .filter(|_| remembered.url.as_ref() == Some(&url));
        Ok(Address {
            url,
            ca_file: self.ca_file.clone().or(ca_file),
        })
    }

    /// Where configuration, history and remembered tokens are.
    ///
    /// # Errors
    /// When there is no home directory either.
    pub fn config_dir(&self) -> Result<PathBuf, Error> {
        if let Some(dir) = &self.config_dir {
            return Ok(dir.clone());
        }
        directories::ProjectDirs::from("", "", "dbgate")
            .map(|dirs| dirs.config_dir().to_owned())
            .ok_or_else(|| {
                Error::setup("there is no home directory")
                    .with_hint("name a directory with `--config-dir`")
            })
    }

    /// The broker, as the one who is signed in.
    ///
    /// # Errors
    /// When none is configured, it can't be reached, or nobody is signed in.
    pub async fn broker(&self, ui: &Ui) -> Result<Broker, Error> {
        let broker = Broker::new(self.address()?)?;
        let _spinner = ui.spinner("Signing in");
        let Some(id_token) = self.id_token()? else {
            let token = self.account(broker.clone())?.token().await?;
            return Ok(broker.with_token(token));
        };
        let login = types::Login {
            id_token: id_token.expose().clone(),
            access_token: None,
            nonce: None,
        };
        let answer = broker.login(&login).await?;
        Ok(broker.with_token(Secret::new(answer.token)))
    }

    /// What this machine keeps of a sign-in at `broker`.
    ///
    /// # Errors
    /// When the CA file or what is remembered can't be read.
    pub fn account(&self, broker: Broker) -> Result<Account, Error> {
        let kind = self
            .token_store
            .map(client::TokenStore::from)
            .or(remembered::read(self)?.token_store)
            // Whoever signed in here had the store remembered; a keyring that is not needed is not asked.
            .unwrap_or(client::TokenStore::Memory);
        self.account_in(broker, kind)
    }

    /// The same, kept in a store of this kind.
    ///
    /// # Errors
    /// When the CA file can't be read.
    pub fn account_in(&self, broker: Broker, kind: client::TokenStore) -> Result<Account, Error> {
        let ca = match &broker.address().ca_file {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|error| {
                Error::setup(format!("read the CA file `{}`: {error}", path.display()))
            })?),
        };
        let store = self.store(kind)?;
        let (clock, entropy) = (Arc::new(clock::System::new()), Arc::new(entropy::System));
        Ok(Account::new(broker, store, ca, clock, entropy))
    }

    /// A store for sign-ins.
    ///
    /// # Errors
    /// When there is no directory for it.
    pub fn store(&self, kind: client::TokenStore) -> Result<Store, Error> {
        Ok(Store::new(
            kind,
            &self.config_dir()?,
            Arc::new(entropy::System),
        ))
    }

    /// The ID token a job or a test brings along.
    ///
    /// # Errors
    /// When the file can't be read.
    #[expect(
        clippy::disallowed_methods,
        reason = "a clap option for the token itself would invite it onto the command line"
    )]
    pub fn id_token(&self) -> Result<Option<Secret<String>>, Error> {
        let text = match &self.id_token_file {
            Some(path) if path.as_os_str() == "-" => {
                Some(std::io::read_to_string(std::io::stdin()))
            }
            Some(path) => Some(std::fs::read_to_string(path)),
            None => std::env::var("DBGATE_ID_TOKEN").ok().map(Ok),
        };
        let Some(text) = text else { return Ok(None) };
        let text = text.map_err(|error| {
            let path = self
                .id_token_file
                .as_deref()
                .unwrap_or(std::path::Path::new("-"));
            Error::setup(format!("read the ID token `{}`: {error}", path.display()))
                .with_hint("`--id-token-file` names the file the job's OIDC token is written to")
        })?;
        let token = text.trim();
        Ok((!token.is_empty()).then(|| Secret::from(token)))
    }
}
