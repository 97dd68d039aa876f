//! Statement text becomes a footprint and a lineage, by PostgreSQL's own grammar.
//!
//! Reading order: `statement` → `parse` → `catalog` → `analyze` → `footprint`, `lineage`.
//!
//! **Invariant:** this module judges nothing: it reports what a statement touches, without knowing what is
//! protected. What it does not understand it says so ([`footprint::Opaque`]), it never guesses "harmless".

mod analyze;
pub mod catalog;
mod error;
pub mod footprint;
mod known;
pub mod lineage;
mod parse;
pub mod plan;
pub mod scope;
pub mod statement;

#[cfg(test)]
mod tests;

pub use self::analyze::analyze;
pub use self::error::Error;
pub use self::parse::MAX_TEXT;
pub use self::scope::Scope;
