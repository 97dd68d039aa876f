//! Assembly: store, audit, broker, gateway and interface become one process.
//!
//! Reading order: `start` here → `front` (each connection to its room) → `reload` (a policy that changed).

pub mod front;
pub mod reload;
pub mod targets;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use crate::api;
use crate::api::types;
use crate::audit;
use crate::audit::event::{Action, Context, Event};
use crate::audit::log::Log;
use crate::audit::storage::files::Files;
use crate::broker;
use crate::broker::Broker;
use crate::broker::login::{self, Logins};
use crate::config::broker::Config;
use crate::config::problem::{Problem, Problems, Source};
use crate::gateway;
use crate::model::name::DatabaseName;
use crate::model::time::{Clock, Entropy};
use crate::net;
use crate::net::drain::{self, Drain};
use crate::net::listener::Listener;
use crate::oidc;
use crate::policy::Policy;
use crate::store;
use crate::store::sqlite::Sqlite;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy has mistakes.
    #[error("the policy has {}", .0.counted())]
    Policy(Problems),
    /// A file can't be read.
    #[error("read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The state can't be opened.
    #[error("open the state: {0}")]
    Store(#[from] store::Error),
    /// The log can't be opened.
    #[error("open the audit log: {0}")]
    Audit(#[from] audit::log::Error),
    /// An address or a certificate.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// A database's configuration.
    #[error("prepare the database `{database}`: {source}")]
    Target {
        /// Which.
        database: DatabaseName,
        /// What is wrong.
        source: net::Error,
    },
    /// An issuer's configuration.
    #[error("prepare the issuers: {0}")]
    Issuers(#[from] oidc::error::Error),
    /// The broker itself.
    #[error("start the broker: {0}")]
    Broker(#[from] broker::Error),
}

/// The surroundings of a broker.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A broker that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where clients are told to go.
    pub gateway: types::GatewayInfo,
    broker: Arc<Broker>,
    log: Log,
    drain: Drain,
    patience: Duration,
    tasks: Vec<JoinHandle<()>>,
}

/// Builds everything and begins to serve. What an earlier broker left behind is mended before the port opens.
///
/// # Errors
/// See [`Error`].
pub async fn start(config: Config, surroundings: &Surroundings) -> Result<Running, Error> {
    let seen = reload::look(&config.policy_files);
    for path in targets::exposed(&config) {
        tracing::warn!(path = %path.display(), "everybody on this machine can read this file with a secret; make its mode 0600");
    }
    let policy = Arc::new(read_policy(&config.policy_files)?);
    let tls = net::tls::Server::new(&read(&config.tls.certificate)?, &read(&config.tls.key)?)?;
    let state: Arc<dyn store::Store> = Arc::new(Sqlite::open(&config.data_dir)?);
    let log = open_log(&config.audit_dir, surroundings)?;
    let logins = logins(&config, &state, surroundings)?;
    log.append(Event::new(
        Context::default(),
        Action::BrokerStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    ))
    .await?;
    let broker = Broker::start(broker::Parts {
        store: state,
        log: log.clone(),
        clock: Arc::clone(&surroundings.clock),
        entropy: Arc::clone(&surroundings.entropy),
        policy,
        targets: targets::read_all(&config)?,
        webhook: targets::webhook(&config)?,
        remember: config.limits.remember,
    })
    .await?;
    let connections = usize::try_from(config.limits.connections).unwrap_or(usize::MAX);
    let listener = Listener::bind(config.listen.address, connections).await?;
    let address = listener.address().map_err(net::Error::Io)?;
    let gateway = advertised(&config, address);
    let mut registry = Registry::with_prefix("dbgate");
    broker::metrics::register(&broker, &mut registry);
    let standing = api::health::Standing::register(&mut registry);
    let options = gate(&config, surroundings, &broker, &tls)?;
    let gate = Arc::new(gateway::Gateway::new(options, &mut registry));
    let api = Arc::new(api::State {
        broker: Arc::clone(&broker),
        logins,
        log: log.clone(),
        info: info(&config, &gateway),
        metrics: Arc::new(registry),
        standing: standing.clone(),
    });
    let (drain, signal) = drain::pair();
    let front = Arc::new(front::Front {
        tls,
        gateway: gate,
        api: api::serve::Service::new(api),
        limits: config.limits.clone(),
    });
    let tasks = vec![
        tokio::spawn(front::accept(listener, front, signal.clone())),
        tokio::spawn(reload::watch(
            (config.policy_files.clone(), seen),
            (Arc::clone(&broker), standing),
            signal,
        )),
    ];
    Ok(Running {
        address,
        gateway,
        broker,
        log,
        drain,
        patience: config.limits.drain,
        tasks,
    })
}

/// What the gateway is made of.
fn gate(
    config: &Config,
    surroundings: &Surroundings,
    broker: &Arc<Broker>,
    tls: &net::tls::Server,
) -> Result<gateway::Options, Error> {
    let secret = gateway::secret::open(&config.data_dir, &*surroundings.entropy);
    Ok(gateway::Options {
        broker: Arc::clone(broker),
        binding: tls.binding().clone(),
        plain_text: config.listen.plain_text,
        handshake: config.limits.handshake,
        entropy: Arc::clone(&surroundings.entropy),
        secret: secret.map_err(|source| Error::Read {
            path: config.data_dir.join("mask.key"),
            source,
        })?,
        transcript: targets::transcript(config),
        messages: config.limits.messages,
    })
}

fn logins(
    config: &Config,
    store: &Arc<dyn store::Store>,
    surroundings: &Surroundings,
) -> Result<Logins, Error> {
    let issuers =
        oidc::issuer::Issuers::new(config.issuers.clone(), Arc::clone(&surroundings.clock))?;
    let around = login::Surroundings {
        store: Arc::clone(store),
        clock: Arc::clone(&surroundings.clock),
        entropy: Arc::clone(&surroundings.entropy),
    };
    Ok(Logins::new(issuers, around, config.limits.token))
}

/// Where clients are told to go.
fn advertised(config: &Config, bound: SocketAddr) -> types::GatewayInfo {
    let host = config.listen.public_host.clone();
    types::GatewayInfo {
        host: host.unwrap_or_else(|| bound.ip().to_string()),
        port: config.listen.public_port.unwrap_or_else(|| bound.port()),
    }
}

impl Running {
    /// Stops: no new connections, open ones may finish what runs, leases end, the log is closed.
    pub async fn stop(self) {
        self.drain.start();
        self.drain.finish(self.patience).await;
        for task in &self.tasks {
            task.abort();
        }
        self.broker.stop().await;
        if let Err(error) = self
            .log
            .append(Event::new(Context::default(), Action::BrokerStopped))
            .await
        {
            tracing::error!(%error, "the stop could not be recorded");
        }
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.close()).await.ok();
    }
}

/// Reads and compiles the policy.
///
/// # Errors
/// When a file can't be read, or with all mistakes at once.
pub fn read_policy(files: &[PathBuf]) -> Result<Policy, Error> {
    let mut sources = Vec::new();
    let mut problems = Problems::new();
    for path in files {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => sources.push(Source::new(name, text)),
            Err(error) => {
                let source = Source::new(name, "");
                problems.push(Problem::whole(
                    &source,
                    format!("the file can't be read: {error}"),
                ));
            }
        }
    }
    match crate::policy::compile(&sources) {
        Ok(policy) if problems.is_empty() => Ok(policy),
        Ok(_) => Err(Error::Policy(problems)),
        Err(more) => {
            problems.extend(more);
            Err(Error::Policy(problems))
        }
    }
}

fn open_log(directory: &Path, surroundings: &Surroundings) -> Result<Log, Error> {
    let (log, recovery) = Log::open(audit::log::Options {
        storage: Arc::new(Files::open(directory)?),
        clock: Arc::clone(&surroundings.clock),
        entropy: Arc::clone(&surroundings.entropy),
        segment: audit::log::SEGMENT,
    })?;
    if let Some(repair) = &recovery.repair {
        tracing::warn!(
            cause = repair.cause,
            kept = repair.kept,
            cut = repair.cut,
            "the audit log was repaired"
        );
    }
    Ok(log)
}

fn info(config: &Config, gateway: &types::GatewayInfo) -> types::Info {
    let issuers = config.issuers.iter().filter_map(|issuer| {
        Some(types::IssuerInfo {
            issuer: issuer.url.clone(),
            client_id: issuer.client_id.clone()?,
            scopes: issuer.scopes.clone(),
        })
    });
    types::Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        issuers: issuers.collect(),
        gateway: gateway.clone(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}
