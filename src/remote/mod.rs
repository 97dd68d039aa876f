//! The broker, seen from a developer's machine.

pub mod broker;
pub mod credentials;
pub mod pg;
pub mod private_file;
pub mod sign_in;

#[cfg(test)]
mod tests;
