//! Time limits that a client has loosened become the session's again, and the client is told; those of a session that was renewed
//! become longer.
//!
//! A statement can change them in more ways than its text shows (`set_config`, functions), so the upstream is asked before the next
//! one. What runs meanwhile is ended by the gateway's own timer.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::limit::{self, Caps, Looser};
use crate::gateway::relay::verdict::Stop;
use crate::gateway::relay::{End, Relay};
use crate::gateway::reply;
use crate::gateway::session;
use crate::model::time::Timestamp;
use crate::policy::Permit;
use crate::sql::footprint::Effect;
use crate::wire::backend::TransactionStatus;

/// The time limits of a connection.
#[derive(Debug)]
pub(super) struct Limits {
    /// Those it began with: `RESET ALL` leads back to them.
    began: Caps,
    /// Those it has now, which it may tighten.
    caps: Caps,
    /// The end of the session that they go by.
    ends: Timestamp,
    told: Told,
}

/// Whether the client knows of a limit that it has loosened in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    No,
}

impl Limits {
    /// Those of a connection that begins.
    pub(super) const fn new(caps: Caps, ends: Timestamp) -> Self {
        Self {
            began: caps,
            caps,
            ends,
            told: Told::No,
        }
    }

    /// What a limit has to become, and whether the client is told.
    fn mend(&self, name: &str, value: &str) -> Option<(String, Option<Looser>)> {
        if let Some(looser) = limit::looser(name, value, &self.caps) {
            return Some((looser.limit.clone(), Some(looser)));
        }
        // Nobody has chosen it: it is what the session had left once.
        let cap = self.caps.of(name)?;
        let outgrown = self.began.has_set(name, value) && self.began.of(name) < Some(cap);
        outgrown.then(|| (limit::milliseconds(cap), None))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// Tells the client at once, when the text of a statement says that it loosens a limit.
    pub(super) fn warn(&mut self, permit: &Permit) {
        let Effect::TimeLimit { name, value } = &permit.facts().effect else {
            return;
        };
        let value = value.as_deref().unwrap_or_default();
        if let Some(looser) = limit::looser(name, value, &self.limits.caps) {
            self.notice(&looser);
            self.limits.told = Told::Yes;
        }
    }

    /// A session that was renewed gives its connections more time, also those that do nothing.
    pub(super) async fn follow_end(&mut self) -> Result<(), End> {
        let ends = self.attachment.session.ends();
        let rests = self.session.is_idle() && self.session.status() != TransactionStatus::Failed;
        if ends == self.limits.ends || !rests {
            return Ok(());
        }
        self.limits.ends = ends;
        self.limits.caps = self.limits.caps.renewed(self.attachment.session.left());
        match self.look().await {
            Ok(()) => Ok(()),
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Told(_) | Stop::Unrecorded) => Err(session::Error::OutOfOrder.into()),
        }
    }

    /// Takes back what is looser than the session's limits. The upstream owes nothing, and its transaction has not failed.
    pub(super) async fn tighten(&mut self, limits: &[(&str, String)]) -> Result<(), End> {
        let told = std::mem::replace(&mut self.limits.told, Told::No);
        let changes = limits.iter().filter_map(|(name, value)| {
            let (limit, looser) = self.limits.mend(name, value)?;
            Some((*name, limit, looser))
        });
        let changes: Vec<(&str, String, Option<Looser>)> = changes.collect();
        if changes.is_empty() {
            return Ok(());
        }
        // In a transaction it ends with the transaction: what holds behind that is looked at again then.
        let inside =
            self.session.is_in_pipeline() || self.session.status() == TransactionStatus::Open;
        let calls = changes.iter().map(|(name, limit, _)| {
            format!("pg_catalog.set_config('{name}', '{limit}', {inside})")
        });
        let sql = format!("SELECT {}", calls.collect::<Vec<_>>().join(", "));
        self.ask_upstream(&[&sql], |_| {}).await?;
        if inside {
            self.session.state_mut().limited();
        }
        if told == Told::No {
            for looser in changes.iter().filter_map(|(_, _, looser)| looser.as_ref()) {
                self.notice(looser);
            }
        }
        Ok(())
    }

    fn notice(&mut self, looser: &Looser) {
        self.post();
        let notice = reply::notice(format!("dbgate: {}", looser.sentence))
            .with_hint("A session can tighten its time limits, not loosen them.");
        reply::write_notice(&notice, self.client.framed.out());
        self.client.written();
    }
}
