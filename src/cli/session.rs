//! How a command comes to a session: what it asks for, waiting for an approval, and the connection to the gateway.

use std::time::Duration;

use crate::api::types;
use crate::cli::error::{Error, Kind};
use crate::cli::ui::Ui;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::session::RequestId;
use crate::model::time::parse_span;
use crate::remote::broker::{Address, Broker};
use crate::remote::pg;
use crate::shell::drive;

/// How often the broker is asked whether a request is decided.
const POLL: Duration = Duration::from_secs(1);

/// What to ask for.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Session")]
pub struct Args {
    /// Why: shown to approvers and kept in the audit log
    #[arg(long, short, env = "DBGATE_REASON", hide_env_values = true)]
    pub reason: Option<String>,

    /// How long, such as 30m; the policy may allow less
    #[arg(long, env = "DBGATE_DURATION", hide_env_values = true, value_name = "SPAN", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// To read, or also to write
    #[arg(
        long,
        env = "DBGATE_ACCESS",
        hide_env_values = true,
        value_name = "read|write",
        default_value = "read"
    )]
    pub access: Access,

    /// Make use of this approved request
    #[arg(
        long,
        env = "DBGATE_REQUEST",
        hide_env_values = true,
        value_name = "ID"
    )]
    pub request: Option<RequestId>,
}

impl Args {
    /// The question to the broker.
    #[must_use]
    pub fn to_ask(&self, database: &DatabaseName) -> types::Ask {
        types::Ask {
            database: database.to_string(),
            reason: self.reason.clone(),
            duration_s: self.duration.map(|duration| duration.as_secs()),
            access: self.access.to_string(),
            request: self.request.as_ref().map(ToString::to_string),
        }
    }
}

/// A span that a session can last.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    if span.as_secs() == 0 {
        return Err("a session lasts a second at least; write for example `30m`".to_owned());
    }
    Ok(span)
}

/// Opens a session; where an approval is needed first, waits for it as long as `patience` says.
///
/// # Errors
/// When it is refused, denied, or not approved in time.
pub async fn open(
    ui: &mut Ui,
    broker: &Broker,
    mut ask: types::Ask,
    patience: Duration,
) -> Result<types::Granted, Error> {
    if let Some(id) = &ask.request {
        let request = broker.request_by_id(id).await?;
        approval(ui, broker, &request, patience).await?;
    }
    let opened = {
        let _spinner = ui.spinner(&format!("Opening a session on {}", ask.database));
        broker.open_session(&ask).await?
    };
    let request = match opened {
        types::Opened::Granted(granted) => return Ok(granted),
        types::Opened::Pending { request } => request,
    };
    ui.status(&format!(
        "The session waits for an approval by {}: request {}.",
        request.approvers.join(", "),
        request.id
    ))?;
    approval(ui, broker, &request, patience).await?;
    ask.request = Some(request.id.clone());
    match broker.open_session(&ask).await? {
        types::Opened::Granted(granted) => Ok(granted),
        types::Opened::Pending { request } => Err(waiting(&request.id)),
    }
}

/// Waits until a request is approved.
async fn approval(
    ui: &mut Ui,
    broker: &Broker,
    request: &types::RequestView,
    patience: Duration,
) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now().checked_add(patience);
    let _spinner = ui.spinner(&format!("Waiting for the approval of {}", request.id));
    let mut now = request.clone();
    loop {
        match now.state.as_str() {
            "approved" => return Ok(()),
            "pending" => {}
            _ => return Err(over(&now)),
        }
        let next = tokio::time::Instant::now() + POLL;
        if deadline.is_some_and(|deadline| next > deadline) {
            return Err(waiting(&request.id));
        }
        tokio::time::sleep_until(next).await;
        now = broker.request_by_id(&request.id).await?;
    }
}

/// The failure of who waits for what was decided otherwise.
fn over(request: &types::RequestView) -> Error {
    let said = format!("request `{}` is {}", request.id, request.state);
    let mut error = Error::new(Kind::Ended, said).with_request(request.id.clone());
    if let Some(denial) = &request.denial {
        error.detail = Some(format!("by {}: {}", denial.by, denial.reason).into());
    }
    error
}

/// The failure of who does not wait any longer.
#[must_use]
pub fn waiting(request: &str) -> Error {
    Error::new(Kind::Pending, format!("request `{request}` waits for an approval"))
        .with_hint(format!(
            "once it is approved, run the same again with `--request {request}`; or wait with `--wait 10m`"
        ))
        .with_request(request)
}

/// Connects to the gateway with what was granted.
///
/// # Errors
/// When the gateway can't be reached, is not trusted, or refuses.
pub async fn connect(
    broker: &Broker,
    granted: &types::Granted,
    application: &str,
) -> Result<pg::Connection, Error> {
    let options = pg::Options {
        host: granted.gateway.host.clone(),
        port: granted.gateway.port,
        trust: trust(broker.address()),
        user: granted.user.clone(),
        secret: Secret::new(granted.secret.clone()),
        database: granted.session.database.clone(),
        application: application.to_owned(),
    };
    Ok(pg::Connection::open(options).await?)
}

/// Whom to trust at the gateway: whoever is trusted at the broker's interface.
#[must_use]
pub fn trust(address: &Address) -> pg::Trust {
    match (address.url.scheme(), &address.ca_file) {
        ("http", _) => pg::Trust::Plain,
        (_, Some(path)) => pg::Trust::File(path.clone()),
        (_, None) => pg::Trust::System,
    }
}

impl From<pg::Error> for Error {
    fn from(error: pg::Error) -> Self {
        let message = error.to_string();
        match error {
            pg::Error::Unreachable { .. } => Self::new(Kind::Unreachable, message)
                .with_hint("is the broker running, and its port open from here?"),
            pg::Error::Untrusted { .. } => Self::new(Kind::Unreachable, message).with_hint(
                "give the certificate authority's file with `--ca-file` or `DBGATE_CA_FILE`",
            ),
            pg::Error::Protocol(_) | pg::Error::Wire(_) => Self::new(Kind::Unreachable, message),
            pg::Error::Lost(_) => Self::failed(message)
                .with_hint(
                    "what waited for an approval has not run; of what was running, look whether it took effect before you \
                     run it again (`dbgate status` shows whether the session is still open)",
                ),
            pg::Error::Refused(fields) => {
                let kind = if drive::is_end(&fields)
                    || drive::is_rejection(&fields)
                    || fields.code.class() == "28"
                {
                    Kind::Ended
                } else if drive::is_refusal(&fields) {
                    Kind::Refused
                } else {
                    Kind::Failed
                };
                Self {
                    kind,
                    message,
                    detail: fields.detail.as_deref().map(Into::into),
                    hint: fields.hint.as_deref().map(Into::into),
                    code: Some(fields.code.as_str().into()),
                    request: None,
                }
            }
        }
    }
}
