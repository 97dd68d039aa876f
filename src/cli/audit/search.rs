//! `dbgate audit search`: records by who, database, table, time, decision and text.

use crate::api::audit::Query;
use crate::cli::audit::view;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;
use crate::model::session::SessionId;
use crate::model::time::{Clock as _, Timestamp, parse_span};
use crate::net::clock;

/// Find records; everything that is given must hold
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  dbgate audit search --who ann --since 2h
  dbgate audit search --table public.customers --decision deny
  dbgate audit search --text 'drop table' --since 2026-11-01T00:00:00Z --output json")]
pub(crate) struct Args {
    /// By this subject, or by somebody whose name has this part
    #[arg(long, short)]
    who: Option<String>,

    /// On this database
    #[arg(long, short)]
    database: Option<DatabaseName>,

    /// Touching this table, with or without its schema
    #[arg(long, short)]
    table: Option<String>,

    /// In this session
    #[arg(long, short)]
    session: Option<SessionId>,

    /// Not before this time (2026-11-01T00:00:00Z), or in the last span of time (2h)
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<Timestamp>,

    /// Before this time, or before a span of time ago
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,

    /// What the policy said
    #[arg(long, value_parser = ["allow", "deny", "review"])]
    decision: Option<String>,

    /// The event's name, such as statement_refused
    #[arg(long, short, value_name = "NAME")]
    event: Option<String>,

    /// Part of a statement, a reason or an error
    #[arg(long)]
    text: Option<String>,

    /// At most so many, the latest ones
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 100,
        conflicts_with = "all"
    )]
    limit: usize,

    /// All of them, from the first on
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let mut query = Query {
        who: args.who.clone(),
        database: args.database.as_ref().map(ToString::to_string),
        table: args.table.clone(),
        session: args.session.as_ref().map(ToString::to_string),
        since: args.since.map(|time| time.to_string()),
        until: args.until.map(|time| time.to_string()),
        decision: args.decision.clone(),
        event: args
            .event
            .as_ref()
            .map(|name| name.replace([' ', '-'], "_")),
        text: args.text.clone(),
        newest: (!args.all).then_some(true),
        limit: (!args.all).then_some(args.limit),
        from: None,
    };
    let mut records = Vec::new();
    {
        let _spinner = ui.spinner("Searching the audit log");
        loop {
            let page = super::events(&broker, &query).await?;
            records.extend(page.records);
            match page.next {
                Some(next) if args.all && query.from < Some(next) => query.from = Some(next),
                _ => break,
            }
        }
    }
    ui.list("dbgate.audit.event/1", &records, view::COLUMNS)?;
    if records.is_empty() {
        ui.status("nothing found")?;
    } else if !args.all && records.len() == args.limit {
        ui.hint("these are the latest; `--limit` shows more, `--all` shows all")?;
    }
    Ok(())
}

fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(span) = parse_span(text) {
        return Ok(clock::System::new().now().before(span));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is no time; write `2026-11-01T00:00:00Z`, or a span such as `2h`")
    })
}
