//! How much of large messages all connections together may hold before they are passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection holds so many bytes without asking.
pub(in crate::gateway) const FREE: usize = 1024 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(in crate::gateway) struct Room {
    whole: u64,
    used: AtomicU64,
}

/// What one connection holds of it; it is given back when this is dropped.
#[derive(Debug)]
pub(in crate::gateway) struct Claim {
    room: Arc<Room>,
    size: u64,
}

impl Room {
    /// For so many bytes.
    #[must_use]
    pub(in crate::gateway) const fn new(whole: u64) -> Self {
        Self {
            whole,
            used: AtomicU64::new(0),
        }
    }

    /// How many bytes there is room for.
    pub(in crate::gateway) const fn whole(&self) -> u64 {
        self.whole
    }
}

impl Claim {
    /// Holds nothing yet.
    pub(in crate::gateway) const fn new(room: Arc<Room>) -> Self {
        Self { room, size: 0 }
    }

    /// What they share.
    pub(in crate::gateway) fn room(&self) -> &Room {
        &self.room
    }

    /// Whether it holds nothing.
    pub(in crate::gateway) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The connection holds so many bytes now. Whether there is room for them; if not, the claim stays as it was.
    pub(in crate::gateway) fn hold(&mut self, bytes: usize) -> bool {
        let size = if bytes > FREE {
            u64::try_from(bytes).unwrap_or(u64::MAX)
        } else {
            0
        };
        let (before, whole) = (self.size, self.room.whole);
        let taken = self
            .room
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let after = used.saturating_sub(before).checked_add(size)?;
                (after <= whole || size <= before).then_some(after)
            });
        if taken.is_ok() {
            self.size = size;
        }
        taken.is_ok()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.hold(0);
    }
}
