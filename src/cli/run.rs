//! `dbgate run`: a command with a private tunnel.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::session;
use crate::cli::tunnel::hear;
use crate::cli::ui::Ui;
use crate::model::name::DatabaseName;
use crate::model::time::parse_span;
use crate::net::clock;
use crate::net::drain;
use crate::net::entropy;
use crate::tunnel::door::Door;
use crate::tunnel::keeper::Keeper;
use crate::tunnel::listen::Local;
use crate::tunnel::relay::{Cancels, Way};
use crate::tunnel::settings::{Settings, Tls};
use crate::tunnel::{self, News, place};

/// Run a command with the database in its environment
///
/// Sets PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and DATABASE_URL to a tunnel of its own, which ends with the
/// command. The command's exit code is dbgate's.
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

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What libpq would take instead of, or against, the settings of the tunnel.
const CONTRARY: &[&str] = &[
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSFILE",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLNEGOTIATION",
    "PGREQUIRESSL",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGGSSENCMODE",
    "PGTARGETSESSIONATTRS",
    "PGREALM",
];

pub(crate) async fn run(ui: &mut Ui, globals: &Globals, args: &Args) -> Result<(), Error> {
    let (speaker, mut news) = mpsc::channel(64);
    let (drain, signal) = drain::pair();
    let broker = globals.broker(ui).await?;
    // The session comes first: who is refused, or must wait, starts nothing.
    let ask = args.session.to_ask(&args.database);
    let patience = args.wait.unwrap_or_default();
    let granted = session::open(ui, &broker, ask.clone(), patience).await?;
    let (keeper, handle) = Keeper::new(
        ask,
        Arc::new(clock::System::new()),
        speaker.clone(),
        signal.clone(),
    );
    let way = Way {
        handle,
        trust: session::trust(broker.address()),
        speaker,
        cancels: Cancels::default(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(keeper.with_session(broker, granted).run());
    let outcome = match listen(args, way, signal, &mut tasks).await {
        Ok(settings) => {
            let command = command(args, &settings);
            supervise(ui, globals, command, &mut news).await
        }
        Err(error) => Err(error),
    };
    drain.start();
    while let Some(one) = news.recv().await {
        // What comes now is about the end of the session: of interest with `-v` only.
        if let News::Said(_, text) = one {
            ui.detail(&text)?;
        }
    }
    let status = outcome?;
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(0) => Ok(()),
        Some(code) => Err(Error::told(Kind::Child(code))),
        None => {
            let number = status.signal().and_then(|number| u8::try_from(number).ok());
            Err(Error::told(Kind::Signal(number.unwrap_or(0))))
        }
    }
}

/// Opens a listener for this command alone.
async fn listen(
    args: &Args,
    way: Way,
    signal: drain::Signal,
    tasks: &mut JoinSet<()>,
) -> Result<Settings, Error> {
    let listener = Local::port(0).await?;
    let local = tunnel::Local {
        user: place::USER.to_owned(),
        secret: place::secret(&entropy::System),
    };
    let door = Door::new(&local, args.database.as_str(), Arc::new(entropy::System))
        .map_err(|error| Error::setup(format!("use a secret for the tunnel: {error}")))?;
    let settings = Settings {
        host: "127.0.0.1".to_owned(),
        port: listener.bound(),
        user: local.user,
        secret: local.secret,
        database: args.database.to_string(),
        tls: Tls::Off,
    };
    tasks.spawn(listener.serve(Arc::new(door), way, signal));
    Ok(settings)
}

fn command(args: &Args, settings: &Settings) -> Command {
    let mut words = args.command.iter();
    let mut command = Command::new(words.next().map_or_else(OsString::new, OsString::clone));
    command.args(words);
    for name in CONTRARY {
        command.env_remove(name);
    }
    command.envs(settings.variables());
    command
}

/// Runs the command to its end, passing on signals and telling what the tunnel says.
async fn supervise(
    ui: &mut Ui,
    globals: &Globals,
    mut command: Command,
    news: &mut mpsc::Receiver<News>,
) -> Result<ExitStatus, Error> {
    let mut signals = Signals::new()?;
    let mut child = command.spawn().map_err(|error| {
        let name = command.as_std().get_program().to_string_lossy();
        Error::setup(format!("start `{name}`: {error}"))
            .with_hint("is it installed, and in the `PATH`?")
    })?;
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map_err(|error| Error::failed(format!("wait for the command: {error}")));
            }
            kind = signals.next() => pass_on(&child, kind),
            Some(one) = news.recv() => hear(ui, globals, one).await?,
        }
    }
}

fn pass_on(child: &Child, kind: rustix::process::Signal) {
    use rustix::process::{Pid, Signal, kill_process};
    // The terminal has told the whole foreground group already; twice would be "at once" to some programs.
    let told = matches!(kind, Signal::INT | Signal::QUIT) && std::io::stdin().is_terminal();
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw)
        && !told
    {
        // It may have ended this moment.
        kill_process(pid, kind).ok();
    }
}

/// The signals that are meant for the child.
struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::setup(format!("listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    /// The next one. Cancel-safe.
    async fn next(&mut self) -> rustix::process::Signal {
        use rustix::process::Signal;
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.user1.recv() => Signal::USR1,
            _ = self.user2.recv() => Signal::USR2,
        }
    }
}
