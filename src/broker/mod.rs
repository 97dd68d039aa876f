//! Sessions, requests and leases: each operation once, for every entrance.

pub mod login;
