//! Tests of the network half of identity, against servers of their own on loopback.

mod browser;
mod discovery;
pub(crate) mod fake;
pub(crate) mod issuer;
mod jwks;
mod login;
mod loopback;
