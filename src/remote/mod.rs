//! The broker, seen from a developer's machine.
