//! The demo's database: roles, the shop or a schema of one's own; made, and on a server that is there also removed.

use std::num::NonZeroU32;

use crate::model::secret::Secret;
use crate::model::time::Entropy;
use crate::upstream;
use crate::upstream::admin::{self, Live};
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::target::{GROUP, Target};
use crate::wire::scram::Verifier;

/// The name under which the database is offered; on a server of our own it is its name there, too.
pub const DATABASE: &str = "prod";

/// The database's name on a server that was there before.
pub const GUEST: &str = "dbgate_demo";

/// The broker's admin role.
pub const ADMIN: &str = "dbgate_admin";

/// Every role that is made.
const ROLES: [&str; 5] = ["dbgate_read", "dbgate_write", "dbgate_owner", GROUP, ADMIN];

/// The oldest release that is served, as the server counts.
const OLDEST: u32 = 140_000;

/// From here on, a membership says what it is good for.
const OPTIONS: u32 = 160_000;

/// PostgreSQL's own default; the secret is random, so more would only cost time.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4096) {
    Some(number) => number,
    None => NonZeroU32::MIN,
};

/// The shop's tables and rows.
const SHOP: &str = include_str!("shop.sql");

/// Who may connect how: leases over the socket only (the broker's way), the superuser and the admin with a password.
pub const HBA: &str = "# Leases are admitted on the broker's way in only.\n\
    local all all scram-sha-256\n\
    host all +dbgate_lease all reject\n\
    host all postgres 127.0.0.1/32 scram-sha-256\n";

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL refused, or can't be reached.
    #[error("{step}: {}", plain(source))]
    Step {
        /// What was being done.
        step: &'static str,
        /// What PostgreSQL said.
        source: upstream::Error,
    },
    /// An older server.
    #[error("the server's version {0} is too old: 14 or newer is needed")]
    TooOld(u32),
    /// The role can't do what is needed.
    #[error("the role `{role}` lacks {}", lacks.join(" and "))]
    Rights {
        /// Which.
        role: String,
        /// `CREATEDB`, `CREATEROLE`.
        lacks: Vec<&'static str>,
    },
    /// A demo would take what is there for its own, and drop it at its end.
    #[error("{} already there", list(taken))]
    Taken {
        /// Roles and databases, as `role "x"`.
        taken: Vec<String>,
    },
    /// No verifier of a password could be made.
    #[error("make the admin's password: {0}")]
    Password(String),
}

impl Error {
    /// What helps, as far as it is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Rights { role, lacks } => Some(format!(
                "the demo makes one database and {} roles, and drops them at its end; as a superuser: ALTER ROLE {} {};",
                ROLES.len(),
                Identifier(role),
                lacks.join(" ")
            )),
            Self::Taken { taken } => Some(format!(
                "another demo runs there, or was killed; if nobody needs them: {}",
                taken
                    .iter()
                    .map(|one| format!("DROP {one};"))
                    .collect::<Vec<_>>()
                    .join(" ")
            )),
            Self::Step { source, .. } if source.is_unavailable() => {
                Some("is the address right, and is the server running?".to_owned())
            }
            Self::Step { .. } | Self::TooOld(_) | Self::Password(_) => None,
        }
    }
}

/// What the database is to hold.
#[derive(Debug, Clone)]
pub enum Content {
    /// The sample shop.
    Shop,
    /// A script of one's own.
    Script(String),
}

/// A server, and as whom the demo is set up there.
#[derive(Debug)]
pub struct Host {
    /// The way in of the role that makes everything, to a database that is there already.
    pub target: Target,
    /// The demo's database on this server.
    pub dbname: &'static str,
}

/// What has been made so far, and is to be dropped again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Nothing.
    #[default]
    Nothing,
    /// The roles.
    Roles,
    /// The roles and the database.
    Everything,
}

impl Host {
    /// Creates the database, the broker's roles and the content; `made` says how far it came, also when it fails.
    ///
    /// # Errors
    /// When the role may not, something of that name is there, or PostgreSQL refuses a step.
    pub async fn prepare(
        &self,
        admin: &Admin,
        content: &Content,
        made: &mut Made,
    ) -> Result<(), Error> {
        let live = self
            .open(&self.target.database, "connect to the server")
            .await?;
        self.examine(&live).await?;
        run(&live, "create the roles", &roles(&admin.verifier)).await?;
        *made = Made::Roles;
        let create = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
            self.dbname
        );
        run(&live, "create the database", &create).await?;
        *made = Made::Everything;
        let live = self
            .open(self.dbname, "connect to the demo's database")
            .await?;
        // The broker's connections see `pg_catalog` alone and end what is slow; a schema is loaded as psql would.
        run(
            &live,
            "prepare to load the content",
            "SET search_path = \"$user\", public; SET statement_timeout = 0; \
             SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0",
        )
        .await?;
        let script = match content {
            Content::Shop => SHOP,
            Content::Script(text) => text,
        };
        run(&live, "load the content", script).await?;
        let live = self
            .open(self.dbname, "connect to the demo's database")
            .await?;
        let grants = GRANTS.replace("$DATABASE", self.dbname);
        run(&live, "grant the roles", &grants).await?;
        // So that the planner knows from the first minute how many rows a statement would touch.
        run(&live, "look at the content", "ANALYZE").await
    }

    /// Drops exactly what was made.
    ///
    /// # Errors
    /// When PostgreSQL refuses; [`Host::leftovers`] says what is to be dropped by hand.
    pub async fn remove(&self, made: Made) -> Result<(), Error> {
        if made == Made::Nothing {
            return Ok(());
        }
        let live = self
            .open(&self.target.database, "connect to the server")
            .await?;
        // Ending sessions and dropping roles that another role made takes membership in it.
        let membership = if live.version >= OPTIONS {
            format!("GRANT {ADMIN} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
        } else {
            format!("GRANT {ADMIN} TO CURRENT_USER")
        };
        run(&live, "take the admin role's place", &membership).await?;
        if made == Made::Everything {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.dbname);
            run(&live, "drop the database", &drop).await?;
        }
        let mut roles = leases(&live).await?;
        roles.extend(ROLES.iter().rev().map(|role| Identifier(role).to_string()));
        let drop = format!("DROP ROLE {}", roles.join(", "));
        run(&live, "drop the roles", &drop).await
    }

    /// What drops by hand everything that a demo makes.
    #[must_use]
    pub fn leftovers(&self) -> String {
        format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE); DROP ROLE IF EXISTS {};",
            self.dbname,
            ROLES.join(", ")
        )
    }

    async fn open(&self, database: &str, step: &'static str) -> Result<Live, Error> {
        admin::open(&self.target, database)
            .await
            .map_err(|source| Error::Step { step, source })
    }

    /// Whether the role may do what is needed, and nothing is in the way.
    async fn examine(&self, live: &Live) -> Result<(), Error> {
        if live.version < OLDEST {
            return Err(Error::TooOld(live.version / 10_000));
        }
        let step = "look at the role's rights";
        let sql = "SELECT rolsuper OR rolcreatedb, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = CURRENT_USER";
        let rows = live.batch(step, sql).await;
        let rows = rows.map_err(|source| Error::Step { step, source })?;
        let may = |place| rows.first().is_some_and(|row| row.is_true(place));
        let lacks: Vec<_> = [(0, "CREATEDB"), (1, "CREATEROLE")]
            .into_iter()
            .filter(|(place, _)| !may(*place))
            .map(|(_, right)| right)
            .collect();
        if !lacks.is_empty() {
            let role = self.target.admin.clone();
            return Err(Error::Rights { role, lacks });
        }
        let step = "look for roles of the same names";
        let names: Vec<_> = ROLES.iter().map(|role| Literal(role).to_string()).collect();
        let sql = format!(
            "SELECT 'DATABASE ' || quote_ident(datname) FROM pg_database WHERE datname = {} UNION ALL \
             SELECT 'ROLE ' || quote_ident(rolname) FROM pg_roles WHERE rolname IN ({})",
            Literal(self.dbname),
            names.join(", ")
        );
        let rows = live.batch(step, &sql).await;
        let rows = rows.map_err(|source| Error::Step { step, source })?;
        let taken: Vec<_> = rows
            .iter()
            .filter_map(|row| row.text(0))
            .map(str::to_owned)
            .collect();
        if taken.is_empty() {
            Ok(())
        } else {
            Err(Error::Taken { taken })
        }
    }
}

/// The admin role's password, and what PostgreSQL is told of it.
#[derive(Debug)]
pub struct Admin {
    /// The password.
    pub password: Secret<String>,
    verifier: Secret<String>,
}

impl Admin {
    /// Of that password. The server's log may show statements, so it is told a verifier.
    ///
    /// # Errors
    /// When it can't be computed.
    pub fn new(password: Secret<String>, entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let verifier = Verifier::new(&password, &salt, ITERATIONS)
            .map_err(|error| Error::Password(error.to_string()))?
            .to_text();
        Ok(Self { password, verifier })
    }
}

/// The admin role is no superuser: it creates roles and hands on what it was given with admin option.
fn roles(verifier: &Secret<String>) -> String {
    format!(
        "CREATE ROLE dbgate_read NOLOGIN;\n\
         CREATE ROLE dbgate_write NOLOGIN;\n\
         CREATE ROLE dbgate_owner NOLOGIN;\n\
         CREATE ROLE {GROUP} NOLOGIN;\n\
         CREATE ROLE {ADMIN} LOGIN CREATEROLE PASSWORD {password};\n\
         GRANT dbgate_read, dbgate_write, {GROUP} TO {ADMIN} WITH ADMIN OPTION;\n\
         GRANT dbgate_owner TO {ADMIN};\n",
        password = Literal(verifier.expose())
    )
}

/// By predefined roles where they may be granted, so that a schema that is dropped and made again needs no new grants;
/// else by what is there. What only a superuser may give is not needed.
const GRANTS: &str = r"
GRANT CREATE ON DATABASE $DATABASE TO dbgate_write, dbgate_owner;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO dbgate_write;
DO $grants$
DECLARE
    schema text;
BEGIN
    BEGIN
        GRANT pg_read_all_data TO dbgate_read;
        GRANT pg_read_all_data, pg_write_all_data TO dbgate_write;
    EXCEPTION WHEN insufficient_privilege THEN
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO dbgate_read;
        ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO dbgate_write;
        FOR schema IN SELECT quote_ident(nspname) FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        LOOP
            EXECUTE 'GRANT USAGE ON SCHEMA ' || schema || ' TO dbgate_read, dbgate_write';
            EXECUTE 'GRANT SELECT ON ALL TABLES IN SCHEMA ' || schema || ' TO dbgate_read';
            EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ' || schema || ' TO dbgate_write';
        END LOOP;
    END;
    BEGIN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT USAGE, CREATE ON SCHEMA public TO dbgate_write, dbgate_owner;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO dbgate_write;
    EXCEPTION WHEN insufficient_privilege OR invalid_schema_name THEN NULL;
    END;
    BEGIN
        GRANT SELECT ON pg_catalog.pg_hba_file_rules TO dbgate_admin;
        GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO dbgate_admin;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
END
$grants$;
";

/// Sessions' roles that the broker could not drop, as identifiers.
async fn leases(live: &Live) -> Result<Vec<String>, Error> {
    let step = "look for roles of sessions";
    let sql = format!(
        "SELECT quote_ident(lease.rolname) FROM pg_auth_members AS membership \
         JOIN pg_roles AS kind ON kind.oid = membership.roleid \
         JOIN pg_roles AS lease ON lease.oid = membership.member \
         WHERE kind.rolname = {} AND NOT lease.rolcreaterole AND lease.rolname LIKE 'dbgate\\_%'",
        Literal(GROUP)
    );
    let rows = live.batch(step, &sql).await;
    let rows = rows.map_err(|source| Error::Step { step, source })?;
    Ok(rows
        .iter()
        .filter_map(|row| row.text(0))
        .map(str::to_owned)
        .collect())
}

async fn run(live: &Live, step: &'static str, sql: &str) -> Result<(), Error> {
    live.batch(step, sql)
        .await
        .map(drop)
        .map_err(|source| Error::Step { step, source })
}

/// The error, without the step that the words of the upstream begin with.
fn plain(error: &upstream::Error) -> String {
    let text = error.to_string();
    match (error, text.split_once(": ")) {
        (upstream::Error::Admin { .. }, Some((_, why))) => why.to_owned(),
        _ => text,
    }
}

fn list(taken: &[String]) -> String {
    let names: Vec<_> = taken.iter().map(|one| format!("`{one}`")).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}
