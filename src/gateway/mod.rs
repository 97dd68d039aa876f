//! The PostgreSQL side of the broker: the life of a connection and of every statement on it.
//!
//! Reading order: `startup`, `cancel`, `reply` → `session` (the protocol as a pure machine) → `judge` (analysis and policy) → `intent`
//! (what is recorded).

pub mod cancel;
pub mod intent;
pub mod judge;
pub mod reply;
pub mod session;
pub mod startup;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::net::TcpStream;

use crate::broker::Broker;
use crate::config::broker::Config;
use crate::net::drain::Signal;
use crate::net::greeting::Greeting;

/// The PostgreSQL side of one broker.
#[derive(Debug)]
pub struct Gateway {
    _broker: Arc<Broker>,
}

impl Gateway {
    /// For the sessions of `broker`; its counters go to `registry`.
    pub fn new(broker: Arc<Broker>, _config: &Config, _registry: &mut Registry) -> Self {
        Self { _broker: broker }
    }

    /// Serves one client from its first words to the end of its connection.
    pub async fn serve(&self, greeting: Greeting<TcpStream>, peer: SocketAddr, _stop: Signal) {
        drop(greeting);
        tracing::warn!(%peer, "a PostgreSQL client was turned away: statements are not carried yet");
    }
}
