//! `dbgate tunnel`: local listeners for native tools.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::env::Format;
use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::session;
use crate::cli::ui::Ui;
use crate::config::problem::nearest;
use crate::model::name::DatabaseName;
use crate::model::time::Clock;
use crate::net::clock;
use crate::net::drain;
use crate::net::entropy;
use crate::tunnel::door::Door;
use crate::tunnel::keeper::Keeper;
use crate::tunnel::listen::Local;
use crate::tunnel::place::{Origin, Place, Places};
use crate::tunnel::relay::{Cancels, Way};
use crate::tunnel::settings::{Settings, Tls};
use crate::tunnel::{self, News, NotIn, Speaker, Tone};

/// Open local ports for psql, pgAdmin, JDBC and any other tool
///
/// The port, user and password of a database stay the same each time, so that a saved connection keeps working. The
/// session is opened at the first connection, renewed while the tunnel runs, and ended with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Databases, each with a port to listen on if it matters: `prod` or `prod:15432`
    #[arg(required = true, value_name = "DB[:PORT]")]
    databases: Vec<Spot>,

    #[command(flatten)]
    session: session::Args,

    /// Make unix sockets in this directory instead of ports
    #[arg(long, value_name = "DIR")]
    socket: Option<PathBuf>,

    /// The form in which settings are printed
    #[arg(long, value_name = "FORM", default_value = "url")]
    format: Format,
}

/// A database, and the port to listen on.
#[derive(Debug, Clone)]
struct Spot {
    database: DatabaseName,
    port: Option<u16>,
}

impl FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let database = name.parse().map_err(|error| format!("{error}"))?;
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err("a port is a number from 1 to 65535".to_owned()),
        };
        Ok(Self { database, port })
    }
}

/// What the listeners of one command share.
struct Common<'a> {
    args: &'a Args,
    speaker: Speaker,
    signal: drain::Signal,
    clock: Arc<dyn Clock>,
    trust: crate::remote::pg::Trust,
}

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let mut stop = Stop::new()?;
    let (speaker, mut news) = mpsc::channel(64);
    let (drain, signal) = drain::pair();
    let common = Common {
        args,
        speaker,
        signal,
        clock: Arc::new(clock::System::new()),
        trust: session::trust(&globals.address()?),
    };
    offered(ui, globals, &args.databases).await?;
    let mut tasks = JoinSet::new();
    for spot in &args.databases {
        start(ui, globals, spot, &common, &mut tasks).await?;
    }
    drop(common);
    ui.status("Ctrl-C closes the tunnel and ends its sessions")?;
    loop {
        tokio::select! {
            () = stop.asked() => break,
            Some(one) = news.recv() => hear(ui, globals, one).await?,
        }
    }
    drain.start();
    // The keepers end their sessions and go; then nobody is left to speak.
    loop {
        tokio::select! {
            // Whoever asks twice does not want to wait.
            () = stop.asked() => break,
            one = news.recv() => match one {
                Some(one) => hear(ui, globals, one).await?,
                None => break,
            },
        }
    }
    Ok(())
}

/// Who is signed in learns of a wrong name now; for anybody else it is enough to know with the first connection.
async fn offered(ui: &mut Ui, globals: &Globals, spots: &[Spot]) -> Result<(), Error> {
    let broker = match globals.broker(ui).await {
        Ok(broker) => broker,
        Err(error) if error.kind == Kind::Login => {
            ui.warn(&format!("{error}; connections will wait"))?;
            return ui.hint("run `dbgate login` in another terminal");
        }
        Err(error) => return Err(error),
    };
    let databases = broker.databases().await?;
    let names: Vec<&str> = databases.iter().map(|view| view.name.as_str()).collect();
    for Spot { database, .. } in spots {
        if !names.contains(&database.as_str()) {
            let near = nearest(database.as_str(), names.iter().copied());
            let hint = near.map_or_else(
                || "run `dbgate ls` to see the databases you may ask for".to_owned(),
                |name| format!("did you mean `{name}`? `dbgate ls` shows all you may ask for"),
            );
            let message = format!("there is no database `{database}` for you");
            return Err(Error::failed(message).with_hint(hint));
        }
    }
    Ok(())
}

/// Opens one listener and prints how to connect to it.
async fn start(
    ui: &mut Ui,
    globals: &Globals,
    spot: &Spot,
    common: &Common<'_>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Error> {
    let args = common.args;
    let database = &spot.database;
    let address = globals.address()?;
    let places = Places::in_directory(&globals.config_dir()?);
    let name = format!("{} {database} {}", address.url, args.session.access);
    let (local, place) = listen(&places, &name, spot, args.socket.as_deref()).await?;
    let settings = Settings {
        host: match &args.socket {
            Some(directory) => std::path::absolute(directory)
                .unwrap_or_else(|_| directory.clone())
                .display()
                .to_string(),
            None => "127.0.0.1".to_owned(),
        },
        port: place.port,
        user: place.local.user.clone(),
        secret: place.local.secret.clone(),
        database: database.to_string(),
        tls: Tls::Off,
    };
    if ui.is_json() {
        let tunnel = json!({ "database": database.as_str(), "settings": settings.json() });
        ui.json("dbgate.tunnel/1", &tunnel)?;
    } else {
        ui.print(&settings.show(args.format.into())?)?;
    }
    let ask = args.session.to_ask(database);
    let (keeper, handle) = Keeper::new(
        ask,
        Arc::clone(&common.clock),
        common.speaker.clone(),
        common.signal.clone(),
    );
    let door = Door::new(&place.local, database.as_str(), Arc::new(entropy::System))
        .map_err(|error| Error::setup(format!("use the secret of the tunnel: {error}")))?;
    let way = Way {
        handle,
        trust: common.trust.clone(),
        speaker: common.speaker.clone(),
        cancels: Cancels::default(),
    };
    tasks.spawn(keeper.run());
    tasks.spawn(local.serve(Arc::new(door), way, common.signal.clone()));
    Ok(())
}

/// Takes the remembered port; one that was only chosen, not asked for or used before, may move.
async fn listen(
    places: &Places,
    name: &str,
    spot: &Spot,
    socket: Option<&Path>,
) -> Result<(Local, Place), Error> {
    let mut place = places.of(name, spot.port, &entropy::System)?;
    let local = loop {
        let local = match socket {
            Some(directory) => Local::socket(directory, place.port),
            None => Local::port(place.port).await,
        };
        match local {
            Ok(local) => break local,
            Err(tunnel::Error::PortInUse { .. }) if place.origin == Origin::Chosen => {
                place = place.next();
            }
            Err(error) => {
                let hint = format!(
                    "is a tunnel to `{0}` running already? `dbgate tunnel {0}:PORT` takes another port",
                    spot.database
                );
                return Err(Error::from(error).with_hint(hint));
            }
        }
    };
    places.keep(name, &place, &entropy::System)?;
    Ok((local, place))
}

/// Tells what a tunnel says, and signs in when it asks.
pub(crate) async fn hear(ui: &mut Ui, globals: &Globals, news: News) -> Result<(), Error> {
    match news {
        News::Said(Tone::Detail, text) => ui.detail(&text),
        News::Said(Tone::Status, text) => ui.status(&text),
        News::Said(Tone::Warning, text) => ui.warn(&text),
        News::Said(Tone::Hint, text) => ui.hint(&text),
        News::Login(reply) => {
            let answer = globals.broker(ui).await.map_err(|error| match error.kind {
                Kind::Login => NotIn::Login(error.message),
                _ => NotIn::Other(error.message),
            });
            // Nobody waits for it any more: fine.
            reply.send(answer).ok();
            Ok(())
        }
    }
}

impl From<tunnel::Error> for Error {
    fn from(error: tunnel::Error) -> Self {
        match error {
            tunnel::Error::Unsayable(_) => Self::usage(error.to_string()),
            tunnel::Error::PortInUse { .. }
            | tunnel::Error::Listen { .. }
            | tunnel::Error::Place { .. } => Self::setup(error.to_string()),
        }
    }
}

/// The signals that ask a tunnel to close.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::setup(format!("listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them. Cancel-safe.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
