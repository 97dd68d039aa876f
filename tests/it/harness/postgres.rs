//! A throwaway PostgreSQL server: found, started in a directory of its own, ended with the tests.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use dbgate::demo::locate::{NotFound, Places, locate};
use dbgate::demo::postgres::account;
use dbgate::model::secret::Secret;
use dbgate::upstream::target::{Address, Target, Tls};
use tokio_postgres::{Client, NoTls};

/// The superuser's and every admin's password.
pub(crate) const PASSWORD: &str = "correct horse";

/// A running server. Dropping it stops it; so does the end of the thread that started it, even by a kill.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    directory: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    /// Its TCP port on 127.0.0.1.
    pub(crate) port: u16,
    /// The server's certificate, PEM: names `localhost`.
    pub(crate) certificate: String,
}

impl Server {
    /// The server all tests of this binary share.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Server>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(Self::own())))
    }

    /// A server of one's own that ends when it is dropped, whatever becomes of this thread.
    pub(crate) fn own() -> Self {
        Self::with_environment(Vec::new())
    }

    /// The same, with variables in the server's environment.
    pub(crate) fn with_environment(environment: Vec<(&'static str, String)>) -> Self {
        let (send, receive) = mpsc::channel();
        // The server ends with the thread that started it: this one lasts as long as the process.
        std::thread::spawn(move || {
            send.send(Self::start(environment)).unwrap();
            loop {
                std::thread::park();
            }
        });
        receive.recv().expect("PostgreSQL starts")
    }

    fn start(environment: Vec<(&'static str, String)>) -> Self {
        let programs = programs();
        let directory = tempfile::Builder::new()
            .prefix("dbg")
            .tempdir_in("/tmp")
            .unwrap();
        let root = directory.path();
        let owner = unprivileged();
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(root, Some(uid), Some(gid)).unwrap();
        }
        let data = root.join("data");
        let secret = root.join("password");
        fs::write(&secret, PASSWORD).unwrap();
        let mut initdb = as_owner(&programs.join("initdb"), owner);
        initdb
            .args([
                "--no-sync",
                "--username=postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
            ])
            .arg("--locale=C.UTF-8")
            .arg("--pwfile")
            .arg(&secret)
            .arg("--pgdata")
            .arg(&data);
        run(initdb);
        let port = free_port();
        let certificate = certificate(&data, owner);
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
             fsync = off\nfull_page_writes = off\nmax_connections = 400\nshared_buffers = 64MB\n\
             ssl = on\nlog_line_prefix = '%m [%p] %u@%d '\nmax_prepared_transactions = 20\n\
             password_encryption = 'scram-sha-256'\n",
            root.display()
        );
        append(&data.join("postgresql.conf"), &settings);
        let mut server = Self {
            child: spawn(&programs, &data, root, &environment),
            environment,
            directory,
            port,
            certificate,
        };
        server.wait();
        server
    }

    /// The directory of its unix socket.
    pub(crate) fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// Puts lines before all others in `pg_hba.conf`, and has the server read it.
    pub(crate) async fn prepend_hba(&self, lines: &str) {
        let path = self.hba_file();
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{lines}\n{old}")).unwrap();
        self.reload().await;
    }

    /// Its `pg_hba.conf`.
    pub(crate) fn hba_file(&self) -> PathBuf {
        self.directory.path().join("data/pg_hba.conf")
    }

    /// Has it read its files again, and waits until it has.
    pub(crate) async fn reload(&self) {
        let client = self.superuser("postgres").await;
        let loaded = "SELECT pg_conf_load_time()::text";
        let before: String = client.query_one(loaded, &[]).await.unwrap().get(0);
        client
            .batch_execute("SELECT pg_reload_conf()")
            .await
            .unwrap();
        for _ in 0..200 {
            let now: String = client.query_one(loaded, &[]).await.unwrap().get(0);
            if now != before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not reload");
    }

    /// Kills it without mercy, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The postmaster's children see that it is gone and end by themselves; the next start waits for them.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Starts it again after [`Server::kill`].
    pub(crate) fn start_again(&mut self) {
        let root = self.directory.path();
        let _gone = fs::remove_file(root.join("data/postmaster.pid"));
        self.child = spawn(&programs(), &root.join("data"), root, &self.environment);
        self.wait();
    }

    /// `server_version_num`.
    pub(crate) async fn version(&self) -> u32 {
        let client = self.superuser("postgres").await;
        let sql = "SELECT current_setting('server_version_num')";
        let text: String = client.query_one(sql, &[]).await.unwrap().get(0);
        text.parse().unwrap()
    }

    /// A connection as the superuser.
    pub(crate) async fn superuser(&self, database: &str) -> Client {
        self.connect(database, "postgres", PASSWORD)
            .await
            .expect("the superuser gets in")
    }

    /// A connection as anybody, by the unix socket.
    pub(crate) async fn connect(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(self.socket())
            .port(self.port)
            .user(user)
            .password(password)
            .dbname(database)
            .connect(NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A database of its own with an admin role that has what `broker check` asks for, two roles to grant (`reader`,
    /// `writer`) and an `owner`, each named after the database.
    pub(crate) async fn offer(&self) -> Offer {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("db{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let postgres = self.superuser("postgres").await;
        postgres
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        let sql = format!(
            "CREATE ROLE {name}_admin LOGIN CREATEROLE PASSWORD '{PASSWORD}';
             CREATE ROLE {name}_reader; CREATE ROLE {name}_writer; CREATE ROLE {name}_owner;
             GRANT {name}_reader, {name}_writer TO {name}_admin WITH ADMIN OPTION;
             GRANT {name}_owner TO {name}_admin;
             CREATE TABLE customers (id int PRIMARY KEY, name text, email text);
             INSERT INTO customers SELECT i, 'name ' || i, i || '@example.com' FROM generate_series(1, 100) i;
             GRANT SELECT ON customers TO {name}_reader;
             GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO {name}_writer;
             REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             GRANT CREATE ON SCHEMA public TO {name}_writer, {name}_owner;"
        );
        self.superuser(&name)
            .await
            .batch_execute(&sql)
            .await
            .unwrap();
        Offer { name }
    }

    /// The target for an offered database, by the unix socket.
    pub(crate) fn target(&self, offer: &Offer) -> Target {
        Target {
            name: offer.name.parse().unwrap(),
            address: Address::Unix {
                directory: self.socket().to_owned(),
                port: self.port,
            },
            database: offer.name.clone(),
            admin: offer.role("admin"),
            password: Some(Secret::from(PASSWORD)),
            tls: Tls::Off,
        }
    }

    /// The target for an offered database, by TLS that trusts the server's certificate.
    pub(crate) fn tls_target(&self, offer: &Offer) -> Target {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        Target {
            address: Address::Tcp {
                host: "localhost".to_owned(),
                port: self.port,
            },
            tls: Tls::On(Arc::new(config)),
            ..self.target(offer)
        }
    }

    fn wait(&mut self) {
        let since = Instant::now();
        let socket = self.socket().join(format!(".s.PGSQL.{}", self.port));
        let log = self.socket().join("log");
        while since.elapsed() < Duration::from_secs(30) {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let ready = text.matches("ready to accept connections").count();
            let starts = text.matches("starting PostgreSQL").count();
            if ready == starts && ready > 0 && socket.exists() {
                return;
            }
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "PostgreSQL ended at once:\n{text}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("PostgreSQL is not ready after 30 s; see {}", log.display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ended = self.child.wait();
    }
}

/// A database with its roles.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// The database, here and as it is offered.
    pub(crate) name: String,
}

impl Offer {
    /// `admin`, `reader`, `writer` or `owner` of this database.
    pub(crate) fn role(&self, which: &str) -> String {
        format!("{}_{which}", self.name)
    }
}

/// The directory with `postgres` and `initdb`, found as the demo finds it.
pub(crate) fn programs() -> PathBuf {
    let places = Places {
        given: std::env::var_os("DBGATE_PG_BIN").map(PathBuf::from),
        path: std::env::var_os("PATH"),
        working_dir: std::env::current_dir().ok(),
        home: std::env::var_os("HOME").map(PathBuf::from),
        root: None,
        account: account().unwrap(),
    };
    match locate(&places) {
        Ok(programs) => programs.bin,
        Err(missing) => panic!("{missing}\n{}", NotFound::hint()),
    }
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    account().unwrap().map(|account| (account.uid, account.gid))
}

fn as_owner(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

fn spawn(
    programs: &Path,
    data: &Path,
    root: &Path,
    environment: &[(&'static str, String)],
) -> Child {
    let log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(root.join("log"))
        .unwrap();
    // `setpriv` sets the death signal on itself and becomes the server, which so ends with the tests.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((uid, gid)) = unprivileged() {
        command.args([
            OsStr::new("--reuid"),
            OsStr::new(&uid.to_string()),
            OsStr::new("--regid"),
            OsStr::new(&gid.to_string()),
            OsStr::new("--clear-groups"),
        ]);
    }
    // For the server alone, and not before it is who it is to be.
    let variables = environment.iter();
    command
        .arg("env")
        .args(variables.map(|(name, value)| format!("{name}={value}")))
        .arg(programs.join("postgres"))
        .arg("-D")
        .arg(data)
        .env("LC_ALL", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().expect("PostgreSQL starts")
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap();
    fs::write(path, old + text).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Makes the server's certificate and key.
fn certificate(data: &Path, owner: Option<(u32, u32)>) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let files = [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        use std::os::unix::fs::PermissionsExt as _;
        let path = data.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        }
    }
    certificate.pem()
}
