//! The parts that need no database; `tests/it` has the others.

mod desk;
mod limit;
mod login;
mod renew;
