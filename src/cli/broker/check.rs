//! `dbgate broker check`: is everything there that a broker needs?

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::broker::limit::{self, Caps};
use crate::cli::broker::Configuration;
use crate::cli::error::{Error, Kind};
use crate::cli::problem;
use crate::cli::ui::Ui;
use crate::config::broker::Config;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::net;
use crate::net::clock;
use crate::net::entropy;
use crate::oidc::issuer::Issuers;
use crate::policy::Policy;
use crate::server;
use crate::store::lease::{self, Lease};
use crate::store::sqlite;
use crate::upstream::check::{self, Ask, Grant, Item, Mend, Place, State};
use crate::upstream::target::Target;

/// Check the configuration against the real databases and issuers, and say what is missing
#[derive(Debug, clap::Args)]
#[command(after_long_help = CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    config: Configuration,
}

const CODES: &str = "\
Each database is tried with a role that is made for it, let in for a moment, and dropped: nothing is left behind.

Exit codes:
  0  everything is there (warnings are no failure)
  1  something is missing: each item names the line that mends it
  7  the configuration, the policy or a file on this machine is wrong
  8  a database or an issuer can't be reached";

/// What was found, in the order of what the broker needs first.
#[derive(Debug, Default, Serialize)]
struct Report {
    ok: bool,
    areas: Vec<Area>,
}

/// What was found about one thing the broker needs.
#[derive(Debug, Serialize)]
struct Area {
    /// `policy`, `certificate`, `secrets`, `state`, `issuer` or `database`.
    area: &'static str,
    /// Which of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The database's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    items: Vec<Item>,
    /// How the check ends for this reason alone.
    #[serde(skip)]
    failure: Option<Kind>,
}

impl Area {
    fn new(area: &'static str, name: Option<String>, items: Vec<Item>) -> Self {
        let failed = items.iter().any(|item| item.state == State::Missing);
        Self {
            area,
            name,
            version: None,
            items,
            failure: failed.then_some(Kind::Failed),
        }
    }

    /// The same; what is missing in it is of this kind.
    fn fails_as(mut self, kind: Kind) -> Self {
        self.failure = self.failure.map(|_| kind);
        self
    }
}

/// Looks at everything, shows it, and ends with the gravest of it.
pub(crate) async fn run(ui: &mut Ui, args: &Args) -> Result<(), Error> {
    let config = args.config.read()?;
    let mut report = Report::default();
    let (policy, area) = policy(&config);
    report.areas.push(area);
    report.areas.push(certificate(&config));
    report.areas.push(secrets(&config));
    let (leases, area) = state(&config);
    report.areas.push(area);
    issuers(&config, &mut report).await;
    for (name, database) in &config.databases {
        let area = match server::targets::read_one(name, database) {
            Ok(target) => {
                let ask = ask(target, policy.as_ref(), leases.as_deref());
                look(&ask, &config, leases.is_some()).await
            }
            Err(error) => {
                let item = Item::missing("file", error.to_string());
                Area::new("database", Some(name.to_string()), vec![item]).fails_as(Kind::Setup)
            }
        };
        report.areas.push(area);
    }
    report.ok = report.areas.iter().all(|area| area.failure.is_none());
    if ui.is_json() {
        ui.json("dbgate.broker-check/1", &report)?;
    } else {
        ui.print(&text(&report))?;
    }
    verdict(&report)
}

fn policy(config: &Config) -> (Option<Policy>, Area) {
    let (policy, item) = match server::read_policy(&config.policy_files) {
        Ok(policy) => {
            let text = format!("the policy is valid ({})", policy.hash());
            (Some(policy), Item::ok("policy", text))
        }
        Err(server::Error::Policy(problems)) => {
            let text = format!(
                "the policy has {}\n{}",
                problems.counted(),
                problem::render(&problems, false)
            );
            (None, Item::missing("policy", text))
        }
        Err(error) => (None, Item::missing("policy", error.to_string())),
    };
    let area = Area::new("policy", None, vec![item]).fails_as(Kind::Setup);
    (policy, area)
}

fn certificate(config: &Config) -> Area {
    let bytes = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("read `{}`: {error}", path.display()))
    };
    let tried = bytes(&config.tls.certificate).and_then(|certificate| {
        let key = bytes(&config.tls.key)?;
        net::tls::Server::new(&certificate, &key).map_err(|error| error.to_string())
    });
    let item = match tried {
        Ok(_) => Item::ok("certificate", "certificate and key belong together"),
        Err(why) => Item::missing("certificate", why),
    };
    Area::new("certificate", None, vec![item]).fails_as(Kind::Setup)
}

/// Who else can read what only the broker may know.
fn secrets(config: &Config) -> Area {
    let exposed = server::targets::exposed(config);
    let mut items: Vec<Item> = exposed
        .iter()
        .map(|path| {
            let path = path.display();
            Item::warning(
                "secret",
                format!("everybody on this machine can read `{path}`, which holds a secret"),
            )
            .here(format!("chmod 600 '{path}'"))
        })
        .collect();
    if items.is_empty() {
        items.push(Item::ok(
            "secret",
            "files with secrets are not for everybody",
        ));
    }
    Area::new("secrets", None, items)
}

/// The leases that are kept; none when that can't be told.
fn state(config: &Config) -> (Option<Vec<Lease>>, Area) {
    let (leases, item) = match sqlite::peek(&config.data_dir) {
        Ok(leases) => {
            let text = format!("the state can be read; {} leases are kept", leases.len());
            (Some(leases), Item::ok("state", text))
        }
        Err(error) => (None, Item::missing("state", error.to_string())),
    };
    let area = Area::new("state", None, vec![item]).fails_as(Kind::Setup);
    (leases, area)
}

async fn issuers(config: &Config, report: &mut Report) {
    let issuers = match Issuers::new(config.issuers.clone(), Arc::new(clock::System::new())) {
        Ok(issuers) => issuers,
        Err(error) => {
            let items = vec![Item::missing("issuer", error.to_string())];
            let area = Area::new("issuer", None, items).fails_as(Kind::Setup);
            return report.areas.push(area);
        }
    };
    for (url, reached) in issuers.reach().await {
        let item = match reached {
            Ok(()) => Item::ok("issuer", "it answers, and its keys can be read"),
            Err(error) => Item::missing("issuer", error.to_string()),
        };
        let area = Area::new("issuer", Some(url), vec![item]).fails_as(Kind::Unreachable);
        report.areas.push(area);
    }
}

/// Tries one database. `known` says whether the state could be read.
async fn look(ask: &Ask, config: &Config, known: bool) -> Area {
    let name = Some(ask.target.name.to_string());
    let mut found = match check::run(ask).await {
        Ok(found) => found,
        Err(error) => {
            let kind = if error.is_unavailable() {
                Kind::Unreachable
            } else {
                Kind::Failed
            };
            let item = check::outside(&ask.target, &error);
            return Area::new("database", name, vec![item]).fails_as(kind);
        }
    };
    if known {
        // A broker at work may have made a lease since its state was read.
        let now = sqlite::peek(&config.data_dir).unwrap_or_default();
        found.items.retain(|item| {
            item.item != "unknown-lease"
                || now.iter().all(|l| Some(&l.role) != item.subject.as_ref())
        });
    } else {
        // Whose a role is, and whether it waits to be ended, is in the state alone.
        let told = |item: &Item| ["stuck", "unknown-lease"].contains(&item.item);
        found.items.retain(|item| !told(item));
        let text = "not looked at: the state, which tells, comes first";
        found.items.push(Item::unknown("stuck", text));
    }
    Area {
        version: Some(found.version),
        ..Area::new("database", name, found.items)
    }
}

fn ask(target: Target, policy: Option<&Policy>, leases: Option<&[Lease]>) -> Ask {
    let grants = policy.map(|policy| grants(policy, &target.name));
    let leases = leases.unwrap_or_default();
    let here = || leases.iter().filter(|lease| lease.database == target.name);
    let known = here().map(|lease| lease.role.clone()).collect();
    let stuck = here()
        .filter(|lease| lease.state == lease::State::Stuck)
        .map(|lease| {
            let why = lease.error.as_deref().unwrap_or("it has not said why");
            (
                lease.role.clone(),
                format!("{why} (tried {} times)", lease.tries),
            )
        });
    let caps = Caps::new(Duration::from_secs(60), None);
    Ask {
        grants: grants.unwrap_or_default(),
        parameters: limit::merge(&[], &[], &caps, Access::Read).parameters,
        stuck: stuck.collect(),
        known,
        target: Arc::new(target),
        clock: Arc::new(clock::System::new()),
        entropy: Arc::new(entropy::System),
    }
}

fn grants(policy: &Policy, database: &DatabaseName) -> std::collections::BTreeSet<Grant> {
    policy
        .allows()
        .iter()
        .filter(|allow| {
            let mut globs = allow.databases.iter();
            globs.any(|glob| glob.matches(database.as_str())) && !allow.roles.is_empty()
        })
        .map(|allow| Grant {
            roles: allow.roles.clone(),
            owner: allow.owner.clone(),
        })
        .collect()
}

/// A line for each thing, and below it what mends it.
fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for area in &report.areas {
        let version = area
            .version
            .as_deref()
            .map(|v| format!(" (PostgreSQL {v})"));
        let name = area.name.as_deref().unwrap_or_default();
        let title = format!("{} {name}{}", area.area, version.unwrap_or_default());
        lines.push(title.trim_end().to_owned());
        for item in &area.items {
            let mut text = item.text.lines();
            let first = text.next().unwrap_or_default();
            lines.push(format!("  {:8} {:12} {first}", word(item.state), item.item));
            lines.extend(text.map(|more| format!("    {more}")));
            lines.extend(item.mend.iter().map(mend));
        }
    }
    lines.join("\n")
}

const fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Unknown => "unknown",
        State::Warning => "warning",
        State::Missing => "missing",
    }
}

fn mend(mend: &Mend) -> String {
    let place = match (mend.place, &mend.database) {
        (Place::Sql, None) => "in the database:".to_owned(),
        (Place::Sql, Some(database)) => format!("in the database `{database}`:"),
        (Place::Hba, _) => "at the top of pg_hba.conf:".to_owned(),
        (Place::Machine, _) => "on its machine:".to_owned(),
        (Place::Broker, _) => "on this machine:".to_owned(),
    };
    format!("    {place} {}", mend.line)
}

/// What is wrong on this machine goes before what can't be reached, and that before what is missing.
fn verdict(report: &Report) -> Result<(), Error> {
    let found = |kind| report.areas.iter().any(|area| area.failure == Some(kind));
    let items = report.areas.iter().flat_map(|area| &area.items);
    let missing = items.filter(|item| item.state == State::Missing).count();
    let things = if missing == 1 {
        "thing is"
    } else {
        "things are"
    };
    if found(Kind::Setup) {
        Err(Error::setup(format!(
            "{missing} {things} missing, some of it on this machine"
        ))
        .with_hint("the lines above name the files: are they there, and may this user read them?"))
    } else if found(Kind::Unreachable) {
        Err(Error::new(
            Kind::Unreachable,
            format!("{missing} {things} missing: a database or an issuer can't be used"),
        )
        .with_hint("are the addresses right, and are they running?"))
    } else if found(Kind::Failed) {
        Err(
            Error::failed(format!("{missing} {things} missing")).with_hint(
                "the lines above mend them; `ALTER`, `CREATE` and `GRANT` are for a superuser",
            ),
        )
    } else {
        Ok(())
    }
}
