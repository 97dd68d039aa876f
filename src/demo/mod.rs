//! All of dbgate on one machine: PostgreSQL, an issuer, a shop.
//!
//! Reading order: `locate` finds PostgreSQL's programs → `postgres` runs them → `guardian` ends them with us →
//! `database` prepares roles and content → `place` is the folder with everything else → `run` brings all of it up.

pub mod database;
pub mod guardian;
pub mod issuer;
pub mod locate;
pub mod place;
pub mod postgres;
pub mod run;

#[cfg(test)]
mod tests;
