//! A broker as it is run: the built binary with a configuration, certificates and an issuer of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use dbgate::api::types;
use dbgate::config::problem::Source;
use dbgate::demo::issuer::Issuer;
use dbgate::demo::issuer::people::Account;
use dbgate::model::secret::Secret;
use dbgate::model::time::Clock as _;
use dbgate::net::clock;
use dbgate::net::entropy;
use dbgate::net::tls::authority::Authority;
use dbgate::remote;
use dbgate::remote::broker::Address;
use serde_json::Value;

use crate::harness::postgres::{Offer, PASSWORD, Server};
use crate::harness::world::{ManualClock, policy_text};

/// The binary.
pub(crate) const DBGATE: &str = env!("CARGO_BIN_EXE_dbgate");

/// How many reviewers there are beside the one the demo knows.
pub(crate) const CROWD: usize = 100;

/// Somebody who signs in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    Engineer,
    Reviewer,
    Auditor,
    Job,
}

/// The issuer all sites of this process share: its configuration, and tokens of engineer, reviewer, auditor, job.
struct Shared {
    config: String,
    tokens: Vec<String>,
    /// Tokens of [`CROWD`] reviewers more.
    crowd: Vec<String>,
    /// The engineer's token of two hours ago, which was good for one, and a good one of another issuer.
    bad: [String; 2],
}

fn issuer() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let (clock, entropy) = (Arc::new(ManualClock::new()), Arc::new(entropy::System));
                let loopback = "127.0.0.1:0".parse().unwrap();
                let start = || Issuer::start(loopback, Arc::clone(&clock) as _, entropy.clone());
                let (issuer, other) = (start().await.unwrap(), start().await.unwrap());
                let engineer = &issuer.people()[0];
                let hour = Duration::from_secs(3600);
                clock.jump(-7_200_000_000);
                let expired = issuer.mint(engineer, hour).expose().clone();
                clock.jump(7_200_000_000);
                let strange = other.mint(engineer, hour).expose().clone();
                let tokens = issuer.people().iter().map(|account| {
                    let token = issuer.mint(account, Duration::from_secs(7200));
                    token.expose().clone()
                });
                let crowd = (0..CROWD).map(|number| {
                    let leaked = |text: String| &*Box::leak(text.into_boxed_str());
                    let reviewer = Account {
                        sub: leaked(format!("reviewer-{number}")),
                        email: leaked(format!("reviewer-{number}@demo.example")),
                        ..issuer.people()[1]
                    };
                    let token = issuer.mint(&reviewer, Duration::from_secs(7200));
                    token.expose().clone()
                });
                let shared = Shared {
                    crowd: crowd.collect(),
                    config: issuer.config(),
                    tokens: tokens.collect(),
                    bad: [expired, strange],
                };
                send.send(shared).unwrap();
                std::future::pending::<()>().await;
                drop(issuer);
            });
        });
        receive.recv().expect("the issuer starts")
    })
}

/// Where the issuer is.
pub(crate) fn issuer_url() -> &'static str {
    let (_, rest) = issuer().config.split_once("url = \"").unwrap();
    rest.split_once('"').unwrap().0
}

/// A token of the engineer that has expired, and one of an issuer that nobody trusts.
pub(crate) fn bad_tokens() -> [&'static str; 2] {
    issuer().bad.each_ref().map(String::as_str)
}

/// An ID token of somebody.
pub(crate) fn token_of(who: Who) -> &'static str {
    &issuer().tokens[match who {
        Who::Engineer => 0,
        Who::Reviewer => 1,
        Who::Auditor => 2,
        Who::Job => 3,
    }]
}

/// A configured broker.
pub(crate) struct Site {
    directory: tempfile::TempDir,
    offer: Offer,
}

impl Site {
    /// For a database, reached by the server's socket; the state in `data`.
    pub(crate) fn new(server: &Server, offer: &Offer) -> Self {
        Self::with(server, offer, "")
    }

    /// The same, with more configuration.
    pub(crate) fn with(server: &Server, offer: &Offer, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let site = Self {
            directory,
            offer: offer.clone(),
        };
        let now = clock::System::new().now();
        let authority = Authority::new("test", now.before(Duration::from_secs(3600)), 2).unwrap();
        let leaf = authority
            .issue(&["localhost", "127.0.0.1"], now, 2)
            .unwrap();
        site.write("ca.pem", authority.certificate());
        site.write("server.pem", &leaf.certificate);
        site.write("server.key", leaf.key.expose());
        site.write("admin.password", PASSWORD);
        for secret in ["server.key", "admin.password"] {
            site.allow(secret, 0o600);
        }
        site.write("policy.toml", &policy_text(offer, ""));
        site.write(
            "broker.toml",
            &format!(
                "data_dir = \"data\"\npolicy_files = [\"policy.toml\"]\n\
                 [listen]\naddress = \"127.0.0.1:0\"\nplain_text = \"loopback\"\n\
                 [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
                 {issuer}\n\
                 [[database]]\nname = \"{name}\"\nhost = {host:?}\nport = {port}\n\
                 admin = \"{admin}\"\npassword_file = \"admin.password\"\n{more}",
                issuer = issuer().config,
                name = offer.name,
                host = server.socket(),
                port = server.port,
                admin = offer.role("admin"),
            ),
        );
        site
    }

    /// A file of its directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn allow(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Changes the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("broker.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        self.write("broker.toml", &text.replace(from, to));
    }

    /// `dbgate broker check`.
    pub(crate) fn check(&self) -> Check {
        let output = Command::new(DBGATE)
            .args(["broker", "check", "--output", "json", "--config"])
            .arg(self.path("broker.toml"))
            .output()
            .unwrap();
        Check::new(&output)
    }

    /// `dbgate broker run`, not waited for.
    pub(crate) fn spawn(&self, log: &Path) -> Child {
        self.command(log).spawn().unwrap()
    }

    /// The command of [`Site::spawn`].
    pub(crate) fn command(&self, log: &Path) -> Command {
        let mut command = Command::new(DBGATE);
        command
            .args(["broker", "run", "--log-format", "json", "--config"])
            .arg(self.path("broker.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(log).unwrap());
        command
    }

    /// A broker that serves.
    pub(crate) fn run(&self) -> Broker {
        let log = self.path("broker.log");
        Broker::wait(self.spawn(&log), log)
    }

    /// A broker with one of its directories on a small file system, in a mount namespace that goes with it.
    pub(crate) fn run_on_small(&self, directory: &str) -> Broker {
        let (path, log) = (self.path(directory), self.path("broker.log"));
        fs::create_dir(&path).unwrap();
        let inner = self.command(&log);
        let mut script = String::from("mount -t tmpfs -o size=1m,mode=700 tmpfs \"$0\" && exec");
        for argument in std::iter::once(inner.get_program()).chain(inner.get_args()) {
            script.push_str(&format!(" '{}'", argument.to_str().unwrap()));
        }
        let child = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .arg(path)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .expect("unshare is installed");
        Broker::wait(child, log)
    }

    /// A broker that does not start.
    pub(crate) fn fail(&self) -> Output {
        Command::new(DBGATE)
            .args(["broker", "run", "--config"])
            .arg(self.path("broker.toml"))
            .output()
            .unwrap()
    }

    /// A command of somebody.
    pub(crate) fn dbgate(&self, broker: &Broker, who: Who, arguments: &[&str]) -> Output {
        self.start(broker, who, arguments).output().unwrap()
    }

    /// The same, to be started.
    pub(crate) fn start(&self, broker: &Broker, who: Who, arguments: &[&str]) -> Command {
        let mut command = Command::new(DBGATE);
        command
            .args(arguments)
            .env("DBGATE_URL", &broker.url)
            .env("DBGATE_CA_FILE", self.path("ca.pem"))
            .env("DBGATE_ID_TOKEN", token_of(who))
            .env("DBGATE_CONFIG_DIR", self.path("config"))
            .stdin(Stdio::null());
        command
    }

    /// The engineer, signed in at a broker, without a command in between.
    pub(crate) async fn engineer(&self, broker: &Broker) -> Engineer {
        Engineer {
            remote: self.signed_in(broker, &issuer().tokens[0]).await,
            offer: self.offer.clone(),
        }
    }

    /// The reviewer, signed in at a broker.
    pub(crate) async fn reviewer(&self, broker: &Broker) -> remote::broker::Broker {
        self.signed_in(broker, &issuer().tokens[1]).await
    }

    /// As many other reviewers, signed in at a broker; [`CROWD`] at most.
    pub(crate) async fn crowd(&self, broker: &Broker, count: usize) -> Vec<remote::broker::Broker> {
        let mut crowd = Vec::new();
        for token in &issuer().crowd[..count] {
            crowd.push(self.signed_in(broker, token).await);
        }
        crowd
    }

    async fn signed_in(&self, broker: &Broker, id_token: &str) -> remote::broker::Broker {
        let address = Address {
            url: broker.url.parse().unwrap(),
            ca_file: Some(self.path("ca.pem")),
        };
        let remote = remote::broker::Broker::new(address).unwrap();
        let login = types::Login {
            id_token: id_token.to_owned(),
            access_token: None,
            nonce: None,
        };
        let token = remote.login(&login).await.unwrap().token;
        remote.with_token(Secret::new(token))
    }

    /// Runs SQL as the engineer, to write; what came, and how it ended.
    pub(crate) fn exec(&self, broker: &Broker, sql: &str) -> Output {
        let arguments = ["exec", &self.offer.name, "--access", "write", "-c", sql];
        self.dbgate(broker, Who::Engineer, &arguments)
    }
}

/// Somebody who is signed in.
pub(crate) struct Engineer {
    pub(crate) remote: remote::broker::Broker,
    offer: Offer,
}

/// A session and a connection in it.
pub(crate) struct Entered {
    /// The session.
    pub(crate) id: String,
    pub(crate) client: tokio_postgres::Client,
    /// How the connection ends.
    pub(crate) ended: tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
    pub(crate) granted: types::Granted,
}

impl Engineer {
    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        &self.offer.name
    }

    /// Opens a session to write, and connects to the gateway.
    pub(crate) async fn enter(&self, seconds: u64) -> Entered {
        self.attach(self.grant(seconds).await).await
    }

    /// Connects to the gateway with a session.
    pub(crate) async fn attach(&self, granted: types::Granted) -> Entered {
        let (client, ended) = connect(&granted, self.database()).await.unwrap();
        Entered {
            id: granted.session.id.clone(),
            client,
            ended,
            granted,
        }
    }

    /// Opens a session to write.
    pub(crate) async fn grant(&self, seconds: u64) -> types::Granted {
        self.ask(seconds).await.unwrap()
    }

    /// Opens a session to read.
    pub(crate) async fn grant_read(&self, seconds: u64) -> types::Granted {
        self.ask_for("read", seconds).await.unwrap()
    }

    /// Opens a session to write, if it is granted.
    pub(crate) async fn ask(&self, seconds: u64) -> Result<types::Granted, remote::broker::Error> {
        self.ask_for("write", seconds).await
    }

    async fn ask_for(
        &self,
        access: &str,
        seconds: u64,
    ) -> Result<types::Granted, remote::broker::Error> {
        let ask = types::Ask {
            database: self.database().to_owned(),
            reason: Some("a test".to_owned()),
            duration_s: Some(seconds),
            access: access.to_owned(),
            request: None,
        };
        let types::Opened::Granted(granted) = self.remote.open_session(&ask).await? else {
            panic!("it is not granted");
        };
        Ok(granted)
    }
}

/// Connects a client of a session to the gateway.
pub(crate) async fn connect(
    granted: &types::Granted,
    database: &str,
) -> Result<
    (
        tokio_postgres::Client,
        tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
    ),
    tokio_postgres::Error,
> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&granted.gateway.host)
        .port(granted.gateway.port)
        .user(&granted.user)
        .password(&granted.secret)
        .dbname(database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    Ok((client, tokio::spawn(connection)))
}

/// A broker that serves. Dropping it kills it.
pub(crate) struct Broker {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    /// `https://…`
    pub(crate) url: String,
    /// How long it took to serve.
    pub(crate) started: Duration,
}

impl Broker {
    /// Waits until it serves.
    pub(crate) fn wait(mut child: Child, log: PathBuf) -> Self {
        let since = Instant::now();
        loop {
            let lines = lines(&log);
            let serving = lines.iter().find(|line| line["message"] == "serving");
            if let Some(serving) = serving {
                let address = serving["address"].as_str().unwrap();
                return Self {
                    child,
                    url: format!("https://{address}"),
                    started: since.elapsed(),
                    log,
                };
            }
            if let Some(status) = child.try_wait().unwrap() {
                let text = fs::read_to_string(&log).unwrap_or_default();
                panic!("the broker ended at once, {status}: {text}");
            }
            assert!(
                since.elapsed() < Duration::from_secs(90),
                "the broker does not serve: {lines:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }

    /// How much memory it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let (_, rest) = text.split_once("VmRSS:").unwrap();
        let kib: usize = rest.split_whitespace().next().unwrap().parse().unwrap();
        kib * 1024
    }

    /// Waits until it has no more descriptors open than it had before, but for a few of the connections to its database.
    pub(crate) fn settle(&self, before: usize) {
        let since = Instant::now();
        while self.descriptors() > before + 4 {
            let now = self.descriptors();
            assert!(
                since.elapsed() < Duration::from_secs(10),
                "{before} descriptors before, {now} after"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fills the small file system below one of its directories, until the answer is dropped.
    pub(crate) fn fill(&self, directory: &Path) -> Full {
        let path = format!("/proc/{}/root{}/fill", self.child.id(), directory.display());
        let mut file = fs::File::create(&path).unwrap();
        while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|count| count > 0) {}
        Full(path.into())
    }

    /// What it has logged.
    pub(crate) fn lines(&self) -> Vec<Value> {
        lines(&self.log)
    }

    /// Waits until it works by this policy.
    pub(crate) async fn until_policy(&self, site: &Site, text: &str) {
        let source = Source::new(site.path("policy.toml").display().to_string(), text);
        let policy = dbgate::policy::compile(&[source]).unwrap();
        let since = Instant::now();
        while !self
            .lines()
            .iter()
            .any(|line| line["hash"] == policy.hash())
        {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "{:?}",
                self.lines()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks for something by HTTP: status and body.
    pub(crate) fn get(&self, site: &Site, path: &str) -> (u16, String) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
            .arg("--cacert")
            .arg(site.path("ca.pem"))
            .arg(format!("{}{path}", self.url))
            .output()
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

/// A file that leaves no room; it goes when this is dropped.
pub(crate) struct Full(PathBuf);

impl Drop for Full {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A log of JSON objects, as far as it is written.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// What `dbgate broker check` says.
pub(crate) struct Check {
    pub(crate) code: i32,
    pub(crate) report: Value,
    pub(crate) stderr: String,
}

impl Check {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Everything that was looked at.
    pub(crate) fn items(&self) -> Vec<&Value> {
        let areas = self.report["areas"].as_array().into_iter().flatten();
        areas
            .flat_map(|area| area["items"].as_array().into_iter().flatten())
            .collect()
    }

    /// What is missing: item and text.
    pub(crate) fn missing(&self) -> Vec<&Value> {
        let items = self.items().into_iter();
        items.filter(|item| item["state"] == "missing").collect()
    }

    /// The mending lines for that place.
    pub(crate) fn mends(&self, place: &str) -> Vec<String> {
        let missing = self.missing().into_iter();
        missing
            .flat_map(|item| item["mend"].as_array().into_iter().flatten())
            .filter(|mend| mend["place"] == place)
            .map(|mend| mend["line"].as_str().unwrap().to_owned())
            .collect()
    }
}
