//! HTTP over one connection, with its limits.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::api::State;
use crate::api::router;
use crate::net::drain::Signal;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// The interface, ready to serve connections.
#[derive(Clone)]
pub struct Service(Router);

impl Service {
    /// The interface over this state.
    pub fn new(state: Arc<State>) -> Self {
        Self(router(state))
    }

    /// Serves one connection to its end; when a stop was asked for, after the request that is under way.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        peer: SocketAddr,
        mut stop: Signal,
    ) {
        // What is streamed without an end must hear of the stop, too.
        let router = self
            .0
            .clone()
            .layer(axum::Extension(peer))
            .layer(axum::Extension(stop.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_headers(64)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.started() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "an HTTP connection broke");
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service(_)")
    }
}
