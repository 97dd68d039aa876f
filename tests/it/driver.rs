//! Drivers against the built binary: `psql`, `psycopg` and `tokio-postgres`, each in text and binary. `tests/drivers` has those of other
//! languages, and the same of `psycopg` through a tunnel.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _, pin_mut};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use crate::harness::demo::{Demo, Session};

const BY_ID: &str = "SELECT id, name, email, card FROM customers WHERE id = $1";
const CLEAR: &str = "Radia Vogel";
const EMAIL: &str = "r***@***.com";
const CARD: &str = "******5433";

/// Runs a script; what it writes, errors among the answers.
fn psql(session: &Session, script: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let output = Command::new("sh")
        .args(["-c", r#"exec psql -XAtq "$1" -f "$2" 2>&1"#, "psql"])
        .arg(session.url())
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let name = format!("psql:{}:", file.path().display());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix(&name) {
        Some(rest) => rest.split_once(": ").unwrap().1.trim_start(),
        None => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn psql_works_as_on_the_server() {
    let demo = Demo::start();
    let session = demo.session();
    let printed = psql(
        &session,
        r"
SELECT id, name, email, card FROM customers WHERE id = 7;
PREPARE by_id(int) AS SELECT name, email FROM customers WHERE id = $1;
EXECUTE by_id(1);
EXECUTE by_id(7);
CREATE TABLE psql_bulk (id int, note text);
COPY psql_bulk FROM STDIN;
1	one
2	two
\.
COPY psql_bulk TO STDOUT;
COPY (SELECT id, email FROM customers WHERE id < 3 ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
BEGIN;
SAVEPOINT here;
SELECT 1 / 0;
SELECT 1;
ROLLBACK TO here;
INSERT INTO psql_bulk VALUES (3, 'three');
COMMIT;
DROP TABLE customers;
SELECT count(*) FROM psql_bulk;
SELECT 1 \; DROP TABLE customers \; SELECT 2;
SELECT 3 \; SELECT email FROM customers WHERE id = 7;
\set FETCH_COUNT 2
SELECT id, email FROM customers ORDER BY id LIMIT 3;
\unset FETCH_COUNT
SELECT email FROM customers WHERE id = 7 \gdesc
SELECT 'goes on';
",
    );
    let expected = "7|Radia Vogel|r***@***.com|******5433
Linus Berg|l***@***.com
Radia Vogel|r***@***.com
1\tone
2\ttwo
id,email
1,l***@***.com
2,e***@***.com
ERROR:  division by zero
ERROR:  current transaction is aborted, commands ignored until end of transaction block
ERROR:  `DROP` is denied on `prod`
LINE 1: DROP TABLE customers;
        ^
DETAIL:  Rule `no-drop`
HINT:  Drop objects in a migration that is reviewed and deployed, not in a session.
3
ERROR:  `DROP` is denied on `prod`
LINE 1: SELECT 1 ; DROP TABLE customers ; SELECT 2;
                   ^
DETAIL:  Rule `no-drop`
HINT:  Drop objects in a migration that is reviewed and deployed, not in a session.
3
r***@***.com
1|l***@***.com
2|e***@***.com
3|b***@***.com
email|text
goes on
";
    let place = |line: &str| match line.split_once(" at /") {
        Some((before, _)) => format!("{before}\n"),
        None => format!("{line}\n"),
    };
    let printed: String = printed.lines().map(place).collect();
    assert_eq!(printed, expected);
    interrupted(&session);
}

/// What Ctrl-C does.
fn interrupted(session: &Session) {
    let since = Instant::now();
    let mut child = Command::new("psql")
        .args(["-XAtq", session.url()])
        .args(["-c", "SELECT pg_sleep(30)"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    while child.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_secs(1));
        // Before it has connected an interrupt would end it.
        if since.elapsed() > Duration::from_secs(3) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("canceling statement due to user request"),
        "{stderr}"
    );
    assert!(since.elapsed() < Duration::from_secs(20));
}

/// `psql` shows text; what it gets in binary it gets by `COPY`, the second number of which is the length of the first column.
#[test]
fn psql_copies_in_binary_both_ways() {
    let demo = Demo::start();
    let session = demo.session();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (masked, clear) = (file("masked"), file("clear"));
    let printed = psql(
        &session,
        &format!(
            r"
\copy (SELECT name, email FROM customers WHERE id = 7) TO '{masked}' (FORMAT binary)
\copy (SELECT id, name, price FROM products WHERE id < 4) TO '{clear}' (FORMAT binary)
CREATE TABLE psql_binary (id bigint, name text, price numeric(10, 2));
\copy psql_binary FROM '{clear}' (FORMAT binary)
SELECT count(*) FROM psql_binary b JOIN products p USING (id, name, price);
\copy customers TO PROGRAM 'grep -ac @example.com || true' (FORMAT binary)
SELECT 'goes on';
"
        ),
    );
    assert_eq!(printed, "3\n0\ngoes on\n");
    let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02".to_vec();
    for value in [CLEAR, EMAIL] {
        expected.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        expected.extend_from_slice(value.as_bytes());
    }
    expected.extend_from_slice(b"\xff\xff");
    assert_eq!(std::fs::read(&masked).unwrap(), expected);
}

/// Everything that a Python program does, as `tests/drivers` does it.
#[test]
fn psycopg_works_as_on_the_server() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let python = root.join(".venv/bin/python");
    assert!(
        python.exists(),
        "psycopg is missing: `tests/run` installs it, or `python3 -m venv tests/.venv && \
         tests/.venv/bin/pip install -r tests/requirements.txt`"
    );
    let demo = Demo::start();
    let output = Command::new(python)
        .arg(root.join("drivers/psycopg_suite.py"))
        .env("DRIVERS_URL", demo.session().url())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    for test in [
        "connects",
        "selects_text",
        "selects_binary",
        "prepares",
        "copies_in",
        "copies_out",
        "cancels",
        "transacts",
        "refuses",
    ] {
        let line = format!("ok   {test}");
        assert!(printed.lines().any(|said| said == line), "{printed}");
    }
}

async fn connect(session: &Session) -> Client {
    let (client, connection) = session.config().connect(session.tls()).await.unwrap();
    tokio::spawn(connection);
    client
}

fn code(error: &Error) -> &SqlState {
    error.code().unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres_works_as_on_the_server() {
    let demo = Demo::start();
    let session = demo.session();
    let mut client = connect(&session).await;
    selects_and_prepares(&client).await;
    copies(&client).await;
    fetches_in_parts(&mut client).await;
    transacts(&mut client).await;
    is_refused(&mut client).await;
    is_canceled(&session, client).await;
}

async fn goes_on(client: &Client) {
    let row = client.query_one("SELECT 40 + $1::int4", &[&2]).await;
    assert_eq!(row.unwrap().get::<_, i32>(0), 42);
}

async fn selects_and_prepares(client: &Client) {
    let by_id = client.prepare(BY_ID).await.unwrap();
    assert_eq!(by_id.params(), [Type::INT8]);
    for id in 1..10_i64 {
        let row = client.query_one(&by_id, &[&id]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), id);
        assert!(row.get::<_, &str>(2).contains("***"));
    }
    let row = client.query_one(&by_id, &[&7_i64]).await.unwrap();
    let seen = (row.get("name"), row.get("email"), row.get("card"));
    assert_eq!(seen, (CLEAR, EMAIL, CARD));
    // Arrays and enums: the driver looks them up in the catalog.
    let sql =
        "SELECT tags, (SELECT status::text FROM orders WHERE id = 1) FROM customers WHERE id = 7";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, Vec<String>>(0), ["vip", "since2022"]);
    assert_eq!(row.get::<_, &str>(1), "paid");
    let status = client.prepare("SELECT status FROM orders WHERE id = 1");
    assert_eq!(
        status.await.unwrap().columns()[0].type_().name(),
        "order_status"
    );
    // Many at once, on one connection.
    let ids: Vec<i64> = (1..=50).collect();
    let asked = ids.iter().map(|id| {
        let by_id = by_id.clone();
        async move {
            client
                .query_one(&by_id, &[id])
                .await
                .map(|row| row.get::<_, i64>(0))
        }
    });
    let answers = futures_util::future::try_join_all(asked).await.unwrap();
    assert_eq!(answers, ids);
    let simple = client
        .simple_query("SELECT email FROM customers WHERE id = 7; SELECT 2")
        .await
        .unwrap();
    let rows = simple.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(rows.collect::<Vec<_>>(), [EMAIL, "2"]);
}

async fn copies(client: &Client) {
    let sql = "CREATE TABLE rust_bulk (id int4, note text)";
    client.batch_execute(sql).await.unwrap();
    let sink = client.copy_in("COPY rust_bulk FROM STDIN").await.unwrap();
    pin_mut!(sink);
    for n in 0..1000 {
        let line = format!("{n}\tline {n}\n");
        sink.send(Bytes::from(line)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1000);
    let sql = "COPY rust_bulk FROM STDIN (FORMAT binary)";
    let sink = client.copy_in(sql).await.unwrap();
    let writer = BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]);
    pin_mut!(writer);
    writer.as_mut().write(&[&1000, &"binary"]).await.unwrap();
    writer
        .as_mut()
        .write(&[&1001, &None::<&str>])
        .await
        .unwrap();
    assert_eq!(writer.finish().await.unwrap(), 2);
    let sql = "COPY rust_bulk TO STDOUT (FORMAT binary)";
    let stream = client.copy_out(sql).await.unwrap();
    let rows = BinaryCopyOutStream::new(stream, &[Type::INT4, Type::TEXT]);
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rows.len(), 1002);
    assert_eq!(rows[1000].get::<&str>(1), "binary");
    let sql = "COPY (SELECT name, email FROM customers WHERE id = 7) TO STDOUT";
    let lines: Vec<Bytes> = client
        .copy_out(sql)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines.concat(), format!("{CLEAR}\t{EMAIL}\n").as_bytes());
    // The same in binary, with types and NULLs as they are.
    let sql = "COPY (SELECT id, email, NULL::text, birth_date FROM customers WHERE id = 7) TO STDOUT (FORMAT binary)";
    let stream = client.copy_out(sql).await.unwrap();
    let types = [Type::INT8, Type::TEXT, Type::TEXT, Type::DATE];
    let rows = BinaryCopyOutStream::new(stream, &types);
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    let seen = (rows[0].get::<i64>(0), rows[0].get::<&str>(1));
    assert_eq!((rows.len(), seen), (1, (7, EMAIL)));
    assert_eq!(rows[0].get::<Option<&str>>(2), None);
    let sql = "COPY customers TO STDOUT (FORMAT binary)";
    let chunks: Vec<Bytes> = client
        .copy_out(sql)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let data = chunks.concat();
    assert!(!data.windows(12).any(|part| part == b"@example.com"));
    assert!(
        data.windows(EMAIL.len())
            .any(|part| part == EMAIL.as_bytes())
    );
    goes_on(client).await;
}

async fn fetches_in_parts(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    let sql = "SELECT id, email FROM customers ORDER BY id LIMIT 20";
    let portal = transaction.bind(sql, &[]).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 7).await.unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.iter().all(|row| row.get::<_, &str>(1).contains("***")));
        ids.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    assert_eq!(ids, (1..=20).collect::<Vec<i64>>());
    transaction.commit().await.unwrap();
}

async fn transacts(client: &mut Client) {
    let insert = "INSERT INTO rust_bulk VALUES ($1, $2)";
    let mut transaction = client.transaction().await.unwrap();
    transaction
        .execute(insert, &[&2000, &"kept"])
        .await
        .unwrap();
    let inner = transaction.savepoint("here").await.unwrap();
    inner.execute(insert, &[&2001, &"lost"]).await.unwrap();
    let error = inner.query("SELECT 1 / $1::int4", &[&0]).await.unwrap_err();
    assert_eq!(code(&error), &SqlState::DIVISION_BY_ZERO);
    let error = inner.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(code(&error), &SqlState::IN_FAILED_SQL_TRANSACTION);
    inner.rollback().await.unwrap();
    transaction
        .execute(insert, &[&2002, &"kept"])
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let sql = "SELECT id FROM rust_bulk WHERE id >= 2000 ORDER BY id";
    let rows = client.query(sql, &[]).await.unwrap();
    let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [2000, 2002]);
}

async fn is_refused(client: &mut Client) {
    for sql in [
        "DROP TABLE customers",
        "DELETE FROM orders",
        "SET ROLE postgres",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(code(&error), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        goes_on(client).await;
        let error = client.execute(sql, &[]).await.unwrap_err();
        assert_eq!(code(&error), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        goes_on(client).await;
    }
    let mut transaction = client.transaction().await.unwrap();
    let inner = transaction.transaction().await.unwrap();
    let error = inner
        .execute("DROP TABLE customers", &[])
        .await
        .unwrap_err();
    assert_eq!(code(&error), &SqlState::INSUFFICIENT_PRIVILEGE);
    inner.rollback().await.unwrap();
    transaction.query("SELECT 1", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    goes_on(client).await;
}

async fn is_canceled(session: &Session, client: Client) {
    let client = Arc::new(client);
    let tokens = [client.cancel_token(), client.cancel_token()];
    let since = Instant::now();
    for (token, sql) in tokens
        .into_iter()
        .zip(["SELECT pg_sleep(30)", "SELECT pg_sleep(31)"])
    {
        let sleeper = Arc::clone(&client);
        let asleep = tokio::spawn(async move { sleeper.query(sql, &[]).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        token.cancel_query(session.tls()).await.unwrap();
        let error = asleep.await.unwrap().unwrap_err();
        assert_eq!(code(&error), &SqlState::QUERY_CANCELED);
        goes_on(&client).await;
    }
    assert!(since.elapsed() < Duration::from_secs(20));
}
