//! The target database, seen from the broker.
