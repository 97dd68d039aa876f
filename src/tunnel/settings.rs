//! Connection settings in the forms that tools read.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::model::secret::Secret;
use crate::tunnel::Error;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name, address, or the directory of a unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub secret: Secret<String>,
    /// The database.
    pub database: String,
    /// How the way is protected.
    pub tls: Tls,
}

/// How the way is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: it does not leave this machine.
    Off,
    /// By a certificate that the system trusts; the file with those it trusts, where there is one.
    System(Option<PathBuf>),
    /// By a certificate that this file vouches for.
    File(PathBuf),
}

/// A form of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `postgresql://…`.
    Url,
    /// Lines a POSIX shell takes.
    Env,
    /// `jdbc:postgresql://…`.
    Jdbc,
    /// A section of `pg_service.conf`.
    Pgservice,
    /// A command to paste.
    Psql,
    /// One JSON object.
    Json,
}

impl Settings {
    /// Writes them in a form; with secret, so it goes to stdout and nowhere else.
    ///
    /// # Errors
    /// When the form cannot say where to connect.
    pub fn show(&self, format: Format) -> Result<String, Error> {
        Ok(match format {
            Format::Url => self.url(),
            Format::Env => self.env(),
            Format::Jdbc => self.jdbc()?,
            Format::Pgservice => self.pgservice(),
            Format::Psql => self.psql(),
            Format::Json => self.json().to_string(),
        })
    }

    /// As a URL that libpq and most drivers take.
    #[must_use]
    pub fn url(&self) -> String {
        let secret = encode(self.secret.expose());
        let mut query: Vec<(&str, String)> = Vec::new();
        let authority = if self.is_socket() {
            query.push(("host", self.host.clone()));
            query.push(("port", self.port.to_string()));
            format!("{}:{secret}@", encode(&self.user))
        } else {
            let host = self.bracketed();
            format!("{}:{secret}@{host}:{}", encode(&self.user), self.port)
        };
        query.extend(self.tls.parameters());
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let database = encode(&self.database);
        format!("postgresql://{authority}/{database}?{}", query.join("&"))
    }

    /// As the environment variables of libpq, `DATABASE_URL` among them.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGPASSWORD", self.secret.expose().clone()),
            ("PGDATABASE", self.database.clone()),
        ];
        for (name, value) in self.tls.parameters() {
            let variable = match name {
                "sslmode" => "PGSSLMODE",
                _ => "PGSSLROOTCERT",
            };
            variables.push((variable, value));
        }
        variables.push(("DATABASE_URL", self.url()));
        variables
    }

    fn env(&self) -> String {
        let lines: Vec<String> = self
            .variables()
            .into_iter()
            .map(|(name, value)| format!("export {name}={}", quote(&value)))
            .collect();
        lines.join("\n")
    }

    fn jdbc(&self) -> Result<String, Error> {
        if self.is_socket() {
            return Err(Error::Unsayable(
                "JDBC knows no unix sockets; use a tunnel with a port",
            ));
        }
        let mut query = vec![
            ("user", self.user.clone()),
            ("password", self.secret.expose().clone()),
        ];
        match &self.tls {
            // The Java runtime has roots of its own, and no word for those of the system.
            Tls::System(_) => query.extend([
                ("sslmode", "verify-full".to_owned()),
                (
                    "sslfactory",
                    "org.postgresql.ssl.DefaultJavaSSLFactory".to_owned(),
                ),
            ]),
            Tls::Off | Tls::File(_) => query.extend(self.tls.parameters()),
        }
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let (host, database) = (self.bracketed(), encode(&self.database));
        let (port, query) = (self.port, query.join("&"));
        Ok(format!(
            "jdbc:postgresql://{host}:{port}/{database}?{query}"
        ))
    }

    fn pgservice(&self) -> String {
        let mut lines = vec![
            format!("[dbgate-{}]", self.database),
            format!("host={}", self.host),
            format!("port={}", self.port),
            format!("user={}", self.user),
            format!("password={}", self.secret.expose()),
            format!("dbname={}", self.database),
        ];
        for (name, value) in self.tls.parameters() {
            lines.push(format!("{name}={value}"));
        }
        lines.join("\n")
    }

    fn psql(&self) -> String {
        let mut conninfo = format!(
            "host={} port={} user={} dbname={}",
            literal(&self.host),
            self.port,
            literal(&self.user),
            literal(&self.database)
        );
        for (name, value) in self.tls.parameters() {
            conninfo.push_str(&format!(" {name}={}", literal(&value)));
        }
        // The secret is in the environment of that one command, not among its arguments.
        let secret = quote(self.secret.expose());
        format!("PGPASSWORD={secret} psql {}", quote(&conninfo))
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut value = json!({
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.secret.expose(),
            "database": self.database,
        });
        if let Some(object) = value.as_object_mut() {
            for (name, text) in self.tls.parameters() {
                object.insert(name.to_owned(), text.into());
            }
            object.insert("url".to_owned(), self.url().into());
        }
        value
    }

    fn is_socket(&self) -> bool {
        Path::new(&self.host).is_absolute()
    }

    fn bracketed(&self) -> String {
        let is_v6 = self.host.parse::<std::net::Ipv6Addr>().is_ok();
        if is_v6 {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl Tls {
    /// The parameters of libpq.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Off => vec![("sslmode", "disable".to_owned())],
            // The word `system` is known to libpq from 16 on; the file, to all.
            Self::System(None) => vec![
                ("sslmode", "verify-full".to_owned()),
                ("sslrootcert", "system".to_owned()),
            ],
            Self::System(Some(path)) | Self::File(path) => vec![
                ("sslmode", "verify-full".to_owned()),
                ("sslrootcert", path.display().to_string()),
            ],
        }
    }
}

/// Percent-encodes everything but what RFC 3986 leaves unreserved.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Quotes for a POSIX shell.
fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Quotes a value of a libpq connection string, where need be.
fn literal(text: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && c != '\'' && c != '\\';
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        let text = text.replace('\\', r"\\").replace('\'', r"\'");
        format!("'{text}'")
    }
}
