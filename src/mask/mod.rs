//! Obligations become a plan, rows become masked rows.
//!
//! Reading order: `plan` (which columns, checked twice) → `cell` (one value: its type and its mask) → `transform`
//! (what each mask does) → `key` (keys of tokens) → `copy` (lines of `COPY`) → `tuples` (its
//! binary format).
//!
//! **Invariant:** a masked value never passes as it came. What cannot be masked as the policy says becomes NULL; what
//! cannot be told apart is refused. Values keep their type, NULL stays NULL, no column comes or goes.
#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new case must be thought about"
)]

mod cell;
pub mod copy;
pub mod key;
mod plan;
mod transform;
mod tuples;

#[cfg(test)]
mod tests;

pub use self::key::Keys;
pub use self::plan::{MaskedRow, Plan, Refusal, Terms};
