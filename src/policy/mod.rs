//! Documents become a policy, a statement becomes a decision; the default is deny.
//!
//! Reading order: `document` (text to policy) → `pattern` → `protect` (policy to columns) → `open` (sessions) →
//! `decide` (statements) → `permit`, `denial` (the two answers) → `obligation` (terms of an allow) → `binding`
//! (what an approval is bound to) → `explain`.
//!
//! **Invariant:** no I/O, no clock. A [`Permit`] is made only here and owns the statement it was issued for.
#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new case must be thought about"
)]

pub mod binding;
mod decide;
mod denial;
pub mod document;
pub mod explain;
pub mod obligation;
pub mod open;
pub mod pattern;
mod permit;
mod protect;
pub mod trial;

#[cfg(test)]
mod tests;

pub use self::decide::{Approval, Consent, Decision, Question, Session, Shown, decide};
pub use self::denial::{Denial, Reason};
pub use self::document::{Policy, compile};
pub use self::permit::{Ceiling, Demand, Guarded, Held, Permit};
pub use self::protect::{Guard, Protection};
