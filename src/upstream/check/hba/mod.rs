//! Who is admitted from where: the rules of `pg_hba.conf` as they apply to leases.
//!
//! A lease has to come from the broker, by scram-sha-256, and by no other way.

pub mod rule;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::upstream::Error;
use crate::upstream::admin::Live;
use crate::upstream::check::hba::rule::{Leases, Rule, Way};
use crate::upstream::check::{Ask, Item, Place};
use crate::upstream::quote::{Identifier, Literal};
use crate::upstream::target::{Address, GROUP, Target, Tls};

/// Separates the parts of lists that come as one text.
const PART: char = '\u{1f}';

/// Looks at the rules, if the admin role may.
pub(super) async fn items(live: &Live, ask: &Ask) -> Result<Vec<Item>, Error> {
    const DOING: &str = "look who may read pg_hba";
    let target = &ask.target;
    let admin = Identifier(&target.admin);
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT') \
                  AND pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE'), \
               pg_catalog.host(pg_catalog.inet_client_addr())";
    let rows = live.batch(DOING, sql).await?;
    let row = rows.first();
    let address: Option<IpAddr> = row.and_then(|row| row.text(1)?.parse().ok());
    if !row.is_some_and(|row| row.is_true(0)) {
        let item = Item::unknown(
            "pg_hba",
            format!(
                "`{}` may not read `pg_hba_file_rules`; make sure that it begins with these lines, or grant the reading",
                target.admin
            ),
        );
        return Ok(vec![
            lines(target, address, item)
                .sql(format!(
                    "GRANT SELECT ON pg_catalog.pg_hba_file_rules TO {admin};"
                ))
                .sql(format!(
                    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO {admin};"
                )),
        ]);
    }
    let leases = leases(live, ask).await?;
    let rules = rules(live).await?;
    let way = match (&target.address, address) {
        (Address::Tcp { .. }, Some(address)) => Way::Host {
            address,
            ssl: matches!(target.tls, Tls::On(_)),
        },
        _ => Way::Local,
    };
    let found = rule::judge(&rules, &leases, &way);
    if found.is_empty() {
        return Ok(vec![Item::ok(
            "pg_hba",
            "leases are admitted from the broker alone, by scram-sha-256 alone",
        )]);
    }
    let mut items: Vec<Item> = found
        .into_iter()
        .map(|text| Item::missing("pg_hba", text))
        .collect();
    // One remedy for all of them: it stands before every other rule.
    if let Some(last) = items.pop() {
        items.push(lines(target, address, last));
    }
    Ok(items)
}

/// With the lines that admit leases from the broker alone.
pub(super) fn lines(target: &Target, address: Option<IpAddr>, item: Item) -> Item {
    let (scram, reject) = ("scram-sha-256", "reject");
    let item = match (&target.address, address) {
        (Address::Unix { .. }, _) => item.at(Place::Hba, format!("local all +{GROUP} {scram}")),
        (Address::Tcp { .. }, address) => {
            let kind = match target.tls {
                Tls::On(_) => "hostssl",
                Tls::Off => "host",
            };
            let from = match address {
                Some(address @ IpAddr::V4(_)) => format!("{address}/32"),
                Some(address @ IpAddr::V6(_)) => format!("{address}/128"),
                None => "BROKER_ADDRESS/32".to_owned(),
            };
            item.at(Place::Hba, format!("{kind} all +{GROUP} {from} {scram}"))
                .at(Place::Hba, format!("local all +{GROUP} {reject}"))
        }
    };
    item.at(Place::Hba, format!("host all +{GROUP} all {reject}"))
}

/// With the line that admits the admin role.
pub(super) fn admin(target: &Target, item: Item) -> Item {
    let (database, admin) = (&target.database, &target.admin);
    let line = match (&target.address, &target.tls) {
        (Address::Unix { .. }, _) => format!("local {database} {admin} scram-sha-256"),
        (Address::Tcp { .. }, Tls::On(_)) => {
            format!("hostssl {database} {admin} BROKER_ADDRESS/32 scram-sha-256")
        }
        (Address::Tcp { .. }, Tls::Off) => {
            format!("host {database} {admin} BROKER_ADDRESS/32 scram-sha-256")
        }
    };
    item.at(Place::Hba, line)
}

/// What rules can know leases by.
async fn leases(live: &Live, ask: &Ask) -> Result<Leases, Error> {
    let granted: BTreeSet<String> = ask
        .grants
        .iter()
        .flat_map(|grant| &grant.roles)
        .map(String::as_str)
        .chain([GROUP])
        .map(|role| Literal(role).to_string())
        .collect();
    let granted: Vec<String> = granted.into_iter().collect();
    let sql = format!(
        "SELECT DISTINCT o.rolname FROM pg_catalog.pg_roles o JOIN pg_catalog.pg_roles r \
           ON r.rolname IN ({}) AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')",
        granted.join(", ")
    );
    let rows = live.batch("look what leases are members of", &sql).await?;
    Ok(Leases {
        member_of: rows
            .iter()
            .filter_map(|row| row.text(0))
            .map(str::to_owned)
            .collect(),
        database: ask.target.database.clone(),
    })
}

async fn rules(live: &Live) -> Result<Vec<Rule>, Error> {
    const DOING: &str = "read pg_hba_file_rules";
    // A regular expression is judged by the server: by whether it fits the name of a lease.
    let sql = "SELECT h.line_number, h.type, pg_catalog.array_to_string(h.database, E'\\x1f'), \
                      (SELECT pg_catalog.string_agg(CASE WHEN u NOT LIKE '/%' THEN u \
                          WHEN 'dbgate_ann_s0123456789ab' ~ pg_catalog.substr(u, 2) THEN '/leases' ELSE '/others' END, E'\\x1f') \
                       FROM pg_catalog.unnest(h.user_name) u), \
                      h.address, h.netmask, h.auth_method, h.error \
               FROM pg_catalog.pg_hba_file_rules h ORDER BY h.line_number";
    let rows = live.batch(DOING, sql).await?;
    let split = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default()
            .split(PART)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    rows.iter()
        .map(|row| {
            Ok(Rule {
                line: row.parse(DOING, 0)?,
                kind: row.text(1).unwrap_or_default().to_owned(),
                databases: split(row.text(2)),
                users: split(row.text(3)),
                address: row.text(4).map(str::to_owned),
                netmask: row.text(5).map(str::to_owned),
                method: row.text(6).unwrap_or_default().to_owned(),
                error: row.text(7).map(str::to_owned),
            })
        })
        .collect()
}
