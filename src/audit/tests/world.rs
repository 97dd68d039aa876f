//! A clock, randomness and disks that tests drive.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::audit::event::private::Private;
use crate::audit::event::{Action, Actor, Context, Decision, Event, Outcome, Statement};
use crate::audit::log::{Log, Options, Recovery};
use crate::audit::storage::Storage;
use crate::model::subject;
use crate::model::time::{Clock, Entropy, Timestamp};

/// A clock that moves a millisecond whenever it is looked at.
#[derive(Debug, Default)]
pub(super) struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let ticks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_micros(1_700_000_000_000_000 + 1000 * i64::try_from(ticks).unwrap())
    }

    fn monotonic(&self) -> Duration {
        // So far that every retry is due.
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A clock that moves as time passes.
#[derive(Debug)]
pub(super) struct Passing(Instant);

#[expect(
    clippy::disallowed_methods,
    reason = "a test of how long things wait needs time that passes"
)]
impl Default for Passing {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Passing {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(1_700_000_000_000_000 + micros)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Different bytes each time, the same in each run.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self
            .0
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
    }
}

/// What goes wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Writes fail after having written half.
    Write(rustix::io::Errno),
    /// Syncs fail, and what was not synced is lost although it can still be read.
    Sync(rustix::io::Errno),
}

/// Files in memory, with what of them is durable.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// What reads see.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// What a power cut leaves.
    pub(super) durable: BTreeMap<String, Vec<u8>>,
    /// What goes wrong from now on.
    pub(super) fault: Option<Fault>,
    /// How many calls of that kind still go well before it does.
    pub(super) spared: u32,
    /// How many times it goes wrong before it stops by itself; `None`: for ever.
    pub(super) times: Option<u32>,
    /// How often anything was synced.
    pub(super) syncs: u64,
    /// How many bytes there is room for.
    pub(super) room: Option<usize>,
}

impl State {
    fn fails(&mut self, wanted: fn(Fault) -> Option<rustix::io::Errno>) -> io::Result<()> {
        let Some(errno) = self.fault.and_then(wanted) else {
            return Ok(());
        };
        if self.spared > 0 {
            self.spared -= 1;
            return Ok(());
        }
        if let Some(times) = &mut self.times {
            if *times == 0 {
                self.fault = None;
                return Ok(());
            }
            *times -= 1;
        }
        Err(errno.into())
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Memory {
    pub(super) fn with(files: &BTreeMap<String, Vec<u8>>) -> Arc<Self> {
        let memory = Self::default();
        let mut state = memory.state.lock().unwrap();
        state.files.clone_from(files);
        state.durable.clone_from(files);
        drop(state);
        Arc::new(memory)
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }

    pub(super) fn durable(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().durable.clone()
    }

    pub(super) fn break_with(&self, fault: Fault, spared: u32, times: Option<u32>) {
        let mut state = self.state.lock().unwrap();
        state.fault = Some(fault);
        state.spared = spared;
        state.times = times;
    }

    pub(super) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.fault = None;
        state.room = None;
    }
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().unwrap().files.keys().cloned().collect())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        let state = self.state.lock().unwrap();
        Ok(state.files.get(name).ok_or_else(missing)?.len() as u64)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let state = self.state.lock().unwrap();
        let file = state.files.get(name).ok_or_else(missing)?;
        let offset = usize::try_from(offset).unwrap().min(file.len());
        Ok(file[offset..].iter().take(length).copied().collect())
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        assert!(!state.files.contains_key(name), "{name} is there");
        state.files.insert(name.to_owned(), Vec::new());
        state.durable.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let failed = state.fails(|fault| match fault {
            Fault::Write(errno) => Some(errno),
            Fault::Sync(_) => None,
        });
        let used: usize = state.files.values().map(Vec::len).sum();
        let room = state.room.map(|room| room.saturating_sub(used));
        let file = state.files.get_mut(name).ok_or_else(missing)?;
        let offset = usize::try_from(offset).unwrap();
        let grows = (offset + bytes.len()).saturating_sub(file.len());
        let fits = room.is_none_or(|room| grows <= room);
        let written = if failed.is_ok() && fits {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        if file.len() < offset + written {
            file.resize(offset + written, 0);
        }
        file[offset..offset + written].copy_from_slice(&bytes[..written]);
        failed?;
        if fits {
            Ok(())
        } else {
            Err(rustix::io::Errno::NOSPC.into())
        }
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let length = usize::try_from(length).unwrap();
        state
            .files
            .get_mut(name)
            .ok_or_else(missing)?
            .truncate(length);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        state.fails(|fault| match fault {
            Fault::Sync(errno) => Some(errno),
            Fault::Write(_) => None,
        })?;
        let file = state.files.get(name).ok_or_else(missing)?.clone();
        state.durable.insert(name.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.files.remove(name).ok_or_else(missing)?;
        state.durable.remove(name);
        Ok(())
    }

    fn reopen(&self) {}
}

pub(super) fn options(storage: &Arc<Memory>, segment: u64) -> Options {
    Options {
        storage: Arc::clone(storage) as Arc<dyn Storage>,
        clock: Arc::new(Ticking::default()),
        entropy: Arc::new(Counter::default()),
        segment,
    }
}

pub(super) fn open(storage: &Arc<Memory>) -> (Log, Recovery) {
    Log::open(options(storage, 64 * 1024)).unwrap()
}

pub(super) fn actor(name: &str) -> Actor {
    Actor {
        id: subject::Id {
            issuer: "https://id.example".to_owned(),
            sub: name.to_owned(),
        },
        kind: subject::Kind::Person,
        name: format!("{name}@example.com"),
        behalf: None,
    }
}

pub(super) fn context(name: &str) -> Context {
    Context {
        subject: Some(actor(name)),
        session: Some("s0123456789ab".parse().unwrap()),
        database: Some("prod".parse().unwrap()),
        connection: Some(3),
        client: None,
        reason: Some("ticket 7".into()),
    }
}

pub(super) fn statement(text: &str) -> Statement {
    Statement {
        statement: Private::from(text),
        parameters: None,
        footprint: None,
        decision: Some(Decision {
            outcome: Outcome::Allow,
            rule: Some("shop (policy.toml:3)".to_owned()),
            policy: "ab".repeat(32),
        }),
    }
}

pub(super) fn intended(name: &str, text: &str) -> Event {
    Event::new(
        context(name),
        Action::StatementIntended {
            statement: statement(text),
            masked: Vec::new(),
            request: None,
            approvals: Vec::new(),
            max_rows: None,
        },
    )
}
