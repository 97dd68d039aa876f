//! The demo's database: roles, the shop or a schema of one's own.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::demo::postgres::{SUPERUSER, Server};
use crate::model::secret::Secret;

/// The database's name, in PostgreSQL and as it is offered.
pub const DATABASE: &str = "prod";

/// The broker's admin role.
pub const ADMIN: &str = "dbgate_admin";

/// The shop's tables and rows.
const SHOP: &str = include_str!("shop.sql");

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL refused.
    #[error("{step}: {}", describe(source))]
    Database {
        /// What was being done.
        step: &'static str,
        /// What PostgreSQL said.
        source: tokio_postgres::Error,
    },
}

/// What the database is to hold.
#[derive(Debug, Clone)]
pub enum Content {
    /// The sample shop.
    Shop,
    /// A script of one's own.
    Script(String),
}

/// Who may connect how: leases over the socket only (the broker's way), the superuser and the admin with a password.
pub const HBA: &str = "# Leases are admitted on the broker's way in only.\n\
    local all all scram-sha-256\n\
    host all +dbgate_lease all reject\n\
    host all postgres 127.0.0.1/32 scram-sha-256\n";

/// Creates the database, the broker's roles and the content.
///
/// # Errors
/// When PostgreSQL refuses a step.
pub async fn prepare(
    server: &Server,
    superuser: &Secret<String>,
    admin: &Secret<String>,
    content: &Content,
) -> Result<(), Error> {
    let maintenance = connect(server, superuser, "postgres").await?;
    run(
        &maintenance,
        "create the database",
        &format!("CREATE DATABASE {DATABASE}"),
    )
    .await?;
    run(&maintenance, "create the roles", &roles(admin)).await?;
    let client = connect(server, superuser, DATABASE).await?;
    let script = match content {
        Content::Shop => SHOP,
        Content::Script(text) => text,
    };
    run(&client, "load the content", script).await?;
    run(&client, "grant the roles", GRANTS).await
}

/// The admin role is no superuser: it creates roles and hands on what it was given with admin option.
fn roles(admin: &Secret<String>) -> String {
    let password = admin.expose().replace('\'', "''");
    format!(
        "CREATE ROLE dbgate_read NOLOGIN;\n\
         CREATE ROLE dbgate_write NOLOGIN;\n\
         CREATE ROLE dbgate_owner NOLOGIN;\n\
         CREATE ROLE dbgate_lease NOLOGIN;\n\
         CREATE ROLE {ADMIN} LOGIN CREATEROLE PASSWORD '{password}';\n\
         GRANT dbgate_read, dbgate_write, dbgate_lease TO {ADMIN} WITH ADMIN OPTION;\n\
         GRANT dbgate_owner TO {ADMIN};\n"
    )
}

/// By predefined roles, so that a schema that is dropped and made again needs no new grants.
const GRANTS: &str = "GRANT pg_read_all_data TO dbgate_read;\n\
    GRANT pg_read_all_data, pg_write_all_data TO dbgate_write;\n\
    GRANT CREATE ON DATABASE prod TO dbgate_write, dbgate_owner;\n\
    GRANT USAGE, CREATE ON SCHEMA public TO dbgate_write, dbgate_owner;\n\
    ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT USAGE ON SEQUENCES TO dbgate_write;\n\
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO dbgate_write;\n\
    GRANT SELECT ON pg_catalog.pg_hba_file_rules TO dbgate_admin;\n\
    GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO dbgate_admin;\n";

async fn connect(
    server: &Server,
    password: &Secret<String>,
    database: &str,
) -> Result<Client, Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(&server.socket_dir)
        .port(server.port)
        .user(SUPERUSER)
        .password(password.expose());
    config
        .dbname(database)
        .connect_timeout(Duration::from_secs(10))
        .application_name("dbgate demo");
    let wrap = |source| Error::Database {
        step: "connect to the demo's PostgreSQL",
        source,
    };
    let (client, connection) = config.connect(NoTls).await.map_err(wrap)?;
    // Ends by itself when the client is dropped; its errors come out of the client's calls.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

async fn run(client: &Client, step: &'static str, sql: &str) -> Result<(), Error> {
    client
        .batch_execute(sql)
        .await
        .map_err(|source| Error::Database { step, source })
}

/// PostgreSQL's own words; the driver's are only `db error`.
fn describe(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
