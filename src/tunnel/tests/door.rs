//! Who comes in: the local secret decides, and nothing happens before it does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::tunnel::tests::stage::{Script, Stage};
use crate::wire::backend::Message;

#[tokio::test]
async fn who_does_not_know_the_secret_causes_nothing() {
    let stage = Stage::open(Script::default()).await;
    let cases = [
        ("dbgate", "wrong secret"),
        ("postgres", "local secret"),
        ("", ""),
    ];
    for (user, secret) in cases {
        if user.is_empty() {
            continue;
        }
        let refused = stage.enter(&[("user", user)], secret).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "28P01", "{user}");
        assert_eq!(
            refused.message, "dbgate: password authentication failed",
            "{user}"
        );
        assert!(
            refused
                .hint
                .as_ref()
                .unwrap()
                .contains("dbgate tunnel prod")
        );
    }
    assert!(stage.script.lock().unwrap().asked.is_empty());
    assert!(stage.script.lock().unwrap().startups.is_empty());
}

#[tokio::test]
async fn another_database_is_named_and_refused() {
    let stage = Stage::open(Script::default()).await;
    let parameters = [("user", "dbgate"), ("database", "postgres")];
    let refused = stage.enter(&parameters, "local secret").await.unwrap_err();
    assert_eq!(refused.code.as_str(), "3D000");
    assert!(refused.message.contains("`prod`, not to `postgres`"));
    for parameters in [
        &[("user", "dbgate")][..],
        &[("user", "dbgate"), ("database", "prod")],
    ] {
        assert!(stage.enter(parameters, "local secret").await.is_ok());
    }
}

#[tokio::test]
async fn tls_is_declined_once_and_garbage_closes() {
    let stage = Stage::open(Script::default()).await;
    let ssl = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
    stream.write_all(&ssl).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'N');
    stream.write_all(&ssl).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"Q\0\0\0\x04",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_query_before_the_password_is_not_heard() {
    let stage = Stage::open(Script::default()).await;
    let mut client = stage.knock(&[("user", "dbgate")]).await;
    client.out().extend_from_slice(b"Q\0\0\0\x0dselect 1\0");
    client.flush().await.unwrap();
    let mut refused = false;
    while let Ok(Some(frame)) = client.read().await {
        refused |= matches!(Message::decode(&frame), Ok(Message::ErrorResponse(_)));
    }
    assert!(refused);
    assert!(stage.script.lock().unwrap().asked.is_empty());
}
