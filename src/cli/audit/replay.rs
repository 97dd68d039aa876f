//! `dbgate audit replay`: a session as its client saw it, in its own time.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::audit::recording::{self, What};
use crate::cli::audit::view::View;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::escape;
use crate::model::session::SessionId;
use crate::model::time::{Timestamp, parse_span};

/// Play a session as its client saw it: statements, masked results, errors, in their own time
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The session's id
    session: SessionId,

    /// So many times as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// No pause longer than this
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = parse_span)]
    max_pause: Duration,

    /// No pauses at all; without a terminal there are none either
    #[arg(long)]
    no_wait: bool,
}

/// Something to show, and when it happened.
struct Scene {
    at: Timestamp,
    text: String,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let records = super::session(ui, &broker, &args.session, true).await?;
    if ui.is_json() {
        return records
            .iter()
            .try_for_each(|record| ui.json("dbgate.audit.event/1", record));
    }
    let scenes = scenes(&records);
    let began = scenes.first().map(|scene| scene.at);
    let mut before = began;
    let waits = ui.is_terminal() && !args.no_wait;
    for scene in scenes {
        let pause = before.map_or(Duration::ZERO, |before| before.until(scene.at));
        before = Some(scene.at);
        if waits {
            tokio::time::sleep(pause.div_f64(args.speed).min(args.max_pause)).await;
        }
        let since = began.map_or(Duration::ZERO, |began| began.until(scene.at));
        ui.print(&format!("{:>9.3}  {}", since.as_secs_f64(), scene.text))?;
    }
    Ok(())
}

/// What is to be shown, in the order in which it happened.
fn scenes(records: &[Value]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut started: HashMap<u64, Timestamp> = HashMap::new();
    let connections: std::collections::BTreeSet<u64> = records
        .iter()
        .filter_map(|record| View(record).number("connection"))
        .collect();
    for record in records {
        let view = View(record);
        let Some(at) = view.str("time").and_then(|time| time.parse().ok()) else {
            continue;
        };
        let tag = match view.number("connection") {
            Some(connection) if connections.len() > 1 => format!("[{connection}] "),
            _ => String::new(),
        };
        if let Some(intent) = view.number("intent") {
            let start = started.get(&intent).copied().unwrap_or(at);
            results(&mut scenes, view, start, &tag);
        }
        if view.str("event") == Some("statement_intended") {
            started.extend(view.number("index").map(|index| (index, at)));
        }
        scenes.extend(heading(view, &tag).map(|text| Scene { at, text }));
    }
    scenes.sort_by_key(|scene| scene.at);
    scenes
}

/// What the record itself says.
fn heading(view: View<'_>, tag: &str) -> Option<String> {
    let database = escape::line(view.str("database").unwrap_or("?")).into_owned();
    let statement = || {
        let text = view.str("statement").unwrap_or("(erased)");
        format!("{tag}{database}> {}", escape::block(text))
    };
    let error = || escape::block(view.str("error").unwrap_or("(erased)")).into_owned();
    match view.str("event")? {
        "statement_intended" => Some(statement()),
        "statement_refused" => Some(format!("{}\n{tag}refused: {}", statement(), error())),
        "statement_held" => Some(format!(
            "{}\n{tag}waits for approval: request {}",
            statement(),
            view.text("request")
        )),
        "statement_finished" => Some(format!("{tag}{}", escape::line(view.str("tag")?))),
        "statement_failed" => Some(format!("{tag}ERROR {}: {}", view.text("sqlstate"), error())),
        "statement_unknown" => Some(format!("{tag}outcome unknown: {}", error())),
        _ => Some(format!("{tag}-- {}  {}", view.event(), view.summary())),
    }
}

/// What the client saw of a statement.
fn results(scenes: &mut Vec<Scene>, view: View<'_>, start: Timestamp, tag: &str) {
    for step in recording::parse(view.str("transcript").unwrap_or_default()) {
        let text = match step.what {
            What::Columns(names) => cells(names.iter().map(|name| Some(name.as_str()))),
            What::Row(values) => cells(values.iter().map(Option::as_deref)),
            What::Line(line) => escape::line(&line).into_owned(),
            What::Notice(text) => format!("NOTICE: {}", escape::line(&text)),
            What::Omitted(count) => format!("({count} more were not recorded)"),
        };
        scenes.push(Scene {
            at: start.after(Duration::from_micros(step.t)),
            text: format!("{tag}  {text}"),
        });
    }
}

fn cells<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> String {
    let shown: Vec<_> = cells
        .map(|cell| cell.map_or("NULL".into(), escape::line))
        .collect();
    shown.join(" | ")
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.01..=1000.0).contains(&speed) => Ok(speed),
        _ => Err(format!("`{text}` is no speed; write 0.01 to 1000")),
    }
}
