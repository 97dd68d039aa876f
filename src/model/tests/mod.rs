//! One file per source file.

mod escape;
mod name;
mod secret;
mod session;
mod time;
