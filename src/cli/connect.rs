//! `dbgate connect`: the guarded SQL shell.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::session;
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;
use crate::model::time::{Timestamp, parse_span};
use crate::net::clock;
use crate::shell::session::{Ending, Session, Settings};

/// Who sits at a terminal may wait as long as a working day for an approval.
const PATIENCE: Duration = Duration::from_secs(8 * 3600);

/// Open the guarded SQL shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  dbgate connect shop
  dbgate connect shop --access write --reason 'INC-7: repair order 42'

In the shell, \\? lists the commands. When stdin is no terminal, it is run as a script.")]
pub struct Args {
    /// The database's name, as `dbgate ls` shows it
    database: DatabaseName,

    /// How long to wait for an approval, such as 10m
    #[arg(long, env = "DBGATE_WAIT", hide_env_values = true, value_name = "SPAN", value_parser = parse_span)]
    wait: Option<Duration>,

    /// Keep no history of what is typed
    #[arg(long, env = "DBGATE_NO_HISTORY", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    no_history: bool,

    #[command(flatten)]
    session: session::Args,
}

/// Runs the command.
///
/// # Errors
/// When no session is granted, or it ends before the person does.
pub async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let patience = if io::stdin().is_terminal() {
        PATIENCE
    } else {
        Duration::ZERO
    };
    let ask = args.session.to_ask(&args.database);
    let granted = session::open(ui, &broker, ask, args.wait.unwrap_or(patience)).await?;
    let connection = session::connect(&broker, &granted, "dbgate connect").await?;
    let history = if args.no_history {
        None
    } else {
        Some(globals.config_dir()?.join("history"))
    };
    let settings = Settings {
        database: args.database.clone(),
        subject: granted.session.subject.display.clone(),
        session: granted.session.id.clone(),
        access: args.session.access,
        ends: granted
            .session
            .ends
            .parse::<Timestamp>()
            .unwrap_or(Timestamp::from_micros(i64::MAX)),
        history,
        broker: broker.clone(),
    };
    let clock = Arc::new(clock::System::new());
    let mut killed = signal::killed()?;
    let sitting = Session::new(settings, clock, connection, ui.screen())?;
    let sitting = async {
        if io::stdin().is_terminal() {
            return Ok(sitting.interact().await?);
        }
        let script = io::read_to_string(io::stdin())
            .map_err(|error| Error::setup(format!("read stdin: {error}")))?;
        Ok(sitting.script(&script).await?)
    };
    let ending = tokio::select! {
        ending = sitting => ending,
        number = killed.wait() => Err(Error::signal(number)),
    };
    // The shell is left; its session has no use any more. Should the broker be gone, the end comes by itself.
    let _ended = broker.end_session(&granted.session.id).await;
    match ending? {
        Ending::Left => Ok(()),
        Ending::Failed | Ending::Lost => Err(Error::told(Kind::Failed)),
        Ending::Refused => Err(Error::told(Kind::Refused)),
        Ending::Over => Err(Error::told(Kind::Ended)),
    }
}
