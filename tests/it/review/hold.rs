//! A statement waits in its connection, or was asked about ahead of its use; how it goes on, and how it ends.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use dbgate::api::types::Decide;
use serde_json::Value;

use super::{Stage, stderr};
use crate::harness::peer::{self, Peer, field, frame, kinds, text};
use crate::harness::postgres::Server;
use crate::harness::site::Who;

const CHANGE: &str = "UPDATE held SET note = 'changed' WHERE id <= 4";

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_told_whom_it_waits_for_and_the_approver_what_for() {
    let stage = Stage::new().await;
    let child = stage.exec_started(&["--wait", "1m", "-c", CHANGE]);
    let request = stage.waiting().await;
    assert_eq!(request.statement.as_deref(), Some(CHANGE));
    assert_eq!(
        request.footprint,
        ["writes public.held (note)", "reads public.held (id)"]
    );
    assert_eq!(request.reason.as_deref(), Some("a test"));
    assert_eq!((request.rule.as_str(), request.needed), ("held", 1));
    assert!(request.countable, "{request:?}");
    // The planner knows ten rows, evenly spread.
    let expected = request.expected_rows.expect("the planner was asked");
    assert!((3..=5).contains(&expected), "{expected}");
    // Who asks learns nothing about the data by it.
    let own = stage
        .engineer
        .remote
        .request_by_id(&request.id)
        .await
        .unwrap();
    assert_eq!(own.expected_rows, None);
    for arguments in [
        vec!["requests"],
        vec!["requests", &request.id],
        vec!["requests", "--output", "json"],
    ] {
        let output = stage.site.dbgate(&stage.broker, Who::Reviewer, &arguments);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains(&request.id), "{arguments:?}: {shown}");
        let wanted = if arguments.len() == 1 { "" } else { "expected" };
        assert!(shown.contains(wanted), "{arguments:?}: {shown}");
    }
    assert_eq!(stage.noted("held", "changed").await, 0);
    stage.approve(&request.id, None).await.unwrap();
    let output = child.wait_with_output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    for words in [
        format!(
            "waiting for the approval of `reviewers`, request {}",
            request.id
        ),
        format!("dbgate approve {}", request.id),
    ] {
        assert!(told.contains(&words), "{words}: {told}");
    }
    assert_eq!(stage.noted("held", "changed").await, 4);
    assert_eq!(stage.state(&request.id).await, "used");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_no_longer_leaves_one_request_behind_and_makes_use_of_it() {
    let stage = Stage::new().await;
    let output = stage.exec(&["-c", CHANGE]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let all = stage.reviewer.requests(true).await.unwrap();
    let [request] = all.as_slice() else {
        panic!("not one request: {all:?}");
    };
    assert_eq!(request.state, "pending");
    assert!(stderr(&output).contains(&request.id), "{}", stderr(&output));
    assert_eq!(
        stage.told(&request.id),
        ["statement_held", "request_kept", "statement_refused"]
    );
    // Not approved yet: it waits no longer than before, and asks for nothing new.
    let again = stage.exec(&["--request", &request.id, "-c", CHANGE]);
    assert_eq!(again.status.code(), Some(5), "{}", stderr(&again));
    stage.approve(&request.id, None).await.unwrap();
    let other = stage.exec(&[
        "--request",
        &request.id,
        "-c",
        "UPDATE held SET note = 'other'",
    ]);
    assert_eq!(other.status.code(), Some(3), "{}", stderr(&other));
    assert!(
        stderr(&other).contains("statement of another text"),
        "{}",
        stderr(&other)
    );
    let run = stage.exec(&["--request", &request.id, "-c", CHANGE]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stage.noted("held", "changed").await, 4);
    let twice = stage.exec(&["--request", &request.id, "-c", CHANGE]);
    assert_eq!(twice.status.code(), Some(6), "{}", stderr(&twice));
    assert_eq!(stage.reviewer.requests(true).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_while_the_planner_is_asked_reaches_the_client() {
    let stage = Stage::new().await;
    let granted = stage.engineer.grant(600).await;
    let mut peer = Peer::dial(stage.broker.port());
    peer.login(&granted.user, &granted.secret, &stage.offer.name);
    assert_eq!(kinds(&peer.query("LISTEN news")), "CZ");
    // The planner waits for the lock until its own limit.
    let lock = "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE";
    stage.watcher.batch_execute(lock).await.unwrap();
    peer.say(b'Q', &text(CHANGE));
    let other = Server::shared().superuser(&stage.offer.name).await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'held'::regclass";
    while stage.number(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.batch_execute("NOTIFY news, 'said'").await.unwrap();
    let before = peer.until(b'N');
    assert_eq!(kinds(&before), "AN");
    stage.watcher.batch_execute("COMMIT").await.unwrap();
    let request = stage.waiting().await;
    assert_eq!(request.expected_rows, None);
    stage.approve(&request.id, None).await.unwrap();
    assert_eq!(kinds(&peer.until(b'Z')), "CZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_asked_about_ahead_of_its_use() {
    let stage = Stage::new().await;
    let arguments = [
        "request",
        &stage.offer.name,
        "--access",
        "write",
        "--reason",
        "a test",
        "-c",
        CHANGE,
    ];
    let output = stage.site.dbgate(&stage.broker, Who::Engineer, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let request = stage.waiting().await;
    assert!(
        request
            .expected_rows
            .is_some_and(|rows| (3..=5).contains(&rows)),
        "{request:?}"
    );
    assert!(
        stderr(&output).contains(&format!("--request {}", request.id)),
        "{}",
        stderr(&output)
    );
    let waits = stage.exec_started(&["--request", &request.id, "--wait", "1m", "-c", CHANGE]);
    stage.approve(&request.id, Some(4)).await.unwrap();
    let output = waits.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stage.noted("held", "changed").await, 4);
    // What needs no approval is not put up for one.
    let arguments = ["request", &stage.offer.name, "-c", "SELECT 1"];
    let output = stage.site.dbgate(&stage.broker, Who::Engineer, &arguments);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("needs no approval"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_a_vanished_client_and_a_change_of_mind_withdraw_it() {
    let stage = Stage::new().await;
    // A cancel.
    let entered = stage.enter().await;
    let cancel = entered.client.cancel_token();
    let (failed, id) = tokio::join!(entered.client.batch_execute(CHANGE), async {
        let id = stage.waiting().await.id;
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
        id
    });
    let error = failed.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014", "{error:?}");
    stage.until(&id, "withdrawn").await;
    // The connection goes on.
    entered.client.batch_execute("SELECT 1").await.unwrap();
    // A client that vanishes.
    let mut child = stage.exec_started(&["--wait", "1m", "-c", CHANGE]);
    let id = stage.waiting().await.id;
    child.kill().unwrap();
    child.wait().unwrap();
    stage.until(&id, "withdrawn").await;
    assert!(stage.approve(&id, None).await.is_err());
    // A change of mind, in another window.
    let child = stage.exec_started(&["--wait", "1m", "-c", CHANGE]);
    let id = stage.waiting().await.id;
    let deny = stage.site.dbgate(
        &stage.broker,
        Who::Engineer,
        &["deny", &id, "--reason", "no"],
    );
    assert!(
        stderr(&deny).contains("dbgate withdraw"),
        "{}",
        stderr(&deny)
    );
    let other = stage
        .site
        .dbgate(&stage.broker, Who::Reviewer, &["withdraw", &id]);
    assert!(
        !other.status.success(),
        "somebody else's request is withdrawn"
    );
    let withdraw = stage
        .site
        .dbgate(&stage.broker, Who::Engineer, &["withdraw", &id]);
    assert!(withdraw.status.success(), "{}", stderr(&withdraw));
    let output = child.wait_with_output().unwrap();
    assert!(
        stderr(&output).contains("was withdrawn"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stage.state(&id).await, "withdrawn");
    assert_eq!(stage.noted("held", "changed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_agree_as_the_rule_says_and_nobody_counts_twice() {
    let stage = Stage::new().await;
    let crowd = stage.site.crowd(&stage.broker, 1).await;
    let sql = "UPDATE two SET note = 'changed'";
    let child = stage.exec_started(&["--wait", "1m", "-c", sql]);
    let request = stage.waiting().await;
    assert_eq!(request.needed, 2);
    let once = stage.approve(&request.id, Some(50)).await.unwrap();
    assert_eq!((once.state.as_str(), once.approvals.len()), ("pending", 1));
    assert!(
        stage.approve(&request.id, None).await.is_err(),
        "one approver counts twice"
    );
    assert_eq!(stage.noted("two", "changed").await, 0);
    let decide = Decide {
        reason: Some("fine".to_owned()),
        max_rows: Some(10),
    };
    let both = crowd[0].approve(&request.id, &decide).await.unwrap();
    assert_eq!(both.approvals.len(), 2);
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(stage.noted("two", "changed").await, 10);
    // A job is nobody who could agree, in whatever group.
    let ahead = stage.ahead("DELETE FROM two").await;
    let job = stage
        .site
        .dbgate(&stage.broker, Who::Job, &["approve", &ahead.id]);
    assert!(!job.status.success(), "a job approves");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_open_transaction_it_waits_as_long_as_the_rule_says_or_not_at_all() {
    let stage = Stage::new().await;
    let entered = stage.enter().await;
    let client = &entered.client;
    client.batch_execute("BEGIN").await.unwrap();
    let error = client.batch_execute(CHANGE).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42501");
    assert!(
        error.message().contains("in an open transaction"),
        "{error:?}"
    );
    assert!(
        error.hint().unwrap().contains("dbgate request"),
        "{error:?}"
    );
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(stage.reviewer.requests(true).await.unwrap().is_empty());
    client.batch_execute("BEGIN").await.unwrap();
    let inside = "UPDATE inside SET note = 'changed'";
    let (done, ()) = tokio::join!(client.batch_execute(inside), async {
        let id = stage.waiting().await.id;
        stage.approve(&id, None).await.unwrap();
    });
    done.unwrap();
    assert_eq!(stage.noted("inside", "changed").await, 0);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(stage.noted("inside", "changed").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_after_the_time_that_the_rule_says() {
    let stage = Stage::new().await;
    let entered = stage.enter().await;
    let since = std::time::Instant::now();
    let (failed, id) = tokio::join!(
        entered
            .client
            .batch_execute("UPDATE brief SET note = 'changed'"),
        async { stage.waiting().await.id }
    );
    let waited = since.elapsed();
    let error = failed.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(error.message().contains("nobody decided"), "{error:?}");
    assert!(
        waited >= Duration::from_secs(1) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
    stage.until(&id, "expired").await;
    assert!(stage.approve(&id, None).await.is_err());
    assert_eq!(stage.noted("brief", "changed").await, 0);
    assert_eq!(
        stage.told(&id),
        ["statement_held", "request_expired", "statement_refused"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_the_extended_protocol_waits_as_a_query_does() {
    let stage = Stage::new().await;
    let granted = stage.engineer.grant(600).await;
    let mut peer = Peer::dial(stage.broker.port());
    peer.login(&granted.user, &granted.secret, &stage.offer.name);
    let parse = |sql: &str| frame(b'P', &[text(""), text(sql), vec![0, 0]].concat());
    let bind = |value: &str| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        let parameters = [&[0, 0, 0, 1], length.as_slice(), value.as_bytes(), &[0, 0]].concat();
        frame(b'B', &[text(""), text(""), parameters].concat())
    };
    let execute = frame(b'E', &[text(""), vec![0; 4]].concat());
    let describe = frame(b'D', b"P\0");
    let batch = [
        parse("UPDATE held SET note = 'changed' WHERE id <= $1::int"),
        bind("4"),
        describe,
        execute,
        frame(b'S', &[]),
    ];
    peer.send(&batch.concat()).unwrap();
    let mut before = peer.until(b'N');
    let notice = before.pop().unwrap();
    assert_eq!(kinds(&before), "1");
    let request = stage.waiting().await;
    assert!(field(&notice.1, b'M').contains(&request.id), "{notice:?}");
    assert!(request.expected_rows.is_some(), "{request:?}");
    // Nobody else has to wait for it: the transaction that a batch begins with is not left open.
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    assert_eq!(stage.number(sql).await, 0);
    let id = request.id.clone();
    let answers = tokio::task::spawn_blocking(move || (peer.until(b'Z'), peer));
    stage.approve(&id, Some(4)).await.unwrap();
    let (answers, mut peer): (Vec<peer::Message>, Peer) = answers.await.unwrap();
    assert_eq!(kinds(&answers), "2nCZ", "{answers:?}");
    assert_eq!(stage.noted("held", "changed").await, 4);
    // The same refused: the batch fails there, and the connection goes on.
    peer.send(&batch.concat()).unwrap();
    assert_eq!(kinds(&peer.until(b'N')), "1N");
    let id = stage.waiting().await.id;
    let answers = tokio::task::spawn_blocking(move || (peer.until(b'Z'), peer));
    let no = Decide {
        reason: Some("no".to_owned()),
        max_rows: None,
    };
    stage.reviewer.deny(&id, &no).await.unwrap();
    let (answers, mut peer): (Vec<peer::Message>, Peer) = answers.await.unwrap();
    assert_eq!(kinds(&answers), "EZ", "{answers:?}");
    assert_eq!(kinds(&peer.query("SELECT 1")), "TDCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_sees_requests_come_and_change() {
    let stage = Stage::new().await;
    let arguments = ["requests", "--watch", "--output", "ndjson"];
    let mut command = stage.site.start(&stage.broker, Who::Reviewer, &arguments);
    let mut watch = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let id = stage.ahead(CHANGE).await.id;
    let seen = next();
    assert_eq!(
        (seen["id"].as_str(), seen["state"].as_str()),
        (Some(id.as_str()), Some("pending"))
    );
    stage.approve(&id, Some(3)).await.unwrap();
    let seen = next();
    assert_eq!(
        (
            seen["state"].as_str(),
            seen["approvals"][0]["max_rows"].as_u64()
        ),
        (Some("approved"), Some(3))
    );
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_waits_as_a_statement_does() {
    let stage = Stage::new().await;
    let name = stage.offer.name.clone();
    let fixed = [
        "exec",
        &name,
        "--reason",
        "a look",
        "-c",
        "SELECT count(*) FROM customers",
    ];
    let exec = |more: &[&str]| {
        let arguments = [&fixed[..], more].concat();
        stage.site.dbgate(&stage.broker, Who::Auditor, &arguments)
    };
    let first = exec(&[]);
    assert_eq!(first.status.code(), Some(5), "{}", stderr(&first));
    let request = stage.waiting().await;
    assert_eq!(
        (request.what.as_str(), request.countable),
        ("session", false)
    );
    assert!(stderr(&first).contains(&request.id), "{}", stderr(&first));
    // The same question is the same request.
    assert_eq!(exec(&[]).status.code(), Some(5));
    assert_eq!(stage.waiting().await.id, request.id);
    assert!(
        stage.approve(&request.id, Some(5)).await.is_err(),
        "rows of a session"
    );
    stage.approve(&request.id, None).await.unwrap();
    let run = exec(&["--request", &request.id, "--output", "csv"]);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(
        String::from_utf8_lossy(&run.stdout).contains("100"),
        "{run:?}"
    );
    assert_eq!(exec(&["--request", &request.id]).status.code(), Some(6));
    // Denied while somebody waits.
    let arguments = [&fixed[..], &["--wait", "1m"]].concat();
    let mut command = stage.site.start(&stage.broker, Who::Auditor, &arguments);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = stage.waiting().await.id;
    let no = Decide {
        reason: Some("not on a Friday".to_owned()),
        max_rows: None,
    };
    stage.reviewer.deny(&id, &no).await.unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("not on a Friday"),
        "{}",
        stderr(&output)
    );
}
