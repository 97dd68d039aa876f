//! Tests of the module, through its own front door.

mod binding;
mod decide;
mod document;
mod explain;
mod open;
mod pattern;
mod protect;
mod shop;
mod starter;
mod trial;

use crate::config::problem::Source;
use crate::policy::Policy;

/// The policy of the demo, which starts others.
const STARTER: &str = include_str!("../../demo/policy.toml");

/// The policy of these texts, which must be without a mistake.
fn policy(text: &str) -> Policy {
    crate::policy::compile(&[Source::new("policy.toml", text)])
        .unwrap_or_else(|problems| panic!("{problems}"))
}
