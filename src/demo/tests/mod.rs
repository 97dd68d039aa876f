//! Tests of the module, through its own front door.

mod issuer;
mod locate;
