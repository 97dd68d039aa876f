//! Accepting connections: never more than allowed, never waiting for a peer, not giving up when the system runs short.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::Error;
use crate::net::socket::{self, Patience};

/// How long to wait for descriptors or memory to come free.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A bound TCP port.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    slots: Arc<Semaphore>,
}

/// A connection that came in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, with its socket options set.
    pub stream: TcpStream,
    /// Who it is.
    pub peer: SocketAddr,
    /// Its place among those allowed; keep it until the connection ends.
    pub slot: Slot,
}

/// A place among the connections that are allowed at once.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// Binds `address` for at most `connections` at once; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub async fn bind(address: SocketAddr, connections: usize) -> Result<Self, Error> {
        let inner = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Bind { address, source })?;
        let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Ok(Self { inner, slots })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The next connection. One too many is closed at once: a peer that waits in the queue would look like a broker that hangs.
    /// Cancel-safe.
    pub async fn accept(&self) -> Accepted {
        let mut short = false;
        loop {
            let (stream, peer) = match self.inner.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_shortage(&error) => {
                    if !std::mem::replace(&mut short, true) {
                        tracing::error!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
                // The peer gave up before its turn, or the network did.
                Err(_) => continue,
            };
            let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() else {
                tracing::warn!(%peer, "too many connections");
                continue;
            };
            if let Err(error) = socket::tune(&stream, Patience::default()) {
                tracing::debug!(%peer, %error, "the connection was gone at once");
                continue;
            }
            let slot = Slot { _permit: permit };
            return Accepted { stream, peer, slot };
        }
    }
}

/// Whether the system ran out of something, as opposed to the peer having gone.
fn is_shortage(error: &io::Error) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(
            rustix::io::Errno::MFILE
                | rustix::io::Errno::NFILE
                | rustix::io::Errno::NOBUFS
                | rustix::io::Errno::NOMEM
        )
    )
}
