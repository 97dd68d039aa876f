//! `dbgate approve ID`: agrees to what somebody else asks for.

use crate::api::types::Decide;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::requests;
use crate::cli::ui::Ui;

/// Approve a request
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request, as `dbgate requests` names it
    #[arg(value_name = "ID")]
    id: String,

    /// Why: kept in the audit log
    #[arg(long, short)]
    reason: Option<String>,

    /// The most rows the statement may touch
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let decide = Decide {
        reason: args.reason.clone(),
        max_rows: args.max_rows,
    };
    let request = {
        let _spinner = ui.spinner("Telling the broker");
        broker.approve(&args.id, &decide).await?
    };
    requests::show(ui, &request)?;
    let have = request.approvals.len();
    match request.state.as_str() {
        "pending" => ui.status(&format!("{have} of {} approvals.", request.needed)),
        _ => ui.status("Approved."),
    }
}
