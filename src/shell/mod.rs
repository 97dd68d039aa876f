//! The guarded SQL shell, and how rows are shown.

pub mod spinner;
