//! Bytes both ways, cancels over TLS, sessions the gateway no longer knows.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::net::framed::Framed;
use crate::tunnel::tests::stage::{Ready, Script, Stage};
use crate::wire::backend::Message;
use crate::wire::frontend;
use crate::wire::startup::{Cancel, Initial};

/// The value of the one row that answers `sql`, and the notices before it.
async fn query(client: &mut Framed<TcpStream>, sql: &str) -> (Vec<u8>, Vec<String>) {
    frontend::Message::Query { sql }
        .encode(client.out())
        .unwrap();
    client.flush().await.unwrap();
    let (mut value, mut notices) = (Vec::new(), Vec::new());
    loop {
        let frame = client.read().await.unwrap().unwrap();
        match Message::decode(&frame).unwrap() {
            Message::DataRow(row) => value = row.values().next().unwrap().unwrap().to_vec(),
            Message::NoticeResponse(fields) => notices.push(fields.message.clone()),
            Message::ReadyForQuery(_) => return (value, notices),
            _ => {}
        }
    }
}

async fn ready(stage: &Stage) -> Ready {
    stage
        .ready()
        .await
        .map_err(|fields| fields.message.clone())
        .unwrap()
}

#[tokio::test]
async fn small_and_large_messages_go_both_ways() {
    let stage = Stage::open(Script::default()).await;
    let mut client = ready(&stage).await.client;
    for size in [0, 1, 1000, 65_531, 65_536, 3_000_000] {
        let sql = "x".repeat(size);
        let (value, _) = query(&mut client, &sql).await;
        assert!(value == sql.as_bytes(), "{size}");
    }
    client.out().extend_from_slice(b"X\0\0\0\x04");
    client.flush().await.unwrap();
    assert!(client.read().await.unwrap().is_none());
}

#[tokio::test]
async fn the_client_s_settings_go_on_and_its_user_does_not() {
    let stage = Stage::open(Script::default()).await;
    let parameters = [
        ("user", "dbgate"),
        ("database", "prod"),
        ("application_name", "pgAdmin"),
        ("options", "-c x=1"),
    ];
    let client = stage
        .enter(&parameters, "local secret")
        .await
        .map_err(|fields| fields.message.clone());
    crate::tunnel::tests::stage::until_ready(client.unwrap())
        .await
        .map_err(|fields| fields.message.clone())
        .unwrap();
    let script = stage.script.lock().unwrap();
    let expected = [
        ("user", "s000000000000"),
        ("database", "prod"),
        ("application_name", "pgAdmin"),
        ("options", "-c x=1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(script.startups[0].parameters, expected);
}

#[tokio::test]
async fn what_dbgate_says_is_heard_in_the_terminal_and_what_the_database_says_is_not() {
    let stage = Stage::open(Script::default()).await;
    let mut client = ready(&stage).await.client;
    let (_, notices) = query(&mut client, "wait").await;
    assert_eq!(
        notices,
        ["waits for an approval of r1", "a notice of the database"]
    );
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(stage.said("waits for an approval of r1"));
    assert!(!stage.said("a notice of the database"));
}

async fn cancel(stage: &Stage, (pid, key): (i32, Vec<u8>)) {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
    let mut wire = Vec::new();
    Initial::Cancel(Cancel { pid, key })
        .encode(&mut wire)
        .unwrap();
    stream.write_all(&wire).await.unwrap();
    // Closed without an answer, when the gateway has it.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn cancels_of_living_connections_go_on_encrypted_and_no_others() {
    let stage = Stage::open(Script::default()).await;
    let one = ready(&stage).await;
    let two = ready(&stage).await;
    assert_ne!(one.key, two.key);
    cancel(&stage, two.key.clone()).await;
    cancel(&stage, (two.key.0, b"nope".to_vec())).await;
    cancel(&stage, (99, two.key.1.clone())).await;
    let seen = stage.script.lock().unwrap().canceled.clone();
    assert_eq!(seen, [(two.key.0, two.key.1.clone(), true)]);
    let key = two.key.clone();
    drop(two);
    tokio::time::sleep(Duration::from_millis(50)).await;
    cancel(&stage, key).await;
    assert_eq!(stage.script.lock().unwrap().canceled.len(), 1);
}

#[tokio::test]
async fn a_session_the_gateway_no_longer_knows_is_replaced_once() {
    let stage = Stage::open(Script {
        unknown: 1,
        ..Script::default()
    })
    .await;
    ready(&stage).await;
    assert_eq!(stage.asked("POST /v1/sessions"), 2);

    let stage = Stage::open(Script {
        unknown: 5,
        ..Script::default()
    })
    .await;
    let refused = stage.ready().await.err().unwrap();
    assert_eq!(refused.message, "this session has ended");
    assert_eq!(stage.asked("POST /v1/sessions"), 2);
}

#[tokio::test]
async fn closing_the_tunnel_closes_its_connections() {
    let stage = Stage::open(Script::default()).await;
    let mut client = ready(&stage).await.client;
    stage.drain.start();
    assert!(client.read().await.ok().flatten().is_none());
}
