//! Tests of the log, through its own front door.

mod fault;
mod find;
mod log;
mod recording;
mod scrub;
mod tamper;
mod torn;
mod world;
