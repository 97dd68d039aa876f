//! The broker's file: listener, certificates, issuers, databases, places, limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::config::problem::{Problems, Source, nearest};
use crate::config::table::{self, Table};
use crate::model::name::DatabaseName;
use crate::model::subject;
use crate::model::time::parse_span;

/// Everything a broker needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// State, lock file.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Certificate and key, PEM.
    pub tls: Tls,
    /// Where the log is kept.
    pub audit_dir: PathBuf,
    /// Policy files, in order.
    pub policy_files: Vec<PathBuf>,
    /// Whose tokens are trusted.
    pub issuers: Vec<Issuer>,
    /// What is offered.
    pub databases: BTreeMap<DatabaseName, Database>,
    /// Bounds of the process.
    pub limits: Limits,
    /// Who is told of requests.
    pub webhook: Option<Webhook>,
    /// How much of what clients see is kept in the log.
    pub transcript: Transcript,
}

/// Where the broker listens and what clients are told.
#[derive(Debug, Clone)]
pub struct Listen {
    /// The address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// The name clients connect to; none = the bound address.
    pub public_host: Option<String>,
    /// The port clients connect to; none = the bound one.
    pub public_port: Option<u16>,
    /// Whether PostgreSQL clients on loopback may speak in clear.
    pub plain_text: PlainText,
}

/// Where plain text is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainText {
    /// Nowhere.
    Never,
    /// From loopback addresses.
    Loopback,
}

/// Certificate and key.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The leaf's key, PEM (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
}

/// An issuer whose tokens are trusted.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its URL, exactly as its tokens name it.
    pub url: String,
    /// The `aud` its tokens must carry.
    pub audience: String,
    /// The client people sign in as; none = no browser login here (CI, services).
    pub client_id: Option<String>,
    /// Scopes a login asks for.
    pub scopes: Vec<String>,
    /// What its subjects are, unless `kind_claim` says so.
    pub kind: subject::Kind,
    /// A claim that holds `person`, `job` or `agent`.
    pub kind_claim: Option<String>,
    /// The claim that holds the groups.
    pub groups_claim: Option<String>,
    /// Groups every subject of this issuer is in.
    pub groups: Vec<String>,
    /// The claim shown to people.
    pub display_claim: String,
    /// Claims that must be there with these values (`*` = any value).
    pub required: BTreeMap<String, String>,
    /// Claims kept for policy conditions.
    pub keep_claims: Vec<String>,
    /// Certificates to trust for it, PEM.
    pub ca_file: Option<PathBuf>,
}

/// A database behind the broker.
#[derive(Debug, Clone)]
pub struct Database {
    /// Host name, address, or the directory of a unix socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// PostgreSQL's name for it.
    pub dbname: String,
    /// The admin role: `CREATEROLE`, no superuser.
    pub admin: String,
    /// A file that holds the admin role's password.
    pub password_file: Option<PathBuf>,
    /// How the way there is protected.
    pub tls: UpstreamTls,
    /// Certificates to trust for it, PEM; none = the system's.
    pub ca_file: Option<PathBuf>,
}

/// How the way to a database is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamTls {
    /// In clear: unix sockets and loopback only.
    Off,
    /// TLS with a trusted certificate of the right name.
    VerifyFull,
}

/// Bounds of the process.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections at once.
    pub connections: u32,
    /// From the first byte to the end of the login.
    pub handshake: Duration,
    /// How long open connections may go on after a stop was asked for.
    pub drain: Duration,
    /// How long the broker's own API token is good for.
    pub token: Duration,
    /// How long sessions and reviews are remembered that are over.
    pub remember: Duration,
    /// Bytes of large messages that all connections together may hold.
    pub messages: u64,
}

/// How much of what the client saw of a statement is kept in the log; what is not set is up to the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Bytes; 0 keeps nothing.
    pub bytes: Option<usize>,
    /// Rows; 0 keeps nothing.
    pub rows: Option<u64>,
}

/// Who is told when something waits for an approval.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where to.
    pub url: Url,
    /// A file that holds the key of the signature.
    pub secret_file: PathBuf,
}

/// Reads a broker's configuration. Relative paths are taken from `base`.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn parse(source: &Source, base: &Path) -> Result<Config, Problems> {
    let mut problems = Problems::new();
    let document = table::parse(source, &mut problems);
    let mut top = Table::top(source, &document);
    let data_dir = top.text("data_dir", &mut problems);
    let data_dir = top
        .require("data_dir", data_dir, &mut problems)
        .map(|path| base.join(path));
    let audit_dir = top
        .text("audit_dir", &mut problems)
        .map(|path| base.join(path));
    let policy_files = top.texts("policy_files", &mut problems);
    if policy_files.is_empty() {
        problems.push(top.problem(
            top.span_of("policy_files"),
            "`policy_files` must name at least one file",
        ));
    }
    let listen = top.table("listen", &mut problems);
    let listen = listen.map_or_else(
        || Some(Listen::default()),
        |table| read_listen(table, &mut problems),
    );
    let tls = top.table("tls", &mut problems);
    let tls = top
        .require("tls", tls, &mut problems)
        .and_then(|table| read_tls(table, base, &mut problems));
    let tables = top.tables("issuer", &mut problems);
    let issuers: Vec<_> = tables
        .into_iter()
        .filter_map(|table| read_issuer(table, base, &mut problems))
        .collect();
    if !top.has("issuer") {
        problems.push(top.problem(0..0, "no `[[issuer]]` is named, so nobody could sign in"));
    }
    let databases = read_databases(&mut top, base, &mut problems);
    let limits = top.table("limits", &mut problems);
    let limits = limits.map_or_else(Limits::default, |table| read_limits(table, &mut problems));
    let webhook = top
        .table("webhook", &mut problems)
        .and_then(|table| read_webhook(table, base, &mut problems));
    let transcript = top.table("transcript", &mut problems);
    let transcript = transcript.map(|table| read_transcript(table, &mut problems));
    top.finish(&mut problems);
    let (Some(data_dir), Some(listen), Some(tls)) = (data_dir, listen, tls) else {
        return Err(problems.or(()).err().unwrap_or_default());
    };
    problems.or(Config {
        audit_dir: audit_dir.unwrap_or_else(|| data_dir.join("audit")),
        data_dir,
        listen,
        tls,
        policy_files: policy_files
            .into_iter()
            .map(|path| base.join(path))
            .collect(),
        issuers,
        databases,
        limits,
        webhook,
        transcript: transcript.unwrap_or_default(),
    })
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 6432)),
            public_host: None,
            public_port: None,
            plain_text: PlainText::Never,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake: Duration::from_secs(15),
            drain: Duration::from_secs(10),
            token: Duration::from_secs(3600),
            remember: Duration::from_secs(90 * 24 * 3600),
            messages: 512 * 1024 * 1024,
        }
    }
}

fn read_listen(mut table: Table<'_>, problems: &mut Problems) -> Option<Listen> {
    let address = table.parsed("address", problems);
    let public_host = table.text("public_host", problems);
    let public_port = table
        .number("public_port", 1..65_536, problems)
        .and_then(|port| u16::try_from(port).ok());
    let plain_text = choose(
        &mut table,
        "plain_text",
        &[
            ("never", PlainText::Never),
            ("loopback", PlainText::Loopback),
        ],
        problems,
    );
    table.finish(problems);
    let default = Listen::default();
    Some(Listen {
        address: address.unwrap_or(default.address),
        public_host,
        public_port,
        plain_text: plain_text.unwrap_or(default.plain_text),
    })
}

fn read_tls(mut table: Table<'_>, base: &Path, problems: &mut Problems) -> Option<Tls> {
    let certificate = table.text("certificate", problems);
    let certificate = table.require("certificate", certificate, problems);
    let key = table.text("key", problems);
    let key = table.require("key", key, problems);
    table.finish(problems);
    Some(Tls {
        certificate: base.join(certificate?),
        key: base.join(key?),
    })
}

fn read_issuer(mut table: Table<'_>, base: &Path, problems: &mut Problems) -> Option<Issuer> {
    let url = table.read("url", check_issuer, problems);
    let url = table.require("url", url, problems);
    let audience = table.text("audience", problems);
    let audience = table.require("audience", audience, problems);
    let kinds = [
        ("person", subject::Kind::Person),
        ("job", subject::Kind::Job),
        ("agent", subject::Kind::Agent),
    ];
    let issuer = Issuer {
        url: url.unwrap_or_default(),
        audience: audience.unwrap_or_default(),
        client_id: table.text("client_id", problems),
        scopes: table.texts("scopes", problems),
        kind: choose(&mut table, "kind", &kinds, problems).unwrap_or(subject::Kind::Person),
        kind_claim: table.text("kind_claim", problems),
        groups_claim: table.text("groups_claim", problems),
        groups: table.texts("groups", problems),
        display_claim: table
            .text("display_claim", problems)
            .unwrap_or_else(|| "email".to_owned()),
        required: table.map("required", problems).into_iter().collect(),
        keep_claims: table.texts("keep_claims", problems),
        ca_file: table.text("ca_file", problems).map(|path| base.join(path)),
    };
    table.finish(problems);
    (!issuer.url.is_empty() && !issuer.audience.is_empty()).then_some(issuer)
}

fn check_issuer(text: &str) -> Result<String, String> {
    let url: Url = text
        .parse()
        .map_err(|error| format!("`{text}` is no URL: {error}"))?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    };
    if url.scheme() == "https" || url.scheme() == "http" && loopback {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "the issuer `{text}` must be `https:` (`http:` is for loopback addresses)"
        ))
    }
}

fn read_databases(
    top: &mut Table<'_>,
    base: &Path,
    problems: &mut Problems,
) -> BTreeMap<DatabaseName, Database> {
    let mut databases = BTreeMap::new();
    for table in top.tables("database", problems) {
        let span = table.span_of("name");
        let Some((name, database)) = read_database(table, base, problems) else {
            continue;
        };
        if databases.insert(name.clone(), database).is_some() {
            problems.push(top.problem(span, format!("the database `{name}` is there twice")));
        }
    }
    if !top.has("database") {
        problems.push(top.problem(
            0..0,
            "no `[[database]]` is named, so there is nothing to offer",
        ));
    }
    databases
}

fn read_database(
    mut table: Table<'_>,
    base: &Path,
    problems: &mut Problems,
) -> Option<(DatabaseName, Database)> {
    let name = table.parsed("name", problems);
    let name = table.require("name", name, problems);
    let host = table.text("host", problems);
    let host = table.require("host", host, problems);
    let admin = table.text("admin", problems);
    let admin = table.require("admin", admin, problems);
    let port = table
        .number("port", 1..65_536, problems)
        .and_then(|port| u16::try_from(port).ok());
    let dbname = table.text("dbname", problems);
    let password_file = table
        .text("password_file", problems)
        .map(|path| base.join(path));
    let tls = [
        ("off", UpstreamTls::Off),
        ("verify-full", UpstreamTls::VerifyFull),
    ];
    let tls = choose(&mut table, "tls", &tls, problems);
    let ca_file = table.text("ca_file", problems).map(|path| base.join(path));
    let socket = host.as_deref().is_some_and(|host| host.starts_with('/'));
    let local = host.as_deref().is_some_and(is_local);
    if tls == Some(UpstreamTls::Off) && !local {
        let message = "`tls = \"off\"` is for unix sockets and loopback addresses only";
        problems.push(table.problem(table.span_of("tls"), message));
    }
    // Whoever names certificates wants them looked at.
    let tls = tls.unwrap_or(if socket || local && ca_file.is_none() {
        UpstreamTls::Off
    } else {
        UpstreamTls::VerifyFull
    });
    if tls == UpstreamTls::Off && ca_file.is_some() {
        let message = "`ca_file` is of no use here: the connection is not encrypted";
        problems.push(table.problem(table.span_of("ca_file"), message));
    }
    table.finish(problems);
    let name: DatabaseName = name?;
    let database = Database {
        host: host?,
        port: port.unwrap_or(5432),
        dbname: dbname.unwrap_or_else(|| name.to_string()),
        admin: admin?,
        password_file,
        tls,
        ca_file,
    };
    Some((name, database))
}

fn is_local(host: &str) -> bool {
    host.starts_with('/')
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Room for one statement as long as any may be.
const LEAST_MESSAGES: u64 = 16 * 1024 * 1024;

fn read_limits(mut table: Table<'_>, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let connections = table
        .number("connections", 1..1_000_001, problems)
        .and_then(|n| u32::try_from(n).ok());
    let limits = Limits {
        connections: connections.unwrap_or(default.connections),
        handshake: table
            .read("handshake", parse_span, problems)
            .unwrap_or(default.handshake),
        drain: table
            .read("drain", parse_span, problems)
            .unwrap_or(default.drain),
        token: table
            .read("token", parse_span, problems)
            .unwrap_or(default.token),
        remember: table
            .read("remember", parse_span, problems)
            .unwrap_or(default.remember),
        messages: table
            .number("messages", LEAST_MESSAGES..u64::MAX, problems)
            .unwrap_or(default.messages),
    };
    table.finish(problems);
    limits
}

fn read_webhook(mut table: Table<'_>, base: &Path, problems: &mut Problems) -> Option<Webhook> {
    let url = table.parsed("url", problems);
    let url = table.require("url", url, problems);
    let secret_file = table.text("secret_file", problems);
    let secret_file = table.require("secret_file", secret_file, problems);
    table.finish(problems);
    Some(Webhook {
        url: url?,
        secret_file: base.join(secret_file?),
    })
}

fn read_transcript(mut table: Table<'_>, problems: &mut Problems) -> Transcript {
    /// A longer text would be cut by the log.
    const MOST: u64 = 1024 * 1024;
    let bytes = table.number("bytes", 0..MOST + 1, problems);
    let rows = table.number("rows", 0..1_000_000_001, problems);
    table.finish(problems);
    Transcript {
        bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()),
        rows,
    }
}

/// One of a few words.
fn choose<T: Copy>(
    table: &mut Table<'_>,
    key: &'static str,
    choices: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = table.text(key, problems)?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let words: Vec<_> = choices
        .iter()
        .map(|(word, _)| format!("`{word}`"))
        .collect();
    let span: Range<usize> = table.span_of(key);
    let problem = table.problem(
        span,
        format!("`{key}` must be {}, not `{text}`", words.join(" or ")),
    );
    problems.push(
        match nearest(&text, choices.iter().map(|(word, _)| *word)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        },
    );
    None
}
