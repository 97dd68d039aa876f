//! Tests of the gateway's parts.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test shows what it has no words for as it is"
)]

mod budget;
mod cancel;
mod chaos;
mod conversation;
mod reply;
mod room;
mod session;
mod startup;
mod transcript;
mod trial;
mod world;
