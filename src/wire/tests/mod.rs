//! One file per source file.

mod scram;
