//! `dbgate exec`: one shot for scripts.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::demo::Demo;
use crate::harness::long;
use crate::local::{told, until_open};
use crate::shell::policy;

const SELECT: &str =
    "select id, name, email, tags, address, null::int as none from customers where id = 7";

fn exec(demo: &Demo, more: &[&str]) -> (String, String, i32) {
    let words = ["exec", "prod", "--access", "write", "--reason", "a test"];
    let output = demo
        .command("engineer", &[&words, more].concat())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    (text(output.stdout), text(output.stderr), code)
}

#[test]
fn rows_come_in_four_forms() {
    let demo = Demo::start();
    let form = |name: &str| exec(&demo, &["--output", name, "-c", SELECT]).0;
    assert_eq!(
        form("table"),
        " id |    name     |    email ~    |      tags       |              address               |  none\n\
         ----+-------------+---------------+-----------------+------------------------------------+--------\n  \
         7 | Radia Vogel | ~r***@***.com | {vip,since2022} | {\"zip\": \"10091\", \"city\": \"Berlin\"} | (null)\n\
         ~ masked: email\n"
    );
    assert_eq!(
        form("csv"),
        "id,name,email,tags,address,none\n\
         7,Radia Vogel,r***@***.com,\"{vip,since2022}\",\"{\"\"zip\"\": \"\"10091\"\", \"\"city\"\": \"\"Berlin\"\"}\",\n"
    );
    let line: Value = serde_json::from_str(&form("ndjson")).unwrap();
    let row = serde_json::json!({
        "id": 7, "name": "Radia Vogel", "email": "r***@***.com", "tags": "{vip,since2022}",
        "address": { "zip": "10091", "city": "Berlin" }, "none": null,
    });
    assert_eq!(line, row);
    let document: Value = serde_json::from_str(&form("json")).unwrap();
    assert_eq!(document["schema"], "dbgate.exec/1");
    let result = &document["results"][0];
    assert_eq!(result["rows"][0], row);
    assert_eq!(result["command"], "SELECT 1");
    assert_eq!(
        result["columns"][2],
        serde_json::json!({ "name": "email", "type": "text", "masked": true })
    );
    assert_eq!(result["columns"][0]["masked"], false);
    assert_eq!(result["columns"][3]["type"], "text[]");
    // Two results, one without rows: still one document.
    let two = [
        "--output",
        "json",
        "-c",
        "select 1 as a; begin",
        "-c",
        "select 2 as b; rollback",
    ];
    let document: Value = serde_json::from_str(&exec(&demo, &two).0).unwrap();
    assert_eq!(document["results"].as_array().unwrap().len(), 4);
    assert_eq!(document["results"][2]["rows"][0]["b"], 2);
    // After a failure, too; the error is a document of its own.
    let failing = [
        "--output",
        "json",
        "-c",
        "select 1 as a; select 1 / 0; select 3",
    ];
    let (out, talk, code) = exec(&demo, &failing);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["results"].as_array().unwrap().len(), 1);
    let error: Value = serde_json::from_str(&talk).unwrap();
    assert_eq!(error["schema"], "dbgate.error/1");
    assert_eq!(error["error"]["code"], "22012");
    assert_eq!((&error["error"]["exit_code"], code), (&Value::from(1), 1));
    // Nothing is left open.
    until_open(&demo, 0);
}

#[test]
fn the_first_error_ends_it_and_says_where() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(
        path("a.sql"),
        "select 'one';\n\nselect\n  'two',\n  nothing\n;\nselect 'three';\n",
    )
    .unwrap();
    let (out, talk, code) = exec(&demo, &["-f", &path("a.sql")]);
    assert!(out.contains("one") && !out.contains("three"), "{out}");
    assert!(
        talk.contains(&format!(
            "error: {}:5: column \"nothing\" does not exist",
            path("a.sql")
        )),
        "{talk}"
    );
    assert!(talk.contains("line 5:   nothing\n"), "{talk}");
    assert!(
        talk.contains("hint: the statements before it have taken effect"),
        "{talk}"
    );
    assert_eq!(code, 1);
    // The first file that fails is the last.
    fs::write(path("b.sql"), "select 'never';\n").unwrap();
    let (out, _, code) = exec(&demo, &["-f", &path("a.sql"), "-f", &path("b.sql")]);
    assert!(!out.contains("never") && code == 1, "{out}");
    // Several commands, in their order.
    let (out, _, code) = exec(
        &demo,
        &[
            "--output",
            "csv",
            "-c",
            "select 1 as a",
            "-c",
            "select 2 as b",
        ],
    );
    assert_eq!((out.as_str(), code), ("a\n1\nb\n2\n", 0));
    let (out, talk, code) = exec(
        &demo,
        &[
            "-c",
            "select 1 as a",
            "-c",
            "nonsense",
            "-c",
            "select 3 as c",
        ],
    );
    assert!(
        out.contains('1') && !out.contains('3') && talk.contains("syntax error"),
        "{out}{talk}"
    );
    assert_eq!(code, 1);
    // Refused by policy is 3, wherever it stands.
    let (_, talk, code) = exec(&demo, &["-c", "select 1; drop table customers"]);
    assert!(talk.contains("denied"), "{talk}");
    assert_eq!(code, 3);
    assert_eq!(exec(&demo, &["-c", "select * from nowhere"]).2, 1);
    assert_eq!(exec(&demo, &["-f", &path("none.sql")]).2, 7);
    assert_eq!(exec(&demo, &[]).2, 2);
    assert_eq!(exec(&demo, &["-c", "\\d"]).2, 2);
    // What waits for an approval: 5 and the id; asked for again with it, it runs.
    let sql = "update payments set amount = amount where id = 7";
    let (_, talk, code) = exec(&demo, &["-c", sql]);
    assert_eq!(code, 5, "{talk}");
    let (_, rest) = talk.rsplit_once("--request ").unwrap();
    let id: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let approve = demo
        .command("reviewer", &["approve", &id])
        .output()
        .unwrap();
    assert!(approve.status.success(), "{}", told(&approve).0);
    let (_, talk, code) = exec(&demo, &["-c", sql, "--request", &id]);
    assert!(code == 0 && talk.contains("UPDATE 1"), "{talk}");
    until_open(&demo, 0);
}

#[test]
fn sql_and_data_come_by_stdin() {
    let demo = Demo::start();
    let with = |arguments: &[&str], input: &str| {
        let words = ["exec", "prod", "--access", "write", "--reason", "a test"];
        let mut child = demo
            .command("engineer", &[&words, arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        told(&child.wait_with_output().unwrap())
    };
    let (text, code) = with(&["--output", "csv", "-"], "select 1 as a;\nselect 2 as b\n");
    assert_eq!((text.as_str(), code), ("a\n1\nb\n2\n", 0));
    let (text, code) = with(&["-"], "select 1;\nselect broken;\n");
    assert!(
        text.contains("error: stdin:2: column \"broken\" does not exist"),
        "{text}"
    );
    assert_eq!(code, 1);
    // Lines of data behind their COPY, as pg_dump writes them.
    let script = "create table exec_rows (a int, b text);\ncopy exec_rows from stdin;\n1\tone\n2\t\\N\n\\.\n\
                  copy exec_rows to stdout;\n";
    let (text, code) = with(&["-f", "-"], script);
    assert!(text.contains("1\tone\n2\t\\N\n") && code == 0, "{text}");
    // Data alone, for a COPY on the command line.
    let (text, code) = with(&["-c", "copy exec_rows from stdin csv"], "3,three\n");
    assert!(text.contains("COPY 1") && code == 0, "{text}");
}

#[test]
fn large_results_stream_and_a_reader_may_leave() {
    let rows = if long() { 20_000_000 } else { 400_000 };
    let limits = [
        ("rows = 100_000", "rows = 100_000_000"),
        ("statement_time = \"5m\"", "statement_time = \"1h\""),
    ];
    let policy = policy(&limits);
    let demo = Demo::with(&["--policy", policy.path().to_str().unwrap()]);
    let sql = format!("select n, md5(n::text) as text from generate_series(1, {rows}) as n");
    for form in ["table", "csv", "json", "ndjson"] {
        let words = ["exec", "prod", "--output", form, "-c", &sql];
        let mut child = demo
            .command("engineer", &words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut count, mut early, mut last) = (0_u64, 0, 0);
        while let Some(line) = lines.next().map(Result::unwrap) {
            count += u64::from(line.contains("c4ca4238a0b923820dcc509a6f75849b") || count > 0);
            if count == 50_000 {
                early = peak(&status);
            }
            if count % 50_000 == 0 {
                last = peak(&status).max(last);
            }
        }
        assert!(child.wait().unwrap().success());
        assert!(count >= rows, "{form}: {count}");
        println!("{form}: {rows} rows, {early} KiB after 50 000 of them, {last} KiB at most");
        assert!(last < early + 4096, "{form}: {early} KiB, then {last} KiB");
    }
    // `head` has seen enough: that is the end of the statement, too, and told as a signal would be.
    let words = ["exec", "prod", "--output", "csv", "-c", &sql];
    let mut child = demo
        .command("engineer", &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "n,text");
    drop(lines);
    let since = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 13));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    until_open(&demo, 0);
}

/// The most memory a process has had, in KiB.
fn peak(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .map_or(0, |word| word.parse().unwrap())
}

#[test]
fn signals_cancel_the_statement_and_end_the_session() {
    let demo = Demo::start();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let words = [
            "exec",
            "prod",
            "-c",
            "select pg_sleep(60)",
            "-c",
            "select 1",
        ];
        let mut child = demo
            .command("engineer", &words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !busy(&demo) {
            assert!(since.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output).0);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        until_open(&demo, 0);
    }
}

fn busy(demo: &Demo) -> bool {
    let open = crate::local::open_sessions(demo);
    open.iter().any(|session| session["connections"] == 1)
}
