//! Pure suites over `corpus/`: what goes in, what must come out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on ends"
)]

mod sql;
