//! The network half of identity: discovery, keys, login flows.
//!
//! Reading order: `http` (bounded requests) → `discovery` (where an issuer's endpoints are) → `jwks` (its keys, kept)
//! → `issuer` (a token becomes a subject, for the broker) → `login` (a person signs in, with `loopback` to come back
//! to and `browser` to go there) → `exchange` (the token endpoint: codes, refreshes, revocations).
//!
//! **Invariant:** requests go to what the configuration or an issuer's own discovery document names, never to what a
//! token names, and never follow a redirect.

pub mod browser;
pub mod discovery;
pub mod error;
pub mod exchange;
pub mod http;
pub mod issuer;
pub mod jwks;
pub mod login;
pub mod loopback;

#[cfg(test)]
pub(crate) mod tests;
