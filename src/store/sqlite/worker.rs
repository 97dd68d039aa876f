//! The one thread that has the connection: calls in order, those that wait together in one transaction.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::lock;
use crate::store::{Answer, Error};

/// Calls that may wait. More than this means the disk is stuck; a clear error is better than a longer queue.
const QUEUE: usize = 4096;

/// Calls that share one transaction at most, so that the first of them need not wait too long.
const BATCH: usize = 256;

/// The thread and the way to it.
pub(super) struct Worker {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    trouble: Trouble,
}

/// Why the last change could not be kept, if so.
type Trouble = Arc<Mutex<Option<String>>>;

impl Worker {
    /// Starts the thread. It keeps the lock as long as it has the connection.
    pub(super) fn start(connection: Connection, lock: lock::Lock) -> Result<Self, Error> {
        let (queue, calls) = sync_channel(QUEUE);
        let trouble = Trouble::default();
        let told = Arc::clone(&trouble);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                serve(&connection, &calls, &told);
                // First the file, then the lock: nobody may open the file before it is closed.
                drop(connection);
                drop(lock);
            })
            .map_err(|error| Error::Failed {
                doing: "start the store's thread",
                reason: error.to_string(),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            trouble,
        })
    }

    /// Why the last change could not be kept, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// Queues `work`. If it fails, what it has changed is taken back; if the commit fails, so is everybody's.
    pub(super) fn submit<T, W>(&self, work: W) -> Answer<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Call {
            work: Some(work),
            outcome: None,
            reply,
        });
        let Some(queue) = &self.queue else {
            return Answer::failed(Error::Closed);
        };
        match queue.try_send(call) {
            Ok(()) => Answer::new(answer),
            Err(TrySendError::Full(_)) => Answer::failed(Error::Busy),
            Err(TrySendError::Disconnected(_)) => Answer::failed(Error::Closed),
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has lost its calls already; their answers say so.
            drop(thread.join());
        }
    }
}

trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Result<(), Error>;
    fn reply(self: Box<Self>, committed: &Result<(), Error>);
}

struct Call<T, W> {
    work: Option<W>,
    outcome: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, W> Job for Call<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> Result<T, Error> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), Error> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        let outcome = work(connection);
        let result = outcome.as_ref().map(drop).map_err(Error::clone);
        self.outcome = Some(outcome);
        result
    }

    fn reply(self: Box<Self>, committed: &Result<(), Error>) {
        let outcome = match committed {
            Ok(()) => self.outcome.unwrap_or(Err(Error::Closed)),
            Err(error) => Err(error.clone()),
        };
        // Who asked may have gone; the change stays.
        drop(self.reply.send(outcome));
    }
}

fn serve(connection: &Connection, calls: &Receiver<Box<dyn Job>>, trouble: &Trouble) {
    while let Ok(first) = calls.recv() {
        let mut batch = vec![first];
        batch.extend(calls.try_iter().take(BATCH - 1));
        let before = connection.total_changes();
        let committed = transact(connection, &mut batch);
        // Reading says nothing about the disk: what was wrong is right again when a change was kept.
        let changed = connection.total_changes() != before;
        let mut held = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &committed {
            Err(error) => *held = Some(error.to_string()),
            Ok(()) if changed => *held = None,
            Ok(()) => {}
        }
        drop(held);
        for call in batch {
            call.reply(&committed);
        }
    }
}

fn transact(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Result<(), Error> {
    let step = |doing, sql| connection.execute_batch(sql).map_err(super::failed(doing));
    step("begin", "BEGIN IMMEDIATE")?;
    let outcome = batch
        .iter_mut()
        .try_for_each(|call| {
            step("begin", "SAVEPOINT call")?;
            match call.run(connection) {
                Ok(()) => step("keep", "RELEASE call"),
                // A full disk ends the transaction by itself: its own words are the ones that help.
                Err(error) => {
                    step("take back", "ROLLBACK TO call; RELEASE call").map_err(|_| error)
                }
            }
        })
        .and_then(|()| step("commit", "COMMIT"));
    if outcome.is_err() && !connection.is_autocommit() {
        // Without this the next batch could not begin. If it fails too, that one says so.
        drop(connection.execute_batch("ROLLBACK"));
    }
    outcome
}
