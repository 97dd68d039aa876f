//! The command line: one file a command, each with its `Args` (the help text) and its `run`.
//!
//! Reading order: `globals` (options every command takes) → `ui` (what a command says) → `error` (how it ends).
//! A new command is a file, a line in `Command` and a line in `dispatch`.

mod approve;
mod audit;
mod broker;
pub mod connect;
mod demo;
mod deny;
mod env;
pub mod error;
pub mod exec;
mod explain;
pub mod generate;
pub mod globals;
mod guardian;
mod login;
mod logout;
mod ls;
mod policy;
pub(crate) mod problem;
mod remembered;
mod request;
mod requests;
mod run;
pub mod session;
mod sessions;
mod signal;
mod status;
mod tunnel;
pub mod ui;
mod withdraw;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};

use crate::cli::error::{Error, Kind};
use crate::cli::globals::Globals;
use crate::cli::ui::Ui;

/// Guarded, short-lived, audited access to PostgreSQL
#[derive(Debug, clap::Parser)]
#[command(
    name = "dbgate",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the database or the command failed
  2  usage
  3  refused by policy
  4  login needed
  5  waiting for approval
  6  expired, denied or killed
  7  local set-up (configuration, keyring, port, disk, missing programs)
  8  broker unreachable, or its TLS not trusted
  9  verification failed
  128+n  ended by signal n

Every option has an environment variable: the one its help names, such as DBGATE_URL or DBGATE_EXEC_FILE.";

/// One line a command.
#[derive(Debug, clap::Subcommand)]
enum Command {
    Login(login::Args),
    Logout(logout::Args),
    Status(status::Args),
    Ls(ls::Args),
    Request(request::Args),
    Requests(requests::Args),
    Approve(approve::Args),
    Deny(deny::Args),
    Withdraw(withdraw::Args),
    Sessions(sessions::Args),
    /// Run all of dbgate on this machine: PostgreSQL, a sign-in issuer, a sample shop, policy and broker
    Demo(demo::Args),
    Explain(explain::Args),
    Policy(policy::Args),
    /// Serve as the broker
    Broker(broker::Args),
    Audit(audit::Args),
    /// Become a program that ends with its parent
    #[command(hide = true, name = "internal-guardian")]
    Guardian(guardian::Args),
    Connect(connect::Args),
    Exec(exec::Args),
    Tunnel(tunnel::Args),
    Run(run::Args),
    Env(env::Args),
    /// Write completions or manual pages
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Calls the command.
async fn dispatch(ui: &mut Ui, globals: &Globals, command: Command) -> Result<(), Error> {
    match command {
        Command::Login(args) => login::run(ui, globals, &args).await,
        Command::Logout(args) => logout::run(ui, globals, &args).await,
        Command::Status(args) => status::run(ui, globals, &args).await,
        Command::Ls(args) => ls::run(ui, globals, &args).await,
        Command::Request(args) => request::run(ui, globals, &args).await,
        Command::Requests(args) => requests::run(ui, globals, &args).await,
        Command::Approve(args) => approve::run(ui, globals, &args).await,
        Command::Deny(args) => deny::run(ui, globals, &args).await,
        Command::Withdraw(args) => withdraw::run(ui, globals, &args).await,
        Command::Sessions(args) => sessions::run(ui, globals, &args).await,
        Command::Demo(args) => Box::pin(demo::run(ui, args)).await,
        Command::Explain(args) => explain::run(ui, globals, &args).await,
        Command::Policy(args) => policy::run(ui, args).await,
        Command::Broker(args) => broker::run(ui, args).await,
        Command::Audit(args) => audit::run(ui, globals, &args).await,
        Command::Guardian(args) => Err(guardian::run(&args)),
        Command::Connect(args) => connect::run(ui, globals, &args).await,
        Command::Exec(args) => exec::run(ui, globals, &args).await,
        Command::Tunnel(args) => tunnel::run(ui, globals, &args).await,
        Command::Run(args) => run::run(ui, globals, &args).await,
        Command::Env(args) => env::run(ui, globals, &args).await,
        Command::Generate(args) => generate::run(ui, &args),
    }
}

/// Runs the command line and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let mut ui = Ui::new(&cli.globals);
    let Err(error) = run(&mut ui, cli) else {
        return ExitCode::SUCCESS;
    };
    // When stderr is gone, too, the exit code is all that is left to say it with.
    let _told = ui.error(&error);
    ExitCode::from(error.kind.exit_code())
}

/// The definitions, in which every flag has its environment variable: the one it names, else `DBGATE_`, the command and the flag.
#[must_use]
pub fn definitions() -> clap::Command {
    with_variables(Cli::command(), "DBGATE")
}

fn with_variables(command: clap::Command, prefix: &str) -> clap::Command {
    let name = |word: &str| format!("{prefix}_{}", word.replace('-', "_").to_ascii_uppercase());
    let command = command.mut_args(|arg| {
        let Some(long) = arg.get_long() else {
            return arg;
        };
        if arg.get_env().is_some()
            || matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
        {
            return arg;
        }
        let variable = name(long);
        let arg = arg.env(variable).hide_env_values(true);
        match arg.get_action() {
            // `DBGATE_QUIET=1`, and no mistake for `DBGATE_QUIET=0`.
            ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()),
            _ => arg,
        }
    });
    command.mut_subcommands(|inner| {
        // Those that nobody calls by hand take nothing from the environment.
        if inner.is_hide_set() {
            return inner;
        }
        let prefix = name(inner.get_name());
        with_variables(inner, &prefix)
    })
}

/// Reads the arguments; help, version and mistakes are answered here, without a runtime or a configuration.
fn parse(arguments: Vec<OsString>) -> Result<Cli, ExitCode> {
    let json = wants_json(&arguments);
    let parsed = definitions()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        if json && error.use_stderr() {
            let text = error.render().to_string();
            let message = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let error = Error::usage(message).with_hint("try `--help`").to_json();
            let _told = writeln!(std::io::stderr(), "{error}");
        } else {
            let _told = error.print();
        }
        ExitCode::from(if error.use_stderr() {
            Kind::Usage.exit_code()
        } else {
            0
        })
    })
}

/// Whether mistakes are to be told as JSON; they may be in the very arguments that say so.
fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    words
        .iter()
        .any(|word| matches!(*word, "--output=json" | "--output=ndjson" | "-ojson"))
        || words
            .windows(2)
            .any(|pair| matches!(pair, ["--output" | "-o", "json" | "ndjson"]))
}

fn run(ui: &mut Ui, cli: Cli) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::setup(format!("start the runtime: {error}")))?;
    let result = runtime.block_on(dispatch(ui, &cli.globals, cli.command));
    // A thread that waits for a line of stdin must not keep the process.
    runtime.shutdown_background();
    result
}
