//! The one port: each connection goes to its room by its first bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::serve::Service;
use crate::config::broker::Limits;
use crate::gateway::Gateway;
use crate::net;
use crate::net::drain::Signal;
use crate::net::framed::Framed;
use crate::net::greeting::{self, Greeting};
use crate::net::listener::Listener;
use crate::net::sniff::{self, Inside, Opening};
use crate::net::stream::Stream;

/// What connections are handed to.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) tls: net::tls::Server,
    pub(super) gateway: Arc<Gateway>,
    pub(super) api: Service,
    pub(super) limits: Limits,
}

/// Accepts until a stop is asked for, then waits for the connections. A panic ends the connection it happened in.
pub(super) async fn accept(listener: Listener, front: Arc<Front>, mut stop: Signal) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (front, stop) = (Arc::clone(&front), stop.clone());
                connections.spawn(async move {
                    // The slot is given back when the connection has ended.
                    let _slot = accepted.slot;
                    front.serve(accepted.stream, accepted.peer, stop).await;
                });
            }
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!(%error, "a connection ended in a panic");
                }
            }
            () = stop.started() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A connection whose protocol is known.
enum Visitor {
    Postgres(Greeting<TcpStream>),
    Http(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Nobody,
}

impl Front {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, stop: Signal) {
        // TLS and the first words count as part of the handshake.
        let limit = Instant::now() + self.limits.handshake;
        let opening = match tokio::time::timeout_at(limit, sniff::peek(&stream)).await {
            Ok(Ok(Some(opening))) => opening,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "a connection broke at once"),
            Err(_) => {
                tracing::debug!(%peer, "a connection was silent");
                return self.gateway.weary_of(stream).await;
            }
        };
        let greeted = tokio::time::timeout_at(limit, self.greet(stream, opening)).await;
        match greeted {
            Ok(Ok(Visitor::Postgres(greeting))) => self.gateway.serve(greeting, peer, stop).await,
            Ok(Ok(Visitor::Http(stream))) => self.api.serve(*stream, peer, stop).await,
            Ok(Ok(Visitor::Nobody)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "a connection did not get to its first word");
            }
            Err(_) => tracing::debug!(%peer, "a connection took too long to say its first word"),
        }
    }

    async fn greet(&self, stream: TcpStream, opening: Opening) -> Result<Visitor, net::Error> {
        match opening {
            Opening::Postgres => Ok(Visitor::Postgres(
                greeting::hear(stream, Some(&self.tls)).await?,
            )),
            Opening::Tls => {
                let (stream, inside) = self.tls.accept_direct(stream).await?;
                match inside {
                    Inside::Postgres => {
                        let framed = Framed::frontend(Stream::Tls(Box::new(stream.into())));
                        Ok(Visitor::Postgres(greeting::inside(framed).await?))
                    }
                    Inside::Http => Ok(Visitor::Http(Box::new(stream))),
                }
            }
            Opening::Http => {
                plain_http(stream).await?;
                Ok(Visitor::Nobody)
            }
            Opening::Unknown => Ok(Visitor::Nobody),
        }
    }
}

/// Tells a client that forgot the `s` of `https`.
async fn plain_http(mut stream: TcpStream) -> Result<(), net::Error> {
    use tokio::io::AsyncWriteExt as _;
    let body = "this port speaks HTTPS; write https:// instead of http://\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
