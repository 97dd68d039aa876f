//! `dbgate audit tail`: the log as it grows.

use crate::api::audit::Query;
use crate::cli::audit::view::{self, View};
use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;

/// A line longer than this is none of a broker's.
const LONGEST: usize = 16 * 1024 * 1024;

/// Follow the audit log as it grows; Ctrl-C ends it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// First show so many of the latest records
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
    lines: usize,

    /// Begin with this record, 0 being the first of all
    #[arg(long, value_name = "RECORD", conflicts_with = "lines")]
    from: Option<u64>,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let mut from = args.from;
    if args.lines > 0 && from.is_none() {
        let query = Query {
            newest: Some(true),
            limit: Some(args.lines),
            ..Query::default()
        };
        let page = super::events(&broker, &query).await?;
        for record in &page.records {
            view::show(ui, record)?;
        }
        let last = page.records.last();
        from = last.and_then(|record| View(record).number("index"));
        from = from.map(|index| index + 1);
    }
    let path = match from {
        Some(from) => format!("v1/audit/tail?from={from}"),
        None => "v1/audit/tail".to_owned(),
    };
    let mut response = broker.stream(&path).await?;
    let mut buffer = Vec::new();
    let lost = |why: String| {
        Error::new(
            Kind::Unreachable,
            format!("the broker ended the tail: {why}"),
        )
        .with_hint("run the command again; `--from RECORD` goes on where this ended")
    };
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| lost(error.to_string()))?;
        let Some(chunk) = chunk else {
            return Err(lost(
                "it stops, or you may no longer read the log".to_owned(),
            ));
        };
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if let Ok(record) = serde_json::from_slice(&line) {
                view::show(ui, &record)?;
            }
        }
        if buffer.len() > LONGEST {
            return Err(lost("it sends a line without an end".to_owned()));
        }
    }
}
