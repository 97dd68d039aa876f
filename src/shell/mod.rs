//! The guarded SQL shell.
