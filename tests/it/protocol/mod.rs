//! The protocol on the built binary before a real PostgreSQL: encryption, first words, messages in every state, cancels, data.

mod tls;

use crate::harness::postgres::{Offer, Server};

/// How often that text is in the server's log, which knows of every statement of that database.
fn logged(server: &Server, text: &str) -> usize {
    let log = std::fs::read_to_string(server.socket().join("log")).unwrap();
    log.matches(text).count()
}

/// Has the server log every statement of a database.
async fn log_all(server: &Server, offer: &Offer) {
    let sql = format!("ALTER DATABASE {} SET log_statement = 'all'", offer.name);
    let client = server.superuser("postgres").await;
    client.batch_execute(&sql).await.unwrap();
}
