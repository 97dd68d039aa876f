//! One file per source file.

mod text;
