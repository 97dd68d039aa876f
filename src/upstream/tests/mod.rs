//! The parts that need no database; `tests/it` has the others.

mod check;
mod name;
mod quote;
