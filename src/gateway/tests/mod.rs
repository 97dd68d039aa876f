//! Tests of the gateway's parts.

mod cancel;
mod reply;
mod startup;
