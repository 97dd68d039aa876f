//! An issuer that answers as a test wants it to, and counts; and a clock that moves when a test moves it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::identity::tests::signer::Signer;
use crate::model::time::{Clock, Timestamp};

/// A clock that stands still.
#[derive(Debug)]
pub(crate) struct StillClock(Mutex<Duration>);

/// Where the still clock starts.
pub(crate) const START: i64 = 1_800_000_000;

impl StillClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::from_secs(5))))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(START).after(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// What the fake answers on a path.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(Value),
    Status(u16, String),
    Redirect(String),
    /// A body of so many bytes that never looks like JSON.
    Endless(usize),
    /// A byte a second.
    Slow,
    Hang,
}

/// A fake issuer; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, Answer>,
    hits: HashMap<String, usize>,
    bodies: Vec<String>,
}

impl Fake {
    /// With a discovery document and the keys of [`Signer::issuer`].
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        let fake = Self { url, state, task };
        fake.discovery(&json!({}));
        fake.answer("/jwks", Answer::Json(Signer::issuer().key_set()));
        fake
    }

    /// The discovery document, with these members put over it.
    pub(crate) fn discovery(&self, over: &Value) {
        let url = &self.url;
        let mut document = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "revocation_endpoint": format!("{url}/revoke"),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        let members = document.as_object_mut().unwrap();
        members.extend(over.as_object().unwrap().clone());
        self.answer("/.well-known/openid-configuration", Answer::Json(document));
    }

    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), answer);
    }

    pub(crate) fn hits(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.hits.get(path).copied().unwrap_or(0)
    }

    /// What was POSTed last.
    pub(crate) fn posted(&self) -> HashMap<String, String> {
        let state = self.state.lock().unwrap();
        let body = state.bodies.last().unwrap();
        url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let body = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| {
                rest.lines()
                    .next()
                    .unwrap()
                    .trim()
                    .parse::<usize>()
                    .unwrap()
            });
            if body.len() >= length {
                break body.to_owned();
            }
        }
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let path = text.split(' ').nth(1).unwrap().to_owned();
    let path = path.split('?').next().unwrap().to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        *state.hits.entry(path.clone()).or_default() += 1;
        state.bodies.push(body);
        let missing = Answer::Status(404, String::new());
        state.answers.get(&path).cloned().unwrap_or(missing)
    };
    let _sent = respond(&mut stream, answer).await;
}

async fn respond(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    let (status, extra, body) = match answer {
        Answer::Json(value) => (
            200,
            "content-type: application/json\r\n".to_owned(),
            value.to_string(),
        ),
        Answer::Status(status, body) => (
            status,
            "content-type: application/json\r\n".to_owned(),
            body,
        ),
        Answer::Redirect(to) => (302, format!("location: {to}\r\n"), String::new()),
        Answer::Endless(length) => (200, String::new(), "x".repeat(length)),
        Answer::Slow => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b"{").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Answer::Hang => return std::future::pending().await,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{extra}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}
