//! `dbgate demo`: all of it on this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::error::Error;
use crate::cli::problem;
use crate::cli::signal;
use crate::cli::ui::Ui;
use crate::demo::locate::{NotFound, Places};
use crate::demo::run::{self, Demo, Options};
use crate::net;
use crate::net::clock::SystemClock;
use crate::net::entropy::SystemEntropy;
use crate::server::{self, Surroundings};
use crate::store;

/// Run all of dbgate on this machine: PostgreSQL, a sign-in issuer, a sample shop, policy and broker
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Load this schema instead of the sample shop
    #[arg(long, value_name = "FILE")]
    sql: Option<PathBuf>,

    /// Use this policy instead of the shop's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Keep everything in this new folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Print one JSON object when ready, and stay in the foreground
    #[arg(long)]
    json: bool,

    /// The folder of PostgreSQL's server programs
    #[arg(
        long,
        value_name = "DIR",
        env = "DBGATE_PG_BIN",
        hide_env_values = true
    )]
    pg_bin: Option<PathBuf>,

    /// The broker's address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Brings everything up, tells, and waits for Ctrl-C.
pub(crate) async fn run(ui: &mut Ui, args: Args) -> Result<(), Error> {
    let surroundings = Surroundings {
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    };
    let json = args.json;
    let mut ended = signal::ended()?;
    let spinner = ui.spinner("Starting PostgreSQL, issuer and broker");
    let demo = tokio::select! {
        demo = Demo::start(options(args)?, &surroundings) => demo.map_err(failure),
        number = ended.wait() => return Err(Error::signal(number)),
    };
    drop(spinner);
    let demo = demo?;
    let told = if json {
        tell_json(ui, &demo)
    } else {
        tell(ui, &demo)
    };
    let number = match told {
        Ok(()) => ended.wait().await,
        Err(_) => 0,
    };
    demo.stop().await;
    told?;
    // Ctrl-C is how a demo ends; nothing has failed.
    let _ = number;
    Ok(())
}

fn options(args: Args) -> Result<Options, Error> {
    let executable = std::env::current_exe()
        .map_err(|error| Error::setup(format!("find our own program: {error}")))?;
    Ok(Options {
        places: Places {
            given: args.pg_bin,
            path: std::env::var_os("PATH"),
            working_dir: std::env::current_dir().ok(),
            home: std::env::home_dir(),
            root: None,
        },
        sql: args.sql,
        policy: args.policy,
        dir: args.dir,
        temporary: std::env::temp_dir(),
        executable,
        address: args.listen,
    })
}

fn tell_json(ui: &mut Ui, demo: &Demo) -> Result<(), Error> {
    let text =
        serde_json::to_string(&demo.ready).map_err(|error| Error::failed(error.to_string()))?;
    ui.print(&text)
}

fn tell(ui: &mut Ui, demo: &Demo) -> Result<(), Error> {
    let ready = &demo.ready;
    let (engineer, reviewer) = (ready.users.first(), ready.users.get(1));
    let token =
        |user: Option<&run::User>| user.map(|user| user.id_token.clone()).unwrap_or_default();
    ui.status(&format!(
        "PostgreSQL: {} in {}",
        demo.programs.version,
        demo.programs.bin.display()
    ))?;
    ui.print(&format!(
        "The demo is running. In another terminal:\n\n  \
         export DBGATE_URL={url} DBGATE_CA_FILE={ca}\n  \
         export DBGATE_ID_TOKEN={engineer}\n\n\
         then, as Ada the engineer:\n\n  \
         1  dbgate exec {db} -c 'select id, name, email, card from customers limit 3'\n  \
         2  dbgate exec {db} -c 'drop table payments'\n  \
         3  dbgate connect {db} --access write --reason 'refund order 7'\n  \
         4  dbgate tunnel {db}\n  \
         5  DBGATE_ID_TOKEN=$ANN dbgate audit tail\n\n\
         Rex the reviewer approves with `dbgate requests` and `dbgate approve ID`:\n\n  \
         export DBGATE_ID_TOKEN={reviewer}\n\n\
         Ann the auditor:\n\n  \
         ANN={auditor}\n\n\
         Instead of a token, `dbgate login {url}` signs in through the browser.\n\
         Policy: {policy} (edit it, it is read again). Ctrl-C ends the demo.",
        url = ready.url,
        ca = ready.ca_file.display(),
        db = ready.database,
        engineer = token(engineer),
        reviewer = token(reviewer),
        auditor = token(ready.users.get(2)),
        policy = ready.policy_file.display(),
    ))
}

fn failure(error: run::Error) -> Error {
    match error {
        run::Error::NotFound(error) => Error::setup(error.to_string()).with_hint(NotFound::hint()),
        run::Error::Server(error) => server_failure(&error),
        run::Error::Config(problems) => Error::setup(problem::render(&problems, false)),
        other => Error::setup(other.to_string()),
    }
}

/// A broker that does not start, for people.
pub(crate) fn server_failure(error: &server::Error) -> Error {
    match error {
        server::Error::Policy(problems) => {
            Error::setup(format!("{error}\n{}", problem::render(problems, false)))
                .with_hint("`dbgate policy check FILE` shows the same")
        }
        other => {
            let failure = Error::setup(other.to_string());
            match server_advice(other) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
    }
}

/// What helps a broker that does not start.
fn server_advice(error: &server::Error) -> Option<String> {
    Some(match error {
        server::Error::Store(store::Error::Locked { pid, .. }) => {
            format!("stop process {pid} first, or give this broker a `data_dir` of its own")
        }
        server::Error::Store(_) | server::Error::Audit(_) => {
            "look at `data_dir` and `audit_dir`: are they the broker's own, and is there room on the disk?".to_owned()
        }
        server::Error::Net(net::Error::Bind { .. }) => {
            "stop what listens there, or choose another `address` in `[listen]`".to_owned()
        }
        server::Error::Read { .. } => "the configuration names this file: is it there, and may the broker read it?".to_owned(),
        server::Error::Net(_) => {
            "look at `certificate` and `key` in `[tls]`: PEM, the leaf first, both of one pair".to_owned()
        }
        server::Error::Target { .. } | server::Error::Issuers(_) | server::Error::Broker(_) => {
            "`dbgate broker check` shows what is missing and which line mends it".to_owned()
        }
        server::Error::Policy(_) => return None,
    })
}
