//! The broker, seen from a developer's machine.

pub mod broker;
pub mod pg;
