//! `dbgate policy check`: is the policy valid?

use serde::Serialize;

use crate::cli::error::Error;
use crate::cli::policy::Files;
use crate::cli::ui::Ui;

/// Show all mistakes of a policy, or that there are none
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
}

#[derive(Serialize)]
struct Valid {
    hash: String,
    allows: usize,
    protects: usize,
    rules: usize,
    tests: usize,
}

/// Reads, compiles, tells.
pub(crate) fn run(ui: &mut Ui, args: &Args) -> Result<(), Error> {
    let policy = args.files.policy()?;
    let valid = Valid {
        hash: policy.hash().to_owned(),
        allows: policy.allows().len(),
        protects: policy.protects().len(),
        rules: policy.rules().len(),
        tests: policy.cases().len(),
    };
    ui.record(
        "dbgate.policy-check/1",
        &valid,
        &[
            ("policy", |_| "valid".to_owned()),
            ("allow", |v| v.allows.to_string()),
            ("protect", |v| v.protects.to_string()),
            ("rules", |v| v.rules.to_string()),
            ("tests", |v| v.tests.to_string()),
            ("hash", |v| v.hash.clone()),
        ],
    )
}
