//! Tests of tokens, keys and claims, through the module's front door.

#![expect(
    clippy::print_stdout,
    reason = "the size of a slice is part of its result"
)]

mod claims;
mod keys;
pub(crate) mod signer;
mod token;
