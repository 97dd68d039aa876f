//! Where a database is and who the broker is there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::name::DatabaseName;
use crate::model::secret::Secret;

/// A role every lease becomes a member of where it exists, so that one `pg_hba` line (`+dbgate_lease`) covers them all.
pub const GROUP: &str = "dbgate_lease";

/// One offered database: everything the broker needs to reach it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name it is offered under.
    pub name: DatabaseName,
    /// Where its server listens.
    pub address: Address,
    /// The database on that server.
    pub database: String,
    /// The admin role: `CREATEROLE`, member with admin option of the grants' roles, no superuser.
    pub admin: String,
    /// The admin role's password; `None` where the server asks for none (peer, certificate).
    pub password: Option<Secret<String>>,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host name or IP address, and a port.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A directory with a unix socket in it, and the port in the socket's name.
    Unix {
        /// The directory.
        directory: PathBuf,
        /// The port.
        port: u16,
    },
}

/// Encryption towards the database.
#[derive(Clone)]
pub enum Tls {
    /// None: unix sockets and loopback.
    Off,
    /// TLS by `SSLRequest`, the certificate verified by this configuration, and channel binding demanded.
    On(Arc<rustls::ClientConfig>),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::On(_) => "On(_)",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { directory, port } => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}
