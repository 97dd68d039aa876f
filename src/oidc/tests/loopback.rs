//! What comes to the local port, and who is listened to.

#![expect(clippy::too_many_lines, reason = "a table of cases")]

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::oidc::error::Error;
use crate::oidc::loopback::{Loopback, Page};

async fn send(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get(address: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

#[tokio::test]
async fn only_the_answer_with_our_state_counts() {
    let loopback = Loopback::bind(None).await.unwrap();
    let redirect = loopback.redirect().to_owned();
    let address = redirect
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/callback")
        .unwrap()
        .to_owned();
    let waiting = tokio::spawn(async move { loopback.wait("right").await });
    let evil = "GET /callback?state=right&code=x HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let post = format!(
        "POST /callback?state=right HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n"
    );
    let refused = [
        (get(&address, "/callback"), "400"),
        (get(&address, "/callback?state=wrong&code=x"), "400"),
        (get(&address, "/callback?state=righ&code=x"), "400"),
        (
            get(&address, "/callback?state=right&state=right&code=x"),
            "400",
        ),
        (get(&address, "/callback?state=right&code=x&code=y"), "400"),
        (get(&address, "/callback/?state=right&code=x"), "404"),
        (get(&address, "/Callback?state=right&code=x"), "404"),
        (get(&address, "/x/../callback?state=right&code=x"), "404"),
        (get(&address, "//callback?state=right&code=x"), "404"),
        (get(&address, "/favicon.ico"), "404"),
        (get(&address, "/"), "404"),
        (evil.to_owned(), "421"),
        (get("localhost", "/callback?state=right&code=x"), "421"),
        (
            "GET /callback?state=right HTTP/1.1\r\n\r\n".to_owned(),
            "421",
        ),
        (
            format!(
                "GET /callback?state=right HTTP/1.1\r\nHost: {address}\r\nHost: {address}\r\n\r\n"
            ),
            "421",
        ),
        (
            format!("GET /callback?state=right HTTP/1.0\r\nHost: {address}\r\n\r\n"),
            "400",
        ),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (post, "405"),
    ];
    for (request, status) in refused {
        let answer = send(&address, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(answer.contains("Content-Security-Policy: default-src 'none'"));
    }
    assert!(!waiting.is_finished());
    // Somebody who opens connections and says nothing keeps nobody out.
    let _silent = TcpStream::connect(&address).await.unwrap();
    let target = "/callback?state=right&code=a%2Bb&iss=https%3A%2F%2Fissuer.example";
    let browser = tokio::spawn({
        let (address, request) = (address.clone(), get(&address, target));
        async move { send(&address, &request).await }
    });
    let callback = waiting.await.unwrap();
    assert_eq!(callback.parameters["code"], "a+b");
    assert_eq!(callback.parameters["iss"], "https://issuer.example");
    assert!(
        TcpStream::connect(&address).await.is_err(),
        "a second callback"
    );
    let told = Page::Failed("<script>alert(1)</script> & \"more\"");
    callback.visitor.tell(&told).await;
    let page = browser.await.unwrap();
    assert!(page.starts_with("HTTP/1.1 400 "));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;"));
}

#[tokio::test]
async fn a_head_without_end_is_dropped() {
    let loopback = Loopback::bind(None).await.unwrap();
    let address = loopback.redirect().split('/').nth(2).unwrap().to_owned();
    let _waiting = tokio::spawn(async move { loopback.wait("x").await });
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let _sent = stream.write_all(&vec![b'x'; 40_000]).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(5), reading).await;
    assert!(read.is_ok());
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let first = Loopback::bind(None).await.unwrap();
    let port = first.redirect().split([':', '/']).nth(4).unwrap();
    let error = Loopback::bind(Some(port.parse().unwrap()))
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::Port { .. }));
    assert!(error.to_string().contains(port), "{error}");
}
