//! What the log of the built binary holds: who agreed, what was refused, what came of it, and how it is found again.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::audit::{printed, records, run, verified};
use crate::harness::demo::{Demo, Session};
use crate::harness::world::{World, person};

const CHANGE: &str = "UPDATE payments SET amount = amount + 1 WHERE id = 7";

/// Waits for it, at most so long.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "not in time: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The one request that waits, as the reviewer sees it.
fn waiting(demo: &Demo) -> String {
    eventually("a request", || {
        let text = printed(demo, "reviewer", &["requests", "--output", "ndjson"]);
        let request: Value = serde_json::from_str(text.lines().next()?).unwrap();
        Some(request["id"].as_str()?.to_owned())
    })
}

/// Runs a statement that has to wait, while somebody decides.
fn reviewed(demo: &Demo, sql: &str, decide: &[&str]) -> (String, Output) {
    let mut command = demo.command(
        "engineer",
        &[
            "exec", "prod", "--access", "write", "--reason", "INC-7", "--wait", "1m", "-c", sql,
        ],
    );
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = waiting(demo);
    let arguments = [&decide[..1], &[id.as_str()], &decide[1..]].concat();
    printed(demo, "reviewer", &arguments);
    (id, child.wait_with_output().unwrap())
}

/// The records that tell of a review.
fn of_request(demo: &Demo, id: &str) -> Vec<Value> {
    let mut all = records(demo, &["search", "--all"]);
    all.retain(|record| record["request"] == id);
    all
}

fn names(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["event"].as_str().unwrap())
        .collect()
}

#[test]
fn whoever_agreed_is_named_with_what_ran_and_with_what_came_of_it() {
    let demo = Demo::start();
    let (id, output) = reviewed(
        &demo,
        CHANGE,
        &["approve", "--max-rows", "5", "--reason", "seen"],
    );
    assert!(output.status.success(), "{output:?}");
    let told = of_request(&demo, &id);
    let expected = [
        "statement_held",
        "request_approved",
        "request_used",
        "statement_intended",
        "statement_finished",
    ];
    assert_eq!(names(&told), expected, "{told:#?}");
    for record in &told[3..] {
        let given = record["approvals"].as_array().unwrap();
        assert_eq!(given.len(), 1, "{record}");
        assert_eq!(given[0]["by"]["sub"], told[1]["subject"]["sub"], "{record}");
        assert_eq!(
            given[0]["by"]["name"], told[1]["subject"]["name"],
            "{record}"
        );
        assert_eq!(given[0]["max_rows"], 5, "{record}");
        let (at, from, to) = (
            text(&given[0]["at"]),
            text(&told[1]["time"]),
            text(&told[2]["time"]),
        );
        assert!(from <= at && at <= to, "{from} {at} {to}");
    }
    assert_eq!(told[3]["max_rows"], 5);
    assert_eq!(told[4]["rows"], 1);
    let session = text(&told[3]["session"]);
    let name = text(&told[1]["subject"]["name"]);
    let line = format!("approved by {name} at ");
    for arguments in [
        vec!["audit", "show", session],
        vec!["audit", "search", "--session", session],
    ] {
        let shown = printed(&demo, "auditor", &arguments);
        assert_eq!(shown.matches(&line).count(), 2, "{shown}");
        assert_eq!(shown.matches("for at most 5 rows").count(), 2, "{shown}");
    }
    let tailed = tail(&demo, &["--from", "0"], |text| {
        text.matches(&line).count() == 2
    });
    assert!(tailed.contains("for at most 5 rows"), "{tailed}");
    // Nobody agrees, nothing runs; that is told with the statement, too.
    let (id, output) = reviewed(&demo, CHANGE, &["deny", "--reason", "not today"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let told = of_request(&demo, &id);
    assert_eq!(
        names(&told),
        ["statement_held", "request_denied", "statement_refused"],
        "{told:#?}"
    );
    assert_eq!(told[2]["statement"], CHANGE);
    assert!(
        text(&told[2]["error"]).contains("was denied by"),
        "{told:#?}"
    );
    verified(&demo);
}

/// What a live tail says, until it has said enough.
fn tail(demo: &Demo, arguments: &[&str], mut enough: impl FnMut(&str) -> bool) -> String {
    let arguments = [&["audit", "tail"], arguments].concat();
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut child = demo
        .command("auditor", &arguments)
        .stdout(path.reopen().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = eventually("the tail", || {
        let said = std::fs::read_to_string(path.path()).unwrap();
        enough(&said).then_some(said)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Runs psql with a statement in any bytes.
fn psql_bytes(url: &str, sql: &[u8]) -> Output {
    use std::os::unix::ffi::OsStrExt as _;
    Command::new("psql")
        .args(["-XAtq", url, "-c"])
        .arg(std::ffi::OsStr::from_bytes(sql))
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_recorded() {
    let demo = Demo::start();
    let session = demo.session();
    let parens = format!("SELECT {}1", "(".repeat(200_000));
    let cases: [(&[u8], &str, &str); 5] = [
        (b"SELEC 1", "42601", "SELEC 1"),
        (
            b"SELECT 1; FROM orders WHERE",
            "42601",
            "SELECT 1; FROM orders WHERE",
        ),
        (b"SELECT 'caf\xe9'", "22021", "SELECT 'caf\u{fffd}'"),
        (
            b"ALTER ROLE x PASSWORD 'hunter2' AND SO ON",
            "42601",
            "ALTER ROLE x PASSWORD '***' AND SO ON",
        ),
        (b"\\lo_unlink 1", "0A000", ""),
    ];
    for (sql, ..) in &cases {
        let output = psql_bytes(session.url(), sql);
        assert!(!output.status.success(), "{output:?}");
    }
    // Too deep to be read; in the extended protocol, and when an approval is asked for first.
    let (client, connection) = session.config().connect(session.tls()).await.unwrap();
    tokio::spawn(connection);
    assert!(client.batch_execute(&parens).await.is_err());
    assert!(client.prepare("SELECT FROM WHERE $1").await.is_err());
    assert!(client.prepare("SELECT nothing FROM nowhere").await.is_err());
    for (sql, kind) in [("UPDATE payments SET", 1), ("DROP TABLE payments", 3)] {
        let arguments = [
            "request", "prod", "--access", "write", "--reason", "a test", "-c", sql,
        ];
        let output = run(&demo, "engineer", &arguments);
        assert_eq!(output.status.code(), Some(kind), "{output:?}");
    }
    // A message longer than any may be.
    too_long(&session).await;
    let all = records(&demo, &["search", "--all"]);
    let refused: Vec<&Value> = all
        .iter()
        .filter(|record| record["event"] == "statement_refused")
        .collect();
    let is_there = |text: &str, code: &str| {
        let is = |record: &&&Value| record["statement"] == text && record["sqlstate"] == code;
        assert!(
            refused.iter().any(|r| is(&r)),
            "{code} {text:.60}: {refused:#?}"
        );
    };
    for (_, code, text) in cases {
        is_there(text, code);
    }
    is_there(&parens, "54001");
    is_there("SELECT FROM WHERE $1", "42601");
    is_there("SELECT nothing FROM nowhere", "42P01");
    is_there("UPDATE payments SET", "42601");
    is_there("DROP TABLE payments", "42501");
    is_there("", "08P01");
    let call = refused
        .iter()
        .find(|record| record["sqlstate"] == "0A000")
        .unwrap();
    assert_eq!(
        call["footprint"]["functions"][0], "pg_catalog.lo_unlink",
        "{call}"
    );
    for record in &refused {
        assert!(record["subject"]["sub"].is_string(), "{record}");
        assert!(!text(&record["error"]).is_empty(), "{record}");
    }
    let ran = all.iter().filter(|record| {
        record["event"] == "statement_intended"
            && refused
                .iter()
                .any(|refused| refused["statement"] == record["statement"])
    });
    assert_eq!(ran.count(), 0);
    println!("{} refusals are recorded, none of them ran", refused.len());
    verified(&demo);
}

/// Says that a statement of two gigabytes follows.
async fn too_long(session: &Session) {
    let mut tls = session.dial().await;
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let (inject, mut injected) = tokio::sync::mpsc::channel::<&[u8]>(1);
    tokio::spawn(async move {
        let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
        loop {
            tokio::select! {
                Some(bytes) = injected.recv() => tls.write_all(bytes).await.unwrap(),
                Ok(count @ 1..) = far.read(&mut up) => tls.write_all(&up[..count]).await.unwrap(),
                Ok(count @ 1..) = tls.read(&mut down) => far.write_all(&down[..count]).await.unwrap(),
                else => return,
            }
            tls.flush().await.unwrap();
        }
    });
    let mut config = session.config();
    config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let (client, connection) = config
        .connect_raw(near, tokio_postgres::NoTls)
        .await
        .unwrap();
    inject.send(b"Q\x7f\xff\xff\xffSELECT 1").await.unwrap();
    let error = connection.await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "08P01", "{error:?}");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_forgotten_after_its_time_and_on_record() {
    use dbgate::audit::event::Action;
    use dbgate::model::access::Access;
    use dbgate::model::session::CloseReason;
    use dbgate::store::session;
    let world = World::new().await;
    let ann = person("ann", &["engineers"]);
    let (over, open) = (
        world.open(&ann, Access::Read, 600).await,
        world.open(&ann, Access::Read, 28_000).await,
    );
    world
        .broker
        .end_session(&ann, &over.id, None)
        .await
        .unwrap();
    let kept = async || {
        let sessions = world
            .broker
            .store()
            .sessions(&session::Filter::default())
            .await
            .unwrap();
        sessions
            .into_iter()
            .map(|session| session.id)
            .collect::<Vec<_>>()
    };
    let forgotten = async || {
        let events = world.events().await.into_iter();
        events
            .filter_map(|action| match action {
                Action::StateForgotten { entries, .. } => Some(entries),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(world.broker.forget(2 * hour).await.unwrap(), 0);
    assert_eq!((kept().await.len(), forgotten().await), (2, vec![]));
    world.clock.pass(2 * hour + Duration::from_secs(1));
    assert_eq!(world.broker.forget(2 * hour).await.unwrap(), 1);
    assert_eq!(
        (kept().await, forgotten().await),
        (vec![open.id.clone()], vec![1])
    );
    // Asked again, nothing is to be done, and nothing is recorded.
    assert_eq!(world.broker.forget(2 * hour).await.unwrap(), 0);
    assert_eq!(forgotten().await, [1]);
    let closed = Action::SessionClosed {
        end: CloseReason::Ended,
    };
    assert!(world.events().await.contains(&closed), "the log keeps it");
}
