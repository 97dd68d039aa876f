//! The audit log of the built binary: transcripts, passwords, search, tail, verification.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use serde_json::Value;

use crate::harness::demo::{Demo, Session};

const EMAIL: &str = "r***@***.com";

/// Runs dbgate to its end.
pub(crate) fn run(demo: &Demo, role: &str, arguments: &[&str]) -> Output {
    demo.command(role, arguments).output().unwrap()
}

/// What it prints, when all is well.
pub(crate) fn printed(demo: &Demo, role: &str, arguments: &[&str]) -> String {
    let output = run(demo, role, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Records, as programs read them.
pub(crate) fn records(demo: &Demo, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["audit"], arguments, &["--output", "ndjson"]].concat();
    let text = printed(demo, "auditor", &arguments);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn psql(url: &str, sql: &str) -> String {
    let mut child = Command::new("psql")
        .args(["-XAtq", url, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(sql.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The files below a folder that hold these bytes.
pub(crate) fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let bytes = std::fs::read(&path).unwrap_or_default();
                let is_there = bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
                found.extend(is_there.then(|| path.display().to_string()));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_holds_what_the_client_saw_and_no_clear_value() {
    let demo = Demo::start();
    let session = demo.session();
    let sql = "SELECT email FROM customers WHERE id = 7";
    let clear = psql(demo.said("admin_dsn"), sql);
    let clear = clear.trim();
    assert!(clear.contains('@') && !clear.contains('*'), "{clear}");
    let seen = psql(
        session.url(),
        "SELECT id, email FROM customers WHERE id = 7;
         COPY (SELECT id, email FROM customers WHERE id = 7) TO STDOUT;
         COPY (SELECT id, email FROM customers WHERE id = 7) TO STDOUT (FORMAT csv, HEADER);
         CREATE TABLE IF NOT EXISTS products (id int);
         SELECT * FROM generate_series(1, 20000);
         SELECT 1 / 0;
         SELECT NULL, 'a|b', repeat('x', 20000);
         SELECT repeat('y', 3000000);",
    );
    assert!(seen.contains(EMAIL) && seen.contains(&"y".repeat(3_000_000)));
    binary(&session).await;
    let id = session.id();
    let records = records(&demo, &["replay", id]);
    let transcripts: Vec<&str> = records
        .iter()
        .filter_map(|r| r["transcript"].as_str())
        .collect();
    let all = transcripts.concat();
    for expected in [
        r#""columns":["id","email"]}"#,
        r#""row":["7","r***@***.com"]"#,
        r#""line":"7\tr***@***.com""#,
        r#""line":"7,r***@***.com""#,
        r#""notice":"relation \"products\" already exists, skipping""#,
        r#""omitted":19500"#,
        r#""row":[null,"a|b","xxxx"#,
        "(20000 bytes)",
        "yyyy… (3000000 bytes)",
    ] {
        assert!(
            all.contains(expected),
            "{expected} is not in {}",
            all.get(..2000).unwrap()
        );
    }
    // In text, in binary, twice in lines of COPY, in binary COPY.
    assert_eq!(
        all.matches(EMAIL).count(),
        5,
        "{}",
        all.get(..2000).unwrap()
    );
    assert!(!all.contains(clear));
    let audit = Path::new(demo.said("audit_dir"));
    assert_eq!(holding(audit, clear), Vec::<String>::new());
    let longest = transcripts.iter().map(|t| t.len()).max().unwrap();
    println!(
        "{} transcripts, the longest has {longest} bytes",
        transcripts.len()
    );
    assert!(longest < 257 * 1024);
    // People see the same, without waiting where nobody looks.
    let since = Instant::now();
    let replayed = printed(&demo, "auditor", &["audit", "replay", id]);
    assert!(since.elapsed() < Duration::from_secs(5));
    for expected in [
        "prod> SELECT id, email FROM customers WHERE id = 7",
        "7 | r***@***.com",
        "(19500 more were not recorded)",
        "ERROR 22012: division by zero",
    ] {
        assert!(
            replayed.contains(expected),
            "{expected} is not in {replayed}"
        );
    }
    let shown = printed(&demo, "auditor", &["audit", "show", id]);
    assert!(shown.contains("SELECT id, email FROM customers"), "{shown}");
    assert!(!shown.contains(clear) && !shown.contains(EMAIL), "{shown}");
    verified(&demo);
}

/// The same by the extended protocol, values in binary.
async fn binary(session: &Session) {
    let (client, connection) = session.config().connect(session.tls()).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT id, email FROM customers WHERE id = $1";
    let row = client.query_one(sql, &[&7_i64]).await.unwrap();
    assert_eq!(row.get::<_, &str>(1), EMAIL);
    let sql = "COPY (SELECT id, email FROM customers WHERE id = 7) TO STDOUT (FORMAT binary)";
    let bytes: Vec<_> = client
        .copy_out(sql)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(
        bytes
            .concat()
            .windows(EMAIL.len())
            .any(|w| w == EMAIL.as_bytes())
    );
}

pub(crate) fn verified(demo: &Demo) {
    let report = printed(demo, "auditor", &["audit", "verify", "--output", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["findings"], Value::Array(Vec::new()), "{report}");
}

/// Statements with this password, in all the ways in which people write them; some run, some fail, some are refused.
fn secrets(password: &str) -> Vec<String> {
    [
        "ALTER ROLE CURRENT_USER PASSWORD '{}'",
        "ALTER ROLE nobody_at_all PASSWORD '{}'",
        "ALTER USER CURRENT_USER WITH ENCRYPTED PASSWORD E'{}' VALID UNTIL 'infinity'",
        "CREATE ROLE newcomer LOGIN PASSWORD $${}$$",
        "CREATE USER newcomer PASSWORD '{}' IN ROLE pg_monitor",
        "ALTER ROLE CURRENT_USER PASSWRD '{}'",
        "ALTER ROLE CURRENT_USER PASSWORD '{}' AND SO ON",
        "/* a comment */ alter\nrole current_user\tpassword\n'{}'",
        "SELECT 1; ALTER ROLE nobody_at_all PASSWORD '{}'; SELECT 2",
        "DO $do$ BEGIN ALTER ROLE nobody_at_all PASSWORD '{}'; END $do$",
        "PREPARE p AS SELECT 'ALTER ROLE x PASSWORD ''{}'''",
        "SELECT 'ALTER ROLE x PASSWORD ''{}''' AS said",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'u', password '{}')",
        "SELECT * FROM dblink('host=db password={}', 'select 1')",
        "COPY (SELECT 'password={}') TO STDOUT",
        "EXPLAIN ANALYZE ALTER ROLE x PASSWORD '{}'",
    ]
    .map(|sql| sql.replace("{}", password))
    .to_vec()
}

/// A policy that lets statements about roles through, which the shop's does not.
const LENIENT: &str = r#"
[[allow]]
name = "engineers"
groups = ["engineers"]
databases = ["prod"]
do = ["read", "write", "define", "call", "admin"]
roles = ["dbgate_write"]
owner = "dbgate_owner"

[[allow]]
name = "auditors"
groups = ["auditors"]
do = ["audit"]
"#;

#[test]
fn passwords_in_statements_are_in_no_file() {
    const PASSWORD: &str = "Tr0ub4dor-and-3";
    let place = tempfile::tempdir().unwrap();
    // The server of the demo runs as somebody else, who has to pass.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).unwrap();
    let policy = place.path().join("policy.toml");
    std::fs::write(&policy, LENIENT).unwrap();
    let folder = place.path().join("demo");
    let home = place.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let demo = Demo::with(&[
        "--dir",
        folder.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
    ]);
    let session = demo.session();
    let mut told = String::new();
    for sql in secrets(PASSWORD) {
        told += &psql(session.url(), &sql);
        for way in [
            &["--command", sql.as_str()][..],
            &["--wait", "1s", "--command", sql.as_str()],
        ] {
            let arguments = [
                &["exec", "prod", "--access", "write", "--reason", "a test"],
                way,
            ]
            .concat();
            let output = demo
                .command("engineer", &arguments)
                .env("HOME", &home)
                .output()
                .unwrap();
            // What went wrong is told without it; what the statement itself shows is its own.
            let stderr = String::from_utf8_lossy(&output.stderr);
            if !sql.contains("SELECT 'ALTER") && !sql.contains("COPY (") {
                assert!(!stderr.contains(PASSWORD), "{sql}: {stderr}");
            }
        }
    }
    typed(&demo, &home, &secrets(PASSWORD));
    let changed = records(&demo, &["search", "--event", "statement_finished", "--all"]);
    let ran = changed
        .iter()
        .filter(|record| record["tag"] == "ALTER ROLE")
        .count();
    assert!(
        ran > 0,
        "no statement about roles has run: nothing is shown"
    );
    let log = printed(
        &demo,
        "auditor",
        &["audit", "search", "--all", "--output", "ndjson"],
    );
    assert!(!log.contains(PASSWORD));
    assert!(
        log.contains("ALTER ROLE nobody_at_all PASSWORD"),
        "the rest of the statement is kept"
    );
    assert_eq!(holding(place.path(), PASSWORD), Vec::<String>::new());
    println!(
        "{} statements, {ran} of them ran and changed a role",
        secrets(PASSWORD).len() * 4
    );
    verified(&demo);
}

/// The same in the shell, on a terminal, which has a history.
fn typed(demo: &Demo, home: &Path, statements: &[String]) {
    let shell = demo.command("engineer", &[]);
    let mut command = Command::new("script");
    let dbgate = shell.get_program().to_str().unwrap();
    let connect = format!("{dbgate} connect prod --access write --reason 'a test'");
    command.args(["-qec", &connect, "/dev/null"]);
    for (name, value) in shell.get_envs() {
        command.env(name, value.unwrap());
    }
    let mut child = command
        .envs([("HOME", home.as_os_str()), ("TERM", "xterm".as_ref())])
        .env("DBGATE_CONFIG_DIR", home)
        .env("XDG_STATE_HOME", home)
        .env("XDG_DATA_HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    for sql in ["SELECT 'this is typed'"]
        .into_iter()
        .chain(statements.iter().map(String::as_str))
    {
        let line = format!("{};\r", sql.replace(['\n', '\t'], " "));
        stdin.write_all(line.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(250));
    }
    stdin.write_all(b"\\q\r").unwrap();
    drop(stdin);
    child.wait().unwrap();
    let history = holding(home, "this is typed");
    assert!(!history.is_empty(), "the shell has kept a history");
}
