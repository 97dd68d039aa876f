//! The session behind a listener: opened once, renewed in time, waited for, ended.

use std::time::Duration;

use serde_json::json;

use crate::net::drain;
use crate::tunnel::tests::stage::{Script, Stage, request, session, until_ready};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_session_is_opened_at_the_first_connection_and_shared() {
    let stage = Stage::open(Script::default()).await;
    assert_eq!(stage.asked(""), 0);
    let (first, second, third) = tokio::join!(stage.ready(), stage.ready(), stage.ready());
    let all = [first, second, third];
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(stage.asked("POST /v1/sessions"), 1);
    assert!(stage.said("`prod` is open for 1h"));
}

#[tokio::test]
async fn it_ends_with_the_tunnel() {
    let stage = Stage::open(Script::default()).await;
    let ready = stage.ready().await;
    assert!(ready.is_ok());
    let Stage {
        drain, script, way, ..
    } = stage;
    drop(way);
    assert!(drain::Drain::finish(&drain, Duration::from_secs(5)).await);
    let asked = &script.lock().unwrap().asked;
    assert!(
        asked
            .iter()
            .any(|(what, _)| what.starts_with("DELETE /v1/sessions/s000000000000"))
    );
}

#[tokio::test]
async fn it_is_renewed_before_its_end_by_the_wall_clock() {
    let stage = Stage::open(Script::default()).await;
    stage.way.handle.session().await.unwrap();
    stage.clock.ahead(HOUR * 3 / 4);
    stage.way.handle.session().await.unwrap();
    assert_eq!(stage.asked("POST /v1/sessions/s000000000000/renew"), 0);
    stage.clock.ahead(HOUR / 10);
    stage.way.handle.session().await.unwrap();
    assert_eq!(stage.asked("POST /v1/sessions/s000000000000/renew"), 1);
    assert!(stage.said("is renewed for 1h"));
    // An hour after the renewal it is still the same session.
    stage.clock.ahead(HOUR / 2);
    assert_eq!(
        stage.way.handle.session().await.unwrap().id,
        "s000000000000"
    );
    assert_eq!(stage.asked("POST /v1/sessions/s000000000000/renew"), 1);
}

#[tokio::test]
async fn a_laptop_that_slept_past_the_end_gets_another() {
    let stage = Stage::open(Script::default()).await;
    stage.way.handle.session().await.unwrap();
    stage.clock.ahead(HOUR * 10);
    assert_eq!(
        stage.way.handle.session().await.unwrap().id,
        "s000000000001"
    );
    assert!(stage.said("has ended"));
}

#[tokio::test]
async fn an_end_that_policy_caps_is_told_once_and_kept() {
    let script = Script::default();
    let stage = Stage::open(script).await;
    stage.way.handle.session().await.unwrap();
    let ends = stage.clock.0.lock().unwrap().after(HOUR);
    let capped = (200, session(0, ends));
    stage.script.lock().unwrap().renewed.push_back(capped);
    stage.clock.ahead(HOUR * 9 / 10);
    for _ in 0..3 {
        stage.way.handle.session().await.unwrap();
    }
    assert_eq!(stage.asked("POST /v1/sessions/s000000000000/renew"), 1);
    assert!(stage.said("can't be renewed; a connection after that opens another"));
    stage.clock.ahead(HOUR / 10);
    assert_eq!(
        stage.way.handle.session().await.unwrap().id,
        "s000000000001"
    );
}

#[tokio::test]
async fn a_connection_is_held_while_a_review_is_pending() {
    let mut script = Script::default();
    let pending = json!({ "outcome": "pending", "request": request("pending") });
    script.opened.push_back((200, pending));
    script.states.extend(["pending", "approved"]);
    let stage = Stage::open(script).await;
    let ready = stage
        .ready()
        .await
        .map_err(|fields| fields.message.clone())
        .unwrap();
    let expected = "dbgate: `prod` waits for an approval by dba (request r0123456789ab)";
    assert_eq!(ready.notices, [expected]);
    assert!(stage.said("was approved by grace"));
    let script = stage.script.lock().unwrap();
    let last = script
        .asked
        .iter()
        .rfind(|(what, _)| what == "POST /v1/sessions");
    assert_eq!(last.unwrap().1["request"], "r0123456789ab");
}

#[tokio::test]
async fn a_denied_review_is_told_and_not_asked_for_again_at_once() {
    let mut script = Script::default();
    let pending = json!({ "outcome": "pending", "request": request("pending") });
    script.opened.push_back((200, pending));
    script.states.push_back("denied");
    let stage = Stage::open(script).await;
    for _ in 0..3 {
        let refused = stage.ready().await.err().unwrap();
        assert_eq!(refused.code.as_str(), "28000");
        assert!(refused.message.ends_with("(r0123456789ab) was denied"));
    }
    assert_eq!(stage.asked("POST /v1/sessions"), 1);
    stage.clock.ahead(Duration::from_secs(11));
    assert!(stage.ready().await.is_ok());
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_its_reason() {
    let mut script = Script::default();
    let problem = json!({ "code": "not_allowed", "message": "`prod` is not for you", "detail": "rule x", "hint": "ask ada" });
    script.opened.push_back((403, problem));
    let stage = Stage::open(script).await;
    let refused = stage.ready().await.err().unwrap();
    assert_eq!(refused.message, "dbgate: `prod` is not for you");
    assert_eq!(refused.detail.as_deref(), Some("rule x"));
    assert_eq!(refused.hint.as_deref(), Some("ask ada"));
    assert!(stage.said("`prod` is not for you") && stage.said("ask ada"));
}

#[tokio::test]
async fn a_connection_is_held_until_somebody_signs_in() {
    let script = Script {
        strangers: 1,
        ..Script::default()
    };
    let stage = Stage::open(script).await;
    let ready = stage
        .ready()
        .await
        .map_err(|fields| fields.message.clone())
        .unwrap();
    assert_eq!(
        ready.notices,
        ["dbgate: you are not signed in; connections wait"]
    );
    assert!(stage.said("run `dbgate login`"));
}

#[tokio::test]
async fn a_token_that_has_ended_is_replaced_once() {
    let mut script = Script::default();
    let expired = json!({ "code": "token_expired", "message": "the token has ended" });
    script.opened.push_back((401, expired.clone()));
    let stage = Stage::open(script).await;
    assert!(stage.ready().await.is_ok());
    stage.clock.ahead(HOUR * 10);
    let twice = [(401, expired.clone()), (401, expired)];
    stage.script.lock().unwrap().opened.extend(twice);
    let refused = stage.ready().await.err().unwrap();
    assert_eq!(refused.message, "dbgate: the token has ended");
}

#[tokio::test]
async fn who_leaves_while_waiting_asks_for_nothing() {
    let mut script = Script::default();
    let pending = json!({ "outcome": "pending", "request": request("pending") });
    script.opened.push_back((200, pending));
    script.states.push_back("denied");
    let stage = Stage::open(script).await;
    let waiting = stage.enter(&[("user", "dbgate")], "local secret").await;
    // The second is in the queue behind the first, and goes.
    let gone = stage.enter(&[("user", "dbgate")], "local secret").await;
    drop(gone);
    assert!(
        until_ready(waiting.map_err(|fields| fields.message.clone()).unwrap())
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stage.asked("POST /v1/sessions"), 1);
}
