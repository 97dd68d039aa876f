//! A policy that changed is read again, on SIGHUP and when a file changes; with mistakes, the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use crate::api::health::Standing;
use crate::audit::event::{Action, Context, Event};
use crate::broker::Broker;
use crate::net::drain::Signal;
use crate::server;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What a file looked like: when it was changed, and how long it is.
pub(super) type Look = Vec<Option<(SystemTime, u64)>>;

/// Watches until a stop is asked for. What the files looked like is to be taken before they are read for the first time: a change in
/// between is none that may be missed.
pub(super) async fn watch(
    (files, mut seen): (Vec<PathBuf>, Look),
    (broker, standing): (Arc<Broker>, Standing),
    mut stop: Signal,
) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        let asked = tokio::select! {
            _ = tick.tick() => false,
            Some(()) = next(&mut hangup) => true,
            () = stop.started() => return,
        };
        let now = look(&files);
        if !asked && now == seen {
            continue;
        }
        seen = now;
        load(&files, &broker, &standing).await;
    }
}

/// Reads the files and puts them in force. With mistakes, the policy stays as it is, and log and readiness say so.
async fn load(files: &[PathBuf], broker: &Broker, standing: &Standing) {
    match server::read_policy(files) {
        Ok(policy) => {
            let hash = policy.hash().to_owned();
            match broker.set_policy(Arc::new(policy)).await {
                Ok(()) => {
                    standing.accepted();
                    tracing::info!(hash, "the policy was loaded");
                }
                Err(error) => {
                    standing.refused(
                        "the new policy could not be put in force; the old one stays".to_owned(),
                    );
                    tracing::error!(%error, "the new policy could not be put in force; the old one stays");
                }
            }
        }
        Err(server::Error::Policy(problems)) => {
            standing.refused(format!(
                "the policy files have {}; the policy loaded before stays",
                problems.counted()
            ));
            for problem in &problems {
                tracing::error!(%problem, "the policy has a mistake; the old one stays");
            }
            record_refused(broker, problems.to_string()).await;
        }
        Err(error) => {
            standing.refused("the policy can't be read; the old one stays".to_owned());
            tracing::error!(%error, "the policy can't be read; the old one stays");
            record_refused(broker, error.to_string()).await;
        }
    }
}

/// Records that there was a policy which is not in force.
async fn record_refused(broker: &Broker, error: String) {
    let error = error.into();
    let event = Event::new(Context::default(), Action::PolicyRefused { error });
    if let Err(error) = broker.log().append(event).await {
        tracing::error!(%error, "a refused policy could not be recorded");
    }
}

async fn next(hangup: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    }
}

/// What the files look like now.
pub(super) fn look(files: &[PathBuf]) -> Look {
    let one = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|path| one(path)).collect()
}
