//! An approver sets a maximum of rows, and what touches more takes no effect, by whatever way it is sent.

use dbgate::api::types::Granted;

use super::Stage;
use crate::harness::peer::{self, Peer, field, frame, kinds, text};

/// A way to send a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As a query.
    Query,
    /// As a query in a transaction of the client's, which then is committed.
    Inside,
    /// As a batch of the extended protocol, with a `Sync` behind it.
    Batch,
    /// The same in a transaction of the client's, with its `COMMIT` in the same breath.
    InsideBatch,
}

const WAYS: [Way; 4] = [Way::Query, Way::Inside, Way::Batch, Way::InsideBatch];

/// Statements that touch four rows: what they leave behind, counted.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "UPDATE inside SET note = 'x' WHERE id <= 4",
        "SELECT count(*) FROM inside WHERE note = 'x'",
    ),
    (
        "UPDATE inside SET note = 'x' WHERE id <= 4 RETURNING id",
        "SELECT count(*) FROM inside WHERE note = 'x'",
    ),
    (
        "DELETE FROM inside WHERE id > 6",
        "SELECT 10 - count(*) FROM inside",
    ),
    (
        "INSERT INTO inside SELECT i FROM generate_series(11, 14) i",
        "SELECT count(*) FROM inside WHERE id > 10",
    ),
    (
        "MERGE INTO inside USING (VALUES (1), (2), (3), (4)) v (i) ON id = i WHEN MATCHED THEN UPDATE SET note = 'x'",
        "SELECT count(*) FROM inside WHERE note = 'x'",
    ),
];

fn batch(sql: &str, limit: u32) -> Vec<u8> {
    [
        frame(b'P', &[text(""), text(sql), vec![0, 0]].concat()),
        frame(b'B', &[text(""), text(""), vec![0; 6]].concat()),
        frame(b'D', b"P\0"),
        frame(b'E', &[text(""), limit.to_be_bytes().to_vec()].concat()),
        frame(b'S', &[]),
    ]
    .concat()
}

fn enter(stage: &Stage, granted: &Granted) -> Peer {
    let mut peer = Peer::dial(stage.broker.port());
    peer.login(&granted.user, &granted.secret, &stage.offer.name);
    peer
}

/// Sends it, has it approved, and waits for the end; the error that came, if one did.
async fn sent(
    stage: &Stage,
    peer: Peer,
    bytes: Vec<u8>,
    ends: usize,
    most: u64,
) -> (Peer, Option<String>) {
    let mut peer = peer;
    peer.send(&bytes).unwrap();
    let answers = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        for _ in 0..ends {
            all.extend(peer.until(b'Z'));
        }
        (peer, all)
    });
    let id = stage.waiting().await.id;
    stage.approve(&id, Some(most)).await.unwrap();
    let (peer, answers): (Peer, Vec<peer::Message>) = answers.await.unwrap();
    let error = answers.iter().find(|(kind, _)| *kind == b'E');
    (
        peer,
        error.map(|(_, body)| format!("{} {}", field(body, b'C'), field(body, b'M'))),
    )
}

async fn tried(stage: &Stage, way: Way, sql: &str, most: u64) -> Option<String> {
    let granted = stage.engineer.grant(600).await;
    let mut peer = enter(stage, &granted);
    let query = |sql: &str| frame(b'Q', &text(sql));
    let (bytes, ends) = match way {
        Way::Query | Way::Inside => (query(sql), 1),
        Way::Batch => (batch(sql, 0), 1),
        Way::InsideBatch => ([batch(sql, 0), batch("COMMIT", 0)].concat(), 2),
    };
    if matches!(way, Way::Inside | Way::InsideBatch) {
        peer.query("BEGIN");
    }
    let (mut peer, error) = sent(stage, peer, bytes, ends, most).await;
    if way == Way::Inside {
        peer.query("COMMIT");
    }
    // The connection is as good as new.
    assert_eq!(kinds(&peer.query("SELECT 1")), "TDCZ", "{way:?} {sql}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn what_touches_more_rows_than_was_agreed_to_takes_no_effect() {
    let stage = Stage::new().await;
    let renew = "TRUNCATE inside; INSERT INTO inside SELECT i FROM generate_series(1, 10) i";
    let mut tries = 0;
    for (sql, count) in STATEMENTS {
        for way in WAYS {
            stage.watcher.batch_execute(renew).await.unwrap();
            let error = tried(&stage, way, sql, 3).await.unwrap_or_default();
            assert!(error.starts_with("53400 "), "{way:?} {sql}: {error}");
            assert!(error.contains("was approved for at most 3 rows"), "{error}");
            assert_eq!(stage.number(count).await, 0, "{way:?} {sql}");
            let error = tried(&stage, way, sql, 4).await;
            assert_eq!(error, None, "{way:?} {sql}");
            assert_eq!(stage.number(count).await, 4, "{way:?} {sql}");
            tries += 2;
        }
    }
    println!("{tries} statements by {} ways", WAYS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_copied_in_counts_too() {
    let stage = Stage::new().await;
    for (most, there) in [(2, 0), (3, 3)] {
        let granted = stage.engineer.grant(600).await;
        let mut peer = enter(&stage, &granted);
        peer.say(b'Q', &text("COPY held (id) FROM STDIN"));
        let copied = tokio::task::spawn_blocking(move || {
            let begun = kinds(&peer.until(b'G'));
            let data = [frame(b'd', b"91\n92\n93\n"), frame(b'c', &[])].concat();
            peer.send(&data).unwrap();
            (begun, kinds(&peer.until(b'Z')))
        });
        let id = stage.waiting().await.id;
        stage.approve(&id, Some(most)).await.unwrap();
        let (begun, ended) = copied.await.unwrap();
        assert_eq!(begun, "NG");
        assert_eq!(ended, if there == 0 { "EZ" } else { "CZ" });
        let sql = "SELECT count(*) FROM held WHERE id > 90";
        assert_eq!(stage.number(sql).await, there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_fails_as_it_is_committed_is_told_as_its_failure() {
    let stage = Stage::new().await;
    let sql = "ALTER TABLE held ADD CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED";
    stage.watcher.batch_execute(sql).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let granted = stage.engineer.grant(600).await;
    let peer = enter(&stage, &granted);
    let bytes = frame(b'Q', &text("UPDATE held SET id = 1 WHERE id = 2"));
    let (mut peer, error) = sent(&stage, peer, bytes, 1, 1).await;
    assert!(error.unwrap_or_default().starts_with("23505"));
    assert_eq!(kinds(&peer.query("SELECT 1")), "TDCZ");
    assert_eq!(
        stage.number("SELECT count(*) FROM held WHERE id = 2").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_that_cannot_be_kept_is_not_taken() {
    let stage = Stage::new().await;
    let sql = "CREATE FUNCTION busy() RETURNS int LANGUAGE sql AS 'DELETE FROM held; SELECT 1'";
    stage.watcher.batch_execute(sql).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let twice = "WITH gone AS (DELETE FROM held WHERE id = 1 RETURNING id) UPDATE held SET note = 'x' WHERE id = 2";
    for sql in [twice, "SELECT busy()"] {
        let request = stage.ahead(sql).await;
        assert!(!request.countable, "{sql}");
        let error = stage.approve(&request.id, Some(5)).await.unwrap_err();
        assert!(
            error.to_string().contains("maximum of rows"),
            "{sql}: {error}"
        );
        assert_eq!(stage.state(&request.id).await, "pending");
        // What the planner thinks is not asked either where asking may do something.
        let request = stage.reviewer.request_by_id(&request.id).await.unwrap();
        assert_eq!(request.expected_rows.is_some(), sql == twice, "{request:?}");
        stage.engineer.remote.withdraw(&request.id).await.unwrap();
    }
    // A portal that is fetched in portions tells how many rows there are only at its end.
    let granted = stage.engineer.grant(600).await;
    let peer = enter(&stage, &granted);
    let bytes = batch("UPDATE held SET note = 'x' RETURNING id", 2);
    let (mut peer, error) = sent(&stage, peer, bytes, 1, 10).await;
    assert!(error.unwrap_or_default().contains("fetched in portions"));
    assert_eq!(kinds(&peer.query("SELECT 1")), "TDCZ");
    assert_eq!(stage.noted("held", "x").await, 0);
}

/// What a statement sent in that way ends with.
fn sent_alone(stage: &Stage, granted: &Granted, way: Way, sql: &str) -> Option<String> {
    let mut peer = enter(stage, granted);
    let query = |sql: &str| frame(b'Q', &text(sql));
    let (bytes, ends) = match way {
        Way::Query | Way::Inside => (query(sql), 1),
        Way::Batch => (batch(sql, 0), 1),
        Way::InsideBatch => ([batch(sql, 0), batch("COMMIT", 0)].concat(), 2),
    };
    if matches!(way, Way::Inside | Way::InsideBatch) {
        peer.query("BEGIN");
    }
    peer.send(&bytes).unwrap();
    let mut answers = Vec::new();
    for _ in 0..ends {
        answers.extend(peer.until(b'Z'));
    }
    if way == Way::Inside {
        peer.query("COMMIT");
    }
    assert_eq!(kinds(&peer.query("SELECT 1")), "TDCZ", "{way:?} {sql}");
    let error = answers.iter().find(|(kind, _)| *kind == b'E');
    error.map(|(_, body)| {
        [b'C', b'M', b'D', b'H']
            .map(|key| field(body, key))
            .join(" ")
    })
}

/// Ten rows in `free`, which anybody may write.
const FREE: &str = "DROP TABLE IF EXISTS free; CREATE TABLE free (id int, note text); GRANT ALL ON free TO PUBLIC; \
                    INSERT INTO free SELECT i FROM generate_series(1, 10) i";

async fn limited(effect: &str) -> Stage {
    let rule =
        format!("[[rule]]\nname = \"few\"\nwrites = [\"public.free\"]\nrows_above = 3\n{effect}\n");
    let stage = Stage::with(&rule, "").await;
    stage.watcher.batch_execute(FREE).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_more_rows_than_a_rule_lets_takes_no_effect() {
    let stage = limited("effect = \"deny\"").await;
    let granted = stage.engineer.grant(600).await;
    let renew = "TRUNCATE free; INSERT INTO free SELECT i FROM generate_series(1, 10) i";
    let statements = STATEMENTS.iter().map(|(sql, count)| {
        let free = |text: &str| text.replace("inside", "free");
        (free(sql), free(count))
    });
    for (four, count) in statements {
        let three = four
            .replace("id <= 4", "id <= 3")
            .replace("id > 6", "id > 7")
            .replace("(11, 14)", "(11, 13)")
            .replace(", (4)", "");
        for way in WAYS {
            stage.watcher.batch_execute(renew).await.unwrap();
            let error = sent_alone(&stage, &granted, way, &four).unwrap_or_default();
            let start = "42501 dbgate: this writes more than 3 rows Rule `few` at /";
            assert!(error.starts_with(start), "{way:?} {four}: {error}");
            assert!(error.contains("policy.toml:"), "{error}");
            assert_eq!(stage.number(&count).await, 0, "{way:?} {four}");
            assert_eq!(
                sent_alone(&stage, &granted, way, &three),
                None,
                "{way:?} {three}"
            );
            assert_eq!(stage.number(&count).await, 3, "{way:?} {three}");
        }
    }
    for (sql, why) in [
        (
            "DELETE FROM free WHERE id = 1; SELECT 1",
            "must be sent by itself",
        ),
        (
            "WITH g AS (DELETE FROM free RETURNING id) SELECT 1 FROM g",
            "can't be told beforehand",
        ),
        ("TRUNCATE free", "can't be told beforehand"),
    ] {
        let error = sent_alone(&stage, &granted, Way::Query, sql).unwrap_or_default();
        assert!(error.contains(why), "{sql}: {error}");
    }
    // In a transaction that has failed it is the server's word that counts.
    let mut peer = enter(&stage, &granted);
    peer.query("BEGIN");
    peer.query("SELECT 1/0");
    let failed = peer.query("DELETE FROM free WHERE id = 1");
    assert_eq!(field(&failed[0].1, b'C'), "25P02");
    assert_eq!(kinds(&peer.query("ROLLBACK")), "CZ");
    assert_eq!(
        stage.number("SELECT count(*) FROM free WHERE id = 1").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_approval_more_rows_are_written_than_a_rule_lets() {
    let stage = limited("effect = \"review\"\napprovers = [\"reviewers\"]").await;
    let sql = "UPDATE free SET note = 'x' WHERE id <= 5";
    let few = "UPDATE free SET note = 'y' WHERE id <= 3";
    let output = stage.exec(&["-c", sql]);
    let said = super::stderr(&output);
    assert!(said.contains("this writes more than 3 rows"), "{said}");
    assert!(said.contains("dbgate request"), "{said}");
    assert_eq!(stage.noted("free", "x").await, 0);
    assert!(stage.exec(&["-c", few]).status.success());
    for (most, there) in [(Some(4), 0), (Some(5), 5)] {
        let request = stage.ahead(sql).await;
        assert!(request.countable, "{request:?}");
        // It is not approved yet: the rule's maximum holds.
        let output = stage.exec(&["--request", &request.id, "-c", sql]);
        assert!(!output.status.success());
        stage.approve(&request.id, most).await.unwrap();
        let output = stage.exec(&["--request", &request.id, "-c", sql]);
        assert_eq!(
            output.status.success(),
            there > 0,
            "{}",
            super::stderr(&output)
        );
        assert_eq!(stage.noted("free", "x").await, there);
        assert_eq!(stage.state(&request.id).await, "used");
    }
}
