//! The broker, seen from a developer's machine.

pub mod broker;
