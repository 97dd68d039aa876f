//! `dbgate requests`: what waits for an approval, once or as it changes.

use std::collections::HashMap;
use std::time::Duration;

use crate::api::types::RequestView;
use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::ui::{self, Ui};

/// The schema's name in JSON.
const SCHEMA: &str = "dbgate.request/1";

/// How often the broker is asked while watching.
const POLL: Duration = Duration::from_secs(1);

/// Show what waits for an approval: yours, and what you may decide
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// One request, with all there is to know about it
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// Also those that are decided
    #[arg(long)]
    all: bool,

    /// Stay, and show each request as it comes or changes
    #[arg(long, conflicts_with = "id")]
    watch: bool,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    if let Some(id) = &args.id {
        let request = broker.request_by_id(id).await?;
        return show(ui, &request);
    }
    let requests = {
        let _spinner = ui.spinner("Asking the broker");
        broker.requests(args.all).await?
    };
    if !args.watch {
        if requests.is_empty() {
            ui.say("Nothing waits for an approval.")?;
        }
        return list(ui, &requests);
    }
    ui.status("Watching; Ctrl-C ends it.")?;
    let mut seen: HashMap<String, RequestView> = HashMap::new();
    let mut requests = requests;
    loop {
        for request in requests {
            if seen.get(&request.id) != Some(&request) {
                show(ui, &request)?;
                seen.insert(request.id.clone(), request);
            }
        }
        tokio::time::sleep(POLL).await;
        requests = broker.requests(true).await?;
        // What was decided before the watch began is no news.
        requests.retain(|request| request.state == "pending" || seen.contains_key(&request.id));
    }
}

fn list(ui: &mut Ui, requests: &[RequestView]) -> Result<(), Error> {
    ui.list(
        SCHEMA,
        requests,
        &[
            ("REQUEST", |r| r.id.clone()),
            ("STATE", |r| r.state.clone()),
            ("WHO", |r| r.subject.display.clone()),
            ("DATABASE", |r| r.database.clone()),
            ("WHAT", |r| {
                r.statement.clone().unwrap_or_else(|| r.what.clone())
            }),
            ("ROWS", expected),
            ("REASON", |r| r.reason.clone().unwrap_or_default()),
            ("APPROVERS", whom),
            ("EXPIRES", |r| ui::seconds(&r.expires)),
        ],
    )
}

/// Shows one request with everything an approver needs to know.
pub(crate) fn show(ui: &mut Ui, request: &RequestView) -> Result<(), Error> {
    ui.record(
        SCHEMA,
        request,
        &[
            ("request", |r| r.id.clone()),
            ("state", |r| r.state.clone()),
            ("asked by", |r| match &r.subject.behalf {
                Some(person) => format!("{} ({}) for {person}", r.subject.display, r.subject.kind),
                None => format!("{} ({})", r.subject.display, r.subject.kind),
            }),
            ("database", |r| r.database.clone()),
            ("what", |r| r.what.clone()),
            ("reason", |r| r.reason.clone().unwrap_or_default()),
            ("statement", |r| r.statement.clone().unwrap_or_default()),
            ("touches", |r| r.footprint.join("; ")),
            ("expected rows", expected),
            ("rule", |r| r.rule.clone()),
            ("approvers", whom),
            ("approvals", approvals),
            ("denied by", |r| {
                let denial = r.denial.as_ref();
                denial.map_or_else(String::new, |d| format!("{}: {}", d.by, d.reason))
            }),
            ("expires", |r| ui::seconds(&r.expires)),
        ],
    )
}

/// How many rows the planner expects.
fn expected(request: &RequestView) -> String {
    let rows = request.expected_rows;
    rows.map_or_else(String::new, |rows| rows.to_string())
}

/// Who may approve, as a phrase.
pub(crate) fn whom(request: &RequestView) -> String {
    let groups = request.approvers.join(" or ");
    match request.needed {
        0 | 1 => groups,
        needed => format!("{needed} of {groups}"),
    }
}

fn approvals(request: &RequestView) -> String {
    let one = |given: &crate::api::types::ApprovalView| {
        let mut text = given.by.clone();
        if let Some(rows) = given.max_rows {
            text.push_str(&format!(
                " (at most {rows} {})",
                if rows == 1 { "row" } else { "rows" }
            ));
        }
        if let Some(reason) = &given.reason {
            text.push_str(&format!(": {reason}"));
        }
        text
    };
    let all: Vec<String> = request.approvals.iter().map(one).collect();
    all.join("; ")
}
