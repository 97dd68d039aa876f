//! Statement text becomes a footprint and a lineage, by PostgreSQL's own grammar.
//!
//! Reading order: `statement` → `parse` → `catalog` → `analyze` → `footprint`, `lineage`.
//!
//! **Invariant:** this module judges nothing: it reports what a statement touches, without knowing what is
//! protected. What it does not understand it says so ([`footprint::Opaque`]), it never guesses "harmless".

pub mod catalog;
pub mod footprint;
pub mod lineage;
pub mod statement;
