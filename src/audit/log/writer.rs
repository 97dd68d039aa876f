//! The thread that writes: batches share a sync, and after an error it mends the log before it takes more.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::watch;

use super::place::{self, Head, Position};
use super::{Call, Error, Options, Readiness};
use crate::audit::encode::{self, Clean, Header};
use crate::audit::event::{Action, Context, Event, Repair};
use crate::model::time::Timestamp;

/// Events that share one sync at most.
const BATCH: usize = 2048;

/// Bytes that share one sync at most, about.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Events about ended things that are kept while the disk fails.
const BACKLOG: usize = 16 * 1024;

/// How long events that nobody waits for are held back, so that they share the sync of one that somebody waits for: the outcome of a
/// statement goes to the disk with the intent of the next.
const LINGER: Duration = Duration::from_millis(5);

/// How long to wait before trying to mend a log.
const RETRY: Duration = Duration::from_millis(500);

/// What makes the bytes of a batch.
struct Batch {
    log: Vec<u8>,
    payload: Vec<u8>,
    end: Position,
}

/// A log that cannot be written at the moment.
struct Failure {
    /// What went wrong first.
    reason: String,
    since: Timestamp,
    /// When it was tried last, by the clock that never jumps.
    tried: Duration,
    /// A sync failed: nobody knows what of the present file is on the disk, so the next one is begun.
    distrust: bool,
}

/// The only writer of a log.
pub(super) struct Writer {
    options: Options,
    position: watch::Sender<Position>,
    readiness: watch::Sender<Readiness>,
    failure: Option<Failure>,
    backlog: VecDeque<Clean>,
    dropped: u64,
    turn: u64,
}

impl Writer {
    pub(super) fn new(options: Options, position: Position) -> Self {
        Self {
            options,
            position: watch::Sender::new(position),
            readiness: watch::Sender::new(Readiness::Ready),
            failure: None,
            backlog: VecDeque::new(),
            dropped: 0,
            turn: 0,
        }
    }

    pub(super) fn watches(&self) -> (watch::Receiver<Position>, watch::Receiver<Readiness>) {
        (self.position.subscribe(), self.readiness.subscribe())
    }

    /// Records what opening the log had to mend.
    pub(super) fn record_repair(&mut self, repair: Repair) -> Result<(), Error> {
        let event = repaired(repair)?;
        let batch = self.write(std::iter::once(&event));
        self.commit(batch).map_err(|(error, _)| error)
    }

    /// Serves calls until nobody can make any.
    pub(super) fn run(mut self, calls: &Receiver<Call>) {
        loop {
            let first = match self.failure {
                None => calls.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => calls.recv_timeout(RETRY),
            };
            self.mend_if_due();
            match first {
                Ok(first) => self.serve(first, calls),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.failure.is_some() {
            self.mend();
        }
        // What the note says is only a lower bound; a failure here takes nothing away.
        self.options.storage.sync(place::HEAD).ok();
    }

    fn serve(&mut self, first: Call, calls: &Receiver<Call>) {
        let batch = self.gather(first, calls);
        let mut rest = batch.into_iter().peekable();
        while rest.peek().is_some() {
            self.serve_some(&mut rest);
        }
    }

    /// What is served together: all that is queued; and for a moment, while nobody waits, what comes next.
    fn gather(&self, first: Call, calls: &Receiver<Call>) -> Vec<Call> {
        let mut batch = vec![first];
        batch.extend(calls.try_iter().take(BATCH - 1));
        let begun = self.options.clock.monotonic();
        let mut waited = batch.iter().any(|call| call.reply.is_some());
        while !waited && self.failure.is_none() && batch.len() < BATCH {
            let passed = self.options.clock.monotonic().saturating_sub(begun);
            let Ok(next) = calls.recv_timeout(LINGER.saturating_sub(passed)) else {
                break;
            };
            waited = next.reply.is_some();
            batch.push(next);
        }
        batch.extend(calls.try_iter().take(BATCH.saturating_sub(batch.len())));
        batch
    }

    /// Writes as many calls as share a sync and answers them.
    fn serve_some(&mut self, calls: &mut std::iter::Peekable<std::vec::IntoIter<Call>>) {
        if let Some(failure) = &self.failure {
            let error = Error::Unavailable {
                reason: failure.reason.clone(),
            };
            calls.for_each(|call| self.refuse(call, &error));
            return;
        }
        let mut bytes = 0;
        let mut sealed = Vec::new();
        let mut batch = self.begin();
        while bytes < BATCH_BYTES
            && let Some(call) = calls.next()
        {
            let index = match &call.event {
                None => Ok(batch.end.count),
                Some(event) => self.add(&mut batch, event),
            };
            bytes = batch.log.len() + batch.payload.len();
            sealed.push((call, index));
        }
        let committed = self.commit(batch);
        if let Err((error, distrust)) = &committed {
            self.fail(error, *distrust);
        }
        for (call, index) in sealed {
            match (&committed, index) {
                (Err((error, _)), Ok(_)) => self.refuse(call, error),
                (_, index) => {
                    if let Some(reply) = call.reply {
                        // Who asked may have gone; the record stays.
                        drop(reply.send(index));
                    }
                }
            }
        }
    }

    /// Says that a call was not carried out. Events about ended things are kept for later.
    fn refuse(&mut self, call: Call, error: &Error) {
        match (call.reply, call.event) {
            (Some(reply), _) => {
                let error = Error::Unavailable {
                    reason: match error {
                        Error::Unavailable { reason } => reason.clone(),
                        error => error.to_string(),
                    },
                };
                drop(reply.send(Err(error)));
            }
            (None, Some(event)) if self.backlog.len() < BACKLOG => self.backlog.push_back(event),
            (None, Some(_)) => self.dropped += 1,
            (None, None) => {}
        }
    }

    fn begin(&self) -> Batch {
        Batch {
            log: Vec::new(),
            payload: Vec::new(),
            end: self.position.borrow().clone(),
        }
    }

    fn add(&self, batch: &mut Batch, event: &Clean) -> Result<u64, Error> {
        let place = batch.end.place();
        let now = self.options.clock.now();
        let sealed = encode::seal(place, now, event, self.options.entropy.as_ref())?;
        batch.log.extend_from_slice(&sealed.line);
        batch.payload.extend_from_slice(&sealed.payload);
        batch.end.log += sealed.line.len() as u64;
        batch.end.payload += sealed.payload.len() as u64;
        batch.end.count += 1;
        batch.end.hash = sealed.hash;
        Ok(place.index)
    }

    fn write<'a>(&self, events: impl Iterator<Item = &'a Clean>) -> Batch {
        let mut batch = self.begin();
        for event in events {
            // An event that does not fit has been told so when it was queued, or nobody waits for it.
            self.add(&mut batch, event).ok();
        }
        batch
    }

    /// Makes a batch durable: texts first, so that a durable record has its texts. The flag says that a sync failed.
    fn commit(&mut self, batch: Batch) -> Result<(), (Error, bool)> {
        let Batch { log, payload, end } = batch;
        if log.is_empty() {
            return Ok(());
        }
        let start = self.position.borrow().clone();
        let storage = &self.options.storage;
        let (log_name, payload_name) = (start.log_name(), start.payload_name());
        let write = |name: &str, offset, bytes: &[u8]| {
            storage
                .write(name, offset, bytes)
                .map_err(|error| (Error::storage("write", name)(error), false))
        };
        let sync = |name: &str| {
            storage
                .sync(name)
                .map_err(|error| (Error::storage("sync", name)(error), true))
        };
        if !payload.is_empty() {
            write(&payload_name, start.payload, &payload)?;
        }
        write(&log_name, start.log, &log)?;
        if !payload.is_empty() {
            sync(&payload_name)?;
        }
        sync(&log_name)?;
        self.acknowledge(end);
        let end = self.position.borrow().clone();
        if end.log >= self.options.segment || end.payload >= self.options.segment.saturating_mul(4)
        {
            // The batch is durable; if the next file cannot be begun, that is the next batch's trouble.
            if let Err(error) = self.rotate() {
                self.fail(&error, true);
            }
        }
        Ok(())
    }

    /// Takes note of how far the log is durable now.
    fn acknowledge(&mut self, end: Position) {
        let head = Head {
            count: end.count,
            hash: end.hash,
        };
        self.turn += 1;
        // Only a lower bound that survives the process: it is not synced, and a failure takes nothing away.
        self.options
            .storage
            .write(place::HEAD, Head::offset(self.turn), &head.slot())
            .ok();
        self.position.send_replace(end);
    }

    /// Begins the next file.
    fn rotate(&mut self) -> Result<(), Error> {
        let old = self.position.borrow().clone();
        let new = start_segment(&self.options, &old)?;
        self.options.storage.sync(place::HEAD).ok();
        self.position.send_replace(new);
        Ok(())
    }

    fn fail(&mut self, error: &Error, distrust: bool) {
        let now = self.options.clock.now();
        let tried = self.options.clock.monotonic();
        let reason = error.to_string();
        match &mut self.failure {
            Some(failure) => {
                failure.tried = tried;
                failure.distrust |= distrust;
                failure.reason.clone_from(&reason);
            }
            None => {
                self.failure = Some(Failure {
                    reason: reason.clone(),
                    since: now,
                    tried,
                    distrust,
                });
            }
        }
        let since = self.failure.as_ref().map_or(now, |failure| failure.since);
        self.readiness
            .send_replace(Readiness::Failing { since, reason });
    }

    fn mend_if_due(&mut self) {
        let now = self.options.clock.monotonic();
        let is_due = self
            .failure
            .as_ref()
            .is_some_and(|failure| now.saturating_sub(failure.tried) >= RETRY);
        if is_due {
            self.mend();
        }
    }

    /// Tries to bring the log back: what is on the disk is read again and checked, what was not acknowledged is cut
    /// off, and the repair is recorded. Only when that record is durable the log is trusted again.
    fn mend(&mut self) {
        let Some(failure) = self.failure.take() else {
            return;
        };
        let cause = match self.dropped {
            0 => failure.reason.clone(),
            dropped => format!("{}; {dropped} events were lost", failure.reason),
        };
        let distrust = failure.distrust;
        let outcome = self.try_mend(cause, distrust);
        match (outcome, &self.failure) {
            (Ok(()), None) => {
                self.readiness.send_replace(Readiness::Ready);
            }
            // The repair is recorded, but the file after it could not be begun.
            (Ok(()), Some(_)) => {}
            (Err((error, again)), _) => {
                self.failure = Some(failure);
                self.fail(&error, distrust || again);
            }
        }
    }

    fn try_mend(&mut self, cause: String, distrust: bool) -> Result<(), (Error, bool)> {
        let cut = super::recover::restore(&self.options, &self.position.borrow())
            .map_err(|error| (error, false))?;
        if distrust {
            self.rotate().map_err(|error| (error, true))?;
        }
        let repair = Repair {
            cause,
            kept: self.position.borrow().count,
            cut,
            lost: 0,
            lost_hash: None,
        };
        let event = repaired(repair).map_err(|error| (error, false))?;
        let batch = self.write(std::iter::once(&event).chain(&self.backlog));
        self.commit(batch)?;
        self.backlog.clear();
        self.dropped = 0;
        Ok(())
    }
}

/// The record of a repair.
fn repaired(repair: Repair) -> Result<Clean, Error> {
    let event = Event::new(Context::default(), Action::LogRepaired { repair });
    Ok(Clean::new(event)?)
}

/// Makes the file that follows `old` and says where it begins.
pub(super) fn start_segment(options: &Options, old: &Position) -> Result<Position, Error> {
    let header = Header {
        id: old.id.clone(),
        first: old.count,
        previous: old.hash,
    };
    let line = header.line();
    let new = Position {
        segment: old.count,
        log: line.len() as u64,
        payload: 0,
        ..old.clone()
    };
    let storage = &options.storage;
    let (log_name, payload_name) = (new.log_name(), new.payload_name());
    // A try before this one may have left them; nothing in them was acknowledged.
    let there = storage
        .list()
        .map_err(Error::storage("list the files of", "log"))?;
    for name in [&log_name, &payload_name] {
        if there.contains(name) {
            storage
                .remove(name)
                .map_err(Error::storage("remove", name))?;
        }
    }
    storage
        .create(&payload_name)
        .map_err(Error::storage("create", &payload_name))?;
    storage
        .create(&log_name)
        .map_err(Error::storage("create", &log_name))?;
    storage
        .write(&log_name, 0, line.as_bytes())
        .map_err(Error::storage("write", &log_name))?;
    storage
        .sync(&log_name)
        .map_err(Error::storage("sync", &log_name))?;
    Ok(new)
}
