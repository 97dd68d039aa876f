//! The guarded SQL shell, and how rows are shown.

pub mod drive;
pub mod render;
pub mod report;
pub mod screen;
pub mod spinner;
pub mod text;

#[cfg(test)]
mod tests;
