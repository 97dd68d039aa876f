//! `--dsn`: a server that is there, and as whom it is set up.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::net;
use crate::net::tls::Roots;
use crate::upstream::target::{Address, Target, Tls};

/// The database that is connected to when none is named.
const MAINTENANCE: &str = "postgres";

/// `postgres://USER[:PASSWORD]@HOST[:PORT][/DATABASE][?sslmode=…&sslrootcert=…]`, read.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// A host name or address, or the folder of a unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role that makes everything.
    pub user: String,
    /// The role's password.
    pub password: Option<Secret<String>>,
    database: String,
    /// Whether the connection is encrypted and the certificate checked.
    pub encrypted: bool,
    /// Whom to trust, when it is not whom the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// Text that is no such address. It is told without the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl FromStr for Dsn {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = |why: &str| Unreadable(why.to_owned());
        // libpq takes a URL without a host, which the others call none.
        let text = text.replacen("@/", "@localhost/", 1);
        let url =
            Url::parse(&text).map_err(|error| Unreadable(format!("this is no URL: {error}")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(unreadable("this is no URL of PostgreSQL"));
        }
        let mut dsn = Self {
            host: decoded(url.host_str().unwrap_or_default()),
            port: url.port().unwrap_or(5432),
            user: decoded(url.username()),
            password: url.password().map(decoded).map(Secret::new),
            database: decoded(url.path().trim_start_matches('/')),
            encrypted: false,
            ca_file: None,
        };
        if dsn.database.is_empty() {
            MAINTENANCE.clone_into(&mut dsn.database);
        }
        let mut mode = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" => dsn.host = value.into_owned(),
                "user" => dsn.user = value.into_owned(),
                "password" => dsn.password = Some(Secret::new(value.into_owned())),
                "port" => {
                    dsn.port = value
                        .parse()
                        .map_err(|_| unreadable("the port is no number"))?;
                }
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => dsn.ca_file = Some(PathBuf::from(&*value)),
                "application_name" | "connect_timeout" => {}
                other => return Err(Unreadable(format!("`{other}` is not known here"))),
            }
        }
        if dsn.user.is_empty() {
            return Err(unreadable("no role is named"));
        }
        dsn.settle(mode.as_deref())
    }
}

impl Dsn {
    /// Encryption is for everything that leaves this machine, and then the certificate is checked.
    fn settle(mut self, mode: Option<&str>) -> Result<Self, Unreadable> {
        self.host = match self.host.trim_matches(['[', ']']) {
            "" | "localhost" => "127.0.0.1".to_owned(),
            host => host.to_owned(),
        };
        let local = self.is_local();
        self.encrypted = match mode {
            None | Some("prefer" | "allow") => !local,
            Some("require" | "verify-ca" | "verify-full") => !self.host.starts_with('/'),
            Some("disable") if local => false,
            Some("disable") => {
                return Err(Unreadable(
                    "`sslmode=disable` is for loopback and unix sockets only".to_owned(),
                ));
            }
            Some(other) => return Err(Unreadable(format!("`{other}` is no sslmode"))),
        };
        Ok(self)
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.starts_with('/') || address.is_ok_and(|ip| ip.is_loopback())
    }

    /// A role of a server of our own, on loopback.
    #[must_use]
    pub fn local(port: u16, user: &str, password: Secret<String>) -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port,
            user: user.to_owned(),
            password: Some(password),
            database: MAINTENANCE.to_owned(),
            encrypted: false,
            ca_file: None,
        }
    }

    /// The same role's way into a database, for any PostgreSQL client.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = match &self.password {
            Some(password) => format!(":{}", encoded(password.expose())),
            None => String::new(),
        };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            encoded(&self.host)
        };
        let mut url = format!(
            "postgresql://{}{password}@{host}:{}/{}",
            encoded(&self.user),
            self.port,
            encoded(database)
        );
        if self.encrypted {
            url.push_str("?sslmode=verify-full");
            if let Some(file) = &self.ca_file {
                url.push_str("&sslrootcert=");
                url.push_str(&encoded(&file.display().to_string()));
            }
        }
        url
    }

    /// The role's way into the database that is named.
    ///
    /// # Errors
    /// When the file of trusted certificates can't be used.
    pub fn target(&self, name: DatabaseName) -> Result<Target, net::Error> {
        let tls = if self.encrypted {
            Tls::On(net::tls::client(
                &Roots::from_file(self.ca_file.as_deref())?,
                &[],
            )?)
        } else {
            Tls::Off
        };
        Ok(Target {
            name,
            address: self.address(),
            database: self.database.clone(),
            admin: self.user.clone(),
            password: self.password.clone(),
            tls,
        })
    }

    fn address(&self) -> Address {
        if self.host.starts_with('/') {
            Address::Unix {
                directory: PathBuf::from(&self.host),
                port: self.port,
            }
        } else {
            Address::Tcp {
                host: self.host.clone(),
                port: self.port,
            }
        }
    }
}

/// Text as a part of a URL.
fn encoded(text: &str) -> String {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    form.replace('+', "%20")
}

/// Percent signs of a part of a URL, undone.
fn decoded(part: &str) -> String {
    // What means something else in a form is kept from being read so.
    let part = part
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    let mut pairs = url::form_urlencoded::parse(part.as_bytes());
    pairs
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}
