//! The protocol on the built binary before a real PostgreSQL: encryption, first words, messages in every state, cancels, data.

mod cancel;
mod client;
mod matrix;
mod scram;
mod script;
mod shortage;
mod startup;
mod swallow;
mod tls;

use dbgate::api::types::Granted;

use crate::harness::peer::{self, Message, Peer};
use crate::harness::postgres::{Offer, PASSWORD, Server};
use crate::harness::site::{Broker, Site};
use crate::harness::world::policy_text;

/// What is refused in all tests here.
const NO_DROP: &str = r#"
[[rule]]
name = "no-drop"
effect = "deny"
statements = ["drop"]
"#;

/// A database, a broker before it, a session on it; and a role that gets there directly with the same rights.
struct Stage {
    server: std::sync::Arc<Server>,
    offer: Offer,
    site: Site,
    broker: Broker,
    granted: Granted,
    direct: String,
    /// Sees what runs at the database.
    watcher: tokio_postgres::Client,
}

/// To the database through the gateway, or directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Gateway,
    Direct,
}

impl Stage {
    async fn new() -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        let site = Site::new(&server, &offer);
        let policy = policy_text(&offer, NO_DROP).replace(r#""define"]"#, r#""define", "call"]"#);
        site.write("policy.toml", &policy);
        let broker = site.run();
        let granted = site.engineer(&broker).await.grant(3600).await;
        let (direct, writer) = (offer.role("direct"), offer.role("writer"));
        let sql = format!("CREATE ROLE {direct} LOGIN PASSWORD '{PASSWORD}' IN ROLE {writer}");
        let watcher = server.superuser(&offer.name).await;
        watcher.batch_execute(&sql).await.unwrap();
        Self {
            server,
            offer,
            site,
            broker,
            granted,
            direct,
            watcher,
        }
    }

    /// A connection that has said nothing.
    fn dial(&self, way: Way) -> Peer {
        Peer::dial(match way {
            Way::Gateway => self.broker.port(),
            Way::Direct => self.server.port,
        })
    }

    /// User and password.
    fn credential(&self, way: Way) -> (&str, &str) {
        match way {
            Way::Gateway => (&self.granted.user, &self.granted.secret),
            Way::Direct => (&self.direct, PASSWORD),
        }
    }

    /// A connection that is in.
    fn enter(&self, way: Way) -> Peer {
        let (user, password) = self.credential(way);
        let mut peer = self.dial(way);
        peer.login(user, password, &self.offer.name);
        peer
    }
}

/// How often that text is in the server's log, which knows of every statement of that database.
pub(crate) fn logged(server: &Server, text: &str) -> usize {
    let log = std::fs::read_to_string(server.socket().join("log")).unwrap();
    log.matches(text).count()
}

/// Has the server log every statement of a database.
pub(crate) async fn log_all(server: &Server, offer: &Offer) {
    let sql = format!("ALTER DATABASE {} SET log_statement = 'all'", offer.name);
    let client = server.superuser("postgres").await;
    client.batch_execute(&sql).await.unwrap();
}

/// Severity and SQLSTATE of an error.
fn error(body: &[u8]) -> String {
    format!("{} {}", peer::field(body, b'V'), peer::field(body, b'C'))
}

/// A message as a word: its kind, and what of its content tells the state.
fn word((kind, body): &Message) -> String {
    match kind {
        b'E' => format!("E({})", error(body)),
        b'Z' => format!("Z({})", char::from(body[0])),
        kind => char::from(*kind).to_string(),
    }
}

/// Messages as words; rows and data in a row count once, asides do not.
fn words(messages: &[Message]) -> Vec<String> {
    let told = messages.iter().filter(|(kind, _)| !b"NSA".contains(kind));
    let mut words: Vec<String> = told.map(word).collect();
    words.dedup_by(|a, b| a == b && matches!(a.as_str(), "D" | "d"));
    words
}
