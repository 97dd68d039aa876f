//! A local client comes in: it proves that it knows the local secret, and is held while the session is being opened.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::model::secret::Secret;
use crate::model::time::Entropy;
use crate::net::Error;
use crate::net::framed::Framed;
use crate::tunnel::keeper::{Handle, Session};
use crate::tunnel::{Local, Refusal};
use crate::wire;
use crate::wire::backend::{Authentication, Message};
use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::frontend::{self, SaslInitial};
use crate::wire::scram::{Binding, CLIENT_ITERATIONS, Server, Verifier};
use crate::wire::startup::{Startup, Version};

/// How long a client may take to prove that it knows the secret.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// Checks who comes in.
#[derive(Debug)]
pub struct Door {
    user: String,
    database: String,
    verifier: Verifier,
    mock: Secret<[u8; 32]>,
    entropy: Arc<dyn Entropy>,
}

impl Door {
    /// For a tunnel to `database`.
    ///
    /// # Errors
    /// When the secret is not printable ASCII.
    pub fn new(
        local: &Local,
        database: &str,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, wire::error::Error> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt);
        let mut mock = [0; 32];
        entropy.fill(&mut mock);
        Ok(Self {
            user: local.user.clone(),
            database: database.to_owned(),
            verifier: Verifier::new(&local.secret, &salt, CLIENT_ITERATIONS)?,
            mock: Secret::new(mock),
            entropy,
        })
    }

    /// Lets a client in up to `AuthenticationOk`; the version agreed on, or `None` when it was told why not.
    ///
    /// # Errors
    /// When the connection breaks or the client does not keep to the protocol.
    pub async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut Framed<S>,
        startup: &Startup,
    ) -> Result<Option<Version>, Error> {
        let (version, told) = startup.negotiate();
        if told {
            let unknown = startup.extensions();
            let newest = version;
            send(
                client,
                &Message::NegotiateProtocolVersion { newest, unknown },
            )?;
        }
        match self.prove(client, startup).await {
            Ok(()) => {}
            Err(Error::Wire(error)) => {
                turn_away(client, &self.no_entry(&error)).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let wanted = startup.parameter("database").unwrap_or_default();
        if !wanted.is_empty() && wanted != self.database {
            let message = format!(
                "this tunnel leads to `{}`, not to `{wanted}`",
                self.database
            );
            let hint = format!(
                "Connect to `{}`, or run `dbgate tunnel {wanted}`.",
                self.database
            );
            let refusal = Refusal::new(SqlState::INVALID_CATALOG_NAME, message).with_hint(hint);
            turn_away(client, &refusal).await?;
            return Ok(None);
        }
        client.authenticated();
        send(client, &Message::Authentication(Authentication::Ok))?;
        client.flush().await?;
        Ok(Some(version))
    }

    /// SCRAM with the local secret. An unknown user fails as a wrong password does.
    async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut Framed<S>,
        startup: &Startup,
    ) -> Result<(), Error> {
        let verifier = if startup.user() == self.user {
            self.verifier.clone()
        } else {
            Verifier::mock(&self.mock, startup.user())
        };
        let mechanisms = Binding::None.mechanisms().to_vec();
        let step = Authentication::Sasl { mechanisms };
        send(client, &Message::Authentication(step))?;
        client.flush().await?;

        let answer = password(client).await?;
        let initial = SaslInitial::decode(&answer)?;
        let mut nonce = [0; 18];
        self.entropy.fill(&mut nonce);
        let (challenge, first) = Server::new(verifier, Binding::None).first(
            initial.mechanism,
            initial.data.unwrap_or_default(),
            &STANDARD.encode(nonce),
        )?;
        let step = Authentication::SaslContinue(&first);
        send(client, &Message::Authentication(step))?;
        client.flush().await?;

        let answer = password(client).await?;
        let (_authenticated, last) = challenge.last(&answer)?;
        let step = Authentication::SaslFinal(&last);
        send(client, &Message::Authentication(step))?;
        Ok(())
    }

    fn no_entry(&self, error: &wire::error::Error) -> Refusal {
        let refusal = Refusal::new(error.sqlstate(), error.to_string());
        match error {
            wire::error::Error::WrongProof => refusal.with_hint(format!(
                "User and password of this tunnel are printed by `dbgate tunnel {}`.",
                self.database
            )),
            _ => refusal,
        }
    }
}

/// The session for a client that is in. While it is being opened the client is told what it waits for; `None` when the client has left,
/// or was turned away.
///
/// # Errors
/// When the connection breaks.
pub async fn hold<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
    handle: &Handle,
) -> Result<Option<Arc<Session>>, Error> {
    let mut waiting = handle.waiting();
    let mut session = std::pin::pin!(handle.session());
    let mut said = None;
    loop {
        let now = waiting.borrow_and_update().clone();
        if let Some(text) = now.filter(|text| said.as_ref() != Some(text)) {
            let notice = Fields::new(
                Severity::Notice,
                SqlState::SUCCESSFUL,
                format!("dbgate: {text}"),
            );
            send(client, &Message::NoticeResponse(notice))?;
            client.flush().await?;
            said = Some(text);
        }
        tokio::select! {
            biased;
            outcome = &mut session => match outcome {
                Ok(session) => return Ok(Some(session)),
                Err(refusal) => {
                    turn_away(client, &refusal).await?;
                    return Ok(None);
                }
            },
            // Nothing is to be said before we are ready: whatever comes, or its end, is a good-bye.
            _ = client.read() => return Ok(None),
            Ok(()) = waiting.changed() => {}
        }
    }
}

/// Tells a client why not, and closes.
///
/// # Errors
/// When the connection breaks.
pub async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
    refusal: &Refusal,
) -> Result<(), Error> {
    let message = Message::ErrorResponse(refusal.fields().clone());
    send(client, &message)?;
    client.close().await?;
    Ok(())
}

fn send<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
    message: &Message<'_>,
) -> Result<(), Error> {
    Ok(message.encode(client.out())?)
}

/// The body of the client's next answer.
async fn password<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Framed<S>,
) -> Result<Vec<u8>, Error> {
    let frame = client.read().await?.ok_or(Error::Closed)?;
    match frontend::Message::decode(&frame)? {
        frontend::Message::Password(body) => Ok(body.to_vec()),
        // `psql` without a password goes away to ask for one.
        _ => Err(Error::Closed),
    }
}
