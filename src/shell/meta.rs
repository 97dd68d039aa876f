//! Backslash commands, as psql spells them.

use crate::shell::describe::{self, Copy, Listing};

/// What `\?` shows.
pub const HELP: &str = r"Statements end with ; and run through the gateway like those of any client.
  Ctrl-C              drop what is typed, or cancel the running statement
  Ctrl-D, \q          quit

Look around
  \d [NAME]           relations, or one of them with its columns ( \d+ says more)
  \dt \dv \dm \di \ds tables, views, materialized views, indexes, sequences
  \df \dn \du \dT \dx functions, schemas, roles, types, extensions
  \dp, \l             privileges, databases
                      each takes a name or a pattern: \dt sales.*

Rows
  \x [on|off|auto]    columns one below the other; auto: when they don't fit
  \g, \gx             run the statement before it; \gx: one below the other
  \timing [on|off]    how long statements take
  ~ marks what the policy masks

Files
  \i FILE             run a file
  \copy T FROM FILE   rows from a file on this machine, as COPY … FROM STDIN
  \copy T TO FILE     rows into a file; also \copy (QUERY) TO FILE

This session
  \conninfo           who, where, until when
  \why                the last refusal, explained";

/// A choice that may be left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
    /// As it fits.
    Auto,
    /// The other way than now.
    Toggle,
}

/// A backslash command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `\q`
    Quit,
    /// `\?`
    Help,
    /// `\why`
    Why,
    /// `\conninfo`
    ConnectionInfo,
    /// `\x`
    Expanded(Switch),
    /// `\timing`
    Timing(Switch),
    /// `\i`
    Include(String),
    /// `\copy`
    Copy(Copy),
    /// `\dt`, `\l`, …
    List(Listing),
    /// `\d NAME`; whether with descriptions.
    Describe(String, bool),
    /// `\g` and the like without a statement, and what `pg_dump` writes for psql alone.
    Nothing,
}

/// Reads a command line.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim().trim_start_matches('\\');
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    let rest = rest.trim();
    let argument = rest.trim_end_matches(';').trim_end();
    match word {
        "q" | "quit" | "exit" => Ok(Command::Quit),
        "?" | "h" | "help" => Ok(Command::Help),
        "why" => Ok(Command::Why),
        "conninfo" => Ok(Command::ConnectionInfo),
        "g" | "gx" | "restrict" | "unrestrict" | "" => Ok(Command::Nothing),
        "x" => switch(argument).map(Command::Expanded),
        "timing" => match switch(argument)? {
            Switch::Auto => Err("write \\timing on or \\timing off".to_owned()),
            other => Ok(Command::Timing(other)),
        },
        "i" | "include" => match describe::file_name(argument) {
            Some((file, _)) => Ok(Command::Include(file)),
            None => Err("write \\i FILE".to_owned()),
        },
        "copy" => describe::copy(rest)
            .map(Command::Copy)
            .map_err(ToOwned::to_owned),
        _ => catalog(word, argument),
    }
}

fn switch(argument: &str) -> Result<Switch, String> {
    match argument {
        "" => Ok(Switch::Toggle),
        "on" | "true" | "1" => Ok(Switch::On),
        "off" | "false" | "0" => Ok(Switch::Off),
        "auto" => Ok(Switch::Auto),
        other => Err(format!("`{other}` is neither on nor off")),
    }
}

fn catalog(word: &str, argument: &str) -> Result<Command, String> {
    let pattern = (!argument.is_empty()).then_some(argument);
    if let ("d", Some(name)) = (word.trim_end_matches(['+', 'S']), pattern) {
        return Ok(Command::Describe(name.to_owned(), word.contains('+')));
    }
    if let Some(listing) = describe::listing(word, pattern) {
        return Ok(Command::List(listing));
    }
    let near = crate::shell::complete::COMMANDS
        .into_iter()
        .map(|command| {
            (
                strsim::damerau_levenshtein(command.trim_start_matches('\\'), word),
                command,
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= 1)
        .map(|(_, command)| format!("; did you mean `{command}`?"))
        .unwrap_or_default();
    Err(format!("there is no command `\\{word}`{near}"))
}
