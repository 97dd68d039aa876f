//! `dbgate env`: a session that outlives the command, as connection settings for the gateway itself.

use std::time::Duration;

use clap::ValueEnum;

use crate::api::types::{self, Granted, Opened};
use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;
use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::time::parse_span;
use crate::remote::broker::{Address, Broker};
use crate::remote::pg::Trust;
use crate::tunnel::settings::{self, Settings, Tls};

/// Open a session and print how to connect to it
///
/// The session lives on after the command, until its end or `dbgate sessions kill`; a tunnel's ends with the tunnel.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    #[arg(value_name = "DB")]
    database: DatabaseName,

    #[command(flatten)]
    session: Session,

    /// The form in which settings are printed
    #[arg(long, value_name = "FORM", default_value = "env")]
    format: Format,
}

/// What a session is asked for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Session {
    /// What the session may do: read or write
    #[arg(long, value_name = "ACCESS", default_value = "read")]
    pub(crate) access: Access,

    /// How long it lasts, such as 30m or 1h 30m; by default as long as the policy says
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub(crate) duration: Option<Duration>,

    /// Why, for those who approve and those who read the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// An approved request to make use of
    #[arg(long, value_name = "ID")]
    pub(crate) request: Option<String>,
}

/// The form in which settings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// postgresql://…
    Url,
    /// Lines for a shell: eval "$(dbgate env DB)"
    Env,
    /// jdbc:postgresql://…
    Jdbc,
    /// A section of pg_service.conf
    Pgservice,
    /// A psql command
    Psql,
    /// One JSON object
    Json,
}

impl From<Format> for settings::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Url => Self::Url,
            Format::Env => Self::Env,
            Format::Jdbc => Self::Jdbc,
            Format::Pgservice => Self::Pgservice,
            Format::Psql => Self::Psql,
            Format::Json => Self::Json,
        }
    }
}

impl Session {
    /// The request to the broker.
    pub(crate) fn ask(&self, database: &DatabaseName) -> types::Ask {
        types::Ask {
            database: database.to_string(),
            reason: self.reason.clone(),
            duration_s: self.duration.map(|span| span.as_secs()),
            access: self.access.to_string(),
            request: self.request.clone(),
        }
    }

    /// Opens the session now.
    pub(crate) async fn open(
        &self,
        ui: &mut Ui,
        broker: &Broker,
        database: &DatabaseName,
    ) -> Result<Granted, Error> {
        let opened = {
            let _spinner = ui.spinner("Opening the session");
            broker.open_session(&self.ask(database)).await?
        };
        match opened {
            Opened::Granted(granted) => Ok(granted),
            Opened::Pending { request } => {
                let message = format!(
                    "a session on `{database}` needs an approval by {}",
                    request.approvers.join(", ")
                );
                let hint = format!(
                    "once request {0} is approved, run this again with `--request {0}`",
                    request.id
                );
                let mut error = Error::new(Kind::Pending, message).with_hint(hint);
                error.request = Some(request.id.into());
                Err(error)
            }
        }
    }
}

/// Whom to trust at the gateway of a broker: whoever is trusted at its API.
pub(crate) fn trust(address: &Address) -> Trust {
    match &address.ca_file {
        _ if address.url.scheme() == "http" => Trust::Plain,
        Some(path) => Trust::File(path.clone()),
        None => Trust::System,
    }
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let granted = args.session.open(ui, &broker, &args.database).await?;
    let session = &granted.session;
    ui.status(&format!(
        "session {} on `{}` ({}) ends at {}",
        session.id, session.database, session.access, session.ends
    ))?;
    let settings = Settings {
        host: granted.gateway.host.clone(),
        port: granted.gateway.port,
        user: granted.user.clone(),
        secret: Secret::new(granted.secret.clone()),
        database: args.database.to_string(),
        tls: match trust(broker.address()) {
            Trust::Plain => Tls::Off,
            Trust::System => Tls::System,
            Trust::File(path) => Tls::File(std::path::absolute(&path).unwrap_or(path)),
        },
    };
    if ui.is_json() {
        let value = serde_json::json!({ "session": session, "settings": settings.json() });
        return ui.json("dbgate.env/1", &value);
    }
    ui.print(&settings.show(args.format.into())?)
}
