//! `dbgate env`: a session that outlives the command, as connection settings for the gateway itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::cli::session;
use crate::cli::ui::{self, Ui};
use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::time::parse_span;
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
    session: session::Args,

    /// How long to wait for an approval, such as 10m; without it, a session that needs one ends with code 5
    #[arg(long, env = "DBGATE_WAIT", hide_env_values = true, value_name = "SPAN", value_parser = parse_span)]
    wait: Option<Duration>,

    /// The form in which settings are printed
    #[arg(long, value_name = "FORM", default_value = "env")]
    format: Format,
}

/// The form in which settings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// postgresql://…
    Url,
    /// Lines for a shell to `eval`
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

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let broker = globals.broker(ui).await?;
    let ask = args.session.to_ask(&args.database);
    let patience = args.wait.unwrap_or_default();
    let granted = session::open(ui, &broker, ask, patience).await?;
    let view = &granted.session;
    ui.status(&format!(
        "session {} on `{}` ({}) ends at {}",
        view.id,
        view.database,
        view.access,
        ui::seconds(&view.ends)
    ))?;
    let settings = Settings {
        host: granted.gateway.host.clone(),
        port: granted.gateway.port,
        user: granted.user.clone(),
        secret: Secret::new(granted.secret.clone()),
        database: args.database.to_string(),
        tls: match session::trust(broker.address()) {
            Trust::Plain => Tls::Off,
            Trust::System => Tls::System(trusted()),
            Trust::File(path) => Tls::File(std::path::absolute(&path).unwrap_or(path)),
        },
    };
    if ui.is_json() {
        let value = serde_json::json!({ "session": view, "settings": settings.json() });
        return ui.json("dbgate.env/1", &value);
    }
    ui.print(&settings.show(args.format.into())?)
}

/// Where systems keep the certificates they trust: Debian, Red Hat (new, old), SUSE, Alpine and macOS.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file of certificates that this system trusts.
fn trusted() -> Option<PathBuf> {
    let chosen = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    chosen
        .into_iter()
        .chain(BUNDLES.map(PathBuf::from))
        .find(|path| path.is_absolute() && path.is_file())
}
