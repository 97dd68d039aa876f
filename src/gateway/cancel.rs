//! Cancel requests: keys of our own, bound to one connection, never the upstream's.
//!
//! **Invariant:** a request cancels only what runs on the connection whose key it names; whoever guesses is slowed down.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::mpsc;

use crate::model::time::{Clock, Entropy};
use crate::wire::startup::Cancel;

/// Wrong keys a source may send in [`SPAN`] before it is not listened to.
const GUESSES: u32 = 10;
/// How long guesses count.
const SPAN: Duration = Duration::from_secs(10);
/// Sources that are remembered; with more, guesses of the oldest are forgotten.
const SOURCES: usize = 4096;
/// Longer than any key: keys are 4 bytes in protocol 3.0, 32 of ours in 3.2.
const LONG: usize = 32;

/// The keys of all connections.
#[derive(Debug)]
pub struct Registry {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By process id. Two databases can have backends of the same number.
    by_pid: HashMap<i32, Vec<Entry>>,
    guesses: HashMap<IpAddr, Guesses>,
    last: u64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inner({} connections)", self.by_pid.len())
    }
}

struct Entry {
    id: u64,
    key: Vec<u8>,
    source: Option<IpAddr>,
    wake: mpsc::Sender<()>,
}

#[derive(Clone, Copy)]
struct Guesses {
    since: Duration,
    count: u32,
}

/// A connection's key, valid as long as this is held.
#[derive(Debug)]
pub struct Key {
    registry: Arc<Registry>,
    pid: i32,
    id: u64,
    bytes: Vec<u8>,
    requests: mpsc::Receiver<()>,
}

/// How long a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// 4 bytes: all that protocol 3.0 has room for. Such a key counts only from the address its connection came from.
    Short,
    /// 32 bytes.
    Long,
}

/// What became of a request. The client never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The connection was told.
    Delivered,
    /// No connection has this key.
    Unknown,
    /// The source has guessed too often.
    Ignored,
}

impl Registry {
    /// No keys yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            clock,
            entropy,
            inner: Mutex::default(),
        }
    }

    /// A new key for the connection whose backend is `pid`.
    #[must_use]
    pub fn issue(self: &Arc<Self>, pid: i32, source: Option<IpAddr>, length: Length) -> Key {
        let mut bytes = match length {
            Length::Short => vec![0; 4],
            Length::Long => vec![0; LONG],
        };
        self.entropy.fill(&mut bytes);
        // One request that waits is as good as many.
        let (wake, requests) = mpsc::channel(1);
        let mut inner = self.lock();
        inner.last = inner.last.wrapping_add(1);
        let id = inner.last;
        inner.by_pid.entry(pid).or_default().push(Entry {
            id,
            key: bytes.clone(),
            source: source.filter(|_| length == Length::Short),
            wake,
        });
        drop(inner);
        Key {
            registry: Arc::clone(self),
            pid,
            id,
            bytes,
            requests,
        }
    }

    /// Takes a request from `source`.
    pub fn request(&self, cancel: &Cancel, source: Option<IpAddr>) -> Fate {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        if source.is_some_and(|source| inner.is_guessing(source, now)) {
            return Fate::Ignored;
        }
        let mut fate = Fate::Unknown;
        for entry in inner.by_pid.get(&cancel.pid).into_iter().flatten() {
            if is_equal(&entry.key, &cancel.key)
                && (entry.source.is_none() || entry.source == source)
            {
                // Full: one is waiting already.
                entry.wake.try_send(()).ok();
                fate = Fate::Delivered;
            }
        }
        if let (Fate::Unknown, Some(source)) = (fate, source) {
            inner.guessed(source, now);
        }
        fate
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_guessing(&self, source: IpAddr, now: Duration) -> bool {
        self.guesses.get(&source).is_some_and(|guesses| {
            now.saturating_sub(guesses.since) < SPAN && guesses.count >= GUESSES
        })
    }

    fn guessed(&mut self, source: IpAddr, now: Duration) {
        if self.guesses.len() >= SOURCES && !self.guesses.contains_key(&source) {
            self.guesses
                .retain(|_, guesses| now.saturating_sub(guesses.since) < SPAN);
            if self.guesses.len() >= SOURCES {
                self.guesses.clear();
            }
        }
        let guesses = self.guesses.entry(source).or_insert(Guesses {
            since: now,
            count: 0,
        });
        if now.saturating_sub(guesses.since) >= SPAN {
            *guesses = Guesses {
                since: now,
                count: 0,
            };
        }
        guesses.count = guesses.count.saturating_add(1);
    }
}

impl Key {
    /// What `BackendKeyData` says.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The process id it goes with.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for a cancel request. Cancel-safe.
    pub async fn requested(&mut self) {
        if self.requests.recv().await.is_none() {
            // The registry never lets go of the other end while this key lives.
            std::future::pending::<()>().await;
        }
    }

    /// Forgets a request that has come already.
    pub fn forget(&mut self) {
        while self.requests.try_recv().is_ok() {}
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        if let Some(entries) = inner.by_pid.get_mut(&self.pid) {
            entries.retain(|entry| entry.id != self.id);
            if entries.is_empty() {
                inner.by_pid.remove(&self.pid);
            }
        }
    }
}

/// In the same time whatever the difference is; lengths are no secret.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}
