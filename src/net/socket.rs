//! Socket options: notice dead peers, send at once.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// When a silent or unreachable peer is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silence before the first keepalive probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// How long sent bytes may stay unacknowledged, where the system can tell (Linux).
    pub unacknowledged: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            unacknowledged: Duration::from_secs(60),
        }
    }
}

/// Sets `TCP_NODELAY`, keepalive and `TCP_USER_TIMEOUT`.
///
/// # Errors
/// When the system refuses.
pub fn tune(stream: &TcpStream, patience: Patience) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(patience.idle)
        .with_interval(patience.interval);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(patience.unacknowledged))?;
    Ok(())
}
