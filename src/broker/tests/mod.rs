//! The parts that need no database; `tests/it` has the others.

mod limit;
mod login;
mod renew;
