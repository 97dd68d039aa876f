//! `dbgate explain`: what would happen to a statement, and why.

use serde::Deserialize;

use crate::api::types::ExplainAsk;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::access::Access;
use crate::policy::explain::Explanation;

/// Show what would happen to a statement, without running it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    #[arg(value_name = "DB")]
    database: String,

    /// The statement, or several
    #[arg(long, short, value_name = "SQL")]
    command: String,

    /// In what kind of session
    #[arg(long, value_name = "ACCESS", default_value = "write")]
    access: Access,
}

/// What the broker answers.
#[derive(Deserialize)]
struct Answer {
    statements: Vec<Explanation>,
}

/// Asks the broker and shows its answer.
pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let ask = ExplainAsk {
        database: args.database.clone(),
        sql: args.command.clone(),
        access: args.access.to_string(),
    };
    let answer = broker.explain(&ask).await?;
    if ui.is_json() {
        return ui.json("dbgate.explain/1", &answer);
    }
    let answer: Answer = serde_json::from_value(answer)
        .map_err(|error| Error::failed(format!("read the broker's answer: {error}")))?;
    for explanation in &answer.statements {
        ui.print(&explanation.to_string())?;
    }
    Ok(())
}
