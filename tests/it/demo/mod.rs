//! `dbgate demo`: what it says, what it plays, and that nothing of it is left.

mod play;
mod there;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::harness::demo::Demo;
use crate::harness::postgres::Server;
use crate::harness::terminal::Terminal;

/// `dbgate demo` with temporary files in a folder of its own, which must be empty at its end.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dg").tempdir_in("/tmp");
        let folder = folder.unwrap();
        // The server runs as somebody else, who has to pass.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let temporary = self.path("tmp");
        fs::create_dir_all(&temporary).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbgate"));
        command
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Nothing is left behind.
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads stdout up to a line with that part.
fn until(child: &mut Child, part: &str) -> String {
    let mut text = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    while !text.contains(part) {
        let read = stdout.read_line(&mut text).unwrap();
        assert!(read > 0, "`{part}` was not said:\n{text}");
    }
    text
}

/// Waits until `check` holds, at most so long.
fn within(limit: Duration, what: &str, mut check: impl FnMut() -> bool) {
    let since = Instant::now();
    while !check() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The server's process, as its folder names it.
fn postmaster(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("postgres/data/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

#[test]
fn one_object_names_everything_and_the_end_leaves_only_the_folder() {
    let stage = Stage::new();
    let folder = stage.path("demo");
    for number in [Signal::TERM, Signal::INT] {
        let mut child = stage
            .command(&["--json", "--dir", folder.to_str().unwrap()])
            .spawn()
            .unwrap();
        let line = until(&mut child, "\n");
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let keys: Vec<_> = ready.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "url",
                "gateway",
                "ca_file",
                "config_file",
                "policy_file",
                "admin_dsn",
                "database",
                "audit_dir",
                "audit_key",
                "users"
            ]
        );
        let gateway: BTreeSet<_> = ready["gateway"].as_object().unwrap().keys().collect();
        assert_eq!(gateway.into_iter().collect::<Vec<_>>(), ["host", "port"]);
        let users = ready["users"].as_array().unwrap();
        let roles: Vec<_> = users.iter().map(|user| &user["role"]).collect();
        assert_eq!(roles, ["engineer", "reviewer", "auditor", "job"]);
        for user in users {
            let token = user["id_token"].as_str().unwrap();
            assert_eq!(token.split('.').count(), 3, "{token}");
        }
        for file in ["ca_file", "config_file", "policy_file", "audit_dir"] {
            let path = Path::new(ready[file].as_str().unwrap());
            assert!(
                path.starts_with(&folder) && path.exists(),
                "{file}: {path:?}"
            );
        }
        let server = postmaster(&folder);
        assert!(is_alive(server));
        signal(&child, number);
        let mut rest = String::new();
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        assert_eq!(rest, "", "one object, and nothing else");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{number:?}");
        assert!(!is_alive(server), "{number:?}");
        stage.assert_clean();
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn a_hangup_is_the_end_of_a_terminal_and_else_the_wish_to_read_the_policy() {
    let stage = Stage::new();
    let folder = stage.path("demo");
    let words = ["--json", "--dir", folder.to_str().unwrap()];
    let here = stage.command(&words);
    let terminal = Terminal::start(&here, 80, 24);
    terminal.expect("\"url\"");
    kill_process(terminal.pid(), Signal::HUP).unwrap();
    assert_eq!(terminal.ended(), 0);
    stage.assert_clean();
    fs::remove_dir_all(&folder).unwrap();
    // In a session of its own it has no terminal.
    let mut apart = Command::new("setsid");
    apart
        .arg(here.get_program())
        .args(here.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = apart.spawn().unwrap();
    until(&mut child, "\n");
    let loaded = || {
        let log = fs::read_to_string(folder.join("audit/log/00000000000000000000.log")).unwrap();
        log.matches("policy_loaded").count()
    };
    let before = loaded();
    signal(&child, Signal::HUP);
    within(Duration::from_secs(10), "the policy is read", || {
        loaded() > before
    });
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn mistakes_of_a_policy_are_shown_in_the_file_that_was_given_and_nothing_is_made() {
    let stage = Stage::new();
    let (folder, policy) = (stage.path("demo"), stage.path("mine.toml"));
    fs::write(&policy, "[[alow]]\nname = \"x\"\n").unwrap();
    let words = ["--dir", folder.to_str().unwrap()];
    let failed = stage.run(&[&words[..], &["--policy", policy.to_str().unwrap()]].concat());
    assert_eq!(failed.status.code(), Some(7));
    let said = talk(&failed);
    assert!(
        said.contains("mine.toml:1:3") && said.contains("did you mean `allow`?"),
        "{said}"
    );
    assert!(!folder.exists());
    stage.assert_clean();
}

#[test]
fn a_demo_that_is_killed_takes_its_server_along() {
    let stage = Stage::new();
    let folder = stage.path("demo");
    let mut child = stage
        .command(&["--json", "--dir", folder.to_str().unwrap()])
        .spawn()
        .unwrap();
    until(&mut child, "\n");
    let server = postmaster(&folder);
    child.kill().unwrap();
    child.wait().unwrap();
    within(Duration::from_secs(10), "the server ends", || {
        !is_alive(server)
    });
}

#[test]
fn the_commands_that_are_told_work_as_they_stand() {
    let stage = Stage::new();
    let mut child = stage.command(&[]).spawn().unwrap();
    let text = until(&mut child, "Ctrl-C ends the demo");
    let numbered: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().split_once("  dbgate "))
        .filter(|(number, _)| number.parse::<u8>().is_ok())
        .collect();
    let numbers: Vec<_> = numbered.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5"], "{text}");
    let sourced: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(". "))
        .collect();
    assert_eq!(sourced.len(), 3, "{text}");
    let program = Path::new(env!("CARGO_BIN_EXE_dbgate"));
    let shell = |settings: &str, command: &str| {
        let script = format!(". {settings}; dbgate {command}");
        Command::new("sh")
            .args(["-c", &script])
            .env("PATH", path_with(program.parent().unwrap()))
            .env("DBGATE_CONFIG_DIR", stage.path("config"))
            .output()
            .unwrap()
    };
    let codes = [(0, sourced[0], 0), (1, sourced[0], 3), (4, sourced[2], 0)];
    for (place, settings, code) in codes {
        let output = shell(settings, numbered[place].1);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{:?}: {}",
            numbered[place],
            talk(&output)
        );
    }
    let who = shell(sourced[1], "status");
    assert!(out(&who).contains("rex@demo.example"), "{}", talk(&who));
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    stage.assert_clean();
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let rest = std::env::split_paths(&path);
    std::env::join_paths(std::iter::once(folder.to_owned()).chain(rest)).unwrap()
}

#[test]
fn a_folder_that_can_not_serve_is_told_before_anything_starts() {
    let stage = Stage::new();
    let long = stage.path(&"x".repeat(70));
    let output = stage.run(&["--json", "--dir", long.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(7));
    assert!(
        talk(&output).contains("too long for the path of a socket"),
        "{}",
        talk(&output)
    );
    let output = stage.run(&["--json", "--pg-bin", stage.path("none").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(7));
    let told = talk(&output);
    let place = stage.path("none").display().to_string();
    assert!(told.contains(&format!("looked in: {place}")), "{told}");
    assert!(
        told.contains("sudo dnf install -y postgresql-server"),
        "{told}"
    );
    if rustix::process::geteuid().is_root() {
        let shut = stage.path("shut");
        fs::create_dir(&shut).unwrap();
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
        let output = stage.run(&["--json", "--dir", shut.join("demo").to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(7));
        assert!(
            talk(&output).contains("whose parents let others pass"),
            "{}",
            talk(&output)
        );
    }
    stage.assert_clean();
}

/// The content of the shop, and of a schema of one's own, is the same each time.
#[tokio::test(flavor = "multi_thread")]
async fn the_shop_is_the_same_each_time() {
    const TABLES: [&str; 6] = [
        "customers",
        "products",
        "orders",
        "order_items",
        "payments",
        "support_notes",
    ];
    let server = Server::shared();
    let postgres = server.superuser("postgres").await;
    let mut seen = Vec::new();
    for name in ["shop_one", "shop_two"] {
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        postgres.batch_execute(&create).await.unwrap();
        let client = server.superuser(name).await;
        client
            .batch_execute(include_str!("../../../src/demo/shop.sql"))
            .await
            .unwrap();
        let mut rows = 0;
        let mut sums = Vec::new();
        for table in TABLES {
            let sql = format!(
                "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t"
            );
            let row = client.query_one(&sql, &[]).await.unwrap();
            rows += row.get::<_, i64>(0);
            sums.push(row.get::<_, String>(1));
        }
        assert!((9_000..=11_000).contains(&rows), "{rows} rows");
        println!("{name}: {rows} rows in {} tables", TABLES.len());
        let kinds = "SELECT count(*) FILTER (WHERE data_type = 'jsonb'), count(*) FILTER (WHERE data_type = 'ARRAY') \
                     FROM information_schema.columns WHERE table_schema = 'public'";
        let row = client.query_one(kinds, &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(1) > 0);
        seen.push(sums);
    }
    assert_eq!(seen[0], seen[1]);
}

/// A schema and a policy of one's own.
#[test]
fn a_schema_and_a_policy_of_ones_own_take_the_place_of_the_shop() {
    let stage = Stage::new();
    let (sql, policy) = (stage.path("my.sql"), stage.path("my.toml"));
    let schema = "CREATE SCHEMA crew; CREATE TABLE crew.members (id int, name text, badge text);
        INSERT INTO crew.members VALUES (1, 'Grace', 'A-17');
        DO $$ BEGIN CREATE TABLE log (line text); INSERT INTO log VALUES ('made'); END $$;";
    fs::write(&sql, schema).unwrap();
    let text = r#"
[[allow]]
name = "crew"
groups = ["engineers"]
databases = ["prod"]
do = ["read"]
roles = ["dbgate_read"]

[[protect]]
name = "badges"
columns = ["crew.members.badge"]
mask = "redact"
"#;
    fs::write(&policy, text).unwrap();
    let demo = Demo::with(&[
        "--sql",
        sql.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let read = demo
        .command(
            "engineer",
            &[
                "exec",
                "prod",
                "--output",
                "csv",
                "-c",
                "select * from crew.members",
                "-c",
                "select line from log",
            ],
        )
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", talk(&read));
    assert!(
        out(&read).contains("1,Grace,***") && out(&read).contains("made"),
        "{}",
        out(&read)
    );
    // A script that fails names its mistake, and nothing is left.
    fs::write(&sql, "CREATE TABLE a (b int); SELEC 1;").unwrap();
    let output = stage.run(&["--json", "--sql", sql.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(7));
    assert!(
        talk(&output).contains("load the content: syntax error at or near \"SELEC\""),
        "{}",
        talk(&output)
    );
    stage.assert_clean();
}
