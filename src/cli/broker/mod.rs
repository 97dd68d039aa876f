//! `dbgate broker`: the server's side.

pub(crate) mod check;
pub(crate) mod run;

use std::path::{Path, PathBuf};

use crate::cli::error::Error;
use crate::cli::problem;
use crate::cli::ui::Ui;
use crate::config::broker::{self, Config};
use crate::config::problem::Source;

/// Serve as the broker
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    /// Serve until SIGTERM or SIGINT
    Run(run::Args),
}

/// The broker's configuration, for every command that reads it.
#[derive(Debug, clap::Args)]
pub(crate) struct Configuration {
    /// The broker's configuration
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "DBGATE_BROKER_CONFIG",
        hide_env_values = true,
        default_value = "/etc/dbgate/broker.toml"
    )]
    config: PathBuf,
}

impl Configuration {
    /// Reads it, with all its mistakes.
    pub(crate) fn read(&self) -> Result<Config, Error> {
        let path = self.config.as_path();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::setup(format!(
                "read the configuration `{}`: {error}",
                path.display()
            ))
            .with_hint("name the file with `--config`; `docs/operations.md` describes it")
        })?;
        // Whole paths, whatever the folder we were started in: messages name them, and the state is found by one.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = whole.parent().unwrap_or_else(|| Path::new("/"));
        broker::parse(&Source::new(path.display().to_string(), text), base).map_err(|problems| {
            Error::setup(format!(
                "the configuration has {}\n{}",
                problems.counted(),
                problem::render(&problems, false)
            ))
        })
    }
}

/// Calls the subcommand.
pub(crate) async fn run(ui: &mut Ui, args: Args) -> Result<(), Error> {
    match args.command {
        Command::Check(args) => check::run(ui, &args).await,
        Command::Run(args) => run::run(ui, &args).await,
    }
}
