//! Tests of the gateway's parts.

mod budget;
mod cancel;
mod chaos;
mod conversation;
mod reply;
mod session;
mod startup;
mod transcript;
mod trial;
mod world;
