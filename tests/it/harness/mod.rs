//! What the tests share: a throwaway server, and queries on raw streams.

pub(crate) mod demo;
pub(crate) mod peer;
pub(crate) mod postgres;
pub(crate) mod raw;
pub(crate) mod site;
pub(crate) mod terminal;
pub(crate) mod wire;
pub(crate) mod world;

/// Whether the long forms of tests run (`tests/run --long`).
pub(crate) fn long() -> bool {
    std::env::var_os("DBGATE_TEST_LONG").is_some_and(|value| value == "1")
}
