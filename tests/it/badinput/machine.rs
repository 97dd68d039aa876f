//! What goes wrong on somebody's own machine: addresses, tokens, keyrings, ports, files.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::badinput::check;
use crate::harness::postgres::Server;
use crate::harness::site::{Broker, DBGATE, Site, Who, bad_tokens};

/// A command of nobody, with nothing configured.
fn bare(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(DBGATE);
    command
        .args(arguments)
        .env_remove("DBGATE_URL")
        .env_remove("DBGATE_CA_FILE")
        .env_remove("DBGATE_ID_TOKEN")
        .env("DBGATE_CONFIG_DIR", site.path("config"))
        .stdin(Stdio::null());
    command
}

fn status(site: &Site, url: &str) -> Output {
    bare(site, &["status"])
        .env("DBGATE_URL", url)
        .env("DBGATE_ID_TOKEN", bad_tokens()[0])
        .env("DBGATE_CA_FILE", site.path("ca.pem"))
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_nowhere_says_what_is_wrong_with_it() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    check(
        "no configuration",
        &bare(&site, &["status"]).output().unwrap(),
    );
    for (input, url) in [
        ("an address that is no URL", "notaurl"),
        ("an address of another kind", "ftp://example.com/"),
        ("an address in clear", "http://example.com/"),
        ("a host that does not exist", "https://nowhere.invalid/"),
        (
            "an address without a broker",
            &broker.url.replace("https", "http"),
        ),
    ] {
        check(input, &status(&site, url));
    }
    let untrusted = site
        .start(&broker, Who::Engineer, &["status"])
        .env_remove("DBGATE_CA_FILE")
        .output()
        .unwrap();
    check("TLS not trusted", &untrusted);
    let none = site
        .start(&broker, Who::Engineer, &["status"])
        .env("DBGATE_CA_FILE", site.path("policy.toml"))
        .output()
        .unwrap();
    check("a CA file that is none", &none);
    let url = broker.url.clone();
    broker.kill();
    check("broker down", &status(&site, &url));
}

fn with_token(site: &Site, broker: &Broker, token: Option<&str>) -> Output {
    let mut command = site.start(broker, Who::Engineer, &["status"]);
    match token {
        Some(token) => command.env("DBGATE_ID_TOKEN", token),
        None => command.env_remove("DBGATE_ID_TOKEN"),
    };
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken_says_why_and_where_to_get_another() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let [expired, strange] = bad_tokens();
    check("not signed in", &with_token(&site, &broker, None));
    check("token expired", &with_token(&site, &broker, Some(expired)));
    check(
        "token of an unknown issuer",
        &with_token(&site, &broker, Some(strange)),
    );
    check("no token at all", &with_token(&site, &broker, Some("abc")));
    broker.kill();
    site.edit("audience = \"dbgate\"", "audience = \"another-broker\"");
    let broker = site.run();
    check(
        "token of another audience",
        &site.dbgate(&broker, Who::Engineer, &["status"]),
    );
}

/// A login that keeps tokens in the keyring, on a D-Bus of its own.
fn keyring(site: &Site, broker: &Broker, before: &str) -> Output {
    let runtime = site.path("runtime");
    std::fs::create_dir_all(&runtime).unwrap();
    let script = format!("{before}exec {DBGATE} login --no-browser --token-store keyring");
    bare(site, &[]);
    Command::new("dbus-run-session")
        .args(["--", "sh", "-c", &script])
        .env_remove("DBGATE_ID_TOKEN")
        .env("DBGATE_URL", &broker.url)
        .env("DBGATE_CA_FILE", site.path("ca.pem"))
        .env("DBGATE_CONFIG_DIR", site.path("config"))
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("HOME", site.path("home"))
        .env("XDG_DATA_HOME", site.path("home"))
        .env_remove("DISPLAY")
        .stdin(Stdio::null())
        .output()
        .expect("dbus-run-session is installed")
}

/// Starts a secret service with an unlocked keyring, and locks it.
const LOCKED: &str = "\
printf secret | gnome-keyring-daemon --daemonize --unlock --components=secrets >/dev/null || exit 99
gdbus call --session --dest org.freedesktop.secrets --object-path /org/freedesktop/secrets \
--method org.freedesktop.Secret.Service.Lock \"['/org/freedesktop/secrets/collection/login']\" >&2 || exit 98
";

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_is_locked_or_absent_is_said_before_the_browser_opens() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let locked = keyring(&site, &broker, LOCKED);
    check("keyring locked", &locked);
    // The same service, not locked: the browser is waited for, so that it is the lock that makes the difference.
    let unlocked = LOCKED.lines().next().unwrap();
    let limit =
        format!("{unlocked}\nexec timeout 2 {DBGATE} login --no-browser --token-store keyring\n");
    let waits = keyring(&site, &broker, &limit);
    assert_eq!(waits.status.code(), Some(124), "{waits:?}");
    let address = String::from_utf8_lossy(&waits.stderr).contains("/authorize?");
    assert!(address, "{waits:?}");
    let absent = bare(
        &site,
        &["login", "--no-browser", "--token-store", "keyring"],
    )
    .env("DBGATE_URL", &broker.url)
    .env("DBGATE_CA_FILE", site.path("ca.pem"))
    .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    .output()
    .unwrap();
    check("keyring absent", &absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_another_can_be_chosen() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let tunnel = format!("{}:{port}", offer.name);
    check(
        "port of a tunnel in use",
        &site.dbgate(&broker, Who::Engineer, &["tunnel", &tunnel]),
    );
    let login = [
        "login",
        "--no-browser",
        "--token-store",
        "memory",
        "--port",
        &port,
    ];
    check(
        "port of a login in use",
        &site
            .start(&broker, Who::Engineer, &login)
            .env_remove("DBGATE_ID_TOKEN")
            .output()
            .unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_or_an_output_that_is_no_good_is_named_with_its_line() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let mut script: String = (1..214).map(|line| format!("select {line};\n")).collect();
    script += "selct 214;\nselect 215;\n";
    site.write("report.sql", &script);
    std::fs::write(site.path("latin.sql"), b"select 1;\nselect '\xe9';\n").unwrap();
    let exec = |file: &str| {
        let path = site.path(file);
        let arguments = [
            "exec",
            &offer.name,
            "--output",
            "csv",
            "-f",
            path.to_str().unwrap(),
        ];
        site.dbgate(&broker, Who::Engineer, &arguments)
    };
    let stopped = exec("report.sql");
    check("SQL file with a syntax error", &stopped);
    // What stands before it has run, what stands after it has not.
    let rows = String::from_utf8(stopped.stdout).unwrap();
    assert!(rows.contains("\n213\n") && !rows.contains("215"), "{rows}");
    check("SQL file that is not UTF-8", &exec("latin.sql"));
    check("SQL file that is not there", &exec("nowhere.sql"));
    let away = ["status", "--id-token-file", "/nonexistent/token"];
    let away = bare(&site, &away)
        .args(["--url", &broker.url])
        .output()
        .unwrap();
    check("token file that is not there", &away);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let arguments = [
        "exec",
        &offer.name,
        "--output",
        "csv",
        "-c",
        "select generate_series(1, 100000)",
    ];
    let output = site
        .start(&broker, Who::Engineer, &arguments)
        .stdout(full)
        .output()
        .unwrap();
    check("disk of the output full", &output);
}
