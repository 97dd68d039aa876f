//! Brings everything up in order, and down again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::config;
use crate::config::problem::{Problems, Source};
use crate::demo::database::{self, Content, DATABASE, HBA};
use crate::demo::issuer::{self, Issuer};
use crate::demo::locate::{self, Places};
use crate::demo::place::{self, Place, Upstream, token};
use crate::demo::postgres::{self, SUPERUSER, Server};
use crate::model::secret::Secret;
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
    /// Which PostgreSQL was found.
    pub programs: locate::Programs,
    running: Running,
    _issuer: Issuer,
    postgres: Server,
    place: Place,
}

impl Demo {
    /// Brings everything up. Must run on a thread that lives as long as the demo (see `guardian`).
    ///
    /// # Errors
    /// See [`Error`]. What was started is ended, what was made is removed.
    pub async fn start(options: Options, surroundings: &Surroundings) -> Result<Self, Error> {
        let programs = locate::locate(&options.places)?;
        let content = match &options.sql {
            Some(path) => Content::Script(read(path)?),
            None => Content::Shop,
        };
        let policy = options
            .policy
            .as_deref()
            .map_or_else(|| Ok(POLICY.to_owned()), read)?;
        let place = Place::make(
            options.dir.as_deref(),
            &options.temporary,
            surroundings.entropy.as_ref(),
        )?;
        let superuser = Secret::new(token(surroundings.entropy.as_ref(), 24));
        let admin = Secret::new(token(surroundings.entropy.as_ref(), 24));
        let postgres = Server::start(&postgres::Options {
            programs: programs.clone(),
            dir: place.path("postgres"),
            password: superuser.clone(),
            executable: options.executable,
            hba: HBA.to_owned(),
        })?;
        database::prepare(&postgres, &superuser, &admin, &content).await?;
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let issuer = Issuer::start(
            loopback,
            Arc::clone(&surroundings.clock),
            Arc::clone(&surroundings.entropy),
        )
        .await?;
        place.write_certificates(surroundings.clock.now())?;
        place.write("policy.toml", &policy, 0o644)?;
        let host = postgres.socket_dir.display().to_string();
        let upstream = Upstream::own(&host, postgres.port, &admin);
        place.write_config(&upstream, options.address, &issuer.config())?;
        let running = server::start(read_config(&place)?, surroundings).await?;
        let ready = ready(
            &place,
            &running,
            &issuer,
            &format!("{}@127.0.0.1:{}", credential(&superuser), postgres.port),
        );
        Ok(Self {
            ready,
            programs,
            running,
            _issuer: issuer,
            postgres,
            place,
        })
    }

    /// Brings everything down; leaves nothing but a folder that was named.
    pub async fn stop(mut self) {
        self.running.stop().await;
        self.postgres.stop();
        self.place.clear();
    }
}

fn credential(superuser: &Secret<String>) -> String {
    format!("{SUPERUSER}:{}", superuser.expose())
}

fn read_config(place: &Place) -> Result<config::broker::Config, Error> {
    let path = place.path("broker.toml");
    let source = Source::new(path.display().to_string(), read(&path)?);
    config::broker::parse(&source, place.root()).map_err(Error::Config)
}

fn ready(place: &Place, running: &Running, issuer: &Issuer, admin: &str) -> Ready {
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
        admin_dsn: format!("postgresql://{admin}/{DATABASE}"),
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
