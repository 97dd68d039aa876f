//! The PostgreSQL side of the broker: the life of a connection and of every statement on it.
//!
//! Reading order: `startup`, `cancel`, `reply`.

pub mod cancel;
pub mod reply;
pub mod startup;

#[cfg(test)]
mod tests;
