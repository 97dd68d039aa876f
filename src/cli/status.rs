//! `dbgate status`: who am I, until when, which sessions are open.

use serde::Serialize;
use url::Url;

use crate::api::types::Me;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::{self, Ui};

/// Show who you are, until when, and your open sessions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Status {
    broker: Url,
    store: String,
    #[serde(flatten)]
    me: Me,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, _args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let me = {
        let _spinner = ui.spinner("Asking the broker");
        broker.me().await?
    };
    let store = if globals.id_token()?.is_some() {
        "nowhere: the ID token came with the command".to_owned()
    } else {
        globals.account(broker.clone())?.place()
    };
    let status = Status {
        broker: broker.address().url.clone(),
        store,
        me,
    };
    ui.record(
        "dbgate.status/1",
        &status,
        &[
            ("signed in as", |s| s.me.subject.display.clone()),
            ("kind", |s| s.me.subject.kind.clone()),
            ("on behalf of", |s| {
                s.me.subject.behalf.clone().unwrap_or_default()
            }),
            ("groups", |s| s.me.subject.groups.join(", ")),
            ("subject", |s| {
                format!("{} at {}", s.me.subject.sub, s.me.subject.issuer)
            }),
            ("broker", |s| s.broker.to_string()),
            ("token until", |s| ui::seconds(&s.me.expires)),
            ("kept in", |s| s.store.clone()),
            ("sessions", |s| match s.me.sessions.len() {
                0 => "none open".to_owned(),
                count => format!("{count} open"),
            }),
        ],
    )?;
    if ui.is_json() || status.me.sessions.is_empty() {
        return Ok(());
    }
    ui.list(
        "dbgate.session/1",
        &status.me.sessions,
        &[
            ("SESSION", |s| s.id.clone()),
            ("DATABASE", |s| s.database.clone()),
            ("ACCESS", |s| s.access.clone()),
            ("ENDS", |s| ui::seconds(&s.ends)),
            ("REASON", |s| s.reason.clone().unwrap_or_default()),
        ],
    )
}
