//! A client that is in, connected to the gateway: bytes both ways, and an eye on what the gateway says by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::net::Error;
use crate::net::framed::Framed;
use crate::net::stream::Stream;
use crate::remote::pg::{self, Canceller, Connection, Options, Trust};
use crate::tunnel::keeper::{Handle, Session};
use crate::tunnel::{News, Refusal, Speaker, Tone, door, say};
use crate::wire::backend::{self, Message};
use crate::wire::error::SqlState;
use crate::wire::frame::{Deframer, Frame};
use crate::wire::origin;
use crate::wire::startup::{Cancel, Startup, Version};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Connections that can be canceled, by process and key.
#[derive(Debug, Clone, Default)]
pub struct Cancels {
    by_key: Arc<Mutex<HashMap<Cancel, Arc<Options>>>>,
}

/// A connection's entry among those that can be canceled; it goes with the connection.
#[derive(Debug)]
pub struct Cancelable {
    cancels: Cancels,
    key: Cancel,
}

impl Cancels {
    fn enter(&self, pid: i32, key: &[u8], options: &Arc<Options>) -> Cancelable {
        let key = key.to_vec();
        let key = Cancel { pid, key };
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.insert(key.clone(), Arc::clone(options));
        drop(by_key);
        let cancels = self.clone();
        Cancelable { cancels, key }
    }

    /// Sends a cancel on to the gateway, over TLS, when it names a connection of this tunnel; others are nobody's business.
    ///
    /// # Errors
    /// When the gateway can't be reached.
    pub async fn send(&self, cancel: Cancel) -> Result<(), pg::Error> {
        match self.find(&cancel) {
            Some(options) => Canceller::new(options, cancel.pid, cancel.key).send().await,
            None => Ok(()),
        }
    }

    fn find(&self, key: &Cancel) -> Option<Arc<Options>> {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.get(key).cloned()
    }
}

impl Drop for Cancelable {
    fn drop(&mut self) {
        let by_key = &self.cancels.by_key;
        let mut by_key = by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.remove(&self.key);
    }
}

/// What all connections of a tunnel share.
#[derive(Debug, Clone)]
pub struct Way {
    /// The session behind it.
    pub handle: Handle,
    /// Whom to trust at the gateway.
    pub trust: Trust,
    /// Who is told what happens.
    pub speaker: Speaker,
    /// What can be canceled.
    pub cancels: Cancels,
}

/// Connects an admitted client to the gateway and forwards until one of them closes.
///
/// # Errors
/// When a connection breaks.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Framed<S>,
    startup: &Startup,
    version: Version,
    way: &Way,
) -> Result<(), Error> {
    let Some((options, mut gateway)) = enter(&mut client, startup, version, way).await? else {
        return Ok(());
    };
    let Some(_cancelables) = ready(&mut client, &mut gateway, &options, way).await? else {
        return Ok(());
    };
    let name = startup.parameter("application_name").unwrap_or("a client");
    say(&way.speaker, Tone::Detail, format!("{name} has connected")).await;
    let outcome = forward(client, gateway, &way.speaker).await;
    say(&way.speaker, Tone::Detail, format!("{name} has gone")).await;
    outcome
}

/// Gets in at the gateway, with another session when it no longer knows the one we have.
async fn enter<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
    startup: &Startup,
    version: Version,
    way: &Way,
) -> Result<Option<(Arc<Options>, Framed<Stream<TcpStream>>)>, Error> {
    let mut last = None;
    for _ in 0..2 {
        let Some(session) = door::hold(client, &way.handle).await? else {
            return Ok(None);
        };
        let options = options(&session, startup, &way.trust);
        let packet = packet(&session, startup, version);
        match Connection::enter(options.clone(), packet).await {
            Ok((stream, deframer)) => {
                let gateway = Framed::new(stream, deframer);
                return Ok(Some((Arc::new(options), gateway)));
            }
            Err(error) => {
                let ended =
                    matches!(&error, pg::Error::Refused(fields) if fields.code.class() == "28");
                last = Some(error);
                if !ended {
                    break;
                }
                way.handle.spoiled(&session).await;
            }
        }
    }
    if let Some(error) = last {
        say(&way.speaker, Tone::Warning, error.to_string()).await;
        door::turn_away(client, &refusal(error)).await?;
    }
    Ok(None)
}

fn options(session: &Session, startup: &Startup, trust: &Trust) -> Options {
    let application = startup.parameter("application_name").unwrap_or_default();
    Options {
        host: session.host.clone(),
        port: session.port,
        trust: trust.clone(),
        user: session.user.clone(),
        secret: session.secret.clone(),
        database: session.database.clone(),
        application: application.to_owned(),
    }
}

/// The client's own startup packet, as the session's user.
fn packet(session: &Session, startup: &Startup, version: Version) -> Startup {
    let mut parameters = vec![
        ("user".to_owned(), session.user.clone()),
        ("database".to_owned(), session.database.clone()),
    ];
    let others = startup.parameters.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "user" | "database") && !name.starts_with("_pq_.")
    });
    parameters.extend(others.cloned());
    Startup {
        version,
        parameters,
    }
}

fn refusal(error: pg::Error) -> Refusal {
    match error {
        pg::Error::Refused(fields) => Refusal { fields },
        other => Refusal::new(SqlState::CONNECTION_FAILURE, other.to_string()),
    }
}

/// Sends on what the gateway says up to its being ready, with the keys it gave out; `None` when it closes before that.
async fn ready<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
    gateway: &mut Framed<Stream<TcpStream>>,
    options: &Arc<Options>,
    way: &Way,
) -> Result<Option<Vec<Cancelable>>, Error> {
    let mut cancelables = Vec::new();
    loop {
        let Some(frame) = gateway.read().await? else {
            client.close().await?;
            return Ok(None);
        };
        client.forward(frame.bytes().clone());
        match Message::decode(&frame)? {
            Message::BackendKeyData { pid, key } => {
                cancelables.push(way.cancels.enter(pid, key, options));
            }
            Message::ReadyForQuery(_) => {
                client.flush().await?;
                return Ok(Some(cancelables));
            }
            _ => {}
        }
    }
}

/// Both ways until the gateway closes. A client that closes is heard out: its good-bye goes on, and then the gateway closes.
async fn forward<S: AsyncRead + AsyncWrite + Unpin>(
    client: Framed<S>,
    gateway: Framed<Stream<TcpStream>>,
    speaker: &Speaker,
) -> Result<(), Error> {
    let (client, mut early) = client.into_parts();
    let (gateway, deframer) = gateway.into_parts();
    let (mut from_client, to_client) = tokio::io::split(client);
    let (from_gateway, mut to_gateway) = tokio::io::split(gateway);
    let there = async {
        to_gateway.write_all(&early.buffer().split()).await?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from_client.read(&mut buffer).await?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return to_gateway.shutdown().await;
            }
            to_gateway.write_all(bytes).await?;
            to_gateway.flush().await?;
        }
    };
    let back = back(from_gateway, deframer, to_client, speaker);
    tokio::pin!(there, back);
    tokio::select! {
        outcome = &mut back => outcome,
        outcome = &mut there => match outcome {
            Ok(()) => back.await,
            // The client broke off: nobody reads what would come back, and the gateway sees its stream close.
            Err(error) => Err(error.into()),
        },
    }
}

async fn back(
    mut gateway: impl AsyncRead + Unpin,
    mut deframer: Deframer,
    mut client: impl AsyncWrite + Unpin,
    speaker: &Speaker,
) -> Result<(), Error> {
    loop {
        while let Some(run) = deframer.next_run(|kind| !is_heard(kind))? {
            client.write_all(&run.bytes).await?;
        }
        if !deframer.is_within_message()
            && let Some(frame) = deframer.next_frame()?
        {
            overhear(&frame, speaker);
            client.write_all(frame.bytes()).await?;
            continue;
        }
        client.flush().await?;
        let buffer = deframer.buffer();
        buffer.reserve(CHUNK);
        if gateway.read_buf(buffer).await? == 0 {
            client.shutdown().await?;
            return Ok(());
        }
    }
}

/// What is worth hearing on the way: tools often do not show it.
const fn is_heard(kind: u8) -> bool {
    matches!(
        kind,
        backend::kind::NOTICE_RESPONSE | backend::kind::ERROR_RESPONSE
    )
}

/// Repeats what dbgate itself says to the client; what the database says stays between the two.
fn overhear(frame: &Frame, speaker: &Speaker) {
    let (fields, tone) = match Message::decode(frame) {
        Ok(Message::NoticeResponse(fields)) => (fields, Tone::Status),
        Ok(Message::ErrorResponse(fields)) => (fields, Tone::Warning),
        _ => return,
    };
    let ours = fields.routine.as_deref().is_some_and(origin::is_ours);
    if ours {
        // Never waited for: a terminal that does not keep up must not hold up the client.
        speaker
            .try_send(News::Said(tone, fields.message.clone()))
            .ok();
        if let Some(hint) = &fields.hint {
            speaker.try_send(News::Said(Tone::Hint, hint.clone())).ok();
        }
    }
}
