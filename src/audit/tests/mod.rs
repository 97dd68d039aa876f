//! Tests of the log, through its own front door.

mod log;
mod scrub;
mod world;
