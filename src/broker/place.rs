//! One database behind the broker: its admin connections, its catalog with what the policy protects in it, its clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::time::{Clock, Timestamp};
use crate::policy::{Policy, Protection};
use crate::sql::catalog::Catalog;
use crate::upstream::admin::Admin;
use crate::upstream::quote::Literal;
use crate::upstream::role::Look;
use crate::upstream::target::Target;
use crate::upstream::watcher::Watcher;
use crate::upstream::{self, role};

/// Connections that close roles and end backends, and connections that drop roles: what a dropped role owned may take
/// its time, and must not keep another from being closed.
const SHUTS: usize = 3;
const DROPS: usize = 2;

/// How long the planner may take.
const PLAN: Duration = Duration::from_secs(3);

/// What a decision is made by: policy, catalog and protection of one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The database's catalog.
    pub catalog: Arc<Catalog>,
    /// What that policy protects in that catalog.
    pub protection: Arc<Protection>,
}

/// A database and everything the broker keeps about it.
#[derive(Debug)]
pub struct Place {
    target: Arc<Target>,
    clock: Arc<dyn Clock>,
    roles: Admin,
    shuts: Vec<Admin>,
    drops: Vec<Admin>,
    turns: AtomicUsize,
    looks: Admin,
    plans: Admin,
    watcher: Watcher,
    policy: watch::Receiver<Arc<Policy>>,
    view: Mutex<Option<View>>,
    /// The database's clock, and ours when it was read.
    seen: Mutex<Option<(Timestamp, Duration)>>,
    /// Whether the last look at it failed.
    away: AtomicBool,
}

impl Place {
    /// For a target; connects when it is first used.
    #[must_use]
    pub fn new(
        target: Target,
        policy: watch::Receiver<Arc<Policy>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let target = Arc::new(target);
        let admin = || Admin::new(Arc::clone(&target));
        Self {
            roles: admin(),
            shuts: std::iter::repeat_with(admin).take(SHUTS).collect(),
            drops: std::iter::repeat_with(admin).take(DROPS).collect(),
            turns: AtomicUsize::new(0),
            looks: admin(),
            plans: admin(),
            watcher: Watcher::new(admin(), Arc::clone(&clock)),
            target: Arc::clone(&target),
            clock,
            policy,
            view: Mutex::new(None),
            seen: Mutex::new(None),
            away: AtomicBool::new(false),
        }
    }

    /// The target.
    #[must_use]
    pub const fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The admin connection that makes leases and opens doors.
    #[must_use]
    pub(super) const fn roles(&self) -> &Admin {
        &self.roles
    }

    /// An admin connection that closes roles and ends their backends.
    pub(super) fn shuts(&self) -> &Admin {
        self.turn(&self.shuts)
    }

    /// An admin connection that drops roles.
    pub(super) fn drops(&self) -> &Admin {
        self.turn(&self.drops)
    }

    fn turn<'a>(&'a self, pool: &'a [Admin]) -> &'a Admin {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let place = turn.checked_rem(pool.len()).unwrap_or(0);
        pool.get(place).unwrap_or(&self.roles)
    }

    /// What a decision is made by, without waiting; `None` when the catalog was not confirmed a moment ago.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        let catalog = self.watcher.catalog()?;
        Some(self.view_of(catalog))
    }

    /// What a decision is made by, at least as new as this call: after DDL, or when [`Place::view`] has none.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn refresh(&self) -> Result<View, upstream::Error> {
        let catalog = self.watcher.refresh().await?;
        Ok(self.view_of(catalog))
    }

    /// The same, because a name did not resolve: so often as that may happen, the database is asked a few times a second only.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn look_again(&self) -> Result<View, upstream::Error> {
        let catalog = self.watcher.look_again().await?;
        Ok(self.view_of(catalog))
    }

    /// A view with a catalog that nobody else sees: that of a connection in a transaction with definitions of its own.
    #[must_use]
    pub fn own_view(&self, view: &View, catalog: Catalog) -> View {
        let database = &self.target.name;
        let protection = view.protection.again(&view.policy, database, &catalog);
        View {
            policy: Arc::clone(&view.policy),
            catalog: Arc::new(catalog),
            protection: Arc::new(protection),
        }
    }

    /// Resolves the protection when policy or catalog are others than last time.
    fn view_of(&self, catalog: Arc<Catalog>) -> View {
        let policy = Arc::clone(&self.policy.borrow());
        let mut held = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_ref() {
            Some(view)
                if Arc::ptr_eq(&view.policy, &policy) && Arc::ptr_eq(&view.catalog, &catalog) =>
            {
                view.clone()
            }
            before => {
                let database = &self.target.name;
                let protection = match before {
                    Some(view) => view.protection.again(&policy, database, &catalog),
                    None => Protection::resolve(&policy, database, &catalog),
                };
                let view = View {
                    policy,
                    catalog,
                    protection: Arc::new(protection),
                };
                *held = Some(view.clone());
                view
            }
        }
    }

    /// Keeps the catalog fresh until it is dropped.
    pub(super) async fn watch(&self) {
        self.watcher.run().await;
    }

    /// Looks at all leases in the database, and at its clock.
    pub(super) async fn look(&self) -> Result<Look, upstream::Error> {
        let look = role::look(&self.looks).await;
        let was_away = self.away.swap(look.is_err(), Ordering::Relaxed);
        let database = self.target.name.as_str();
        match &look {
            Ok(look) => {
                self.saw(look.clock);
                if was_away {
                    tracing::info!(database, "the database can be used again");
                }
            }
            Err(error) if !was_away => {
                tracing::error!(database, %error, "the database can't be used");
            }
            Err(_) => {}
        }
        look
    }

    /// Asks the planner something as a member of that role would, in a transaction that can't write; `None` when there is no answer.
    pub(super) async fn plan(&self, role: &str, question: &str) -> Option<String> {
        let sql = format!(
            "SELECT set_config('transaction_read_only', 'on', true), set_config('role', {}, true), \
             set_config('search_path', '\"$user\", public', true), set_config('lock_timeout', '500ms', true);\n{question}\n",
            Literal(role)
        );
        let asked = self.plans.batch("ask the planner", &sql);
        match tokio::time::timeout(PLAN, asked).await {
            // The first row is that of the settings.
            Ok(Ok(rows)) => rows.get(1..)?.iter().map(|row| row.text(0)).collect(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a statement could not be planned");
                None
            }
            Err(_) => None,
        }
    }

    /// Whether the database could not be used when it was last looked at, a second ago or less.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The database's clock was read just now.
    pub(super) fn saw(&self, clock: Timestamp) {
        let now = self.clock.monotonic();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock, now));
    }

    /// What the database's clock shows, as far as is known: it goes on from where it was last seen.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        let (clock, at) = (*self.seen.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(clock.after(self.clock.monotonic().saturating_sub(at)))
    }

    /// How far the database's clock is from ours, in either direction.
    #[must_use]
    pub fn skew(&self) -> Option<Duration> {
        let theirs = self.now()?;
        let ours = self.clock.now();
        Some(ours.until(theirs).max(theirs.until(ours)))
    }
}
