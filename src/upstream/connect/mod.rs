//! A connection for a client: startup and SCRAM as the lease's role, on a stream the gateway then takes over.
//!
//! **Invariant:** the only authentication accepted is SCRAM-SHA-256 with the iteration count the broker itself set,
//! and `-PLUS` over TLS; a server that lets the role in without it, or asks for a password in clear, is refused.

pub use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::secret::Secret;
use crate::net::tls::binding::end_point;
use crate::upstream::dial::{self, Stream};
use crate::upstream::target::Target;
use crate::upstream::{Error, within};

/// Protocol 3.0.
const VERSION: u32 = 196_608;

/// The longest message a server may send before it is ready: notices and errors can be long, nothing else is.
const LONGEST: u32 = 64 * 1024;

/// How many messages may come between authentication and the first `ReadyForQuery`.
const MOST: usize = 500;

/// A connection that is ready for its first query.
#[derive(Debug)]
pub struct Connection {
    /// The stream; nothing has been read from it beyond `ReadyForQuery`.
    pub stream: Stream,
    /// The backend's process id.
    pub pid: u32,
    /// The backend's cancel key.
    pub key: Vec<u8>,
    /// What the server reported (`server_version`, `DateStyle`, …), in its order.
    pub parameters: Vec<(String, String)>,
}

/// Connects as `role`, with `parameters` in the startup packet.
///
/// # Errors
/// When the server cannot be reached, refuses, or does not keep to the invariant.
pub async fn open(
    target: &Target,
    role: &str,
    password: &Secret<String>,
    parameters: &[(String, String)],
) -> Result<Connection, Error> {
    let mut stream = dial::open(target).await?;
    let startup = startup(role, &target.database, parameters)?;
    within("authentication", async {
        stream.write_all(&startup).await?;
        stream.flush().await?;
        authenticate(&mut stream, password).await?;
        ready(stream).await
    })
    .await
}

fn startup(role: &str, database: &str, parameters: &[(String, String)]) -> Result<Vec<u8>, Error> {
    let mut body = VERSION.to_be_bytes().to_vec();
    let named = [("user", role), ("database", database)];
    let others = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    for (name, value) in named.into_iter().chain(others) {
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return Err(Error::Protocol(
                "a startup parameter is empty or has a NUL".to_owned(),
            ));
        }
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    framed(None, &body)
}

/// A message: its tag, its length, its body.
fn framed(tag: Option<u8>, body: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(body.len().saturating_add(4))
        .map_err(|_| Error::Protocol("a message of ours is too long".to_owned()))?;
    let mut message: Vec<u8> = tag.into_iter().collect();
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    Ok(message)
}

async fn authenticate(stream: &mut Stream, password: &Secret<String>) -> Result<(), Error> {
    let offered = sasl(stream, 10, "SCRAM").await?;
    let (mechanism, binding) = mechanism(&offered, stream.peer_certificate())?;
    let mut scram = ScramSha256::new(password.expose().as_bytes(), binding);

    let mut initial = mechanism.as_bytes().to_vec();
    initial.push(0);
    let first = scram.message();
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
    initial.extend_from_slice(&length.to_be_bytes());
    initial.extend_from_slice(first);
    stream.write_all(&framed(Some(b'p'), &initial)?).await?;
    stream.flush().await?;

    let challenge = sasl(stream, 11, "a SCRAM challenge").await?;
    // The broker set the verifier a moment ago with this count. Any other is that of a role without a password (PostgreSQL
    // makes one up), or somebody else's.
    if !challenge.ends_with(b",i=1") {
        return Err(Error::Refused {
            code: "28P01".to_owned(),
            message: "the role has not the password that the broker gave it".to_owned(),
        });
    }
    scram.update(&challenge).map_err(|_| broken_scram())?;
    stream
        .write_all(&framed(Some(b'p'), scram.message())?)
        .await?;
    stream.flush().await?;

    let proof = sasl(stream, 12, "the server's SCRAM signature").await?;
    scram.finish(&proof).map_err(|_| broken_scram())?;
    sasl(stream, 0, "the end of authentication").await.map(drop)
}

fn broken_scram() -> Error {
    Error::Protocol("the server did not prove that it knows the role's verifier".to_owned())
}

/// Chooses `-PLUS` over TLS, plain SCRAM otherwise.
fn mechanism(
    offered: &[u8],
    certificate: Option<&[u8]>,
) -> Result<(&'static str, ChannelBinding), Error> {
    let has = |name: &str| offered.split(|b| *b == 0).any(|n| n == name.as_bytes());
    let Some(certificate) = certificate else {
        return if has(SCRAM_SHA_256) {
            Ok((SCRAM_SHA_256, ChannelBinding::unsupported()))
        } else {
            Err(Error::Protocol(
                "the server does not offer SCRAM-SHA-256".to_owned(),
            ))
        };
    };
    let digest = end_point(certificate).ok_or_else(|| {
        Error::Protocol(
            "the server's certificate has a signature without a hash, so that channel binding is \
             not possible; use ECDSA or RSA with SHA-256"
                .to_owned(),
        )
    })?;
    if has(SCRAM_SHA_256_PLUS) {
        Ok((
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(digest),
        ))
    } else {
        Err(Error::Protocol(
            "the server does not offer SCRAM-SHA-256-PLUS over TLS; somebody may stand between"
                .to_owned(),
        ))
    }
}

/// Reads the `Authentication` message of that kind and returns what it carries.
async fn sasl(stream: &mut Stream, kind: u32, what: &str) -> Result<Vec<u8>, Error> {
    let (tag, body) = message(stream).await?;
    match (tag, body.split_first_chunk::<4>()) {
        (b'R', Some((got, rest))) if u32::from_be_bytes(*got) == kind => Ok(rest.to_vec()),
        (b'R', Some((got, _))) => Err(Error::Protocol(match u32::from_be_bytes(*got) {
            0 => "the server lets the role in without a password; `dbgate broker check` shows the \
                  pg_hba line to change"
                .to_owned(),
            3 | 5 => "the server asks for a password in clear or by MD5; pg_hba must say \
                      scram-sha-256"
                .to_owned(),
            other => format!("authentication {other} where {what} belongs"),
        })),
        (b'E', _) => Err(refusal(&body)),
        _ => Err(Error::Protocol(format!(
            "message {tag} where {what} belongs"
        ))),
    }
}

/// Reads on until the server is ready.
async fn ready(mut stream: Stream) -> Result<Connection, Error> {
    let mut pid = 0;
    let mut key = Vec::new();
    let mut parameters = Vec::new();
    for _ in 0..MOST {
        let (tag, body) = message(&mut stream).await?;
        match tag {
            b'K' => {
                let (id, rest) = body
                    .split_first_chunk::<4>()
                    .ok_or_else(|| Error::Protocol("BackendKeyData is too short".to_owned()))?;
                pid = u32::from_be_bytes(*id);
                key = rest.to_vec();
            }
            b'S' => parameters.extend(parameter(&body)),
            b'N' => {}
            b'E' => return Err(refusal(&body)),
            b'Z' if body == b"I" && pid != 0 => {
                return Ok(Connection {
                    stream,
                    pid,
                    key,
                    parameters,
                });
            }
            other => {
                return Err(Error::Protocol(format!(
                    "message {other} before the first query"
                )));
            }
        }
    }
    Err(Error::Protocol(
        "too many messages before the first query".to_owned(),
    ))
}

/// One message, its length checked before anything is allocated.
async fn message(stream: &mut Stream) -> Result<(u8, Vec<u8>), Error> {
    let tag = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let rest = length
        .checked_sub(4)
        .filter(|_| length <= LONGEST)
        .and_then(|rest| usize::try_from(rest).ok())
        .ok_or_else(|| {
            Error::Protocol(format!(
                "a message of {length} bytes before the first query"
            ))
        })?;
    let mut body = vec![0; rest];
    stream.read_exact(&mut body).await?;
    Ok((tag, body))
}

fn parameter(body: &[u8]) -> Option<(String, String)> {
    let mut parts = body.split(|b| *b == 0).map(String::from_utf8_lossy);
    Some((parts.next()?.into_owned(), parts.next()?.into_owned()))
}

/// An `ErrorResponse`: its code and message. A server may leave out either.
fn refusal(body: &[u8]) -> Error {
    let field = |kind: u8| {
        body.split(|b| *b == 0)
            .find(|field| field.first() == Some(&kind))
            .map(|field| String::from_utf8_lossy(field.get(1..).unwrap_or_default()).into_owned())
    };
    Error::Refused {
        code: field(b'C')
            .filter(|c| c.len() == 5)
            .unwrap_or_else(|| "XX000".to_owned()),
        message: field(b'M').unwrap_or_else(|| "no message".to_owned()),
    }
}
