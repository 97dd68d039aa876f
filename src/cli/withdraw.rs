//! `dbgate withdraw ID`: takes back what one asked for.

use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::requests;
use crate::cli::ui::Ui;

/// Take back your own request
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The request, as `dbgate requests` names it
    #[arg(value_name = "ID")]
    id: String,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let request = {
        let _spinner = ui.spinner("Telling the broker");
        broker.withdraw(&args.id).await?
    };
    requests::show(ui, &request)?;
    ui.status("Withdrawn.")
}
