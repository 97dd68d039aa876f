//! `dbgate policy`: is the policy valid, does it do what its author expects.

mod check;
mod test;

use std::path::PathBuf;

use crate::cli::broker::Configuration;
use crate::cli::error::Error;
use crate::cli::problem;
use crate::cli::ui::Ui;
use crate::policy::Policy;
use crate::server;

/// Check and test a policy
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
    Test(test::Args),
}

/// Calls the subcommand.
pub(crate) async fn run(ui: &mut Ui, args: Args) -> Result<(), Error> {
    match args.command {
        Command::Check(args) => check::run(ui, &args),
        Command::Test(args) => test::run(ui, &args).await,
    }
}

/// Where the policy comes from.
#[derive(Debug, clap::Args)]
struct Files {
    /// Policy files, in order; without any, those of the broker's configuration
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    config: Configuration,
}

impl Files {
    /// Reads and compiles them, all mistakes at once.
    fn policy(&self) -> Result<Policy, Error> {
        let read = if self.files.is_empty() {
            server::read_policy(&self.config.read()?.policy_files)
        } else {
            server::read_policy(&self.files)
        };
        read.map_err(|error| match error {
            server::Error::Policy(problems) => Error::setup(format!(
                "the policy has {}\n{}",
                problems.counted(),
                problem::render(&problems, false)
            )),
            other => Error::setup(other.to_string()),
        })
    }
}
