//! `dbgate internal-guardian`: hidden; becomes a program that ends with its parent.

use std::path::PathBuf;
use std::str::FromStr;

use crate::cli::error::Error;
use crate::demo::guardian::{Account, Guarded};

/// Becomes a program that ends with its parent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The parent's process id
    #[arg(long)]
    parent: i32,

    /// Whom to become: UID:GID
    #[arg(long)]
    account: Option<Numbers>,

    /// Pass the environment on
    #[arg(long)]
    keep_environment: bool,

    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Numbers(Account);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (uid, gid) = text.split_once(':').ok_or("write UID:GID")?;
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        Ok(Self(Account {
            uid: number(uid)?,
            gid: number(gid)?,
        }))
    }
}

/// Replaces this process; returns only when that failed. Must run on the main thread, before any other is started.
pub(crate) fn run(args: &Args) -> Error {
    let Some((program, arguments)) = args.command.split_first() else {
        return Error::usage("name a program");
    };
    let guarded = Guarded {
        parent: args.parent,
        account: args.account.map(|Numbers(account)| account),
        keeps_environment: args.keep_environment,
        program: PathBuf::from(program),
        arguments: arguments.to_vec(),
    };
    Error::setup(format!("run `{program}`: {}", guarded.execute()))
}
