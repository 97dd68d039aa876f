//! Startup and SCRAM, until the gateway is ready for the first query.

use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};

use crate::remote::pg::dial;
use crate::remote::pg::{Connection, Error, Options};
use crate::wire::backend::{self, Authentication};
use crate::wire::frame::Frame;
use crate::wire::frontend::{self, SaslInitial};
use crate::wire::startup::{Initial, MASKS, Startup, Version};

/// More rounds than any gateway sets would only heat this machine.
const MOST_ROUNDS: u32 = 1_000_000;

/// Says who we are and proves it.
pub(super) async fn run(connection: &mut Connection, options: &Options) -> Result<(), Error> {
    let parameters = [
        ("user", options.user.as_str()),
        ("database", options.database.as_str()),
        ("application_name", options.application.as_str()),
        ("client_encoding", "UTF8"),
        (MASKS, "on"),
    ];
    let startup = Startup {
        version: Version::V3_0,
        parameters: parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    };
    enter(connection, options, startup).await?;
    ready(connection).await
}

/// Sends the startup packet and proves who we are.
pub(super) async fn enter(
    connection: &mut Connection,
    options: &Options,
    startup: Startup,
) -> Result<(), Error> {
    Initial::Startup(startup).encode(&mut connection.unsent)?;
    connection.flush().await?;
    authenticate(connection, options).await?;
    connection.deframer.authenticated();
    Ok(())
}

async fn authenticate(connection: &mut Connection, options: &Options) -> Result<(), Error> {
    let frame = step(connection).await?;
    let backend::Message::Authentication(Authentication::Sasl { mechanisms }) =
        backend::Message::decode(&frame)?
    else {
        // A password in clear or by MD5 is not sent to anybody.
        return Err(Error::protocol("the gateway does not ask for SCRAM"));
    };
    let (mechanism, binding) = choose(&mechanisms, dial::end_point(&connection.stream))?;
    let mut scram = ScramSha256::new(options.secret.expose().as_bytes(), binding);
    let mut initial = Vec::new();
    SaslInitial {
        mechanism,
        data: Some(scram.message()),
    }
    .encode(&mut initial)?;
    connection
        .send(&frontend::Message::Password(&initial))
        .await?;

    let frame = step(connection).await?;
    let backend::Message::Authentication(Authentication::SaslContinue(challenge)) =
        backend::Message::decode(&frame)?
    else {
        return Err(broken());
    };
    if rounds(challenge).is_none_or(|rounds| rounds > MOST_ROUNDS) {
        return Err(broken());
    }
    scram.update(challenge).map_err(|_| broken())?;
    connection
        .send(&frontend::Message::Password(scram.message()))
        .await?;

    let frame = step(connection).await?;
    let backend::Message::Authentication(Authentication::SaslFinal(proof)) =
        backend::Message::decode(&frame)?
    else {
        return Err(broken());
    };
    scram.finish(proof).map_err(|_| broken())?;
    let frame = step(connection).await?;
    match backend::Message::decode(&frame)? {
        backend::Message::Authentication(Authentication::Ok) => Ok(()),
        _ => Err(broken()),
    }
}

fn broken() -> Error {
    Error::protocol("the gateway did not prove that it knows the session")
}

/// The iteration count in `r=…,s=…,i=…`.
fn rounds(challenge: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(challenge).ok()?;
    text.split(',')
        .find_map(|part| part.strip_prefix("i="))?
        .parse()
        .ok()
}

/// Over TLS the proof is bound to the gateway's certificate: nobody in between can pass it on.
fn choose(
    offered: &[&str],
    end_point: Option<Vec<u8>>,
) -> Result<(&'static str, ChannelBinding), Error> {
    match end_point {
        Some(hash) if offered.contains(&SCRAM_SHA_256_PLUS) => Ok((
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(hash),
        )),
        Some(_) => Err(Error::protocol(
            "the gateway offers no channel binding over TLS; somebody may stand between",
        )),
        None if offered.contains(&SCRAM_SHA_256) => {
            Ok((SCRAM_SHA_256, ChannelBinding::unsupported()))
        }
        None => Err(Error::protocol("the gateway does not offer SCRAM-SHA-256")),
    }
}

/// The next message of the handshake; notices are for later.
async fn step(connection: &mut Connection) -> Result<Frame, Error> {
    loop {
        let frame = connection.frame().await?;
        match frame.kind() {
            backend::kind::NOTICE_RESPONSE => {}
            backend::kind::ERROR_RESPONSE => return Err(refusal(&frame)),
            _ => return Ok(frame),
        }
    }
}

fn refusal(frame: &Frame) -> Error {
    match backend::Message::decode(frame) {
        Ok(backend::Message::ErrorResponse(fields)) => Error::Refused(Box::new(fields)),
        Ok(_) => Error::protocol("an error that is none"),
        Err(error) => error.into(),
    }
}

async fn ready(connection: &mut Connection) -> Result<(), Error> {
    loop {
        let frame = connection.frame().await?;
        match backend::Message::decode(&frame)? {
            backend::Message::BackendKeyData { pid, key } => {
                connection.pid = pid;
                connection.key = key.to_vec();
            }
            backend::Message::ParameterStatus { name, value } => {
                connection
                    .parameters
                    .insert(name.to_owned(), value.to_owned());
            }
            backend::Message::NoticeResponse(fields) => connection.greetings.push(fields),
            backend::Message::ErrorResponse(fields) => {
                return Err(Error::Refused(Box::new(fields)));
            }
            backend::Message::ReadyForQuery(status) => {
                connection.status = status;
                return Ok(());
            }
            _ => {
                return Err(Error::protocol(
                    "a message out of turn before the first query",
                ));
            }
        }
    }
}
