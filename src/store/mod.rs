//! What the broker remembers: contracts and SQLite.
