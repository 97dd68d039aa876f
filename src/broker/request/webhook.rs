//! Tells approvers that something waits: a POST of JSON, signed as Standard Webhooks says.
//!
//! **Invariant:** what is sent names who, where and what is touched; the statement's text stays here.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::broker::Core;
use crate::broker::request::What;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::store::request::Request;

/// How many messages may wait; more are left out, because `dbgate requests` has them all.
const QUEUE: usize = 64;
/// When a message is tried again.
const WAITS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(15),
];
/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to, and by which key.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to.
    pub url: url::Url,
    /// The key, as Standard Webhooks writes it (`whsec_…`), or any other text.
    pub secret: Secret<String>,
}

/// The way to the task that sends.
#[derive(Debug)]
pub struct Hook(mpsc::Sender<Message>);

#[derive(Debug)]
struct Message {
    id: String,
    body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    request: &'a str,
    what: &'a str,
    subject: &'a str,
    database: &'a str,
    reason: &'a str,
    footprint: &'a [String],
    expected_rows: Option<u64>,
    rule: &'a str,
    approvers: &'a [String],
    needed: u32,
    expires: Timestamp,
}

impl Hook {
    /// Starts the task.
    pub(in crate::broker) fn start(core: &Arc<Core>, options: Options) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        core.spawn(run(Arc::clone(core), options, messages));
        Self(queue)
    }

    /// Tells of a new request, soon.
    pub(super) fn tell(&self, request: &Request) {
        let what = What::of(request);
        let body = Body {
            r#type: "request.created",
            timestamp: request.created,
            data: Data {
                request: request.id.as_str(),
                what: request.kind.as_str(),
                subject: &request.subject.display,
                database: request.database.as_str(),
                reason: &request.reason,
                footprint: &what.footprint,
                expected_rows: what.expected_rows,
                rule: &what.rule,
                approvers: &request.approvers,
                needed: request.needed,
                expires: request.expires,
            },
        };
        let Ok(body) = serde_json::to_string(&body) else {
            return;
        };
        let id = request.id.to_string();
        if self.0.try_send(Message { id, body }).is_err() {
            tracing::warn!(
                request = request.id.as_str(),
                "the webhook is too slow; a message was left out"
            );
        }
    }
}

async fn run(core: Arc<Core>, options: Options, mut messages: mpsc::Receiver<Message>) {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("dbgate/", env!("CARGO_PKG_VERSION")))
        .build();
    let Ok(client) = client else {
        tracing::error!("the webhook cannot be used: no HTTP client");
        return;
    };
    while let Some(message) = messages.recv().await {
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            match post(&client, &core, &options, &message).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(request = message.id, error, "the webhook failed"),
            }
        }
    }
}

async fn post(
    client: &reqwest::Client,
    core: &Core,
    options: &Options,
    message: &Message,
) -> Result<(), String> {
    let time = core.clock.now().seconds().to_string();
    let signature = sign(&options.secret, &message.id, &time, &message.body);
    let answer = client
        .post(options.url.clone())
        .header("content-type", "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", &time)
        .header("webhook-signature", signature)
        .body(message.body.clone())
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}

/// `v1,` and the HMAC-SHA-256 of id, time and body.
pub(in crate::broker) fn sign(secret: &Secret<String>, id: &str, time: &str, body: &str) -> String {
    let text = secret.expose().trim();
    let decoded = text
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok());
    let key = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{time}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}
