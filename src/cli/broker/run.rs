//! `dbgate broker run`: serves.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::cli::broker::Configuration;
use crate::cli::demo::failure;
use crate::cli::error::Error;
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::net::clock;
use crate::net::entropy;
use crate::server::{self, Surroundings};

/// Serve until SIGTERM or SIGINT
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: Configuration,

    /// The form of the log on stderr
    #[arg(
        long,
        value_name = "FORM",
        env = "DBGATE_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    log_format: Format,

    /// What is logged, such as `info` or `dbgate::gateway=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "DBGATE_LOG",
        hide_env_values = true,
        default_value = "info"
    )]
    log: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

/// Reads the configuration, serves, drains.
pub(crate) async fn run(_: &mut Ui, args: &Args) -> Result<(), Error> {
    log(args)?;
    let config = args.config.read()?;
    let surroundings = Surroundings {
        clock: Arc::new(clock::System::new()),
        entropy: Arc::new(entropy::System),
    };
    let mut ended = signal::ended()?;
    let running = server::start(config, &surroundings)
        .await
        .map_err(|error| failure::server(&error))?;
    tracing::info!(address = %running.address, "serving");
    let number = ended.wait().await;
    tracing::info!(signal = number, "stopping");
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn log(args: &Args) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| Error::usage(format!("`{}` is no log filter: {error}", args.log)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match args.log_format {
        Format::Text => builder.with_ansi(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| Error::setup(format!("set the log up: {error}")))
}
