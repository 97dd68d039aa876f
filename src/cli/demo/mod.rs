//! `dbgate demo`: all of it on this machine.

pub(crate) mod failure;
mod show;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use crate::cli::error::Error;
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::demo::dsn::{Dsn, Unreadable};
use crate::demo::locate::Places;
use crate::demo::postgres;
use crate::demo::run::{Demo, Options};
use crate::model::secret::Secret;
use crate::net::clock;
use crate::net::drain;
use crate::net::entropy;
use crate::server::Surroundings;

/// Run all of dbgate on this machine: PostgreSQL, a sign-in issuer, a sample shop, policy and broker
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  dbgate demo                      prints five commands to try in another terminal
  dbgate demo --play               runs them by itself, as the three people, and ends
  dbgate demo --json --sql my.sql --policy my.toml

PostgreSQL is a real server. Its programs are looked for in --pg-bin, pg_config, PATH, the usual places of Debian, \
Red Hat, Homebrew and Postgres.app, and in npm and Python packages that are installed. With --dsn the demo uses a server \
that is there: it makes the database `dbgate_demo` and the roles `dbgate_read`, `dbgate_write`, `dbgate_owner`, `dbgate_lease` and \
`dbgate_admin`, and drops them at its end. Ctrl-C ends it.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Run the commands to try by itself, as the engineer, the reviewer and the auditor, and end
    #[arg(long, conflicts_with_all = ["json", "sql", "policy"])]
    play: bool,

    /// Load this schema instead of the sample shop
    #[arg(long, value_name = "FILE")]
    sql: Option<PathBuf>,

    /// Use this policy instead of the shop's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Keep everything in this new folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print one JSON object when ready, and stay in the foreground
    #[arg(long)]
    json: bool,

    /// The folder of PostgreSQL's server programs
    #[arg(
        long,
        value_name = "DIR",
        env = "DBGATE_PG_BIN",
        hide_env_values = true
    )]
    pg_bin: Option<PathBuf>,

    /// Use this server instead of one of its own: postgres://USER@HOST/postgres, a role with CREATEDB and CREATEROLE
    #[arg(
        long,
        value_name = "URL",
        env = "DBGATE_DEMO_DSN",
        hide_env_values = true,
        value_parser = secret
    )]
    dsn: Option<Secret<String>>,

    /// The broker's address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Brings everything up, tells or plays, and brings it down.
pub(crate) async fn run(ui: &mut Ui, args: Args) -> Result<(), Error> {
    let surroundings = Surroundings {
        clock: Arc::new(clock::System::new()),
        entropy: Arc::new(entropy::System),
    };
    let (json, play) = (args.json, args.play);
    let mut ended = signal::ended()?.or_hangup()?;
    let spinner = ui.spinner("Starting PostgreSQL, issuer and broker");
    let (drain, signal) = drain::pair();
    let demo = {
        let mut starting = pin!(Demo::start(options(args)?, &surroundings, &signal));
        tokio::select! {
            demo = &mut starting => demo.map_err(failure::demo)?,
            number = ended.wait() => {
                // It stops at the next step and takes back what it has made.
                drain.start();
                if let Ok(demo) = starting.await {
                    demo.stop().await.map_err(failure::demo)?;
                }
                return Err(Error::signal(number));
            }
        }
    };
    drop(spinner);
    let shown = if play {
        tokio::select! {
            played = show::play(ui, &demo) => played,
            number = ended.wait() => Err(Error::signal(number)),
        }
    } else {
        let told = if json {
            show::json(ui, &demo)
        } else {
            show::text(ui, &demo)
        };
        if told.is_ok() {
            // Ctrl-C is how a demo ends; nothing has failed.
            ended.wait().await;
        }
        told
    };
    demo.stop().await.map_err(failure::demo)?;
    shown
}

fn options(args: Args) -> Result<Options, Error> {
    let account = match args.dsn {
        Some(_) => None,
        None => postgres::account().map_err(|error| failure::demo(error.into()))?,
    };
    Ok(Options {
        places: Places {
            given: args.pg_bin,
            path: std::env::var_os("PATH"),
            working_dir: std::env::current_dir().ok(),
            home: std::env::home_dir(),
            root: None,
            account,
        },
        dsn: args.dsn.as_ref().map(read).transpose()?,
        sql: args.sql,
        policy: args.policy,
        dir: args.dir,
        temporary: std::env::temp_dir(),
        executable: executable()?,
        address: args.listen,
    })
}

/// An address may hold a password, which clap would repeat when it complains.
fn secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::from(text))
}

fn read(dsn: &Secret<String>) -> Result<Dsn, Error> {
    let dsn = dsn.expose().parse();
    dsn.map_err(|error: Unreadable| {
        Error::usage(format!("`--dsn` can't be used: {error}"))
            .with_hint("write `postgres://USER:PASSWORD@HOST:PORT/postgres`")
    })
}

/// Our own program.
fn executable() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::setup(format!("find our own program: {error}")))
}
