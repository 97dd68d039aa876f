//! Text that people write becomes values, or a list of all problems with it.

pub mod broker;
pub mod client;
pub mod problem;
pub mod table;

#[cfg(test)]
mod tests;
