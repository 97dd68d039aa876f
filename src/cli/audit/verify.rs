//! `dbgate audit verify`: is the log as it was written?

use std::path::{Path, PathBuf};

use reqwest::Method;

use crate::audit::log::{Extent, check};
use crate::audit::storage::files::Files;
use crate::audit::verify::Report;
use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::store::lock;

/// Check that no record was changed, removed or moved
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Without a directory the broker checks its own log. With one it is checked here, which needs no broker \
and no trust in one. Exit code 9: the log is not as it was written.")]
pub(crate) struct Args {
    /// The directory of a log, to be checked here
    directory: Option<PathBuf>,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let report = match &args.directory {
        Some(directory) => {
            let _spinner = ui.spinner("Checking the log");
            let directory = directory.clone();
            tokio::task::spawn_blocking(move || offline(&directory))
                .await
                .map_err(|error| Error::failed(format!("check the log: {error}")))??
        }
        None => {
            let broker = globals.broker(ui).await?;
            let _spinner = ui.spinner("The broker checks its log");
            broker
                .call(Method::GET, "v1/audit/verify", None::<&()>)
                .await?
        }
    };
    tell(ui, &report)
}

fn offline(directory: &Path) -> Result<Report, Error> {
    if !directory.join("log").is_dir() {
        return Err(
            Error::setup(format!("`{}` is no audit log", directory.display())).with_hint(
                "name the directory that has `log`, `payload` and `head` in it (`audit_dir` of the broker)",
            ),
        );
    }
    // A living broker may be in the middle of a record: what it has acknowledged is checked.
    let extent = if lock::is_taken(directory) {
        Extent::Acknowledged
    } else {
        Extent::All
    };
    check(&Files::read_only(directory), &extent).map_err(|error| Error::setup(error.to_string()))
}

fn tell(ui: &mut Ui, report: &Report) -> Result<(), Error> {
    ui.record(
        "dbgate.audit.verify/1",
        report,
        &[
            ("verdict", |r| match r.findings.len() {
                0 => "intact".to_owned(),
                count => format!("NOT as it was written: {} findings", count as u64 + r.more),
            }),
            ("log", |r| r.id.clone()),
            ("records", |r| r.records.to_string()),
            ("from", |r| {
                r.first.map(|time| time.to_string()).unwrap_or_default()
            }),
            ("to", |r| {
                r.last.map(|time| time.to_string()).unwrap_or_default()
            }),
            ("texts", |r| {
                format!("{} intact, {} erased", r.texts, r.erased)
            }),
            ("last hash", |r| r.hash.clone()),
        ],
    )?;
    for repaired in &report.repairs {
        let repair = &repaired.repair;
        let text = format!(
            "record {} of {} tells of a repair: {}; {} bytes were cut off",
            repaired.record, repaired.time, repair.cause, repair.cut
        );
        match repair.lost {
            0 => ui.status(&text)?,
            lost => ui.warn(&format!("{text}, {lost} acknowledged records were lost"))?,
        }
    }
    if report.is_intact() {
        return Ok(());
    }
    if !ui.is_json() {
        for finding in &report.findings {
            let record = finding
                .record
                .map_or_else(String::new, |record| format!(", record {record}"));
            ui.print(&format!(
                "{}, byte {}{record}: {}",
                finding.file, finding.offset, finding.what
            ))?;
        }
    }
    Err(Error::new(
        Kind::Unproven,
        "the audit log is not as it was written",
    ))
}
