//! The log as the rest of dbgate sees it: record, then act.
//!
//! One thread writes. Whoever waits while it syncs shares the next sync. After an error nothing is recorded until
//! the thread has mended the log by itself; until then every call fails at once and says why.

mod check;
mod erase;
pub(crate) mod place;
mod read;
mod recover;
mod writer;

use std::fmt;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};

use crate::audit::encode::{self, Clean, Hash, Place};
use crate::audit::event::{Event, Repair};
use crate::audit::storage::Storage;
use crate::audit::{Auditable, Recorded};
use crate::model::time::{Clock, Entropy, Timestamp};
use crate::work;
pub use check::{Extent, check};
pub use place::Position;
pub use read::{Cursor, Record};

/// Calls that may wait. More than this means the disk is stuck; a clear error is better than a longer queue.
const QUEUE: usize = 8192;

/// Bytes after which a file of the log is followed by the next one.
pub const SEGMENT: u64 = 64 * 1024 * 1024;

/// What a log needs from its surroundings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its bytes go.
    pub storage: Arc<dyn Storage>,
    /// Where its times come from.
    pub clock: Arc<dyn Clock>,
    /// Where its id and salts come from.
    pub entropy: Arc<dyn Entropy>,
    /// Bytes after which a file is followed by the next one; usually [`SEGMENT`].
    pub segment: u64,
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many records there are, the one about the repair included.
    pub records: u64,
    /// What had to be mended, if anything. It is recorded, too.
    pub repair: Option<Repair>,
}

/// Whether the log can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It cannot; it is tried again all the time.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: String,
    },
}

/// The log. Clones share it; when the last one goes, what is queued is written.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    storage: Arc<dyn Storage>,
    queue: Mutex<Option<SyncSender<Call>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    position: watch::Receiver<Position>,
    readiness: watch::Receiver<Readiness>,
}

/// An event on its way to the disk, and who waits for it, if anybody.
struct Call {
    event: Option<Clean>,
    reply: Option<oneshot::Sender<Result<u64, Error>>>,
}

impl Log {
    /// Opens a log, makes it if there is none, and mends what a crash has left. Blocks.
    ///
    /// # Errors
    /// When the storage fails, or the log is damaged in a way that no crash explains: then somebody has to look.
    pub fn open(options: Options) -> Result<(Self, Recovery), Error> {
        let storage = Arc::clone(&options.storage);
        let (position, repair) = recover::open(&options)?;
        let mut writer = writer::Writer::new(options, position);
        if let Some(repair) = &repair {
            writer.record_repair(repair.clone())?;
        }
        let (position, readiness) = writer.watches();
        let records = position.borrow().count;
        let (queue, calls) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&calls))
            .map_err(|error| Error::Storage {
                doing: "start the log's thread",
                name: "audit".to_owned(),
                reason: error.to_string(),
            })?;
        let log = Self(Arc::new(Shared {
            storage,
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            position,
            readiness,
        }));
        Ok((log, Recovery { records, repair }))
    }

    /// Records what a value says about itself. Only then there is a [`Recorded`], which is what lets it happen.
    ///
    /// Not cancel-safe in one direction only: when the future is dropped, the event may be recorded all the same.
    ///
    /// # Errors
    /// When the event is not known to be durable; the value is gone, so that nothing can happen.
    pub async fn record<T: Auditable>(&self, value: T) -> Result<Recorded<T>, Error> {
        let index = self.append(value.to_event()).await?;
        Ok(Recorded {
            index,
            inner: value,
        })
    }

    /// Records an event and says under which index.
    ///
    /// # Errors
    /// When it is not known to be durable.
    pub async fn append(&self, event: Event) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        self.submit(Call {
            event: Some(clean(event)?),
            reply: Some(reply),
        })?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Like [`Log::append`], for threads that are no async tasks.
    ///
    /// # Errors
    /// When it is not known to be durable.
    pub fn append_blocking(&self, event: Event) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        self.submit(Call {
            event: Some(clean(event)?),
            reply: Some(reply),
        })?;
        answer.blocking_recv().unwrap_or(Err(Error::Closed))
    }

    /// Queues an event about something that has ended already, without waiting for the disk.
    ///
    /// It becomes durable with the next sync; if the disk fails before, it is kept and recorded after the repair.
    ///
    /// # Errors
    /// When the queue is full or the log is closed.
    pub fn enqueue(&self, event: Event) -> Result<(), Error> {
        self.submit(Call {
            event: Some(clean(event)?),
            reply: None,
        })
    }

    /// Waits until everything queued so far is durable.
    ///
    /// # Errors
    /// When it is not.
    pub async fn flush(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.submit(Call {
            event: None,
            reply: Some(reply),
        })?;
        answer.await.unwrap_or(Err(Error::Closed)).map(drop)
    }

    /// Writes what is queued and takes no more. Blocks.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the log can be written at this moment.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.0.readiness.borrow().clone()
    }

    /// Tells whenever readiness changes.
    #[must_use]
    pub fn watch_readiness(&self) -> watch::Receiver<Readiness> {
        self.0.readiness.clone()
    }

    /// Up to where the log is durable.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position.borrow().clone()
    }

    /// Where the log's bytes are, for readers.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.0.storage
    }

    /// Reads from record `from` on. Blocks.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn read(&self, from: u64) -> Result<Cursor, Error> {
        Cursor::open(Arc::clone(&self.0.storage), self.position(), from)
    }

    /// Follows the log from record `from` on, as it grows. Nothing is skipped, however slow the reader is.
    #[must_use]
    pub fn subscribe(&self, from: u64) -> Tail {
        Tail {
            log: self.clone(),
            position: self.0.position.clone(),
            next: from,
            cursor: None,
            ready: Vec::new().into_iter(),
        }
    }

    fn submit(&self, call: Call) -> Result<(), Error> {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.try_send(call)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(Error::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(Error::Closed),
        }
    }
}

/// Takes passwords out of an event here and not in the one thread that writes, which everybody waits for.
fn clean(event: Event) -> Result<Clean, Error> {
    Ok(work::aside(event.weight(), || Clean::new(event))?)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({:?})", self.0.storage)
    }
}

impl Shared {
    fn close(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A thread that panicked has answered nobody; nothing it had not answered may have happened.
            drop(thread.join());
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// Records one after the other, waiting for those that are not there yet.
#[derive(Debug)]
pub struct Tail {
    log: Log,
    position: watch::Receiver<Position>,
    next: u64,
    cursor: Option<Cursor>,
    ready: std::vec::IntoIter<Record>,
}

impl Tail {
    /// Records at most that are read ahead.
    const AHEAD: usize = 256;

    /// The next record; `None` when the log is closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(record) = self.ready.next() {
                self.next = record.index + 1;
                return Ok(Some(record));
            }
            let position = self.position.borrow_and_update().clone();
            if position.count <= self.next {
                if self.position.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            self.ready = self.load(position).await?.into_iter();
        }
    }

    async fn load(&mut self, position: Position) -> Result<Vec<Record>, Error> {
        let cursor = self.cursor.take();
        let (storage, next) = (Arc::clone(self.log.storage()), self.next);
        let load = move || {
            let mut cursor = match cursor {
                Some(cursor) => cursor.extend(position),
                None => Cursor::open(storage, position, next)?,
            };
            let records = cursor.next_many(Self::AHEAD)?;
            Ok::<_, Error>((cursor, records))
        };
        let (cursor, records) = tokio::task::spawn_blocking(load)
            .await
            .map_err(|_| Error::Closed)??;
        self.cursor = Some(cursor);
        Ok(records)
    }
}

/// Why something was not recorded or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The log cannot be written; nothing runs until it can.
    #[error("the audit log cannot be written: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// More events wait than may.
    #[error("the audit log has too much to do; try again")]
    Busy,
    /// The log has been closed.
    #[error("the audit log is closed")]
    Closed,
    /// There is no such record.
    #[error("there is no record {record}")]
    Missing {
        /// Its index.
        record: u64,
    },
    /// The event does not fit.
    #[error(transparent)]
    Encode(#[from] encode::Error),
    /// The storage failed.
    #[error("{doing} `{name}`: {reason}")]
    Storage {
        /// What was tried, as a verb phrase.
        doing: &'static str,
        /// On which file.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// The log is damaged where no crash could have done it.
    #[error("the audit log is damaged at record {record} (`{name}`, byte {offset}): {what}")]
    Damaged {
        /// Which file.
        name: String,
        /// Where in it.
        offset: u64,
        /// At which record.
        record: u64,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    fn storage(doing: &'static str, name: &str) -> impl Fn(std::io::Error) -> Self {
        let name = name.to_owned();
        move |error| Self::Storage {
            doing,
            name: name.clone(),
            reason: error.to_string(),
        }
    }
}

impl Position {
    /// The place of the next record.
    pub(super) const fn place(&self) -> Place {
        Place {
            index: self.count,
            previous: self.hash,
            at: self.payload,
        }
    }

    /// Whether a hash is that of the last record.
    #[must_use]
    pub fn ends_with(&self, hash: Hash) -> bool {
        self.hash == hash
    }
}
