//! Tests that need a real PostgreSQL: the library's services and the built binary against a throwaway server.

mod broker;
mod harness;
mod lease;
