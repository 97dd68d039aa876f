//! Where the figures are taken: `dbgate demo` over a schema of our own, and the ways to its database.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dbgate::demo::locate::{self, Places};
use serde_json::Value;

use crate::process::Ending;

/// The program that is measured.
pub(crate) const DBGATE: &str = env!("CARGO_BIN_EXE_dbgate");

/// A way to the database.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) user: String,
    pub(crate) password: String,
    /// The certificates to trust.
    pub(crate) trusted: PathBuf,
    /// The process between client and database, if there is one.
    pub(crate) pid: Option<u32>,
}

/// A running demo and a bare forwarder beside it.
#[derive(Debug)]
pub(crate) struct Site {
    directory: tempfile::TempDir,
    ready: Value,
    programs: locate::Programs,
    /// Direct, direct with TLS, forwarder, gateway: in the order of the tables.
    pub(crate) peers: Vec<Peer>,
    _forwarder: Ending,
    _demo: Ending,
}

impl Site {
    /// Brings everything up.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("site");
        let (schema, policy) = (
            directory.path().join("s.sql"),
            directory.path().join("p.toml"),
        );
        fs::write(&schema, include_str!("schema.sql")).unwrap();
        fs::write(&policy, include_str!("policy.toml")).unwrap();
        let mut demo = Command::new(DBGATE);
        demo.args(["demo", "--json", "--sql"])
            .arg(&schema)
            .arg("--policy")
            .arg(&policy)
            .arg("--dir")
            .arg(&place);
        let (demo, line) = started(&mut demo);
        let ready: Value = serde_json::from_str(&line).expect("the demo says where it is");
        let places = Places {
            path: std::env::var_os("PATH"),
            ..Places::default()
        };
        let programs = locate::locate(&places).unwrap();
        let own = std::env::current_exe().unwrap();
        let socket = socket(&place.join("postgres/run"));
        let mut forwarder = Command::new(own);
        forwarder.arg("forward").args([
            &socket,
            &place.join("server.pem"),
            &place.join("server.key"),
        ]);
        let (forwarder, port) = started(&mut forwarder);
        let mut site = Self {
            directory,
            ready,
            programs,
            peers: Vec::new(),
            _forwarder: forwarder,
            _demo: demo,
        };
        site.settle();
        site.peers = site.ways(port.trim().parse().unwrap());
        site
    }

    /// A program of PostgreSQL.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.program(name))
    }

    /// PostgreSQL's version.
    pub(crate) fn version(&self) -> &str {
        &self.programs.version
    }

    /// A folder that goes with the site.
    pub(crate) fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// Where the audit log is.
    pub(crate) fn log(&self) -> PathBuf {
        PathBuf::from(text(&self.ready["audit_dir"]))
    }

    /// The broker's process.
    pub(crate) fn broker(&self) -> u32 {
        self._demo.0.id()
    }

    /// dbgate, as somebody of the demo: `engineer`, `auditor`.
    pub(crate) fn dbgate(&self, role: &str) -> Command {
        let users = self.ready["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["role"] == role).unwrap();
        let mut command = Command::new(DBGATE);
        command
            .env("DBGATE_URL", text(&self.ready["url"]))
            .env("DBGATE_CA_FILE", text(&self.ready["ca_file"]))
            .env("DBGATE_ID_TOKEN", text(&user["id_token"]))
            .env("DBGATE_CONFIG_DIR", self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Lets the database offer TLS with the broker's certificate, which its clients over TCP may then ask for, and settles its tables.
    fn settle(&self) {
        let place = self.folder().join("site");
        let data = place.join("postgres/data");
        let owner = fs::metadata(&data).unwrap();
        for (from, to) in [("server.pem", "server.crt"), ("server.key", "server.key")] {
            let to = data.join(to);
            let bytes = fs::read(place.join(from)).unwrap();
            let mut file = fs::OpenOptions::new();
            let mut file = file
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&to)
                .unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        for sql in [
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
            // Nobody cleans up in the middle of a round.
            "VACUUM ANALYZE",
        ] {
            let mut psql = self.program("psql");
            psql.args(["-X", "-q", "-c", sql])
                .arg(text(&self.ready["admin_dsn"]))
                .stdout(Stdio::null());
            assert!(psql.status().unwrap().success(), "psql failed");
        }
    }

    fn ways(&self, forwarder: u16) -> Vec<Peer> {
        let admin = url::Url::parse(text(&self.ready["admin_dsn"])).unwrap();
        let direct = Peer {
            name: "direct",
            port: admin.port().unwrap(),
            tls: false,
            user: admin.username().to_owned(),
            password: admin.password().unwrap().to_owned(),
            trusted: PathBuf::from(text(&self.ready["ca_file"])),
            pid: None,
        };
        let encrypted = Peer {
            name: "direct, TLS",
            tls: true,
            ..direct.clone()
        };
        let forwarded = Peer {
            name: "forwarder",
            port: forwarder,
            pid: Some(self._forwarder.0.id()),
            ..encrypted.clone()
        };
        let mut env = self.dbgate("engineer");
        env.args(["env", "prod", "--format", "json", "--duration", "4h"])
            .args(["--reason", "figures"]);
        let output = env.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let session: Value = serde_json::from_slice(&output.stdout).unwrap();
        let gateway = Peer {
            name: "gateway",
            port: u16::try_from(session["port"].as_u64().unwrap()).unwrap(),
            tls: true,
            user: text(&session["user"]).to_owned(),
            password: text(&session["password"]).to_owned(),
            pid: Some(self.broker()),
            ..encrypted.clone()
        };
        vec![direct, encrypted, forwarded, gateway]
    }
}

/// Starts a program and waits for its first line.
fn started(command: &mut Command) -> (Ending, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    (Ending(child), line)
}

/// The database's socket in a folder.
fn socket(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths
        .find(|path| path.extension().is_none_or(|end| end != "lock"))
        .expect("the database has a socket")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}
