//! Tests of what this machine keeps of a sign-in.

mod credentials;
mod private_file;
