//! One file per source file.

mod complete;
mod meta;
mod text;
