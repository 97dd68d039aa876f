//! Tests of the module, through its own front door.

mod document;
mod pattern;

use crate::config::problem::Source;
use crate::policy::Policy;

/// The policy of these texts, which must be without a mistake.
fn policy(text: &str) -> Policy {
    crate::policy::compile(&[Source::new("policy.toml", text)])
        .unwrap_or_else(|problems| panic!("{problems}"))
}
