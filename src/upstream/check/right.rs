//! What the admin role may do: tried for real, step by step, in a transaction that is rolled back.

use std::collections::BTreeSet;

use crate::upstream::Error;
use crate::upstream::admin::Live;
use crate::upstream::check::{Grant, Item, membership};
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::target::{GROUP, Target};

/// The role that is made and unmade; nobody else ever sees it.
const ROLE: &str = "dbgate__check";

/// What is known about the trial.
struct Trial<'a> {
    live: &'a Live,
    target: &'a Target,
    /// Whether the role could be made.
    made: bool,
    items: Vec<Item>,
}

/// Tries everything the broker will ask of the admin role, except what takes a login.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn tried(
    live: &Live,
    target: &Target,
    grants: &BTreeSet<Grant>,
) -> Result<Vec<Item>, Error> {
    const DOING: &str = "try the admin role's rights";
    let mut trial = Trial {
        live,
        target,
        made: false,
        items: Vec::new(),
    };
    live.batch(DOING, "BEGIN; SET LOCAL lock_timeout = '5s'")
        .await?;
    let tried = trial.all(grants).await;
    live.batch(DOING, "ROLLBACK").await?;
    tried?;
    Ok(trial.items)
}

impl Trial<'_> {
    async fn all(&mut self, grants: &BTreeSet<Grant>) -> Result<(), Error> {
        self.create().await?;
        let roles: BTreeSet<&String> = grants.iter().flat_map(|grant| &grant.roles).collect();
        for role in roles {
            self.role(role, "grant").await?;
        }
        self.group().await?;
        for grant in grants {
            self.connect(grant).await?;
        }
        let owners: BTreeSet<&String> = grants.iter().filter_map(|g| g.owner.as_ref()).collect();
        for owner in owners {
            self.owner(owner, grants).await?;
        }
        self.homeless(grants).await?;
        if self.made {
            let sql = format!("DROP ROLE {}", Identifier(ROLE));
            let dropped = self.attempt(&sql).await?;
            self.items.push(match dropped {
                None => Item::ok("drop", "a role it made can be dropped"),
                Some(why) => {
                    Item::missing("drop", format!("a role it made can't be dropped: {why}"))
                }
            });
        }
        Ok(())
    }

    /// Runs a statement; what the database has against it, if anything. The transaction goes on either way.
    async fn attempt(&self, sql: &str) -> Result<Option<String>, Error> {
        const DOING: &str = "try the admin role's rights";
        self.live.batch(DOING, "SAVEPOINT attempt").await?;
        match self.live.batch("try it", sql).await {
            Ok(_) => {
                self.live.batch(DOING, "RELEASE attempt").await?;
                Ok(None)
            }
            Err(error) if error.sqlstate().is_some() => {
                self.live
                    .batch(DOING, "ROLLBACK TO attempt; RELEASE attempt")
                    .await?;
                let text = error.to_string();
                Ok(Some(text.trim_start_matches("try it: ").to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for truth values, one for each expression.
    async fn facts(&self, expressions: &str) -> Result<Vec<bool>, Error> {
        let sql = format!("SELECT {expressions}");
        let rows = self.live.batch("look at a role", &sql).await?;
        let row = rows.first();
        Ok((0..8)
            .map(|place| row.is_some_and(|row| row.is_true(place)))
            .collect())
    }

    async fn exists(&self, role: &str) -> Result<bool, Error> {
        let sql = format!(
            "SELECT FROM pg_catalog.pg_roles WHERE rolname = {}",
            Literal(role)
        );
        let rows = self.live.batch("look for a role", &sql).await?;
        Ok(!rows.is_empty())
    }

    async fn create(&mut self) -> Result<(), Error> {
        let (role, name) = (Identifier(ROLE), &self.target.admin);
        let admin = Identifier(name);
        let sql = format!(
            "CREATE ROLE {role} NOLOGIN INHERIT CONNECTION LIMIT 1 PASSWORD NULL VALID UNTIL '-infinity'"
        );
        if let Some(why) = self.attempt(&sql).await? {
            let facts =
                "rolcreaterole OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
            let item = Item::missing("createrole", format!("`{name}` can't make roles: {why}"));
            let may = self.facts(facts).await?.first().copied().unwrap_or(false);
            self.items.push(if may {
                item
            } else {
                item.sql(format!("ALTER ROLE {admin} CREATEROLE;"))
            });
            return Ok(());
        }
        self.made = true;
        self.items
            .push(Item::ok("createrole", format!("`{name}` makes roles")));
        let with = membership(self.live.version);
        let sql = format!("GRANT {role} TO CURRENT_USER{with}");
        if let Some(why) = self.attempt(&sql).await? {
            self.items.push(Item::missing(
                "self-grant",
                format!("`{name}` can't become a member of a role it made: {why}"),
            ));
            return Ok(());
        }
        self.items.push(Item::ok(
            "self-grant",
            format!("`{name}` becomes a member of a role it made"),
        ));
        let facts = format!("pg_catalog.pg_has_role({}, 'USAGE')", Literal(ROLE));
        self.items.push(if self.facts(&facts).await?.first() == Some(&true) {
            Item::ok("inherit", format!("`{name}` has the rights of a lease"))
        } else {
            Item::missing(
                "inherit",
                format!("`{name}` is NOINHERIT, so it can't end backends of a lease or give away what it owned"),
            )
            .sql(format!("ALTER ROLE {admin} INHERIT;"))
        });
        Ok(())
    }

    /// A role that leases become members of.
    async fn role(&mut self, role: &str, item: &'static str) -> Result<(), Error> {
        let (quoted, name) = (Identifier(role), &self.target.admin);
        let line = format!("GRANT {quoted} TO {} WITH ADMIN OPTION;", Identifier(name));
        if !self.exists(role).await? {
            self.items.push(
                Item::missing(
                    item,
                    format!("there is no role `{role}`, which the policy grants"),
                )
                .of(role)
                .sql(format!("CREATE ROLE {quoted} NOLOGIN;"))
                .sql(line),
            );
            return Ok(());
        }
        let facts = format!(
            "pg_catalog.pg_has_role({role}, 'MEMBER WITH ADMIN OPTION'), \
             (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = {role})",
            role = Literal(role)
        );
        let facts = self.facts(&facts).await?;
        let (may, too_strong) = (facts.first() == Some(&true), facts.get(1) == Some(&true));
        if too_strong {
            self.items.push(
                Item::missing(
                    item,
                    format!("`{role}` is a superuser: no session may have its rights"),
                )
                .of(role)
                .sql(format!("ALTER ROLE {quoted} NOSUPERUSER;")),
            );
            return Ok(());
        }
        if !may {
            self.items.push(
                Item::missing(
                    item,
                    format!("`{name}` is no member of `{role}` with admin option"),
                )
                .of(role)
                .sql(line),
            );
            return Ok(());
        }
        let options = if membership(self.live.version).is_empty() {
            ""
        } else {
            " WITH INHERIT TRUE, SET FALSE"
        };
        let sql = format!("GRANT {quoted} TO {}{options}", Identifier(ROLE));
        let why = if self.made {
            self.attempt(&sql).await?
        } else {
            None
        };
        self.items.push(match why {
            None => Item::ok(item, format!("`{name}` hands on `{role}`")).of(role),
            Some(why) => Item::missing(item, format!("`{role}` can't be handed on: {why}"))
                .of(role)
                .sql(line),
        });
        Ok(())
    }

    /// The role by which one `pg_hba` line covers all leases.
    async fn group(&mut self) -> Result<(), Error> {
        if self.live.group {
            return self.role(GROUP, "lease-group").await;
        }
        let admin = Identifier(&self.target.admin);
        self.items.push(
            Item::missing(
                "lease-group",
                format!("there is no role `{GROUP}`, by which a `pg_hba` line covers all leases"),
            )
            .of(GROUP)
            .sql(format!("CREATE ROLE {GROUP} NOLOGIN;"))
            .sql(format!("GRANT {GROUP} TO {admin} WITH ADMIN OPTION;")),
        );
        Ok(())
    }

    /// Whether a lease of that grant may connect to the database at all.
    async fn connect(&mut self, grant: &Grant) -> Result<(), Error> {
        let Some(first) = grant.roles.first() else {
            return Ok(());
        };
        let roles: Vec<String> = grant
            .roles
            .iter()
            .map(|role| Literal(role).to_string())
            .collect();
        let sql = format!(
            "SELECT pg_catalog.bool_or(pg_catalog.has_database_privilege(oid, pg_catalog.current_database(), 'CONNECT')) \
             FROM pg_catalog.pg_roles WHERE rolname IN ({}, {})",
            roles.join(", "),
            Literal(GROUP)
        );
        let rows = self.live.batch("look who may connect", &sql).await?;
        let database = &self.target.database;
        if rows.first().is_some_and(|row| row.text(0) == Some("f")) {
            self.items.push(
                Item::missing(
                    "connect",
                    format!("`{first}` gives no right to connect to the database `{database}`"),
                )
                .of(first.as_str())
                .sql(format!(
                    "GRANT CONNECT ON DATABASE {} TO {};",
                    Identifier(database),
                    Identifier(first)
                )),
            );
        }
        Ok(())
    }

    /// Who takes what a lease leaves behind.
    async fn owner(&mut self, owner: &str, grants: &BTreeSet<Grant>) -> Result<(), Error> {
        let (quoted, name) = (Identifier(owner), &self.target.admin);
        let with = membership(self.live.version);
        let line = format!("GRANT {quoted} TO {}{with};", Identifier(name));
        if !self.exists(owner).await? {
            self.items.push(
                Item::missing(
                    "owner",
                    format!("there is no role `{owner}`, the policy's `owner`"),
                )
                .of(owner)
                .sql(format!("CREATE ROLE {quoted} NOLOGIN;"))
                .sql(line),
            );
            return Ok(());
        }
        let before = self.items.len();
        let literal = Literal(owner);
        let facts = self
            .facts(&format!(
                "r.rolcanlogin, r.rolsuper OR r.rolcreaterole OR r.rolbypassrls, \
                 pg_catalog.pg_has_role(r.oid, 'USAGE') FROM pg_catalog.pg_roles r WHERE r.rolname = {literal}"
            ))
            .await?;
        self.standing(owner, &facts);
        if facts.get(2) != Some(&true) {
            self.items.push(
                Item::missing(
                    "owner",
                    format!("`{name}` is no member of `{owner}`, so nothing can be given to it"),
                )
                .of(owner)
                .sql(line.as_str()),
            );
        } else if self.made {
            let role = Identifier(ROLE);
            let sql = format!(
                "SET LOCAL ROLE {role}; SELECT pg_catalog.lo_create(0); RESET ROLE; \
                 REASSIGN OWNED BY {role} TO {quoted}; DROP OWNED BY {role}"
            );
            if let Some(why) = self.attempt(&sql).await? {
                self.items.push(
                    Item::missing(
                        "owner",
                        format!("what a lease owns can't be given to `{owner}`: {why}"),
                    )
                    .of(owner)
                    .sql(line.as_str()),
                );
            }
        }
        self.room(owner, grants).await?;
        if self.items.len() == before {
            self.items
                .push(Item::ok("owner", format!("what a lease owns goes to `{owner}`")).of(owner));
        }
        Ok(())
    }

    /// Sessions of a grant without an owner must have no place to create things in: a role that owns something can't be dropped.
    /// Before PostgreSQL 15 everybody has one, the schema `public`.
    async fn homeless(&mut self, grants: &BTreeSet<Grant>) -> Result<(), Error> {
        let without = grants.iter().filter(|grant| grant.owner.is_none());
        let roles: BTreeSet<String> = without
            .flat_map(|grant| grant.roles.iter().map(|role| Literal(role).to_string()))
            .collect();
        if roles.is_empty() {
            return Ok(());
        }
        let roles: Vec<String> = roles.into_iter().collect();
        let sql = format!(
            "SELECT DISTINCT n.nspname, CASE WHEN a.grantee = 0 THEN NULL ELSE r.rolname END \
             FROM pg_catalog.pg_namespace n, \
                  pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a, \
                  pg_catalog.pg_roles r \
             WHERE n.nspname !~ '^pg_' AND a.privilege_type = 'CREATE' AND r.rolname IN ({}) \
               AND (a.grantee = 0 OR pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE')) \
             ORDER BY 1, 2 LIMIT 40",
            roles.join(", ")
        );
        for row in self.live.batch("look where leases create", &sql).await? {
            let Some(schema) = row.text(0) else {
                continue;
            };
            let from = row
                .text(1)
                .map_or_else(|| "PUBLIC".to_owned(), |role| Identifier(role).to_string());
            let text = format!(
                "sessions of a grant without `owner` could create things in schema `{schema}`, and nobody would take them"
            );
            self.items
                .push(Item::warning("owner", text).of(schema).sql(format!(
                    "REVOKE CREATE ON SCHEMA {} FROM {from};",
                    Identifier(schema)
                )));
        }
        Ok(())
    }

    /// The owner must be nobody who logs in or stands above the grants.
    fn standing(&mut self, owner: &str, facts: &[bool]) {
        let (quoted, name) = (Identifier(owner), &self.target.admin);
        if owner == name {
            self.items.push(
                Item::missing("owner", "the policy's `owner` is the admin role itself")
                    .of(owner)
                    .sql("CREATE ROLE dbgate_owner NOLOGIN;"),
            );
        } else if facts.first() == Some(&true) {
            self.items.push(
                Item::missing(
                    "owner",
                    format!("`{owner}` may log in; the `owner` must not"),
                )
                .of(owner)
                .sql(format!("ALTER ROLE {quoted} NOLOGIN;")),
            );
        }
        if facts.get(1) == Some(&true) {
            self.items.push(
                Item::missing("owner", format!("`{owner}` is above every grant"))
                    .of(owner)
                    .sql(format!(
                        "ALTER ROLE {quoted} NOSUPERUSER NOCREATEROLE NOBYPASSRLS;"
                    )),
            );
        }
    }

    /// Where sessions may create things, their owner must be able to have them, and must have no rights beyond theirs.
    async fn room(&mut self, owner: &str, grants: &BTreeSet<Grant>) -> Result<(), Error> {
        let theirs: BTreeSet<String> = grants
            .iter()
            .filter(|grant| grant.owner.as_deref() == Some(owner))
            .flat_map(|grant| grant.roles.iter().map(|role| Literal(role).to_string()))
            .collect();
        let roles: Vec<String> = theirs.into_iter().collect();
        let (roles, owner_name) = (roles.join(", "), Literal(owner));
        let sql = format!(
            "SELECT DISTINCT 'schema', n.nspname FROM pg_catalog.pg_namespace n \
               JOIN pg_catalog.pg_roles r ON r.rolname IN ({roles}) AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') \
               WHERE n.nspname !~ '^pg_' AND NOT pg_catalog.has_schema_privilege({owner_name}, n.oid, 'CREATE') \
             UNION ALL SELECT 'database', pg_catalog.current_database() FROM pg_catalog.pg_roles r \
               WHERE r.rolname IN ({roles}) AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE') \
                 AND NOT pg_catalog.has_database_privilege({owner_name}, pg_catalog.current_database(), 'CREATE') \
             UNION ALL SELECT 'above', o.rolname FROM pg_catalog.pg_roles o \
               WHERE o.rolname <> {owner_name} AND pg_catalog.pg_has_role({owner_name}, o.oid, 'MEMBER') \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles s WHERE s.rolname = {owner_name} AND s.rolsuper) \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname IN ({roles}) \
                                   AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')) \
             ORDER BY 1, 2 LIMIT 40"
        );
        let quoted = Identifier(owner);
        for row in self.live.batch("look what an owner may have", &sql).await? {
            let (Some(kind), Some(name)) = (row.text(0), row.text(1)) else {
                continue;
            };
            let thing = Identifier(name);
            self.items.push(match kind {
                "above" => Item::missing(
                    "owner",
                    format!("`{owner}` has the rights of `{name}`, which its sessions do not have"),
                )
                .sql(format!("REVOKE {thing} FROM {quoted};")),
                "schema" => Item::missing(
                    "owner",
                    format!("sessions create things in schema `{name}`, and `{owner}` may not have them there"),
                )
                .sql(format!("GRANT CREATE ON SCHEMA {thing} TO {quoted};")),
                _ => Item::missing(
                    "owner",
                    format!("sessions create schemas in `{name}`, and `{owner}` may not have them"),
                )
                .sql(format!("GRANT CREATE ON DATABASE {thing} TO {quoted};")),
            }
            .of(owner));
        }
        Ok(())
    }
}
