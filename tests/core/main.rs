//! Pure suites over `corpus/`: what goes in, what must come out.

mod sql;
