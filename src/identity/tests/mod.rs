//! Tests of tokens, keys and claims, through the module's front door.

mod claims;
mod keys;
pub(crate) mod signer;
mod token;
