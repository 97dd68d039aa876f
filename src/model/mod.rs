//! The nouns everyone uses; a type belongs here when at least two floors speak of it and it can be wrong in no way.

pub mod access;
pub mod escape;
pub mod name;
pub mod secret;
pub mod session;
pub mod subject;
pub mod time;

#[cfg(test)]
mod tests;
