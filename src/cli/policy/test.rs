//! `dbgate policy test`: does the policy do what its author expects?

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::error::{Error, Kind};
use crate::cli::policy::Files;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;
use crate::model::time::Clock as _;
use crate::net::clock;
use crate::policy::Policy;
use crate::policy::trial;
use crate::server::targets;
use crate::sql::catalog::Catalog;
use crate::upstream::admin::Admin;
use crate::upstream::catalog;
use crate::upstream::target::Target;

/// Run the tests in a policy against the catalogs of the configured databases
///
/// Nothing is run in the databases: statements are analyzed and judged.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
}

/// Runs all tests and shows each.
pub(crate) async fn run(ui: &mut Ui, args: &Args) -> Result<(), Error> {
    let policy = args.files.policy()?;
    let config = args.files.config.read()?;
    let targets = targets::read_all(&config).map_err(|error| Error::setup(error.to_string()))?;
    let catalogs = catalogs(&policy, targets).await?;
    let now = clock::System::new().now();
    let verdicts = policy
        .cases()
        .iter()
        .map(|case| {
            let catalog = catalogs.get(&case.database).ok_or_else(|| {
                Error::setup(format!("no database `{}` is configured", case.database)).with_detail(
                    format!("the test `{}` at {} names it", case.name, case.place),
                )
            })?;
            Ok(trial::run(&policy, case, catalog, now))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    ui.list(
        "dbgate.policy-test/1",
        &verdicts,
        &[
            ("RESULT", |v| {
                if v.passed { "ok" } else { "FAILED" }.to_owned()
            }),
            ("TEST", |v| v.name.clone()),
            ("WHERE", |v| v.place.clone()),
            ("WHY", |v| v.faults.join("; ")),
        ],
    )?;
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    if failed == 0 {
        return ui.say(&format!("{} tests passed", verdicts.len()));
    }
    Err(Error::new(
        Kind::Failed,
        format!("{failed} of {} tests of the policy failed", verdicts.len()),
    ))
}

/// The catalogs of the databases that tests name.
async fn catalogs(
    policy: &Policy,
    targets: Vec<Target>,
) -> Result<BTreeMap<DatabaseName, Catalog>, Error> {
    let mut catalogs = BTreeMap::new();
    for target in targets {
        let name = target.name.clone();
        if !policy.cases().iter().any(|case| case.database == name) {
            continue;
        }
        let failed = |error: crate::upstream::Error| {
            Error::failed(format!("read the catalog of `{name}`: {error}"))
        };
        let live = Admin::new(Arc::new(target)).live().await.map_err(failed)?;
        let catalog = catalog::read(&live.client).await.map_err(failed)?;
        catalogs.insert(name, catalog);
    }
    Ok(catalogs)
}
