//! Tests that need a real PostgreSQL: the library's services and the built binary against a throwaway server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test that cannot go on ends, and a suite tells its sizes and times"
)]

mod approval;
mod audit;
mod badinput;
mod broker;
mod check;
mod clock;
mod crash;
mod definitions;
mod demo;
mod driver;
mod durable;
mod ending;
mod figure;
mod flood;
mod habits;
mod harness;
mod install;
mod lease;
mod limits;
mod local;
mod log;
mod masks;
mod openapi;
mod outlive;
mod policy;
mod protocol;
mod record;
mod review;
mod serve;
mod shell;
