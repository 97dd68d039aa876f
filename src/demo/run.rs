//! Brings everything up in order, and down again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config;
use crate::config::problem::{Problems, Source};
use crate::demo::database::{self, Content, DATABASE};
use crate::demo::dsn::Dsn;
use crate::demo::home::Home;
use crate::demo::issuer::{self, Issuer};
use crate::demo::locate::{self, Places};
use crate::demo::place::{self, Place};
use crate::demo::postgres;
use crate::model::name;
use crate::net;
use crate::net::drain::Signal;
use crate::server::{self, Running, Surroundings};

/// How long the tokens that are printed are good for.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);

/// The policy of the shop.
const POLICY: &str = include_str!("policy.toml");

/// What the demo is to be.
#[derive(Debug)]
pub struct Options {
    /// Where to look for PostgreSQL's programs.
    pub places: Places,
    /// A server that is there, instead of one of our own.
    pub dsn: Option<Dsn>,
    /// A schema of one's own instead of the shop.
    pub sql: Option<PathBuf>,
    /// A policy of one's own.
    pub policy: Option<PathBuf>,
    /// The folder; none = a temporary one.
    pub dir: Option<PathBuf>,
    /// Where temporary folders are.
    pub temporary: PathBuf,
    /// Our own program, for the guardian.
    pub executable: PathBuf,
    /// The broker's address; port 0 takes a free one.
    pub address: SocketAddr,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PostgreSQL.
    #[error(transparent)]
    NotFound(#[from] locate::NotFound),
    /// A file of one's own can't be read.
    #[error("read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The folder.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// The server.
    #[error("start PostgreSQL: {0}")]
    Postgres(#[from] postgres::Error),
    /// Its content.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The file of certificates for a server that is there.
    #[error("use the server of `--dsn`: {0}")]
    Trust(#[from] net::Error),
    /// The broker's admin role, or a session's, does not get in.
    #[error("the broker can't work on this server: {why}")]
    Unfit {
        /// All of it.
        why: String,
        /// Lines that mend it.
        lines: Vec<String>,
    },
    /// Something is left on a server that was there before.
    #[error("what the demo made on the server could not all be dropped: {source}")]
    Left {
        /// Why not.
        source: database::Error,
        /// What drops it by hand.
        sql: String,
    },
    /// The offered name, which is a mistake of ours.
    #[error(transparent)]
    Name(#[from] name::Error),
    /// Somebody wants it to end before it is there.
    #[error("interrupted")]
    Interrupted,
    /// The issuer.
    #[error(transparent)]
    Issuer(#[from] issuer::Error),
    /// The demo's own configuration, which is a mistake of ours.
    #[error("the demo's configuration: {0}")]
    Config(Problems),
    /// The broker.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// Everything that tests and evaluations need to know; the form of `--json`.
#[derive(Debug, Serialize)]
pub struct Ready {
    /// The broker's address.
    pub url: String,
    /// Where PostgreSQL clients connect.
    pub gateway: Gateway,
    /// What to trust.
    pub ca_file: PathBuf,
    /// The broker's configuration.
    pub config_file: PathBuf,
    /// The policy, which may be edited: it is read again.
    pub policy_file: PathBuf,
    /// The superuser's way in beside dbgate, for setting things up.
    pub admin_dsn: String,
    /// The database's offered name.
    pub database: String,
    /// Where the log is.
    pub audit_dir: PathBuf,
    /// The public key of the log; none until the log is signed.
    pub audit_key: Option<String>,
    /// Engineer, reviewer, auditor, job.
    pub users: Vec<User>,
}

/// Where PostgreSQL clients connect.
#[derive(Debug, Serialize)]
pub struct Gateway {
    /// Address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Somebody to act as.
#[derive(Debug, Serialize)]
pub struct User {
    /// A short name.
    pub name: String,
    /// `engineer`, `reviewer`, `auditor` or `job`.
    pub role: String,
    /// For `DBGATE_ID_TOKEN`.
    pub id_token: String,
}

/// A demo that runs.
#[derive(Debug)]
pub struct Demo {
    /// What to tell.
    pub ready: Ready,
    works: Works,
}

impl Demo {
    /// Brings everything up, unless `signal` says that it is no longer wanted. Must run on a thread that lives as long
    /// as the demo (see `guardian`).
    ///
    /// # Errors
    /// See [`Error`]. What was started is ended, what was made is removed.
    pub async fn start(
        options: Options,
        surroundings: &Surroundings,
        signal: &Signal,
    ) -> Result<Self, Error> {
        let mut works = Works::default();
        match works.raise(options, surroundings, signal).await {
            Ok(ready) => Ok(Self { ready, works }),
            Err(error) => {
                works.take_down().await?;
                Err(error)
            }
        }
    }

    /// Which PostgreSQL it is, for people.
    #[must_use]
    pub fn about(&self) -> &str {
        self.works.home.as_ref().map_or("", |home| &home.about)
    }

    /// The folder of PostgreSQL's programs, where it is known.
    #[must_use]
    pub fn bin(&self) -> Option<&Path> {
        self.works
            .home
            .as_ref()
            .and_then(|home| home.bin.as_deref())
    }

    /// A path in the demo's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.ready.config_file.with_file_name(name)
    }

    /// Brings everything down; leaves nothing but a folder that was named.
    ///
    /// # Errors
    /// When something is left on a server that was there before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.works.take_down().await
    }
}

/// What is up so far.
#[derive(Debug, Default)]
struct Works {
    place: Option<Place>,
    home: Option<Home>,
    issuer: Option<Issuer>,
    running: Option<Running>,
}

impl Works {
    async fn raise(
        &mut self,
        options: Options,
        surroundings: &Surroundings,
        signal: &Signal,
    ) -> Result<Ready, Error> {
        let content = match &options.sql {
            Some(path) => Content::Script(read(path)?),
            None => Content::Shop,
        };
        let policy = options
            .policy
            .as_deref()
            .map_or_else(|| Ok(POLICY.to_owned()), read)?;
        if let Some(path) = &options.policy {
            // Mistakes are shown before anything is made, in the file that was given and not in the demo's copy of it.
            server::read_policy(std::slice::from_ref(path))?;
        }
        let home = self.settle(&options, surroundings)?;
        wanted(signal).await?;
        home.furnish(&content).await?;
        wanted(signal).await?;
        home.examine(surroundings).await?;
        wanted(signal).await?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let issuer = Issuer::start(
            loopback,
            Arc::clone(&surroundings.clock),
            Arc::clone(&surroundings.entropy),
        )
        .await?;
        let (Some(place), Some(home)) = (&self.place, &self.home) else {
            return Err(Error::Interrupted);
        };
        place.write_certificates(surroundings.clock.now())?;
        place.write("policy.toml", &policy, 0o644)?;
        place.write_config(&home.upstream(), options.address, &issuer.config())?;
        let running = server::start(read_config(place)?, surroundings).await?;
        let ready = ready(place, &running, &issuer, home.admin_dsn());
        for user in &ready.users {
            user.write_settings(place, &ready)?;
        }
        self.issuer = Some(issuer);
        self.running = Some(running);
        wanted(signal).await?;
        Ok(ready)
    }

    /// Finds or starts the server, and makes the folder.
    fn settle(
        &mut self,
        options: &Options,
        surroundings: &Surroundings,
    ) -> Result<&mut Home, Error> {
        let entropy = surroundings.entropy.as_ref();
        let make = || Place::make(options.dir.as_deref(), &options.temporary, entropy);
        let home = match &options.dsn {
            Some(dsn) => {
                self.place = Some(make()?);
                Home::visit(dsn.clone(), entropy)?
            }
            None => {
                let programs = locate::locate(&options.places)?;
                let place = self.place.insert(make()?);
                let dir = place.path("postgres");
                Home::build(programs, dir, &options.executable, entropy)?
            }
        };
        Ok(self.home.insert(home))
    }

    /// In the order in which one needs the other.
    async fn take_down(&mut self) -> Result<(), Error> {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        self.issuer = None;
        let left = match self.home.take() {
            Some(mut home) => home.leave().await,
            None => Ok(()),
        };
        if let Some(place) = self.place.take() {
            place.clear();
        }
        left
    }
}

/// Whether to go on. Lets others see a signal first.
async fn wanted(signal: &Signal) -> Result<(), Error> {
    tokio::task::yield_now().await;
    if signal.is_started() {
        return Err(Error::Interrupted);
    }
    Ok(())
}

impl User {
    /// What a shell reads to act as this user.
    fn write_settings(&self, place: &Place, ready: &Ready) -> Result<(), place::Error> {
        let settings = [
            ("DBGATE_URL", ready.url.as_str()),
            ("DBGATE_CA_FILE", &ready.ca_file.display().to_string()),
            ("DBGATE_ID_TOKEN", &self.id_token),
        ];
        place.write_settings(&self.name, &settings)
    }
}

fn read_config(place: &Place) -> Result<config::broker::Config, Error> {
    let path = place.path("broker.toml");
    let source = Source::new(path.display().to_string(), read(&path)?);
    config::broker::parse(&source, place.root()).map_err(Error::Config)
}

fn ready(place: &Place, running: &Running, issuer: &Issuer, admin_dsn: String) -> Ready {
    let users = issuer.people().iter().map(|account| User {
        name: account.sub.to_owned(),
        role: account.role.to_owned(),
        id_token: issuer.mint(account, TOKEN_LIFE).expose().clone(),
    });
    Ready {
        url: format!("https://{}", running.address),
        gateway: Gateway {
            host: running.gateway.host.clone(),
            port: running.gateway.port,
        },
        ca_file: place.path("ca.pem"),
        config_file: place.path("broker.toml"),
        policy_file: place.path("policy.toml"),
        admin_dsn,
        database: DATABASE.to_owned(),
        audit_dir: place.path("audit"),
        audit_key: None,
        users: users.collect(),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}
