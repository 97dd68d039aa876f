//! `dbgate deny ID`: refuses what somebody else asks for.

use crate::api::types::Decide;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::requests;
use crate::cli::ui::Ui;

/// Deny a request
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request, as `dbgate requests` names it
    #[arg(value_name = "ID")]
    id: String,

    /// Why: told to who asked, and kept in the audit log
    #[arg(long, short)]
    reason: String,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let decide = Decide {
        reason: Some(args.reason.clone()),
        max_rows: None,
    };
    let request = {
        let _spinner = ui.spinner("Telling the broker");
        broker.deny(&args.id, &decide).await?
    };
    requests::show(ui, &request)?;
    ui.status("Denied.")
}
