//! `dbgate sessions`: open and past sessions, and their end.

use crate::api::types::SessionView;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::{self, Ui};

/// The schema's name in JSON.
const SCHEMA: &str = "dbgate.session/1";

/// Show and end sessions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List sessions: yours, and everybody's if the policy lets you see them
    Ls {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Show one session
    Show {
        /// The session
        #[arg(value_name = "ID")]
        id: String,
    },
    /// End a session now: its connections are closed and its database role is dropped
    Kill {
        /// The session
        #[arg(value_name = "ID")]
        id: String,
    },
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    match &args.command {
        None => list(ui, &broker.sessions(false).await?),
        Some(Command::Ls { all }) => list(ui, &broker.sessions(*all).await?),
        Some(Command::Show { id }) => show(ui, &broker.session(id).await?),
        Some(Command::Kill { id }) => {
            let session = {
                let _spinner = ui.spinner("Ending the session");
                broker.end_session(id).await?
            };
            show(ui, &session)
        }
    }
}

fn list(ui: &mut Ui, sessions: &[SessionView]) -> Result<(), Error> {
    if sessions.is_empty() {
        ui.say("There are no sessions.")?;
    }
    ui.list(
        SCHEMA,
        sessions,
        &[
            ("SESSION", |s| s.id.clone()),
            ("WHO", |s| s.subject.display.clone()),
            ("DATABASE", |s| s.database.clone()),
            ("ACCESS", |s| s.access.clone()),
            ("STATE", |s| s.state.clone()),
            ("CONNECTIONS", |s| s.connections.to_string()),
            ("ENDS", |s| ui::seconds(&s.ends)),
            ("REASON", |s| s.reason.clone().unwrap_or_default()),
        ],
    )
}

fn show(ui: &mut Ui, session: &SessionView) -> Result<(), Error> {
    ui.record(
        SCHEMA,
        session,
        &[
            ("session", |s| s.id.clone()),
            ("who", |s| s.subject.display.clone()),
            ("on behalf of", |s| {
                s.subject.behalf.clone().unwrap_or_default()
            }),
            ("database", |s| s.database.clone()),
            ("access", |s| s.access.clone()),
            ("reason", |s| s.reason.clone().unwrap_or_default()),
            ("opened", |s| ui::seconds(&s.opened)),
            ("ends", |s| ui::seconds(&s.ends)),
            ("state", |s| s.state.clone()),
            ("why", |s| s.close_reason.clone().unwrap_or_default()),
            ("connections", |s| s.connections.to_string()),
        ],
    )
}
