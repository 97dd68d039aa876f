//! A broker and a gateway that are played, a clock that is set, and a client with the local secret.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::api::types;
use crate::model::secret::Secret;
use crate::model::time::{Clock, Timestamp};
use crate::net::clock;
use crate::net::drain::{self, Drain};
use crate::net::entropy;
use crate::net::framed::Framed;
use crate::net::greeting::{Greeting, hear};
use crate::net::tls::Server;
use crate::net::tls::authority::Authority;
use crate::remote::broker::{Address, Broker};
use crate::remote::pg::Trust;
use crate::tunnel::door::Door;
use crate::tunnel::keeper::Keeper;
use crate::tunnel::listen;
use crate::tunnel::relay::{Cancels, Way};
use crate::tunnel::{Local, News, NotIn};
use crate::wire::backend::{Authentication, Message, TransactionStatus};
use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::frontend::{self, SaslInitial};
use crate::wire::scram::{self, LEASE_ITERATIONS, SHA_256, SHA_256_PLUS, Verifier};
use crate::wire::startup::{Initial, Startup, Version};

/// A clock that is set.
#[derive(Debug)]
pub(super) struct SetClock(pub(super) Mutex<Timestamp>);

impl SetClock {
    pub(super) fn ahead(&self, span: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.after(span);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().micros()).unwrap())
    }
}

/// What the broker was asked, and what it will answer.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) asked: Vec<(String, Value)>,
    /// Answers to `POST /v1/sessions`; when there is none left, a session is granted.
    pub(super) opened: VecDeque<(u16, Value)>,
    /// States of the request, one for each look; the last one stays.
    pub(super) states: VecDeque<&'static str>,
    /// Answers to renewals; when there is none left, another hour is granted.
    pub(super) renewed: VecDeque<(u16, Value)>,
    /// What the gateway saw.
    pub(super) startups: Vec<Startup>,
    pub(super) canceled: Vec<(i32, Vec<u8>, bool)>,
    /// How many logins the gateway turns away as if the session had ended.
    pub(super) unknown: usize,
    /// How many are not signed in before somebody is.
    pub(super) strangers: usize,
}

/// Everything around a tunnel.
pub(super) struct Stage {
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) clock: Arc<SetClock>,
    pub(super) said: Arc<Mutex<Vec<String>>>,
    pub(super) way: Way,
    pub(super) port: u16,
    pub(super) drain: Drain,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// A tunnel to `prod`, its broker and its gateway.
    pub(super) async fn open(script: Script) -> Self {
        let script = Arc::new(Mutex::new(script));
        let clock = Arc::new(SetClock(Mutex::new(clock::System::new().now())));
        let directory = tempfile::tempdir().unwrap();
        let (gateway, ca_file) = gateway(Arc::clone(&script), &directory).await;
        let broker = broker(Arc::clone(&script), Arc::clone(&clock), gateway).await;
        let (speaker, mut news) = mpsc::channel(64);
        let (drain, signal) = drain::pair();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let answers = Arc::clone(&script);
        tokio::spawn(async move {
            while let Some(one) = news.recv().await {
                match one {
                    News::Said(_, text) => heard.lock().unwrap().push(text),
                    News::Login(reply) => {
                        let mut script = answers.lock().unwrap();
                        let stranger = script.strangers > 0;
                        script.strangers = script.strangers.saturating_sub(1);
                        let not_in = NotIn::Login("you are not signed in".to_owned());
                        let answer = if stranger {
                            Err(not_in)
                        } else {
                            Ok(broker.clone())
                        };
                        reply.send(answer).ok();
                    }
                }
            }
        });
        let ask = types::Ask {
            database: "prod".to_owned(),
            reason: Some("a test".to_owned()),
            duration_s: Some(3600),
            access: "read".to_owned(),
            request: None,
        };
        let shared: Arc<dyn Clock> = clock.clone();
        let (keeper, handle) = Keeper::new(ask, shared, speaker.clone(), signal.clone());
        let way = Way {
            handle,
            trust: Trust::File(ca_file),
            speaker,
            cancels: Cancels::default(),
        };
        let local = Local {
            user: "dbgate".to_owned(),
            secret: Secret::from("local secret"),
        };
        let door = Door::new(&local, "prod", Arc::new(entropy::System)).unwrap();
        let listener = listen::Local::port(0).await.unwrap();
        let port = listener.bound();
        tokio::spawn(keeper.run());
        tokio::spawn(listener.serve(Arc::new(door), way.clone(), signal));
        Self {
            script,
            clock,
            said,
            way,
            port,
            drain,
            _directory: directory,
        }
    }

    /// Requests to the broker whose method and path begin so.
    pub(super) fn asked(&self, start: &str) -> usize {
        let script = self.script.lock().unwrap();
        let asked = script.asked.iter();
        asked.filter(|(what, _)| what.starts_with(start)).count()
    }

    /// Whether something was said that contains `text`.
    pub(super) fn said(&self, text: &str) -> bool {
        self.said
            .lock()
            .unwrap()
            .iter()
            .any(|said| said.contains(text))
    }

    /// A client that has said who it is; the server's first answer is still to be read.
    pub(super) async fn knock(&self, parameters: &[(&str, &str)]) -> Framed<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut client = Framed::backend(stream);
        let parameters = parameters.iter();
        let startup = Startup {
            version: Version::V3_0,
            parameters: parameters
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        Initial::Startup(startup).encode(client.out()).unwrap();
        client.flush().await.unwrap();
        client
    }

    /// A client that has proved that it knows `secret`, or was told why not.
    pub(super) async fn enter(
        &self,
        parameters: &[(&str, &str)],
        secret: &str,
    ) -> Result<Framed<TcpStream>, Fields> {
        let mut client = self.knock(parameters).await;
        let mut scram = ScramSha256::new(secret.as_bytes(), ChannelBinding::unsupported());
        loop {
            let frame = client.read().await.unwrap().unwrap();
            let mut body = Vec::new();
            match Message::decode(&frame).unwrap() {
                Message::Authentication(Authentication::Sasl { mechanisms }) => {
                    assert_eq!(mechanisms, [SHA_256]);
                    let data = Some(scram.message());
                    let mechanism = SHA_256;
                    SaslInitial { mechanism, data }.encode(&mut body).unwrap();
                }
                Message::Authentication(Authentication::SaslContinue(first)) => {
                    scram.update(first).unwrap();
                    body.extend_from_slice(scram.message());
                }
                Message::Authentication(Authentication::SaslFinal(last)) => {
                    scram.finish(last).unwrap();
                    continue;
                }
                Message::Authentication(Authentication::Ok) => {
                    client.authenticated();
                    return Ok(client);
                }
                Message::ErrorResponse(fields) => return Err(fields),
                other => panic!("{other:?}"),
            }
            frontend::Message::Password(&body)
                .encode(client.out())
                .unwrap();
            client.flush().await.unwrap();
        }
    }

    /// A client that is ready for its first query, with the notices it got and its cancel key; or why not.
    pub(super) async fn ready(&self) -> Result<Ready, Fields> {
        let client = self.enter(&[("user", "dbgate")], "local secret").await?;
        until_ready(client).await
    }
}

pub(super) struct Ready {
    pub(super) client: Framed<TcpStream>,
    pub(super) notices: Vec<String>,
    pub(super) key: (i32, Vec<u8>),
}

pub(super) async fn until_ready(mut client: Framed<TcpStream>) -> Result<Ready, Fields> {
    let mut notices = Vec::new();
    let mut key = (0, Vec::new());
    loop {
        let frame = client.read().await.unwrap().expect("the tunnel closed");
        match Message::decode(&frame).unwrap() {
            Message::NoticeResponse(fields) => notices.push(fields.message.clone()),
            Message::BackendKeyData { pid, key: secret } => key = (pid, secret.to_vec()),
            Message::ErrorResponse(fields) => return Err(fields),
            Message::ReadyForQuery(_) => {
                return Ok(Ready {
                    client,
                    notices,
                    key,
                });
            }
            _ => {}
        }
    }
}

/// Plays the broker's interface, one request a connection.
async fn broker(script: Arc<Mutex<Script>>, clock: Arc<SetClock>, gateway: SocketAddr) -> Broker {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            stream.read_line(&mut line).await.unwrap();
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).await.unwrap();
                let header = header.trim().to_ascii_lowercase();
                if let Some(text) = header.strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                if header.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let what = line.rsplit_once(' ').unwrap().0.to_owned();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, answer) = {
                let mut script = script.lock().unwrap();
                let number = script
                    .asked
                    .iter()
                    .filter(|(what, _)| what == "POST /v1/sessions")
                    .count();
                script.asked.push((what.clone(), body));
                answer(&mut script, (&what, number), clock.now(), gateway)
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream
                .write_all(format!("{head}{answer}").as_bytes())
                .await
                .unwrap();
        }
    });
    let url = url.parse().unwrap();
    Broker::new(Address { url, ca_file: None }).unwrap()
}

fn answer(
    script: &mut Script,
    (what, number): (&str, usize),
    now: Timestamp,
    gateway: SocketAddr,
) -> (u16, Value) {
    let hour = Duration::from_secs(3600);
    match what {
        "POST /v1/sessions" => script.opened.pop_front().unwrap_or_else(|| {
            let session = session(number, now.after(hour));
            let gateway = json!({ "host": "localhost", "port": gateway.port() });
            let user = session["id"].clone();
            (200, json!({ "outcome": "granted", "session": session, "gateway": gateway, "user": user, "secret": "session secret" }))
        }),
        "GET /v1/requests/r0123456789ab" => {
            let state = if script.states.len() > 1 { script.states.pop_front() } else { script.states.front().copied() };
            (200, request(state.unwrap()))
        }
        _ if what.ends_with("/renew") => script
            .renewed
            .pop_front()
            .unwrap_or_else(|| (200, session(0, now.after(hour)))),
        _ if what.starts_with("DELETE") => (200, session(0, now)),
        other => panic!("{other}"),
    }
}

fn subject() -> Value {
    json!({ "issuer": "https://issuer", "sub": "1", "display": "ada", "kind": "person", "groups": [] })
}

pub(super) fn session(number: usize, ends: Timestamp) -> Value {
    json!({ "id": format!("s00000000000{number}"), "subject": subject(), "database": "prod", "access": "read", "opened": "", "ends": ends, "state": "open", "connections": 0 })
}

pub(super) fn request(state: &str) -> Value {
    json!({
        "id": "r0123456789ab", "what": "session", "state": state, "subject": subject(), "database": "prod", "rule": "x",
        "approvers": ["dba"], "needed": 1, "created": "", "expires": "",
        "approvals": [{ "by": "grace", "at": "" }],
    })
}

/// Plays the gateway: TLS, SCRAM with channel binding, and an echo.
async fn gateway(
    script: Arc<Mutex<Script>>,
    directory: &tempfile::TempDir,
) -> (SocketAddr, PathBuf) {
    let now = clock::System::new().now();
    let authority = Authority::new("dbgate test", now, 7).unwrap();
    let leaf = authority.issue(&["localhost"], now, 7).unwrap();
    let server = Server::new(leaf.certificate.as_bytes(), leaf.key.expose().as_bytes()).unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, authority.certificate()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (script, server) = (Arc::clone(&script), server.clone());
            tokio::spawn(async move {
                match hear(stream, Some(&server)).await.unwrap() {
                    Greeting::Nothing | Greeting::Malformed { .. } => {}
                    Greeting::Cancel { framed, cancel } => {
                        let encrypted = framed.stream().is_encrypted();
                        let seen = (cancel.pid, cancel.key, encrypted);
                        script.lock().unwrap().canceled.push(seen);
                    }
                    Greeting::Startup { framed, startup } => {
                        let number = {
                            let mut script = script.lock().unwrap();
                            script.startups.push(startup);
                            script.startups.len()
                        };
                        play(framed, &script, &server, number).await;
                    }
                }
            });
        }
    });
    (address, ca_file)
}

async fn play<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut client: Framed<S>,
    script: &Mutex<Script>,
    server: &Server,
    number: usize,
) {
    let send = |client: &mut Framed<S>, message: Message<'_>| message.encode(client.out()).unwrap();
    let verifier =
        Verifier::new(&Secret::from("session secret"), b"salt", LEASE_ITERATIONS).unwrap();
    let mechanisms = server.binding().mechanisms().to_vec();
    send(
        &mut client,
        Message::Authentication(Authentication::Sasl { mechanisms }),
    );
    client.flush().await.unwrap();
    let frame = client.read().await.unwrap().unwrap();
    let Ok(frontend::Message::Password(body)) = frontend::Message::decode(&frame) else {
        panic!()
    };
    let initial = SaslInitial::decode(body).unwrap();
    assert_eq!(initial.mechanism, SHA_256_PLUS);
    let scram = scram::Server::new(verifier, server.binding().clone());
    let (challenge, first) = scram
        .first(initial.mechanism, initial.data.unwrap(), "nonce")
        .unwrap();
    send(
        &mut client,
        Message::Authentication(Authentication::SaslContinue(&first)),
    );
    client.flush().await.unwrap();
    let frame = client.read().await.unwrap().unwrap();
    let Ok(frontend::Message::Password(body)) = frontend::Message::decode(&frame) else {
        panic!()
    };
    let (_, last) = challenge.last(body).unwrap();
    let unknown = {
        let mut script = script.lock().unwrap();
        let unknown = script.unknown > 0;
        script.unknown = script.unknown.saturating_sub(1);
        unknown
    };
    if unknown {
        let fields = Fields::new(
            Severity::Fatal,
            SqlState::INVALID_AUTHORIZATION,
            "this session has ended",
        );
        send(&mut client, Message::ErrorResponse(fields));
        client.close().await.unwrap();
        return;
    }
    send(
        &mut client,
        Message::Authentication(Authentication::SaslFinal(&last)),
    );
    send(&mut client, Message::Authentication(Authentication::Ok));
    send(
        &mut client,
        Message::ParameterStatus {
            name: "server_version",
            value: "15.18",
        },
    );
    let pid = i32::try_from(number).unwrap();
    send(&mut client, Message::BackendKeyData { pid, key: b"key!" });
    send(&mut client, Message::ReadyForQuery(TransactionStatus::Idle));
    client.flush().await.unwrap();
    client.authenticated();
    echo(client).await;
}

/// Answers a query with a row that holds its text, and with a notice of dbgate's own when it says `wait`.
async fn echo<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut client: Framed<S>) {
    while let Ok(Some(frame)) = client.read().await {
        let Ok(frontend::Message::Query { sql }) = frontend::Message::decode(&frame) else {
            return;
        };
        let out = client.out();
        if sql == "wait" {
            let mut fields = Fields::new(
                Severity::Notice,
                SqlState::SUCCESSFUL,
                "waits for an approval of r1",
            );
            fields.routine = Some("dbgate_waiting".to_owned());
            Message::NoticeResponse(fields).encode(out).unwrap();
            let fields = Fields::new(
                Severity::Notice,
                SqlState::SUCCESSFUL,
                "a notice of the database",
            );
            Message::NoticeResponse(fields).encode(out).unwrap();
        }
        let mut row = crate::wire::row::Builder::new(out, 1).unwrap();
        row.push(Some(sql.as_bytes())).unwrap();
        row.finish().unwrap();
        Message::CommandComplete { tag: "SELECT 1" }
            .encode(out)
            .unwrap();
        Message::ReadyForQuery(TransactionStatus::Idle)
            .encode(out)
            .unwrap();
        client.flush().await.unwrap();
    }
}
