//! `dbgate ls`: the databases I may ask for, what I may do there, and whether a review is needed.

use std::time::Duration;

use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::time::show_span;

/// List the databases you may ask for
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, _args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let databases = {
        let _spinner = ui.spinner("Asking the broker");
        broker.databases().await?
    };
    if databases.is_empty() {
        ui.say("There is no database you may ask for.")?;
        ui.hint("`dbgate status` shows your groups; an administrator grants access to them")?;
    }
    ui.list(
        "dbgate.database/1",
        &databases,
        &[
            ("DATABASE", |d| d.name.clone()),
            ("ACCESS", |d| d.access.join(", ")),
            ("REVIEW", |d| {
                if d.review { "needed" } else { "" }.to_owned()
            }),
            ("AT MOST", |d| {
                show_span(Duration::from_secs(d.max_duration_s))
            }),
        ],
    )
}
