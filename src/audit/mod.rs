//! The log: every event is durable before its effect, and nobody changes it unnoticed.
//!
//! Reading order: `event` (what is recorded) → `encode` (its bytes) → `storage` (where they go) → `log` (how they get
//! there) → `verify` (how that is checked) → `search`, `recording`; `scrub` keeps passwords out of all of it, `refusal` those who
//! only knock.
//!
//! **Invariant:** only [`log::Log::record`] makes a [`Recorded`], and only after the event about the value is on disk.

pub mod encode;
pub mod event;
pub mod log;
pub mod recording;
pub mod refusal;
pub mod scrub;
pub mod search;
pub mod storage;
pub mod verify;

#[cfg(test)]
mod tests;

use crate::audit::event::Event;

/// A value that can say what is to be recorded about it.
pub trait Auditable {
    /// The event that must be durable before the value has any effect.
    fn to_event(&self) -> Event;
}

/// A value of which the log knows.
///
/// Only the log can make one:
///
/// ```compile_fail
/// let forged = dbgate::audit::Recorded { index: 0, inner: "drop table users" };
/// ```
#[derive(Debug)]
#[must_use = "what was recorded is meant to happen"]
pub struct Recorded<T> {
    index: u64,
    inner: T,
}

impl<T> Recorded<T> {
    /// The record that speaks of it.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The value.
    #[must_use]
    pub const fn inner(&self) -> &T {
        &self.inner
    }

    /// The value, to be used up.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}
