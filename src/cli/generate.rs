//! `dbgate generate`: completions and manual pages, made from the definitions of the commands.

use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::definitions;
use crate::cli::error::Error;
use crate::cli::ui::Ui;

/// Write completions or manual pages.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to write
    what: What,
    /// Where to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// For bash, zsh, fish and PowerShell
    Completions,
    /// One page a command
    Man,
}

/// Writes the files.
///
/// # Errors
/// When the directory can't be written.
pub fn run(ui: &mut Ui, args: &Args) -> Result<(), Error> {
    let wrong = |path: &Path, error: io::Error| {
        Error::setup(format!("write `{}`: {error}", path.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(|error| wrong(&args.out, error))?;
    for (name, text) in files(args.what)? {
        let path = args.out.join(name);
        std::fs::write(&path, text).map_err(|error| wrong(&path, error))?;
        ui.status(&path.display().to_string())?;
    }
    Ok(())
}

/// The files' names and contents.
///
/// # Errors
/// When a page can't be made.
pub fn files(what: What) -> Result<Vec<(String, Vec<u8>)>, Error> {
    match what {
        What::Completions => Ok(completions()),
        What::Man => {
            let mut command = definitions();
            command.build();
            let mut pages = Vec::new();
            man(&command, &mut pages)?;
            Ok(pages)
        }
    }
}

fn completions() -> Vec<(String, Vec<u8>)> {
    [
        (Shell::Bash, "dbgate.bash"),
        (Shell::Zsh, "_dbgate"),
        (Shell::Fish, "dbgate.fish"),
        (Shell::PowerShell, "_dbgate.ps1"),
    ]
    .into_iter()
    .map(|(shell, name)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut definitions(), "dbgate", &mut text);
        (name.to_owned(), text)
    })
    .collect()
}

fn man(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Error> {
    let page = clap_mangen::Man::new(command.clone())
        .date("")
        .manual("dbgate");
    let mut text = Vec::new();
    page.render(&mut text)
        .map_err(|error| Error::failed(format!("make a manual page: {error}")))?;
    pages.push((page.get_filename(), text));
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .try_for_each(|sub| man(sub, pages))
}
