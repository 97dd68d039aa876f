//! Roles that are still there though nobody needs them: of a check that was killed, and of leases that could not be ended.

use std::collections::BTreeSet;

use crate::upstream::Error;
use crate::upstream::admin::{Admin, Live};
use crate::upstream::check::Item;
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::role::end;
use crate::upstream::role::name::{Name, PREFIX, SCRATCH};

/// Ends the roles of checks that were killed.
pub(super) async fn clean(admin: &Admin, live: &Live, database: u32) -> Result<Vec<Item>, Error> {
    let prefix = format!("{SCRATCH}{database}_");
    let sql = format!(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE pg_catalog.starts_with(rolname::pg_catalog.text, {})",
        Literal(&prefix)
    );
    let rows = live.batch("look for roles of earlier checks", &sql).await?;
    let names: Vec<Name> = rows
        .iter()
        .filter_map(|row| row.text(0)?.parse().ok())
        .collect();
    let mut items = Vec::new();
    for name in names {
        let ended = async {
            end::shut(admin, &name).await?;
            end::drop_role(admin, &name, None).await
        };
        items.push(match ended.await {
            Ok(()) => Item::ok("leftover", "the role of a check that was killed is gone")
                .of(name.as_str()),
            Err(error) => Item::missing(
                "leftover",
                format!("the role of a check that was killed can't be dropped: {error}"),
            )
            .of(name.as_str())
            .sql(format!("DROP ROLE {};", Identifier(name.as_str()))),
        });
    }
    Ok(items)
}

/// Leases that the broker tried to end in vain, with what stands in their way.
pub(super) async fn items(live: &Live, stuck: &[(String, String)]) -> Result<Vec<Item>, Error> {
    if stuck.is_empty() {
        return Ok(vec![Item::ok("stuck", "no lease waits to be ended")]);
    }
    let mut items = Vec::new();
    for (role, why) in stuck {
        let item = Item::missing(
            "stuck",
            format!("the lease `{role}` is closed but could not be dropped: {why}"),
        )
        .of(role.as_str());
        items.push(mended(live, role, item).await?);
    }
    Ok(items)
}

/// Roles that are called as leases are, hang on the group of leases or on this admin role, and are in no record of this broker: of
/// another broker on this server, or of a state that is gone.
pub(super) async fn strange(live: &Live, known: &BTreeSet<String>) -> Result<Vec<Item>, Error> {
    let sql = format!(
        "SELECT r.rolname, r.rolvaliduntil < pg_catalog.now() FROM pg_catalog.pg_roles r \
         WHERE pg_catalog.starts_with(r.rolname::pg_catalog.text, {}) \
           AND EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid \
                         AND m.member = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER)) \
         ORDER BY 1",
        Literal(PREFIX)
    );
    let rows = live.batch("look for roles that nobody keeps", &sql).await?;
    let mut items = Vec::new();
    for row in rows {
        let Some(name) = row.text(0).and_then(|name| name.parse::<Name>().ok()) else {
            continue;
        };
        if known.contains(name.as_str()) || name.as_str().starts_with(SCRATCH) {
            continue;
        }
        let role = Identifier(name.as_str());
        let item = Item::warning(
            "unknown-lease",
            format!("`{name}` is called as leases are, and this broker keeps no such lease"),
        )
        .of(name.as_str());
        // One that has not ended may be another broker's.
        items.push(if row.is_true(1) {
            item.sql(format!(
                "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role};"
            ))
        } else {
            item
        });
    }
    Ok(items)
}

/// With what takes everything away from the role; the broker then drops it by itself.
async fn mended(live: &Live, role: &str, mut item: Item) -> Result<Item, Error> {
    let sql = format!(
        "SELECT DISTINCT COALESCE(d.datname, pg_catalog.current_database()) \
         FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
         WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass \
           AND s.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {}) \
           AND s.classid <> 'pg_catalog.pg_auth_members'::pg_catalog.regclass",
        Literal(role)
    );
    let rows = live.batch("look what a stuck role owns", &sql).await?;
    let databases: BTreeSet<&str> = rows.iter().filter_map(|row| row.text(0)).collect();
    let role = Identifier(role);
    for database in databases {
        item = item.sql_in(
            database,
            format!("REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role};"),
        );
    }
    Ok(item)
}
