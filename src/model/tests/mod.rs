//! One file per source file.

mod name;
mod secret;
mod session;
mod time;
