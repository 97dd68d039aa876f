//! `dbgate audit show`: everything about a session.

use crate::cli::audit::view::{self, View};
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::session::SessionId;

/// Show everything that happened in a session
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The session's id
    session: SessionId,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let records = super::session(ui, &broker, &args.session, false).await?;
    if let Some(first) = records.first() {
        let view = View(first);
        ui.status(&format!(
            "session {} of {} on {}: {} records",
            args.session,
            view.who(),
            view.text("database"),
            records.len()
        ))?;
    }
    ui.list("dbgate.audit.event/1", &records, view::COLUMNS)
}
