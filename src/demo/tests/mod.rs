//! Tests of the module, through its own front door.

mod dsn;
mod issuer;
mod locate;
mod script;
