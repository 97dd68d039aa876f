//! `dbgate demo`, as the built binary starts it, and sessions on it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running demo. Dropping it ends it.
pub(crate) struct Demo {
    child: Child,
    ready: Value,
    /// Nobody's: settings and tokens of whoever runs the tests stay out of it.
    config: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dbgate"))
            .args(["demo", "--json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).expect("the demo says where it is");
        Self {
            child,
            ready,
            config: directory.path().join("config"),
            _directory: directory,
        }
    }

    /// What the demo says of itself.
    pub(crate) fn said(&self, key: &str) -> &str {
        text(&self.ready[key])
    }

    /// Where dbgate keeps what it remembers.
    pub(crate) fn config_dir(&self) -> &std::path::Path {
        &self.config
    }

    /// dbgate as somebody calls it: `engineer`, `reviewer`, `auditor`, `job`.
    pub(crate) fn command(&self, role: &str, arguments: &[&str]) -> Command {
        let users = self.ready["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["role"] == role).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbgate"));
        command
            .args(arguments)
            .env("DBGATE_URL", self.said("url"))
            .env("DBGATE_CA_FILE", self.said("ca_file"))
            .env("DBGATE_ID_TOKEN", text(&user["id_token"]))
            .env("DBGATE_CONFIG_DIR", &self.config)
            .stdin(Stdio::null());
        command
    }

    /// A session of the engineer: how to connect to it.
    pub(crate) fn session(&self) -> Session {
        let engineer = &self.ready["users"][0];
        assert_eq!(engineer["role"], "engineer");
        let output = Command::new(env!("CARGO_BIN_EXE_dbgate"))
            .args(["env", "prod", "--access", "write", "--format", "json"])
            .args(["--reason", "a test"])
            .env("DBGATE_URL", text(&self.ready["url"]))
            .env("DBGATE_CA_FILE", text(&self.ready["ca_file"]))
            .env("DBGATE_ID_TOKEN", text(&engineer["id_token"]))
            .env("DBGATE_CONFIG_DIR", &self.config)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        Session(serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ended = self.child.wait();
    }
}

/// What `dbgate env` says of a session.
pub(crate) struct Session(Value);

impl Session {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        text(&self.0["user"])
    }

    /// `postgresql://…`, with the file of trusted certificates.
    pub(crate) fn url(&self) -> &str {
        text(&self.0["url"])
    }

    /// The settings for tokio-postgres, which takes certificates apart from them.
    pub(crate) fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(text(&self.0["host"]))
            .port(u16::try_from(self.0["port"].as_u64().unwrap()).unwrap())
            .user(text(&self.0["user"]))
            .password(text(&self.0["password"]))
            .dbname(text(&self.0["database"]))
            .ssl_mode(tokio_postgres::config::SslMode::Require);
        config
    }

    /// TLS that trusts the demo.
    pub(crate) fn tls(&self) -> tokio_postgres_rustls::MakeRustlsConnect {
        tokio_postgres_rustls::MakeRustlsConnect::new(self.trust())
    }

    /// The gateway behind its TLS, for those who speak the protocol by themselves.
    pub(crate) async fn dial(&self) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let host = text(&self.0["host"]).to_owned();
        let port = u16::try_from(self.0["port"].as_u64().unwrap()).unwrap();
        let mut stream = tokio::net::TcpStream::connect((host.as_str(), port))
            .await
            .unwrap();
        stream
            .write_all(b"\0\0\0\x08\x04\xd2\x16\x2f")
            .await
            .unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(self.trust()));
        connector
            .connect(host.try_into().unwrap(), stream)
            .await
            .unwrap()
    }

    fn trust(&self) -> rustls::ClientConfig {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = rustls::RootCertStore::empty();
        let file = text(&self.0["sslrootcert"]);
        roots
            .add(CertificateDer::from_pem_file(file).unwrap())
            .unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}
