//! `dbgate broker`: the server's side.

pub(crate) mod check;
pub(crate) mod run;

use crate::cli::error::Error;
use crate::cli::ui::Ui;

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

/// Calls the subcommand.
pub(crate) async fn run(ui: &mut Ui, args: Args) -> Result<(), Error> {
    match args.command {
        Command::Check(args) => check::run(ui, &args).await,
        Command::Run(args) => run::run(ui, &args).await,
    }
}
