//! `COPY … FROM STDIN` that is refused: its data is never taken for statements (row B11, CVE-2026-6464).

use std::time::{Duration, Instant};

use dbgate::api::types::Granted;
use serde_json::Value;

use crate::harness::peer::{Peer, frame, text};
use crate::harness::site::Who;
use crate::harness::world::policy_text;
use crate::protocol::client::{self, Psql};
use crate::protocol::{Stage, Way, log_all, logged, words};

const RULES: &str = r#"
[[allow]]
name = "auditors"
groups = ["auditors"]
do = ["audit"]

[[rule]]
name = "closed"
effect = "deny"
writes = ["public.closed"]

[[rule]]
name = "held"
effect = "review"
writes = ["public.held"]
approvers = ["auditors"]
hold = "30s"
in_transaction = "30s"

[[rule]]
name = "late"
effect = "review"
writes = ["public.late"]
approvers = ["auditors"]
hold = "1s"
in_transaction = "1s"
"#;

/// What is in the data: statements that would be seen, and that the policy would let pass.
const DATA: &str = "DELETE FROM customers;\nINSERT INTO customers VALUES (6464);\nSELECT 'CVE-2026-6464' AS data_line;\n";

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage
        .site
        .write("policy.toml", &policy_text(&stage.offer, RULES));
    let sql = format!(
        "CREATE TABLE closed (line text); CREATE TABLE held (line text); CREATE TABLE late (line text);
         GRANT SELECT, INSERT ON closed, held, late TO {}",
        stage.offer.role("writer")
    );
    stage.watcher.batch_execute(&sql).await.unwrap();
    log_all(&stage.server, &stage.offer).await;
    let since = Instant::now();
    while !stage
        .broker
        .lines()
        .iter()
        .any(|line| line["message"] == "the policy was loaded")
    {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "the policy is not loaded"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The catalog is looked at every second; whoever comes earlier waits for it.
    stage
}

impl Stage {
    async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.watcher.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// No line of the data was a statement, for the server or for dbgate.
    async fn untouched(&self, what: &str) {
        assert_eq!(self.count("customers").await, 100, "{what}");
        for line in DATA.lines() {
            assert_eq!(logged(&self.server, line), 0, "{what}: {line} was run");
        }
        let found = self.site.dbgate(
            &self.broker,
            Who::Auditor,
            &["audit", "search", "--text", "data_line", "--output", "json"],
        );
        assert!(found.status.success(), "{found:?}");
        let text = String::from_utf8_lossy(&found.stdout);
        assert!(
            !text.contains("data_line"),
            "{what}: dbgate was asked to run it: {text}"
        );
    }

    /// Waits for a request that waits, and says its id.
    async fn waiting(&self) -> String {
        let since = Instant::now();
        loop {
            let output = self.site.dbgate(
                &self.broker,
                Who::Auditor,
                &["requests", "--output", "json"],
            );
            let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let pending = list["items"].as_array().into_iter().flatten();
            if let Some(request) = pending.into_iter().find(|item| item["state"] == "pending") {
                return request["id"].as_str().unwrap().to_owned();
            }
            assert!(
                since.elapsed() < Duration::from_secs(10),
                "nothing waits: {output:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn session(&self) -> Granted {
        self.site.engineer(&self.broker).await.grant(600).await
    }

    fn decide(&self, arguments: &[&str]) {
        let output = self.site.dbgate(&self.broker, Who::Auditor, arguments);
        assert!(output.status.success(), "{output:?}");
    }
}

fn script(table: &str) -> String {
    format!("SELECT 'before';\nCOPY {table} FROM STDIN;\n{DATA}\\.\nSELECT 'after';\n")
}

/// Each way in which a `COPY` does not come to be, with what psql then says.
async fn refuse(stage: &Stage, psql: &Psql, how: &str) {
    let granted = stage.session().await;
    let table = match how {
        "denied" => "closed",
        "expired" => "late",
        _ => "held",
    };
    let sql = if how == "denied in a transaction" {
        format!("BEGIN;\n{}COMMIT;\n", script("closed"))
    } else {
        script(table)
    };
    let child = psql.start(stage, &granted, &sql, "sslmode=disable");
    match how {
        "held, then denied" => {
            let id = stage.waiting().await;
            stage.decide(&["deny", &id, "--reason", "no"]);
        }
        "held, then approved" => {
            let id = stage.waiting().await;
            stage.decide(&["approve", &id]);
        }
        "held, then killed" => {
            stage.waiting().await;
            let output = stage.site.dbgate(
                &stage.broker,
                Who::Engineer,
                &["sessions", "kill", &granted.session.id],
            );
            assert!(output.status.success(), "{output:?}");
        }
        _ => {}
    }
    let output = child.wait_with_output().unwrap();
    let text = client::printed(&output);
    let what = format!("psql {}, {how}", psql.version);
    assert!(text.contains("before"), "{what}: {text}");
    let (error, goes_on) = match how {
        "held, then approved" => ("", true),
        "held, then killed" => ("the dbgate session has ended", false),
        _ => ("ERROR:", true),
    };
    assert!(text.contains(error), "{what}: {text}");
    let after = text.contains("after") || text.contains("current transaction is aborted");
    assert_eq!(after, goes_on, "{what}: {text}");
    assert!(!text.contains("6464"), "{what}: {text}");
    stage.untouched(&what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_data_are_no_statements_when_psql_runs_a_script() {
    let stage = stage().await;
    let ways = [
        "denied",
        "denied in a transaction",
        "held, then denied",
        "expired",
        "held, then killed",
    ];
    for psql in client::all() {
        for how in ways {
            refuse(&stage, &psql, how).await;
        }
        // What is approved takes the data, so that it was the refusal that threw it away.
        let before = stage.count("held").await;
        refuse(&stage, &psql, "held, then approved").await;
        assert_eq!(stage.count("held").await, before + 3);
    }
    assert_eq!(
        (stage.count("closed").await, stage.count("late").await),
        (0, 0)
    );
    // The server does log statements, so that finding none means something.
    let marker = "SELECT 'it does'";
    stage.enter(Way::Gateway).query(marker);
    assert_eq!(logged(&stage.server, marker), 1);
}

/// Data that is sent without waiting, as a driver may, by both protocols; what is answered then.
#[tokio::test(flavor = "multi_thread")]
async fn data_sent_ahead_of_a_refusal_is_thrown_away_by_both_protocols() {
    let stage = stage().await;
    let pieces: Vec<u8> = DATA
        .lines()
        .flat_map(|line| frame(b'd', format!("{line}\n").as_bytes()))
        .collect();
    let simple = |sql: &str| frame(b'Q', &text(sql));
    let extended = |sql: &str| {
        let parse = [text(""), text(sql), vec![0, 0]].concat();
        let execute = [text(""), vec![0; 4]].concat();
        [
            frame(b'P', &parse),
            frame(b'B', &[0; 8]),
            frame(b'E', &execute),
        ]
        .concat()
    };
    let copy = "COPY closed FROM STDIN";
    let ends: [(&str, Vec<u8>); 2] = [
        ("done", frame(b'c', &[])),
        ("failed", frame(b'f', &text("no"))),
    ];
    let sync = || frame(b'S', &[]);
    for (end, bytes) in ends {
        let all = [pieces.clone(), bytes].concat();
        let cases: [(&str, Vec<u8>, &[&str]); 6] = [
            (
                "a query",
                [simple(copy), all.clone()].concat(),
                &["G", "E(ERROR 42501)", "Z(I)"],
            ),
            (
                "within a query",
                [simple(&format!("SELECT 1; {copy}; SELECT 2")), all.clone()].concat(),
                &["G", "E(ERROR 42501)", "Z(I)"],
            ),
            (
                "a pipeline",
                [extended(copy), all.clone(), sync()].concat(),
                &["1", "2", "G", "E(ERROR 42501)", "Z(I)"],
            ),
            (
                "the middle of a pipeline",
                [
                    extended("SELECT 1"),
                    extended(copy),
                    all.clone(),
                    extended("SELECT 2"),
                    sync(),
                ]
                .concat(),
                &["1", "2", "D", "C", "1", "2", "G", "E(ERROR 42501)", "Z(I)"],
            ),
            (
                "a pipeline that has failed",
                [extended("SELECT 1/0"), extended(copy), all.clone(), sync()].concat(),
                &["1", "E(ERROR 22012)", "Z(I)"],
            ),
            (
                "a statement prepared by name",
                [
                    frame(b'P', &[text("s"), text(copy), vec![0, 0]].concat()),
                    frame(b'D', &[b"S".to_vec(), text("s")].concat()),
                    sync(),
                    frame(b'B', &[text(""), text("s"), vec![0; 6]].concat()),
                    frame(b'E', &[text(""), vec![0; 4]].concat()),
                    all.clone(),
                    sync(),
                ]
                .concat(),
                &["1", "t", "n", "Z(I)", "2", "G", "E(ERROR 42501)", "Z(I)"],
            ),
        ];
        for (name, bytes, expected) in cases {
            let mut peer: Peer = stage.enter(Way::Gateway);
            peer.send(&bytes).unwrap();
            let mut came = Vec::new();
            for _ in 0..expected.iter().filter(|word| word.starts_with('Z')).count() {
                came.extend(words(&peer.until(b'Z')));
            }
            assert_eq!(came, expected, "{name}, {end}");
            assert_eq!(
                words(&peer.query("SELECT 1")),
                ["T", "D", "C", "Z(I)"],
                "{name}, {end}"
            );
            stage.untouched(name).await;
        }
    }
    // The client goes away within its data: nothing is left behind.
    let mut peer = stage.enter(Way::Gateway);
    peer.send(&[simple(copy), pieces].concat()).unwrap();
    peer.finish();
    peer.rest();
    stage.untouched("a client that goes away").await;
    assert_eq!(stage.count("closed").await, 0);
}
