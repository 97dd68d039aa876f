//! The guarded SQL shell: a prompt over the same gateway as any other client, and how rows are shown.
//!
//! Reading order: here (the loop) → `input` → `text`, `complete` → `meta`, `describe` → `drive` → `render`, `report` →
//! `screen`, `spinner`, `keys`.
//!
//! **Invariant:** the shell decides nothing. What it may do is what the gateway lets pass.

pub mod complete;
pub mod describe;
pub mod drive;
pub mod input;
pub mod keys;
pub mod meta;
pub mod render;
pub mod report;
pub mod screen;
pub mod session;
pub mod spinner;
pub mod text;

#[cfg(test)]
mod tests;
