//! One rule of `pg_hba.conf`, and what a list of them means for leases. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::upstream::target::GROUP;

/// The only method by which a lease may come in.
const SCRAM: &str = "scram-sha-256";

/// A rule as the server reads it.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Where it stands.
    pub line: u32,
    /// `local`, `host`, `hostssl`, …
    pub kind: String,
    /// Names and key words.
    pub databases: Vec<String>,
    /// Names, `+group`, `all`; a regular expression is `/leases` or `/others`.
    pub users: Vec<String>,
    /// An address, `all`, `samehost`, `samenet`, or a name.
    pub address: Option<String>,
    /// The mask of the address.
    pub netmask: Option<String>,
    /// `scram-sha-256`, `trust`, `reject`, …
    pub method: String,
    /// Why the server cannot read it.
    pub error: Option<String>,
}

/// What rules can know leases by.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// All roles they are members of.
    pub member_of: BTreeSet<String>,
    /// Where they belong.
    pub database: String,
}

/// How the broker comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By a unix socket.
    Local,
    /// By TCP.
    Host {
        /// From there.
        address: IpAddr,
        /// Encrypted or not.
        ssl: bool,
    },
}

/// What stands against these rules, in sentences; nothing when leases come in by the broker's way alone.
#[must_use]
pub fn judge(rules: &[Rule], leases: &Leases, way: &Way) -> Vec<String> {
    let mut found: Vec<String> = rules
        .iter()
        .filter_map(|rule| {
            let error = rule.error.as_ref()?;
            Some(format!(
                "line {} of pg_hba.conf can't be read: {error}",
                rule.line
            ))
        })
        .collect();
    let readable: Vec<&Rule> = rules.iter().filter(|rule| rule.error.is_none()).collect();
    let first = readable
        .iter()
        .find(|rule| rule.speaks_of(leases) && rule.has_database(leases) && rule.is_way(way));
    match first {
        Some(rule) if rule.method == SCRAM => {}
        Some(rule) => found.push(format!(
            "line {} of pg_hba.conf asks leases from the broker for `{}`, not {SCRAM}",
            rule.line, rule.method
        )),
        None => found.push("no line of pg_hba.conf admits leases from the broker".to_owned()),
    }
    for (place, rule) in readable.iter().enumerate() {
        let before = readable.get(..place).unwrap_or_default();
        let reached = !rule.is_unreached(before, leases);
        let seen = first.is_some_and(|first| first.line == rule.line) && rule.method != SCRAM;
        if rule.method == "reject" || !rule.speaks_of(leases) || !reached || seen {
            continue;
        }
        if rule.method != SCRAM {
            found.push(format!(
                "line {} of pg_hba.conf admits leases by `{}`",
                rule.line, rule.method
            ));
        } else if !rule.is_narrow(way) {
            found.push(format!(
                "line {} of pg_hba.conf admits leases from elsewhere than the broker ({})",
                rule.line,
                rule.from()
            ));
        }
    }
    found
}

/// Addresses a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Span {
    /// From the unix socket.
    Socket,
    /// These networks.
    Networks(Vec<(IpAddr, u32)>),
    /// Something that only the server can tell.
    Opaque(String),
}

impl Rule {
    /// Whether some lease is meant. What is for replication alone is not for leases.
    fn speaks_of(&self, leases: &Leases) -> bool {
        let replication = self.databases.iter().all(|name| name == "replication");
        !replication
            && self.users.iter().any(|user| match user.strip_prefix('+') {
                Some(group) => leases.member_of.contains(group),
                None => user == "all" || user == "/leases",
            })
    }

    /// Whether every lease is meant.
    fn speaks_of_all(&self, leases: &Leases) -> bool {
        self.users.iter().any(|user| {
            user == "all"
                || user == "/leases"
                || user.strip_prefix('+') == Some(GROUP) && leases.member_of.contains(GROUP)
        })
    }

    fn has_database(&self, leases: &Leases) -> bool {
        self.databases.iter().any(|name| {
            name == "all"
                || *name == leases.database
                || matches!(name.as_str(), "samerole" | "samegroup")
                    && leases.member_of.contains(&leases.database)
        })
    }

    fn is_way(&self, way: &Way) -> bool {
        match way {
            Way::Local => self.kind == "local",
            Way::Host { address, ssl } => {
                let kind = match self.kind.as_str() {
                    "host" | "hostnogssenc" => true,
                    "hostssl" => *ssl,
                    "hostnossl" => !ssl,
                    _ => false,
                };
                kind && match self.span() {
                    Span::Networks(networks) => networks
                        .iter()
                        .any(|network| holds(*network, (*address, bits(*address)))),
                    Span::Opaque(word) => word == "samehost" && address.is_loopback(),
                    Span::Socket => false,
                }
            }
        }
    }

    /// Whether it is for the broker's way alone. A line of its own for leases from one address is taken for another broker's.
    fn is_narrow(&self, way: &Way) -> bool {
        let own = self
            .users
            .iter()
            .all(|user| user.strip_prefix('+') == Some(GROUP) || user == "/leases");
        match (self.span(), way) {
            (Span::Socket, Way::Local) => true,
            (Span::Networks(networks), _) => networks.iter().all(|(address, prefix)| {
                *prefix == bits(*address)
                    && (own
                        || matches!(way, Way::Host { address: broker, .. } if broker == address))
            }),
            _ => false,
        }
    }

    /// Whether a lease that `other` would let in is met by this rule first, address apart.
    fn is_before(&self, other: &Self, leases: &Leases) -> bool {
        let kind = self.kind == other.kind
            || self.kind == "host" && other.kind != "local"
            || self.kind == "hostnogssenc"
                && matches!(other.kind.as_str(), "hostssl" | "hostnossl");
        let databases = self.databases.iter().any(|name| name == "all")
            || other
                .databases
                .iter()
                .all(|name| name != "all" && self.databases.contains(name));
        kind && databases && self.speaks_of_all(leases)
    }

    /// Whether no lease gets past the earlier rules to this one.
    fn is_unreached(&self, earlier: &[&Self], leases: &Leases) -> bool {
        let spans: Vec<Span> = earlier
            .iter()
            .filter(|rule| rule.is_before(self, leases))
            .map(|rule| rule.span())
            .collect();
        let mine = self.span();
        if spans.contains(&mine) {
            return true;
        }
        let networks = match mine {
            Span::Socket => return false,
            Span::Networks(networks) => networks,
            // It can be anywhere.
            Span::Opaque(_) => everywhere(),
        };
        networks.iter().all(|network| {
            spans.iter().any(|span| match span {
                Span::Networks(outer) => outer.iter().any(|outer| holds(*outer, *network)),
                Span::Socket | Span::Opaque(_) => false,
            })
        })
    }

    fn span(&self) -> Span {
        if self.kind == "local" {
            return Span::Socket;
        }
        let text = self.address.as_deref().unwrap_or("all");
        if text == "all" {
            return Span::Networks(everywhere());
        }
        let mask = self.netmask.as_deref().and_then(|mask| mask.parse().ok());
        match (text.parse::<IpAddr>(), mask) {
            (Ok(address), Some(mask)) => Span::Networks(vec![(address, ones(mask))]),
            (Ok(address), None) => Span::Networks(vec![(address, bits(address))]),
            (Err(_), _) => Span::Opaque(text.to_owned()),
        }
    }

    fn from(&self) -> String {
        let shown: Vec<String> = match self.span() {
            Span::Socket => vec!["the server's own machine, by its socket".to_owned()],
            Span::Networks(networks) => networks
                .iter()
                .map(|(address, prefix)| format!("{address}/{prefix}"))
                .collect(),
            Span::Opaque(word) => vec![word],
        };
        shown.join(", ")
    }
}

/// Every address there is.
fn everywhere() -> Vec<(IpAddr, u32)> {
    vec![
        (IpAddr::from([0, 0, 0, 0]), 0),
        (IpAddr::from([0_u16; 8]), 0),
    ]
}

/// An address as a number, aligned to the left.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn ones(mask: IpAddr) -> u32 {
    number(mask).leading_ones()
}

/// Whether the first network holds the second.
fn holds(outer: (IpAddr, u32), inner: (IpAddr, u32)) -> bool {
    let same = outer.0.is_ipv4() == inner.0.is_ipv4();
    let mask = u128::MAX
        .checked_shl(128_u32.saturating_sub(outer.1))
        .unwrap_or(0);
    same && outer.1 <= inner.1 && number(outer.0) & mask == number(inner.0) & mask
}
