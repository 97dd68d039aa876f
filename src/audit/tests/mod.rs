//! Tests of the log, through its own front door.

#![expect(
    clippy::print_stdout,
    reason = "the size of a slice is part of its result"
)]

mod fault;
mod find;
mod log;
mod recording;
mod refusal;
mod scrub;
mod tamper;
mod torn;
mod world;
