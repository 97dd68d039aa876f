//! The PostgreSQL 3.x protocol as bytes and values: what both sides say, and how a server checks a SCRAM proof. Pure.
#![deny(
    clippy::arithmetic_side_effects,
    reason = "lengths and counts come from outside"
)]

pub mod backend;
pub mod copy;
pub mod error;
pub mod frame;
pub mod frontend;
pub mod origin;
pub mod reader;
pub mod row;
pub mod scram;
pub mod startup;
pub mod value;
pub mod writer;

#[cfg(test)]
mod tests;
