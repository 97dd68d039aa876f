//! Approvers are told by a webhook: a real receiver, which checks the signature as Standard Webhooks says, and which fails at first.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Stage;

const KEY: &[u8; 24] = b"a key of 24 bytes, so so";

/// A request as it came.
#[derive(Debug)]
struct Post {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Post {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        assert!(line.starts_with("POST /hooks/dbgate HTTP/1.1"), "{line}");
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut post = Self {
            headers,
            body: Vec::new(),
        };
        let length = post.header("content-length").parse().unwrap();
        post.body.resize(length, 0);
        reader.read_exact(&mut post.body).ok()?;
        Some(post)
    }

    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether it is signed by that key.
    fn is_signed(&self, key: &[u8]) -> bool {
        let signed = [
            self.header("webhook-id").as_bytes(),
            b".",
            self.header("webhook-timestamp").as_bytes(),
            b".",
            &self.body,
        ]
        .concat();
        let tag = self
            .header("webhook-signature")
            .strip_prefix("v1,")
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, &signed, &STANDARD.decode(tag).unwrap()).is_ok()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Receives posts, and answers each with the next of these statuses, the last one for ever.
fn receive(listener: TcpListener, statuses: &'static [&'static str]) -> mpsc::Receiver<Post> {
    let (send, posts) = mpsc::channel();
    std::thread::spawn(move || {
        let last = statuses.last().copied();
        let mut statuses = statuses.iter().copied();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(post) = Post::read(&stream) else {
                continue;
            };
            let status = statuses.next().or(last).unwrap();
            // Whoever answers nothing keeps the sender waiting no longer than its patience; here it hangs up.
            if !status.is_empty() {
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).ok();
            }
            if send.send(post).is_err() {
                return;
            }
        }
    });
    posts
}

#[tokio::test(flavor = "multi_thread")]
async fn approvers_are_told_signed_and_again_when_the_receiver_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/dbgate", listener.local_addr().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    let whsec = format!("whsec_{}\n", STANDARD.encode(KEY));
    std::fs::write(secret.path(), whsec).unwrap();
    let config = format!(
        "[webhook]\nurl = \"{url}\"\nsecret_file = {:?}\n",
        secret.path()
    );
    let posts = receive(listener, &["500 Oops", "", "204 No Content"]);
    let stage = Stage::with("", &config).await;
    let sql = "UPDATE held SET note = 'changed' WHERE id <= 4";
    let child = stage.exec_started(&["--wait", "1m", "-c", sql]);
    let request = stage.waiting().await;
    let patience = Duration::from_secs(40);
    // Refused, cut off, taken: the same message each time, so that a receiver can tell.
    let first = posts.recv_timeout(patience).unwrap();
    let (second, third) = (
        posts.recv_timeout(patience).unwrap(),
        posts.recv_timeout(patience).unwrap(),
    );
    for post in [&first, &second, &third] {
        assert!(post.is_signed(KEY), "{post:?}");
        assert!(!post.is_signed(b"another key"), "{post:?}");
        assert_eq!(post.header("content-type"), "application/json");
        assert_eq!(post.header("webhook-id"), request.id);
        assert_eq!(post.body, first.body);
    }
    let body = first.json();
    assert_eq!(body["type"], "request.created");
    let data = &body["data"];
    assert_eq!(data["request"], request.id.as_str());
    assert_eq!(data["subject"], "ada@demo.example");
    assert_eq!(data["reason"], "a test");
    assert_eq!(data["expected_rows"].as_u64(), request.expected_rows);
    assert!(data["expected_rows"].is_number(), "{data}");
    assert_eq!(data["footprint"][0], "writes public.held (note)");
    assert_eq!(data["approvers"][0], "reviewers");
    // The text of the statement may hold values: it stays at the broker.
    assert!(
        !String::from_utf8_lossy(&first.body).contains("changed"),
        "{body}"
    );
    stage.approve(&request.id, None).await.unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(
        posts.recv_timeout(Duration::from_secs(3)).is_err(),
        "it is told again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/dbgate", listener.local_addr().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a secret").unwrap();
    let config = format!(
        "[webhook]\nurl = \"{url}\"\nsecret_file = {:?}\n",
        secret.path()
    );
    let stage = Stage::with("", &config).await;
    // It takes connections and says nothing: as many messages as may wait, and more.
    let before = stage.broker.descriptors();
    for number in 0..80 {
        let since = std::time::Instant::now();
        let id = stage
            .ahead(&format!("DELETE FROM held WHERE id = {number}"))
            .await
            .id;
        stage.approve(&id, None).await.unwrap();
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{number}: {:?}",
            since.elapsed()
        );
    }
    let left_out = stage.broker.lines();
    let left_out = left_out.iter().filter(|line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains("a message was left out"))
    });
    assert!(left_out.count() > 0, "nothing was left out");
    assert!(
        stage.broker.descriptors() < before + 16,
        "connections pile up"
    );
    drop(listener);
}
