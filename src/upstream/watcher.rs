//! Keeps the catalog of a database fresh: asks every second whether it may have changed, reads it again when it has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, watch};

use crate::model::time::Clock;
use crate::sql::catalog::Catalog;
use crate::upstream::admin::Admin;
use crate::upstream::{Error, catalog};

/// How often the database is asked.
pub const POLL: Duration = Duration::from_millis(900);

/// A catalog that was not confirmed for so long is not shown any more: whoever needs it looks again, and refuses when
/// that fails.
const STALE: Duration = Duration::from_secs(5);

/// How long nobody looks again because a name did not resolve, when somebody has just looked.
pub const PACE: Duration = Duration::from_millis(50);

/// The catalog of one database, and the connection that looks after it.
#[derive(Debug)]
pub struct Watcher {
    admin: Admin,
    clock: Arc<dyn Clock>,
    /// Who reads has the turn; whoever waits for it finds the work done.
    turn: Turn<Option<String>>,
    confirmed: Mutex<Option<Duration>>,
    sender: watch::Sender<Option<Arc<Catalog>>>,
}

impl Watcher {
    /// Looks after the catalog behind `admin`; nothing happens until it is asked or run.
    #[must_use]
    pub fn new(admin: Admin, clock: Arc<dyn Clock>) -> Self {
        Self {
            admin,
            clock,
            turn: Turn::new(None),
            confirmed: Mutex::new(None),
            sender: watch::channel(None).0,
        }
    }

    /// The catalog, if it was confirmed a moment ago.
    #[must_use]
    pub fn catalog(&self) -> Option<Arc<Catalog>> {
        let age = self.clock.monotonic().checked_sub(self.confirmed()?)?;
        (age < STALE)
            .then(|| self.sender.borrow().clone())
            .flatten()
    }

    /// Tells of every new catalog.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Catalog>>> {
        self.sender.subscribe()
    }

    /// Looks now; returns once the catalog is at least as new as the call.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn refresh(&self) -> Result<Arc<Catalog>, Error> {
        self.since(self.clock.monotonic()).await
    }

    /// The catalog as it was at `called` or later.
    async fn since(&self, called: Duration) -> Result<Arc<Catalog>, Error> {
        let mut seen = self.turn.lock().await;
        // Whoever had the turn may have asked after this call began.
        if self.confirmed().is_some_and(|asked| asked >= called)
            && let Some(held) = self.sender.borrow().clone()
        {
            return Ok(held);
        }
        let live = self.admin.live().await?;
        let asked = self.clock.monotonic();
        let probe = catalog::probe(&live.client).await?;
        let held = self.sender.borrow().clone();
        let current = match held {
            Some(held) if seen.as_deref() == Some(probe.as_str()) => held,
            _ => {
                let read = Arc::new(catalog::read(&live.client).await?);
                *seen = Some(probe);
                self.sender.send_replace(Some(Arc::clone(&read)));
                read
            }
        };
        *self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(asked);
        Ok(current)
    }

    /// The same for names that do not resolve: not before [`PACE`] has passed since the last look. All who wait share one.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn look_again(&self) -> Result<Arc<Catalog>, Error> {
        let called = self.clock.monotonic();
        let since = self.confirmed().and_then(|at| called.checked_sub(at));
        if let Some(wait) = since.and_then(|since| PACE.checked_sub(since)) {
            tokio::time::sleep(wait).await;
        }
        self.since(called).await
    }

    fn confirmed(&self) -> Option<Duration> {
        *self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again and again, until it is dropped.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match self.refresh().await {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    let database = self.admin.target().name.as_str();
                    tracing::warn!(database, %error, "the catalog cannot be read");
                }
                Err(_) => {}
            }
        }
    }
}
