//! `dbgate request DB`: asks for an approval before it is needed.

use crate::api::types::RequestAsk;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::requests;
use crate::cli::session;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;

/// Ask for the approval of a session, or of one statement, before you need it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database, as `dbgate ls` names it
    #[arg(value_name = "DB")]
    database: DatabaseName,

    /// The statement to have approved, exactly as you will run it; without it, the session itself
    #[arg(short = 'c', long, value_name = "SQL")]
    command: Option<String>,

    #[command(flatten)]
    session: session::Args,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let ask = RequestAsk {
        session: args.session.to_ask(&args.database),
        statement: args.command.clone(),
    };
    let request = {
        let _spinner = ui.spinner("Asking the broker");
        broker.request(&ask).await?
    };
    requests::show(ui, &request)?;
    ui.hint(&format!(
        "once it is approved by {}, run it with `--request {}`",
        requests::whom(&request),
        request.id
    ))
}
