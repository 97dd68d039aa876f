//! The PostgreSQL side of the broker: the life of a connection and of every statement on it.
//!
//! Reading order: `startup`, `cancel`, `reply` → `session` (the protocol as a pure machine) → `judge` (analysis and policy) → `intent`
//! (what is recorded).

pub mod cancel;
pub mod intent;
pub mod judge;
pub mod reply;
pub mod session;
pub mod startup;

#[cfg(test)]
mod tests;
