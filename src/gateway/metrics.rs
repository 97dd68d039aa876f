//! What the gateway counts, for Prometheus.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::gateway::budget::Sent;
use crate::gateway::session::run::Outcome;

/// The gateway's counters; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    connections: Gauge,
    opened: Counter,
    turned_away: Counter,
    intents: Counter,
    refused: Counter,
    failed: Counter,
    rows: Counter,
    bytes: Counter,
    cancels: Counter,
    panics: Counter,
}

/// Counts a connection as long as it is held.
#[derive(Debug)]
pub struct Open(Gauge);

impl Metrics {
    /// Counters of their own, shown by `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "gateway_connections",
            "Clients that are connected",
            metrics.connections.clone(),
        );
        let counters = [
            (
                "gateway_connections_opened",
                "Clients that were let in",
                &metrics.opened,
            ),
            (
                "gateway_connections_refused",
                "Clients that were turned away",
                &metrics.turned_away,
            ),
            (
                "gateway_statements",
                "Statements that were permitted and recorded",
                &metrics.intents,
            ),
            (
                "gateway_statements_refused",
                "Statements that the policy refused",
                &metrics.refused,
            ),
            (
                "gateway_statements_failed",
                "Statements that failed in the database",
                &metrics.failed,
            ),
            ("gateway_rows", "Rows that were passed on", &metrics.rows),
            (
                "gateway_bytes",
                "Bytes of results that were passed on",
                &metrics.bytes,
            ),
            ("gateway_cancels", "Cancel requests", &metrics.cancels),
            (
                "gateway_panics",
                "Connections that ended by a fault of dbgate",
                &metrics.panics,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        metrics
    }

    /// A client was let in.
    #[must_use]
    pub fn open(&self) -> Open {
        self.opened.inc();
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// A client was turned away.
    pub fn turned_away(&self) {
        self.turned_away.inc();
    }

    /// A statement was permitted and recorded.
    pub fn intended(&self) {
        self.intents.inc();
    }

    /// A statement was refused.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A statement has come to its end.
    pub fn finished(&self, outcome: &Outcome, sent: Sent) {
        self.rows.inc_by(sent.rows);
        self.bytes.inc_by(sent.bytes);
        match outcome {
            Outcome::Failed(_) | Outcome::Stopped(_) | Outcome::Unknown => {
                self.failed.inc();
            }
            Outcome::Done(_) | Outcome::Skipped => {}
        }
    }

    /// Somebody asked to cancel something.
    pub fn cancel(&self) {
        self.cancels.inc();
    }

    /// A connection's task has panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
