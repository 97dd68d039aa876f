//! All of dbgate on one machine: PostgreSQL, an issuer, a shop.
//!
//! Reading order: `locate` finds PostgreSQL's programs → `postgres` runs them → `guardian` ends them with us; or `dsn` names
//! a server that is there → `database` prepares roles and content → `home` is either of them, with the database on it →
//! `place` is the folder with everything else → `run` brings all of it up → `script` is what to try → `play` tries it.

pub mod database;
pub mod dsn;
pub mod guardian;
pub mod home;
pub mod issuer;
pub mod locate;
pub mod place;
pub mod play;
pub mod postgres;
pub mod run;
pub mod script;

#[cfg(test)]
mod tests;
