//! Local listeners for native tools.
