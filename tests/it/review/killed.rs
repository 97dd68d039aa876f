//! The broker is killed while a statement is held (row E4): the client is told, and it never runs afterwards.

use std::time::Duration;

use super::{Stage, stderr};
use crate::harness::long;

/// How often it is killed.
const SHORT: usize = 8;
const LONG: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_was_held_when_the_broker_was_killed_never_runs() {
    let kills = if long() { LONG } else { SHORT };
    let mut stage = Stage::new().await;
    let mut ran = 0;
    for kill in 0..kills {
        let note = format!("kill {kill}");
        let sql = format!("UPDATE held SET note = '{note}' WHERE id = 1");
        let child = stage.exec_started(&["--wait", "1m", "-c", &sql]);
        let id = stage.waiting().await.id;
        // Every other time somebody agrees at the same moment: then it has run, or it never will.
        let agreed = kill % 2 == 1;
        if agreed {
            let reviewer = stage.reviewer.clone();
            let id = id.clone();
            tokio::spawn(async move { reviewer.approve(&id, &Default::default()).await.is_ok() });
            tokio::time::sleep(Duration::from_micros(137 * (kill as u64 % 40))).await;
        }
        stage.broker.child.kill().unwrap();
        stage.broker.child.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        let told = stderr(&output);
        // The upstream's end of it: what was on its way has arrived by then.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let before = stage.noted("held", &note).await;
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(1), "{told}");
            let clear = told.contains("the connection to the gateway broke: the broker closed it")
                || told.contains("does not answer")
                || told.contains("broke: Connection reset");
            assert!(clear && told.contains("hint: "), "{told}");
        }
        assert!(
            agreed || (before == 0 && !output.status.success()),
            "it ran: {told}"
        );
        ran += before;
        stage.broker = stage.site.run();
        stage.engineer = stage.site.engineer(&stage.broker).await;
        stage.reviewer = stage.site.reviewer(&stage.broker).await;
        let state = stage.state(&id).await;
        match state.as_str() {
            "used" => assert!(agreed, "{id}"),
            "withdrawn" => assert_eq!(before, 0, "{id}"),
            other => panic!("{id} is {other} after the restart"),
        }
        let late = stage.approve(&id, None).await;
        assert!(late.is_err(), "{id} is agreed to after the restart");
        assert_eq!(stage.noted("held", &note).await, before, "it ran late");
    }
    // Once more at the end: nothing of all that was held has run since.
    assert_eq!(
        stage
            .number("SELECT count(*) FROM held WHERE note LIKE 'kill %'")
            .await
            .min(1),
        ran.min(1)
    );
    println!("{kills} kills, {ran} statements had run before, 0 ran late");
}
