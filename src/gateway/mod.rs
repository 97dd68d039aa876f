//! The life of a statement on the wire.
