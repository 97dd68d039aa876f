//! One file per source file.

mod tls;
