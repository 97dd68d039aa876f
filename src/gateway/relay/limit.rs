//! Time limits that a client has loosened become the session's again, and the client is told.
//!
//! A statement can change them in more ways than its text shows (`set_config`, functions), so the upstream is asked before the next
//! one. What runs meanwhile is ended by the gateway's own timer.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::broker::limit::{self, Looser};
use crate::gateway::relay::{End, Relay};
use crate::gateway::reply;
use crate::policy::Permit;
use crate::sql::footprint::Effect;
use crate::wire::backend::TransactionStatus;

/// Whether the client knows of a limit that it has loosened in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    No,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Relay<C> {
    /// Tells the client at once, when the text of a statement says that it loosens a limit.
    pub(super) fn warn(&mut self, permit: &Permit) {
        let Effect::TimeLimit { name, value } = &permit.facts().effect else {
            return;
        };
        let value = value.as_deref().unwrap_or_default();
        if let Some(looser) = limit::looser(name, value, &self.caps) {
            self.notice(&looser);
            self.told = Told::Yes;
        }
    }

    /// Takes back what is looser than the session's limits. The upstream owes nothing, and its transaction has not failed.
    pub(super) async fn tighten(&mut self, limits: &[(&str, String)]) -> Result<(), End> {
        let told = std::mem::replace(&mut self.told, Told::No);
        let loose = limits.iter().filter_map(|(name, value)| {
            let looser = limit::looser(name, value, &self.caps)?;
            Some((*name, looser))
        });
        let loose: Vec<(&str, Looser)> = loose.collect();
        if loose.is_empty() {
            return Ok(());
        }
        // In a transaction it ends with the transaction: what holds behind that is looked at again then.
        let inside =
            self.session.is_in_pipeline() || self.session.status() == TransactionStatus::Open;
        let calls = loose.iter().map(|(name, looser)| {
            let limit = &looser.limit;
            format!("pg_catalog.set_config('{name}', '{limit}', {inside})")
        });
        let sql = format!("SELECT {}", calls.collect::<Vec<_>>().join(", "));
        self.ask_upstream(&sql, |_| {}).await?;
        if inside {
            self.session.state_mut().limited();
        }
        if told == Told::No {
            for (_, looser) in &loose {
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
