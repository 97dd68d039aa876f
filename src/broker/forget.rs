//! What is over long ago is forgotten: sessions, reviews, tokens. The log keeps what there was to know of them.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::event::{Action, Context, Event};
use crate::broker::{Broker, Error};

/// How often it is looked for what may be forgotten.
const LOOK: Duration = Duration::from_secs(3600);

/// Forgets for as long as the broker runs what is over for longer than `remember`.
pub(super) async fn run(broker: Arc<Broker>, remember: Duration) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match broker.forget(remember).await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "what was over has been forgotten"),
            Err(error) => tracing::error!(%error, "what is over could not be forgotten"),
        }
    }
}

impl Broker {
    /// Forgets sessions and reviews that are over for longer than `remember`, and what has expired of sign-ins. First the record, then
    /// the act. Says how many entries are gone.
    ///
    /// # Errors
    /// When it cannot be recorded, or the store fails.
    pub async fn forget(&self, remember: Duration) -> Result<u64, Error> {
        let now = self.core.clock.now();
        let before = now.before(remember);
        let entries = self.core.store.forgettable(before).await?;
        if entries > 0 {
            let action = Action::StateForgotten { before, entries };
            let event = Event::new(Context::default(), action);
            self.core.log.append(event).await?;
        }
        Ok(self.core.store.forget(now, before).await?)
    }
}
