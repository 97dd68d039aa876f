//! The PostgreSQL side of the broker: the life of a connection and of every statement on it.
//!
//! Reading order: `startup`, `cancel`, `reply` → `handshake` → `session` (the protocol as a pure machine) → `judge` (analysis and policy) →
//! `intent` (what is recorded) → `relay` (the driver) → `cache`, `budget`, `metrics`.
//!
//! **Invariant:** no statement reaches the database but as a [`session::run::Run`], which is made from a recorded permit only; no row of it
//! reaches the client but through that run.

#![deny(
    clippy::wildcard_enum_match_arm,
    reason = "a new case must be thought about"
)]

pub mod budget;
pub mod cache;
pub mod cancel;
mod handshake;
pub mod intent;
pub mod judge;
pub mod metrics;
mod relay;
pub mod reply;
pub mod secret;
pub mod session;
pub mod startup;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry as Counters;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event::Client;
use crate::audit::recording::Limit;
use crate::audit::refusal::Entrance;
use crate::broker::Broker;
use crate::config::broker::PlainText;
use crate::gateway::budget::Budgets;
use crate::gateway::cache::Cache;
use crate::gateway::cancel::Registry;
use crate::gateway::handshake::Refusal;
use crate::gateway::metrics::Metrics;
use crate::gateway::relay::room::Room;
use crate::gateway::relay::{Parts, Relay};
use crate::model::secret::Secret;
use crate::model::time::{Clock, Entropy};
use crate::net::drain::Signal;
use crate::net::framed::Framed;
use crate::net::greeting::Greeting;
use crate::net::stream::Stream;
use crate::wire::scram::Binding;

/// How long the last words to a client that does not get in may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a gateway is made of.
#[derive(Debug)]
pub struct Options {
    /// Whose sessions it serves.
    pub broker: Arc<Broker>,
    /// What SCRAM can bind to on connections with its certificate.
    pub binding: Binding,
    /// Where plain text is taken.
    pub plain_text: PlainText,
    /// How long a client may take to get in after its first words.
    pub handshake: Duration,
    /// Where keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// What masked tokens are made with.
    pub secret: Secret<[u8; 32]>,
    /// How much of what clients see is kept for the log.
    pub transcript: Limit,
    /// Bytes of large messages that all connections together may hold.
    pub messages: u64,
}

/// The gateway.
pub struct Gateway {
    broker: Arc<Broker>,
    binding: Binding,
    plain_text: PlainText,
    handshake: Duration,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    secret: Secret<[u8; 32]>,
    transcript: Limit,
    metrics: Metrics,
    cancels: Arc<Registry>,
    budgets: Budgets,
    cache: Cache,
    room: Arc<Room>,
}

impl Gateway {
    /// A gateway that has not met anybody yet; its counters are shown by `counters`.
    #[must_use]
    pub fn new(options: Options, counters: &mut Counters) -> Self {
        let clock = Arc::clone(options.broker.clock());
        let cancels = Registry::new(Arc::clone(&clock), Arc::clone(&options.entropy));
        Self {
            broker: options.broker,
            binding: options.binding,
            plain_text: options.plain_text,
            handshake: options.handshake,
            clock,
            entropy: options.entropy,
            secret: options.secret,
            transcript: options.transcript,
            metrics: Metrics::register(counters),
            cancels: Arc::new(cancels),
            budgets: Budgets::default(),
            cache: Cache::default(),
            room: Arc::new(Room::new(options.messages)),
        }
    }

    /// Serves one client from its first words to the end of its connection. A fault in it ends that connection only.
    pub async fn serve<S>(self: &Arc<Self>, greeting: Greeting<S>, peer: SocketAddr, stop: Signal)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut connection = Box::pin(self.carry(greeting, Some(peer.ip()), stop));
        let caught = std::future::poll_fn(|cx| {
            match std::panic::catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Ok),
                Err(_) => std::task::Poll::Ready(Err(())),
            }
        });
        if caught.await.is_err() {
            self.metrics.panicked();
            tracing::error!(%peer, "a connection was ended by a fault of dbgate");
        }
    }

    async fn carry<S>(
        self: &Arc<Self>,
        greeting: Greeting<S>,
        address: Option<IpAddr>,
        drain: Signal,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // Each step has its own limit within this one, by which the client is told what took too long.
        let limit = self.handshake.saturating_mul(2) + FAREWELL;
        let entered = tokio::time::timeout(limit, self.enter(greeting, address)).await;
        let Ok(Some(entered)) = entered else {
            return;
        };
        let open = self.metrics.open();
        let relay = Relay::new(Parts {
            gateway: Arc::clone(self),
            attachment: entered.attachment,
            context: entered.context,
            client: entered.client,
            upstream: entered.upstream,
            caps: entered.caps,
            key: entered.key,
            tells: entered.tells,
            drain,
        });
        relay.run().await;
        drop(open);
    }

    async fn enter<S>(
        self: &Arc<Self>,
        greeting: Greeting<S>,
        address: Option<IpAddr>,
    ) -> Option<handshake::Entered<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match greeting {
            Greeting::Startup { framed, startup } => {
                match handshake::enter(self, framed, startup, address).await {
                    Ok(entered) => Some(entered),
                    Err((framed, refusal)) => {
                        say_no(framed, &refusal).await;
                        None
                    }
                }
            }
            // The client learns nothing, not even whether it was heard.
            Greeting::Cancel { cancel, .. } => {
                self.metrics.cancel();
                let fate = self.cancels.request(&cancel, address);
                tracing::debug!(?fate, "cancel request");
                None
            }
            Greeting::Nothing => None,
            Greeting::Malformed { framed, error } => {
                // Nobody tried to get in: a scan of the port must not fill the log.
                self.metrics.turned_away();
                let refusal = Refusal::from(error);
                say_no(framed, &refusal).await;
                None
            }
        }
    }

    /// Parts from a client that has not said a word in all its time.
    pub async fn weary_of<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let framed = Framed::frontend(Stream::Plain(stream));
        let refusal = Refusal::from(reply::too_slow(self.handshake));
        let parting = say_no(framed, &refusal);
        tokio::time::timeout(FAREWELL, parting).await.ok();
    }

    /// Whether plain text is taken from there.
    fn takes_plain(&self, address: Option<IpAddr>) -> bool {
        match (self.plain_text, address) {
            // A unix socket does not leave the machine.
            (_, None) => true,
            (PlainText::Never, Some(_)) => false,
            (PlainText::Loopback, Some(address)) => address.is_loopback(),
        }
    }

    /// Records that a client was turned away.
    fn turned_away(&self, client: &Client, refusal: &Refusal) {
        self.metrics.turned_away();
        let Refusal::Told(fields) = refusal else {
            return;
        };
        let error = format!("{} ({})", fields.message, fields.code);
        let Some(event) = self.broker.refusal(Entrance::Connection, client, &error) else {
            return;
        };
        if let Err(error) = self.broker.log().enqueue(event) {
            tracing::error!(%error, "a refused connection could not be recorded");
        }
    }
}

/// Tells a client why it is not let in.
async fn say_no<S: AsyncRead + AsyncWrite + Unpin>(
    mut framed: Framed<Stream<S>>,
    refusal: &Refusal,
) {
    match refusal {
        Refusal::Told(fields) => {
            reply::write_error(fields, framed.out());
            framed.part().await.ok();
        }
        Refusal::Gone(error) => tracing::debug!(%error, "a client left before it was in"),
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({:?})", self.broker)
    }
}
