//! The real clock.

use std::time::{Duration, Instant, SystemTime};

use crate::model::time::{Clock, Timestamp};

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct System {
    started: Instant,
}

impl System {
    /// Starts its monotonic side at zero.
    #[must_use]
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one real clock")]
        let started = Instant::now();
        Self { started }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one real clock")]
        let now = SystemTime::now();
        // A clock before 1970 reads as 1970: everything that ends has ended by then, or not begun.
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        Timestamp::EPOCH.after(since.unwrap_or(Duration::ZERO))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
