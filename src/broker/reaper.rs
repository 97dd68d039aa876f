//! The end of leases and sessions, also of those that a crash left behind.
//!
//! **Invariant:** a lease is forgotten by the store only after its role is gone from the database.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::audit::event::{Action, Event};
use crate::broker::place::Place;
use crate::broker::session::Session;
use crate::broker::{Broker, Core, record};
use crate::model::session::{CloseReason, SessionId};
use crate::store;
use crate::store::lease::{self, Lease};
use crate::store::session::{self, Phase};
use crate::upstream;
use crate::upstream::role::end::{self, Stuck};
use crate::upstream::role::{self, name::Name};

/// How often stuck leases and unfinished ends are looked at.
const SWEEP: Duration = Duration::from_secs(5);
/// How often leases are looked at in the database.
const LOOK: Duration = Duration::from_secs(1);
/// How many leases of one database are ended at once: each waits for a moment between two looks at its backends, and so many
/// waits fill the time of the few connections they share.
const AT_ONCE: usize = 64;
/// Until the first new try to end a stuck role; each further try waits twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);
/// A creation that was sent may take effect until the server's `statement_timeout` for the admin ends it, which is 30 s.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// What ending a lease needs to know, as the store keeps it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Detail {
    owner: Option<String>,
}

/// Writes down who gets what a lease leaves behind.
pub(super) fn detail(owner: Option<&str>) -> String {
    let detail = Detail {
        owner: owner.map(str::to_owned),
    };
    // Plain text and an option: cannot fail. Without the owner nothing would be given away, and the role stays.
    serde_json::to_string(&detail).unwrap_or_default()
}

/// Ends a session that is closed for everybody already: its lease, its record, its entry in the store. Goes on when a
/// step fails, because access must end; what is missing is made up for by [`sweep`].
pub(super) async fn close_session(
    core: &Core,
    session: &Session,
    lease: Option<&Name>,
    why: &CloseReason,
) {
    let id = session.id.as_str();
    let begun = core.store.begin_close(&session.id, why, core.clock.now());
    if let Err(error) = begun.await {
        tracing::error!(session = id, %error, "the end of a session could not be stored");
    }
    if let Some(name) = lease {
        let owner = session.terms.owner.as_deref();
        end_role(core, session.place(), name, owner).await;
    }
    let closed = record::event(session, Action::SessionClosed { end: why.clone() });
    finish(core, session, closed).await;
}

async fn finish(core: &Core, session: &Session, closed: Event) {
    let id = session.id.as_str();
    if let Err(error) = core.log.append(closed).await {
        tracing::error!(session = id, %error, "the end of a session could not be recorded yet");
        return;
    }
    if let Err(error) = core.store.finish_close(&session.id, core.clock.now()).await {
        tracing::error!(session = id, %error, "the end of a session could not be stored");
    }
}

/// Ends a role and forgets its lease; where that fails it is kept as stuck, and tried again. Whether it is gone.
pub(super) async fn end_role(core: &Core, place: &Place, name: &Name, owner: Option<&str>) -> bool {
    let ended = async {
        end::shut(place.shuts(), name).await?;
        end::drop_role(place.drops(), name, owner).await
    };
    settle(core, place, name, ended.await).await
}

/// The same for a role that is closed already and had no backends after that.
async fn end_closed_role(core: &Core, place: &Place, name: &Name, owner: Option<&str>) -> bool {
    let ended = end::drop_role(place.drops(), name, owner).await;
    settle(core, place, name, ended).await
}

async fn settle(core: &Core, place: &Place, name: &Name, ended: Result<(), Stuck>) -> bool {
    match ended {
        Ok(()) => forget(core, name).await,
        Err(error) => {
            stick(core, place, name, &error).await;
            false
        }
    }
}

/// Forgets the lease of a role that is gone, unless its creation may still be on its way to the database: then it is kept until
/// that can no longer be.
async fn forget(core: &Core, name: &Name) -> bool {
    let settled = async {
        let kept = core.store.lease(name.as_str()).await?;
        let young = kept.filter(|lease| {
            lease.state == lease::State::Intent
                && lease.created.until(core.clock.now()) < UNDER_WAY
                && lease.created.after(UNDER_WAY) > core.clock.now()
        });
        match young {
            Some(lease) => {
                let next = lease.created.after(UNDER_WAY);
                let why = "its creation may still be under way";
                core.store.stick_lease(name.as_str(), why, next).await?;
                Ok::<bool, store::Error>(false)
            }
            None => core.store.end_lease(name.as_str()).await.map(|_| true),
        }
    };
    settled.await.unwrap_or_else(|error| {
        tracing::error!(role = name.as_str(), %error, "the end of a lease could not be stored");
        false
    })
}

async fn stick(core: &Core, place: &Place, name: &Name, error: &Stuck) {
    let text = error.to_string();
    let kept = core.store.lease(name.as_str()).await.ok().flatten();
    let tries = kept.map_or(0, |lease| lease.tries).saturating_add(1);
    let wait = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10));
    let next = core.clock.now().after(wait.min(LONGEST));
    tracing::warn!(role = name.as_str(), error = %text, tries, "a lease could not be ended; it is tried again");
    if let Err(error) = core.store.stick_lease(name.as_str(), &text, next).await {
        tracing::error!(role = name.as_str(), %error, "a stuck lease could not be stored");
    }
    // The first time, and then ever more seldom: a role stuck for a month is not a thousand records.
    if tries.is_power_of_two() {
        let action = Action::RoleStuck {
            role: name.to_string(),
            tries,
            error: text.into(),
        };
        let event = Event::new(record::alone(&place.target().name), action);
        if let Err(error) = core.log.append(event).await {
            tracing::error!(role = name.as_str(), %error, "a stuck lease could not be recorded");
        }
    }
}

/// Ends every lease a crash left behind: doors first, all of them, then one after the other.
pub(super) async fn recover(broker: &Arc<Broker>) -> Result<(), store::Error> {
    let leases = broker.core.store.leases().await?;
    let mut places = JoinSet::new();
    for place in broker.places.values() {
        let here: Vec<Lease> = leases
            .iter()
            .filter(|lease| lease.database == place.target().name)
            .cloned()
            .collect();
        let (core, place) = (Arc::clone(&broker.core), Arc::clone(place));
        places.spawn(async move { reap(&core, &place, here).await });
    }
    for lease in leases {
        if !broker.places.contains_key(&lease.database) {
            let (role, database) = (lease.role.as_str(), lease.database.as_str());
            tracing::warn!(
                role,
                database,
                "a lease was left in a database that is not offered any more"
            );
        }
    }
    while places.join_next().await.is_some() {}
    Ok(())
}

/// Ends leases of one database that nobody keeps.
async fn reap(core: &Arc<Core>, place: &Arc<Place>, leases: Vec<Lease>) {
    let names: Vec<Name> = leases
        .iter()
        .filter_map(|lease| lease.role.parse().ok())
        .collect();
    // One that cannot be closed with the others is closed by itself in a moment.
    let closed = match close_all(place, &names).await {
        Ok(closed) => closed,
        Err(error) => {
            tracing::warn!(database = place.target().name.as_str(), %error, "not all leases closed at once");
            HashSet::new()
        }
    };
    let mut ending = JoinSet::new();
    for lease in leases {
        if ending.len() >= AT_ONCE {
            ending.join_next().await;
        }
        let (core, place) = (Arc::clone(core), Arc::clone(place));
        let closed = closed.contains(&lease.role);
        ending.spawn(async move { reap_one(&core, &place, &lease, closed).await });
    }
    while ending.join_next().await.is_some() {}
}

/// Closes them all at once; returns those that are closed and have no backends.
async fn close_all(place: &Place, names: &[Name]) -> Result<HashSet<String>, upstream::Error> {
    let existing = end::existing(place.roles(), names).await?;
    end::close_all(place.roles(), &existing).await?;
    let look = role::look(place.roles()).await?;
    let busy: HashSet<&Name> = look.backends.iter().map(|(name, _)| name).collect();
    let quiet = existing.iter().filter(|name| !busy.contains(name));
    Ok(quiet.map(Name::to_string).collect())
}

async fn reap_one(core: &Core, place: &Place, lease: &Lease, closed: bool) {
    let Ok(name) = lease.role.parse::<Name>() else {
        return;
    };
    let detail: Detail = serde_json::from_str(&lease.detail).unwrap_or_default();
    if lease.state == lease::State::Created {
        let closing =
            core.store
                .move_lease(name.as_str(), lease::State::Created, lease::State::Closing);
        if let Err(error) = closing.await {
            tracing::error!(role = name.as_str(), %error, "a lease left behind could not be stored");
        }
    }
    let owner = detail.owner.as_deref();
    let gone = if closed {
        end_closed_role(core, place, &name, owner).await
    } else {
        end_role(core, place, &name, owner).await
    };
    if gone {
        let action = Action::RoleReaped {
            role: name.to_string(),
        };
        let event = Event::new(record::alone(&place.target().name), action);
        if let Err(error) = core.log.append(event).await {
            tracing::error!(role = name.as_str(), %error, "the end of a lease could not be recorded");
        }
    }
}

/// Looks again and again for what was left behind, for as long as the broker runs.
pub(super) async fn sweep_on(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lost = HashSet::new();
    loop {
        ticks.tick().await;
        match sweep(&broker, &lost).await {
            Ok(found) => lost = found,
            Err(error) => tracing::error!(%error, "leases left behind could not be looked at"),
        }
    }
}

/// Tries stuck leases again, and finishes sessions whose end was cut short. Returns the sessions that are open in the store
/// and nowhere else: those that were `lost` the last time, too, ended while the store could not be written.
async fn sweep(
    broker: &Arc<Broker>,
    lost: &HashSet<SessionId>,
) -> Result<HashSet<SessionId>, store::Error> {
    let core = &broker.core;
    let now = core.clock.now();
    if core.store.trouble().is_some() {
        // Only a change shows whether changes can be kept again.
        let mark = format!("probe {now}");
        if core.store.use_once(&mark, now).await.is_err() {
            return Ok(lost.clone());
        }
    }
    let leases = core.store.leases().await?;
    let stuck = leases.iter().filter(|l| l.state == lease::State::Stuck);
    core.stuck.store(stuck.count(), Ordering::Relaxed);
    for lease in leases {
        let due = lease.state == lease::State::Stuck && lease.next.is_none_or(|next| next <= now);
        if let (true, Some(place)) = (due, broker.places.get(&lease.database)) {
            reap_one(core, place, &lease, false).await;
        }
    }
    let filter = session::Filter {
        phase: Phase::Unfinished,
        ..session::Filter::default()
    };
    let mut found = HashSet::new();
    for kept in core.store.sessions(&filter).await? {
        // One that still has its task is ended by it.
        if broker.handle(&kept.id).is_some() {
            continue;
        }
        match &kept.state {
            session::State::Closing { why, .. } => broker.finish_kept(&kept, why).await,
            session::State::Open if lost.contains(&kept.id) => {
                broker.finish_kept(&kept, &CloseReason::Ended).await;
            }
            session::State::Open => {
                found.insert(kept.id.clone());
            }
            session::State::Opening | session::State::Closed { .. } => {}
        }
    }
    Ok(found)
}

/// What was odd at the last look; what is odd twice in a row is acted upon.
#[derive(Debug, Default)]
struct Odd {
    doors: HashSet<Name>,
    backends: HashSet<(Name, u32)>,
}

/// Looks at one database's leases again and again: its clock, doors that should be closed, backends that did not come
/// through the gateway, leases that others were made members of.
pub(super) async fn look_after(broker: Arc<Broker>, place: Arc<Place>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut odd = Odd::default();
    loop {
        ticks.tick().await;
        match place.look().await {
            Ok(look) => odd = judge(&broker, &place, &look, &odd).await,
            Err(_) => odd = Odd::default(),
        }
    }
}

async fn judge(broker: &Arc<Broker>, place: &Place, look: &role::Look, before: &Odd) -> Odd {
    let mut odd = Odd::default();
    for name in &look.open {
        let session = name.session().and_then(|id| broker.handle(&id));
        let Some(session) = session.filter(|handle| !handle.session.has_open_door()) else {
            continue;
        };
        if before.doors.contains(name) {
            let id = session.session.id.as_str();
            tracing::warn!(
                session = id,
                "a lease could log in though nobody was connecting; closing it"
            );
            if let Err(error) = role::close_door(place.shuts(), name).await {
                tracing::error!(session = id, %error, "a lease could not be closed");
            }
        }
        odd.doors.insert(name.clone());
    }
    for (name, pid) in &look.backends {
        let session = name.session().and_then(|id| broker.handle(&id));
        let Some(session) = session.filter(|handle| !handle.session.knows(*pid)) else {
            continue;
        };
        let seen = (name.clone(), *pid);
        if before.backends.contains(&seen) {
            let id = session.session.id.as_str();
            tracing::error!(
                session = id,
                pid,
                "a connection of a lease did not come through the gateway"
            );
            session.session.close(&CloseReason::Killed {
                by: "dbgate, because its lease was used beside the gateway".to_owned(),
            });
        }
        odd.backends.insert(seen);
    }
    for (name, member) in &look.members {
        let session = name.session().and_then(|id| broker.handle(&id));
        // On one server there may be leases of another database's admin role, which is a member of those.
        let ours = |session: &Session| session.database == place.target().name;
        let Some(session) = session.filter(|handle| ours(&handle.session)) else {
            continue;
        };
        let id = session.session.id.as_str();
        tracing::error!(session = id, member, "a lease was given to another role");
        session.session.close(&CloseReason::Killed {
            by: "dbgate, because its lease was given to another role".to_owned(),
        });
    }
    odd
}
