//! A role that lives as a lease does: made, let in for a moment by SCRAM, ended.
//!
//! It expires by itself a moment after it was made, with a secret that nobody else ever had.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::upstream::Error;
use crate::upstream::admin::Admin;
use crate::upstream::check::{Ask, Grant, Item, hba};
use crate::upstream::connect::{self, Connection};
use crate::upstream::role::end;
use crate::upstream::role::name::Name;
use crate::upstream::role::{self, Plan};
use crate::wire::backend::Message;
use crate::wire::frame::Deframer;
use crate::wire::frontend;
use crate::wire::scram::{LEASE_ITERATIONS, Verifier};

/// How long the role can be of use to anybody.
const LIFE: Duration = Duration::from_secs(120);

/// How long the end of a backend is waited for.
const FAREWELL: Duration = Duration::from_secs(5);

/// Makes a role, tries everything on it, and ends it.
pub(super) async fn run(ask: &Ask, admin: &Admin, name: &Name) -> Result<Vec<Item>, Error> {
    let grant = ask.grants.first();
    let roles = grant.map(|grant| grant.roles.clone()).unwrap_or_default();
    let plan = Plan {
        name,
        roles: &roles,
        until: ask.clock.now().after(LIFE),
        connections: 2,
    };
    let created = match role::create(admin, &plan).await {
        Ok(created) => created,
        Err(error) if error.sqlstate().is_some() => {
            return Ok(vec![Item::missing("lease", error.to_string())]);
        }
        Err(error) => return Err(error),
    };
    let mut items = vec![Item::ok("lease", "a lease's role was made")];
    let lease = Lease {
        ask,
        admin,
        name,
        now: created.clock,
    };
    let mut connection = None;
    let tried = lease.doors(&mut items, &mut connection).await;
    let ended = lease.end(&mut items, connection, grant).await;
    tried?;
    ended?;
    Ok(items)
}

struct Lease<'a> {
    ask: &'a Ask,
    admin: &'a Admin,
    name: &'a Name,
    /// The database's clock.
    now: Timestamp,
}

impl Lease<'_> {
    /// Opens and closes the door, and knocks each time.
    async fn doors(
        &self,
        items: &mut Vec<Item>,
        through: &mut Option<Connection>,
    ) -> Result<(), Error> {
        let mut bytes = [0; 48];
        self.ask.entropy.fill(&mut bytes);
        let (salt, secret) = bytes.split_at(16);
        let secret: Secret<String> =
            Secret::new(secret.iter().map(|byte| format!("{byte:02x}")).collect());
        let Ok(verifier) = Verifier::new(&secret, salt, LEASE_ITERATIONS) else {
            items.push(Item::missing(
                "scram",
                "no SCRAM verifier could be computed",
            ));
            return Ok(());
        };
        let verifier = verifier.to_text();
        let shut = self.knock(&secret).await;
        match shut {
            Err(error) if is_refusal(&error) => {
                items.push(Item::ok("nologin", "a closed lease can't log in"));
            }
            other => return self.wrong("nologin", "a closed lease", other, items),
        }
        let past = self.now.before(Duration::from_secs(60));
        role::open_door(self.admin, self.name, verifier.expose(), past).await?;
        let late = self.knock(&secret).await;
        role::close_door(self.admin, self.name).await?;
        match late {
            Err(error) if is_refusal(&error) => {
                items.push(Item::ok(
                    "valid-until",
                    "a lease past its `VALID UNTIL` can't log in",
                ));
            }
            other => return self.wrong("valid-until", "a lease past its end", other, items),
        }
        let until = self.now.after(LIFE);
        role::open_door(self.admin, self.name, verifier.expose(), until).await?;
        let opened = self.knock(&secret).await;
        role::close_door(self.admin, self.name).await?;
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => return self.wrong("scram", "a lease", Err(error), items),
        };
        items.push(Item::ok(
            "scram",
            "a lease logs in by scram-sha-256 while its door is open",
        ));
        items.push(self.settings(&mut connection).await?);
        *through = Some(connection);
        if self.knock(&secret).await.is_ok() {
            items.push(Item::missing(
                "nologin",
                "a lease logs in after its door was closed",
            ));
        }
        Ok(())
    }

    async fn knock(&self, secret: &Secret<String>) -> Result<Connection, Error> {
        let target = &self.ask.target;
        connect::open(target, self.name.as_str(), secret, &self.ask.parameters).await
    }

    /// A login that came out otherwise than it should.
    fn wrong(
        &self,
        item: &'static str,
        who: &str,
        result: Result<Connection, Error>,
        items: &mut Vec<Item>,
    ) -> Result<(), Error> {
        let item = match result {
            Ok(_) => Item::missing(item, format!("{who} logs in, which it must not")),
            Err(error @ Error::Protocol(_)) => {
                let item = Item::missing(
                    "scram",
                    format!("{who} is not let in by scram-sha-256: {error}"),
                );
                hba::lines(&self.ask.target, None, item)
            }
            Err(error) if error.sqlstate() == Some("28000") => {
                let item = Item::missing("scram", format!("{who} is not admitted: {error}"));
                hba::lines(&self.ask.target, None, item)
            }
            Err(error) if error.sqlstate().is_some() => {
                Item::missing(item, format!("{who} can't log in: {error}"))
            }
            Err(error) => return Err(error),
        };
        items.push(item);
        Ok(())
    }

    /// Whether the limits of a session arrive.
    async fn settings(&self, connection: &mut Connection) -> Result<Item, Error> {
        let names = [
            "client_connection_check_interval",
            "default_transaction_read_only",
            "standard_conforming_strings",
        ];
        let wanted: Vec<(&str, &str)> = self
            .ask
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| names.contains(name))
            .collect();
        let list: Vec<String> = wanted
            .iter()
            .map(|(name, _)| format!("pg_catalog.current_setting('{name}')"))
            .collect();
        if list.is_empty() {
            return Ok(Item::unknown("settings", "no settings were asked for"));
        }
        let found = row(connection, &format!("SELECT {}", list.join(", "))).await?;
        let other = wanted
            .iter()
            .zip(&found)
            .find(|((_, want), got)| got.as_str() != *want);
        Ok(match other {
            None if found.len() == wanted.len() => Item::ok(
                "settings",
                "the limits of a session arrive in its connection",
            ),
            None => Item::missing("settings", "a lease can't read its own settings"),
            Some(((name, want), got)) => {
                Item::missing("settings", format!("`{name}` is `{got}`, not `{want}`"))
            }
        })
    }

    /// Ends the role as the broker ends a lease.
    async fn end(
        &self,
        items: &mut Vec<Item>,
        connection: Option<Connection>,
        grant: Option<&Grant>,
    ) -> Result<(), Error> {
        if let Err(error) = end::shut(self.admin, self.name).await {
            items.push(Item::missing(
                "terminate",
                format!("backends of a lease can't be ended: {error}"),
            ));
        } else if let Some(mut connection) = connection {
            let mut rest = Vec::new();
            let read = connection.stream.read_to_end(&mut rest);
            let gone = tokio::time::timeout(FAREWELL, read).await.is_ok();
            items.push(if gone {
                Item::ok("terminate", "backends of a lease end when they are told")
            } else {
                Item::missing("terminate", "a backend that was ended still answers")
            });
        }
        let owner = grant.and_then(|grant| grant.owner.as_deref());
        items.push(match end::drop_role(self.admin, self.name, owner).await {
            Ok(()) => Item::ok("end", "the role was given away, dropped, and is gone"),
            Err(error) => Item::missing(
                "end",
                format!("the role `{}` could not be dropped: {error}", self.name),
            ),
        });
        Ok(())
    }
}

/// The server has said no to the login, after SCRAM.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. } if code == "28P01")
}

/// One row of text by a simple query; empty when there is none.
async fn row(connection: &mut Connection, sql: &str) -> Result<Vec<String>, Error> {
    let odd = |error: crate::wire::error::Error| Error::Protocol(error.to_string());
    let mut out = Vec::new();
    frontend::Message::Query { sql }
        .encode(&mut out)
        .map_err(odd)?;
    connection.stream.write_all(&out).await?;
    connection.stream.flush().await?;
    let mut frames = Deframer::backend();
    frames.authenticated();
    let mut values = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Some(frame) = frames.next_frame().map_err(odd)? {
            match Message::decode(&frame).map_err(odd)? {
                Message::DataRow(row) => {
                    values.extend(row.values().map(|value| {
                        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
                    }));
                }
                Message::ReadyForQuery(_) => return Ok(values),
                _ => {}
            }
        }
        let read = crate::upstream::within("a query of the lease", async {
            Ok(connection.stream.read(&mut chunk).await?)
        });
        let count = read.await?;
        if count == 0 {
            return Ok(values);
        }
        frames.feed(chunk.get(..count).unwrap_or_default());
    }
}
