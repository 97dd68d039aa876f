//! The admin role's connection: reconnects by itself, and reads names in `pg_catalog` alone.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::upstream::dial;
use crate::upstream::quote::Literal;
use crate::upstream::target::{Address, GROUP, Target, Tls};
use crate::upstream::{Error, within};

/// What every admin connection has set from its first moment.
///
/// `synchronous_commit` is off: a crash of the server may forget the last moments of role work, and the broker then
/// looks at all leases again. The end of a lease switches it on (`role::drop`).
const OPTIONS: &str = "-c search_path=pg_catalog -c synchronous_commit=off -c standard_conforming_strings=on \
     -c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s \
     -c default_transaction_read_only=off -c client_min_messages=warning -c row_security=off";

/// A reconnecting connection of the admin role. Statements on it run one after the other.
#[derive(Debug)]
pub struct Admin {
    target: Arc<Target>,
    live: Mutex<Option<Live>>,
}

/// A connection and what is known about the server behind it.
#[derive(Debug, Clone)]
pub struct Live {
    /// The driver's client.
    pub client: Arc<Client>,
    /// `server_version_num`.
    pub version: u32,
    /// Whether the server has the role [`GROUP`].
    pub group: bool,
}

impl Live {
    /// Runs a batch of statements in one round trip and one implicit transaction; returns the rows of all of them.
    ///
    /// # Errors
    /// When a statement fails: then none of them took effect.
    pub async fn batch(&self, doing: &'static str, sql: &str) -> Result<Vec<Row>, Error> {
        batch(&self.client, doing, sql).await
    }
}

impl Admin {
    /// For that target; connects when it is first used.
    #[must_use]
    pub fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            live: Mutex::new(None),
        }
    }

    /// The target.
    #[must_use]
    pub const fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// A live connection, opened again if the last one broke.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the admin role.
    pub async fn live(&self) -> Result<Live, Error> {
        let mut held = self.live.lock().await;
        if let Some(live) = held.as_ref().filter(|live| !live.client.is_closed()) {
            return Ok(live.clone());
        }
        let live = open(&self.target, &self.target.database).await?;
        *held = Some(live.clone());
        Ok(live)
    }

    /// [`Live::batch`] on a live connection.
    ///
    /// # Errors
    /// When there is none, or a statement fails.
    pub async fn batch(&self, doing: &'static str, sql: &str) -> Result<Vec<Row>, Error> {
        self.live().await?.batch(doing, sql).await
    }
}

/// A row of a simple query: text or NULL by position.
#[derive(Debug)]
pub struct Row(tokio_postgres::SimpleQueryRow);

impl Row {
    /// The value at that place; `None` for NULL or no such place.
    #[must_use]
    pub fn text(&self, place: usize) -> Option<&str> {
        self.0.try_get(place).ok().flatten()
    }

    /// The value at that place, read as a number or whatever else text can be read as.
    ///
    /// # Errors
    /// When it is NULL or cannot be read.
    pub fn parse<T: std::str::FromStr>(
        &self,
        doing: &'static str,
        place: usize,
    ) -> Result<T, Error> {
        let text = self.text(place).unwrap_or("NULL");
        text.parse().map_err(|_| Error::Answer {
            doing,
            what: text.to_owned(),
        })
    }

    /// Whether the value is `t`.
    #[must_use]
    pub fn is_true(&self, place: usize) -> bool {
        self.text(place) == Some("t")
    }
}

async fn batch(client: &Client, doing: &'static str, sql: &str) -> Result<Vec<Row>, Error> {
    let messages = client
        .simple_query(sql)
        .await
        .map_err(|source| Error::Admin { doing, source })?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(Row(row)),
        _ => None,
    });
    Ok(rows.collect())
}

/// Opens a connection of the admin role to a database of the target's server.
///
/// # Errors
/// When the database cannot be reached or refuses the admin role.
pub async fn open(target: &Target, database: &str) -> Result<Live, Error> {
    let client = connect(target, database).await?;
    let doing = "read the server's version";
    let sql = format!(
        "SELECT pg_catalog.current_setting('server_version_num'), \
                EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})",
        Literal(GROUP)
    );
    let rows = batch(&client, doing, &sql).await?;
    let row = rows.first().ok_or_else(|| Error::Answer {
        doing,
        what: "nothing".to_owned(),
    })?;
    Ok(Live {
        version: row.parse(doing, 0)?,
        group: row.is_true(1),
        client: Arc::new(client),
    })
}

async fn connect(target: &Target, database: &str) -> Result<Client, Error> {
    let mut config = Config::new();
    config
        .user(&target.admin)
        .dbname(database)
        .application_name("dbgate broker")
        .options(OPTIONS);
    if let Some(password) = &target.password {
        config.password(password.expose());
    }
    within("the admin's connection", async {
        match (&target.address, &target.tls) {
            (Address::Tcp { host, .. }, Tls::On(tls)) => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                if target.password.is_some() {
                    config.channel_binding(tokio_postgres::config::ChannelBinding::Require);
                }
                let stream = dial::plain(target).await?;
                let mut tls = tokio_postgres_rustls::MakeRustlsConnect::new((**tls).clone());
                let connect = MakeTlsConnect::<dial::Stream>::make_tls_connect(&mut tls, host)
                    .map_err(|error| Error::Tls {
                        address: target.address.to_string(),
                        reason: error.to_string(),
                    })?;
                drive(config.connect_raw(stream, connect).await)
            }
            _ => {
                config.ssl_mode(tokio_postgres::config::SslMode::Disable);
                drive(config.connect_raw(dial::plain(target).await?, NoTls).await)
            }
        }
    })
    .await
}

/// Lets the connection's task run until the client is dropped or the connection breaks.
fn drive<T>(
    opened: Result<(Client, tokio_postgres::Connection<dial::Stream, T>), tokio_postgres::Error>,
) -> Result<Client, Error>
where
    T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let (client, connection) = opened.map_err(|source| Error::Admin {
        doing: "connect as the admin role",
        source,
    })?;
    // Ends by itself: when the client is dropped, or with the connection; then `is_closed` tells.
    drop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "the admin's connection to the database broke");
        }
    }));
    Ok(client)
}
