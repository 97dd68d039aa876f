//! From the first words of a client to the moment it may send statements.
//!
//! **Invariant:** nothing is told about sessions before the client has proved that it knows the secret of one; a user that does not exist
//! is answered like one that does.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::audit::event::{Action, Actor, Client, Context, Event};
use crate::audit::log::Log;
use crate::broker;
use crate::broker::limit::Caps;
use crate::broker::session::Attachment;
use crate::gateway::Gateway;
use crate::gateway::cancel::{Key, Length};
use crate::gateway::reply::{self, ForClient};
use crate::gateway::session::answer::is_broken;
use crate::gateway::startup::{Settings, Tells};
use crate::net;
use crate::net::framed::Framed;
use crate::net::stream::Stream;
use crate::upstream::connect::Connection;
use crate::wire;
use crate::wire::backend::{Authentication, Message, TransactionStatus};
use crate::wire::error::{Fields, SqlState};
use crate::wire::frontend::{self, SaslInitial};
use crate::wire::scram::{Binding, Server};
use crate::wire::startup::{Startup, Version};

/// Random bytes of the server's nonce.
const NONCE: usize = 18;
/// More than any text of a startup packet that is kept for people to read.
const NAME: usize = 256;

/// A client that is in, and its upstream.
pub(super) struct Entered<S> {
    pub(super) attachment: Attachment,
    pub(super) context: Arc<Context>,
    pub(super) client: Framed<Stream<S>>,
    pub(super) upstream: Connection,
    /// The session's time limits.
    pub(super) caps: Caps,
    pub(super) key: Key,
    pub(super) tells: Tells,
}

/// Why a client is not let in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is gone, or does not keep to the protocol so far that it can be told.
    Gone(net::Error),
    /// It is told.
    Told(Box<Fields>),
}

impl From<net::Error> for Refusal {
    fn from(error: net::Error) -> Self {
        match error {
            net::Error::Wire(ref error) => error.fields().into(),
            net::Error::Closed => reply::cut().into(),
            net::Error::Again => reply::asked_twice().into(),
            net::Error::EarlyData => reply::early_data().into(),
            net::Error::Io(_) | net::Error::Bind { .. } | net::Error::Tls { .. } => {
                Self::Gone(error)
            }
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Gone(error.into())
    }
}

impl From<Fields> for Refusal {
    fn from(fields: Fields) -> Self {
        Self::Told(Box::new(fields))
    }
}

/// Lets a client in that has sent its startup packet.
pub(super) async fn enter<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Arc<Gateway>,
    mut framed: Framed<Stream<S>>,
    startup: Startup,
    address: Option<IpAddr>,
) -> Result<Entered<S>, (Framed<Stream<S>>, Refusal)> {
    let client = Client {
        address: address.map(|address| address.to_string()),
        name: startup
            .parameter("application_name")
            .map(|name| name.chars().take(NAME).collect::<String>().into()),
    };
    let entered = async {
        let proving = async {
            let settings = greet(gateway, &mut framed, &startup, address).await?;
            prove(gateway, &mut framed, &startup).await?;
            Ok::<_, Refusal>(settings)
        };
        let proved = tokio::time::timeout(gateway.handshake, proving).await;
        let settings = proved.map_err(|_| reply::too_slow(gateway.handshake))??;
        framed.authenticated();
        let attaching = attach(gateway, &startup, &settings, client.clone());
        let attached = tokio::time::timeout(gateway.handshake, attaching).await;
        attached.map_err(|_| reply::upstream_slow(gateway.handshake))?
    };
    let (attachment, on_record, entered) = match entered.await {
        Ok(entered) => entered,
        Err(refusal) => {
            gateway.turned_away(&client, &refusal);
            return Err((framed, refusal));
        }
    };
    let (upstream, caps) = (entered.connection, entered.caps);
    let length = match startup.negotiate().0 {
        Version { minor: 0, .. } => Length::Short,
        _ => Length::Long,
    };
    let pid = i32::try_from(upstream.pid).unwrap_or(0);
    let key = gateway.cancels.issue(pid, address, length);
    match welcome(&mut framed, &upstream, &key, &entered.notices).await {
        Ok(()) => Ok(Entered {
            attachment,
            context: on_record.go_on(),
            client: framed,
            upstream,
            caps,
            key,
            tells: Tells::of(&startup),
        }),
        Err(refusal) => Err((framed, refusal)),
    }
}

/// Encryption, protocol version, settings.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    framed: &mut Framed<Stream<S>>,
    startup: &Startup,
    address: Option<IpAddr>,
) -> Result<Settings, Refusal> {
    if !framed.stream().is_encrypted() && !gateway.takes_plain(address) {
        return Err(reply::fatal(
            SqlState::INVALID_AUTHORIZATION,
            "dbgate takes encrypted connections only",
        )
        .with_hint("Connect with sslmode=require, or better verify-full.")
        .into());
    }
    let (newest, told) = startup.negotiate();
    if told {
        let unknown = startup.extensions();
        let message = Message::NegotiateProtocolVersion { newest, unknown };
        reply::write(&message, framed.out());
    }
    Ok(Settings::read(startup)?)
}

/// The client proves that it knows the session's secret.
async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    framed: &mut Framed<Stream<S>>,
    startup: &Startup,
) -> Result<(), Refusal> {
    let binding = if framed.stream().is_encrypted() {
        gateway.binding.clone()
    } else {
        Binding::None
    };
    let mechanisms = binding.mechanisms().to_vec();
    let server = Server::new(gateway.broker.verifier(startup.user()), binding);
    let request = Message::Authentication(Authentication::Sasl { mechanisms });
    reply::write(&request, framed.out());
    framed.flush().await?;

    let frame = answer(framed).await?;
    let initial = SaslInitial::decode(frame.body()).map_err(net::Error::from)?;
    let mut nonce = [0; NONCE];
    gateway.entropy.fill(&mut nonce);
    let (challenge, first) = server
        .first(
            initial.mechanism,
            initial.data.unwrap_or_default(),
            &STANDARD.encode(nonce),
        )
        .map_err(|error| scram(&error, startup))?;
    let message = Message::Authentication(Authentication::SaslContinue(&first));
    reply::write(&message, framed.out());
    framed.flush().await?;

    let frame = answer(framed).await?;
    let (_authenticated, last) = challenge
        .last(frame.body())
        .map_err(|error| scram(&error, startup))?;
    let message = Message::Authentication(Authentication::SaslFinal(&last));
    reply::write(&message, framed.out());
    reply::write(&Message::Authentication(Authentication::Ok), framed.out());
    Ok(())
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<Stream<S>>,
) -> Result<wire::frame::Frame, Refusal> {
    match framed.read().await? {
        Some(frame) if frame.kind() == frontend::kind::PASSWORD => Ok(frame),
        // A good-bye, for example of psql that goes to ask for a password.
        _ => Err(Refusal::Gone(net::Error::Closed)),
    }
}

fn scram(error: &wire::error::Error, startup: &Startup) -> Refusal {
    let wire::error::Error::WrongProof = error else {
        return error.fields().into();
    };
    reply::fatal(
        SqlState::INVALID_PASSWORD,
        format!("password authentication failed for user \"{}\"", startup.user()),
    )
    .with_hint(
        "The credential is wrong or its session has ended. Get a new one with `dbgate env`, or use `dbgate connect` or \
         `dbgate tunnel`.",
    )
    .into()
}

type Attached = (Attachment, OnRecord, broker::lease::Entered);

/// A connection that is on record; unless it goes on, its end is recorded, too.
struct OnRecord {
    log: Log,
    context: Arc<Context>,
    goes_on: bool,
}

impl OnRecord {
    /// The connection goes on; whoever carries it records its end.
    fn go_on(mut self) -> Arc<Context> {
        self.goes_on = true;
        Arc::clone(&self.context)
    }
}

impl Drop for OnRecord {
    fn drop(&mut self) {
        if self.goes_on {
            return;
        }
        let action = Action::ConnectionClosed {
            statements: 0,
            end: "it did not come about".to_owned(),
        };
        let event = Event::new((*self.context).clone(), action);
        if let Err(error) = self.log.enqueue(event) {
            tracing::error!(%error, "the end of a connection could not be recorded");
        }
    }
}

/// Enters the session, and the database as its lease.
async fn attach(
    gateway: &Gateway,
    startup: &Startup,
    settings: &Settings,
    client: Client,
) -> Result<Attached, Refusal> {
    let attachment = gateway
        .broker
        .attach(startup.user(), startup.database(), client)
        .map_err(|error| error.fields())?;
    let context = Arc::new(context(&attachment));
    // Nobody gets a connection that is not on record.
    let opened = Event::new(
        (*context).clone(),
        Action::ConnectionOpened { backend: None },
    );
    if let Err(error) = gateway.broker.log().append(opened).await {
        tracing::error!(%error, "a connection could not be recorded");
        let mut fields = reply::unrecorded();
        fields.severity = wire::error::Severity::Fatal;
        return Err(fields.into());
    }
    let on_record = OnRecord {
        log: gateway.broker.log().clone(),
        context,
        goes_on: false,
    };
    let mut entered = gateway
        .broker
        .connect(&attachment, &settings.values)
        .await
        .map_err(|error| error.fields())?;
    let broken = |(name, value): &&(String, String)| is_broken(name, value);
    if let Some((name, _)) = entered.connection.parameters.iter().find(broken) {
        return Err(reply::pinned_changed(name).into());
    }
    entered
        .notices
        .splice(..0, settings.notices.iter().cloned());
    Ok((attachment, on_record, entered))
}

fn context(attachment: &Attachment) -> Context {
    let session = &attachment.session;
    Context {
        subject: Some(Actor::from(&session.subject)),
        session: Some(session.id.clone()),
        database: Some(session.database.clone()),
        connection: Some(attachment.number),
        client: Some(attachment.client.clone()),
        reason: Some(session.reason.as_str())
            .filter(|reason| !reason.is_empty())
            .map(Into::into),
    }
}

/// Tells the client what it needs to know, and that it may begin.
async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<Stream<S>>,
    upstream: &Connection,
    key: &Key,
    notices: &[String],
) -> Result<(), Refusal> {
    let out = framed.out();
    for (name, value) in &upstream.parameters {
        reply::write(&Message::ParameterStatus { name, value }, out);
    }
    let data = Message::BackendKeyData {
        pid: key.pid(),
        key: key.bytes(),
    };
    reply::write(&data, out);
    for notice in notices {
        reply::write_notice(&reply::notice(format!("dbgate: {notice}")), out);
    }
    reply::write(&Message::ReadyForQuery(TransactionStatus::Idle), out);
    framed.flush().await?;
    Ok(())
}

impl ForClient for broker::Error {
    fn fields(&self) -> Fields {
        let code = match self {
            Self::NoSession | Self::Over(_) => SqlState::INVALID_AUTHORIZATION,
            Self::OtherDatabase(_) | Self::UnknownDatabase { .. } => SqlState::INVALID_CATALOG_NAME,
            Self::Database { .. } | Self::Unprepared { .. } | Self::Skew(_) => {
                SqlState::CANNOT_CONNECT_NOW
            }
            Self::Stopping => SqlState::ADMIN_SHUTDOWN,
            Self::Store(_) | Self::Log(_) => SqlState::IO_ERROR,
            Self::Internal => SqlState::INTERNAL_ERROR,
            Self::Denied(_)
            | Self::OtherTerms
            | Self::NoRequest(_)
            | Self::Settled(_)
            | Self::OtherRequest
            | Self::OwnRequest
            | Self::NotApprover { .. }
            | Self::Twice
            | Self::NoReview
            | Self::OneStatement
            | Self::Syntax(_)
            | Self::Uncounted => SqlState::INSUFFICIENT_PRIVILEGE,
        };
        let message = if code == SqlState::IO_ERROR {
            // Their texts are for the operator.
            "dbgate cannot write its state or its audit log".to_owned()
        } else {
            self.to_string()
        };
        let mut fields = reply::fatal(code, message);
        // As the server writes them.
        fields.hint = self.hint().map(reply::sentence);
        fields
    }
}
