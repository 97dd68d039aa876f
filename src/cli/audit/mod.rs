//! `dbgate audit`: who did what, why, and under whose approval.

pub(crate) mod replay;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod tail;
pub(crate) mod verify;
pub(crate) mod view;

use reqwest::Method;
use url::form_urlencoded;

use crate::api::audit::{Page, Query};
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::session::SessionId;
use crate::remote::broker::Broker;

/// Read the audit log: who did what, why, and under whose approval
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Tail(tail::Args),
    Search(Box<search::Args>),
    Show(show::Args),
    Replay(replay::Args),
    Verify(verify::Args),
}

/// Calls the subcommand.
pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Tail(args) => tail::run(ui, globals, args).await,
        Command::Search(args) => search::run(ui, globals, args).await,
        Command::Show(args) => show::run(ui, globals, args).await,
        Command::Replay(args) => replay::run(ui, globals, args).await,
        Command::Verify(args) => verify::run(ui, globals, args).await,
    }
}

/// One page of what a query finds.
async fn events(broker: &Broker, query: &Query) -> Result<Page, Error> {
    let fields = serde_json::to_value(query)
        .map_err(|error| Error::failed(format!("write the query: {error}")))?;
    let mut pairs = form_urlencoded::Serializer::new("v1/audit/events?".to_owned());
    for (name, value) in fields.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) => pairs.append_pair(name, text),
            None => pairs.append_pair(name, &value.to_string()),
        };
    }
    let path = pairs.finish().replacen("?&", "?", 1);
    Ok(broker.call(Method::GET, &path, None::<&()>).await?)
}

/// All records of a session, all pages of them.
async fn session(
    ui: &Ui,
    broker: &Broker,
    id: &SessionId,
    transcript: bool,
) -> Result<Vec<serde_json::Value>, Error> {
    let _spinner = ui.spinner("Reading the audit log");
    let end = if transcript { "/transcript" } else { "" };
    let (mut records, mut from) = (Vec::new(), 0);
    loop {
        let path = format!("v1/audit/sessions/{id}{end}?from={from}");
        let page: Page = broker.call(Method::GET, &path, None::<&()>).await?;
        records.extend(page.records);
        match page.next {
            Some(next) if next > from => from = next,
            _ => return Ok(records),
        }
    }
}
