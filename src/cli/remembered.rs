//! What `dbgate login` remembers for the commands after it: broker, certificates, token store.

use std::path::PathBuf;

use crate::cli::error::Error;
use crate::cli::globals::Globals;
use crate::config::client::{self, Config};
use crate::config::problem::Source;

fn path(globals: &Globals) -> Result<PathBuf, Error> {
    Ok(globals.config_dir()?.join("config.toml"))
}

/// Reads it; nothing is remembered when there is no file.
///
/// # Errors
/// When it can't be read, or has mistakes.
pub(crate) fn read(globals: &Globals) -> Result<Config, Error> {
    let path = path(globals)?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => {
            return Err(Error::setup(format!("read `{}`: {error}", path.display())));
        }
    };
    let source = Source::new(path.display().to_string(), text);
    client::parse(&source).map_err(|problems| {
        Error::setup(problems.to_string())
            .with_hint("mend the file, or remove it and run `dbgate login`")
    })
}

/// Writes it: whole or not at all, and only when something changes.
///
/// # Errors
/// When it can't be written.
pub(crate) fn write(globals: &Globals, config: &Config) -> Result<(), Error> {
    if read(globals).is_ok_and(|old| old == *config) {
        return Ok(());
    }
    let path = path(globals)?;
    let fresh = path.with_extension(format!("toml.{}", std::process::id()));
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&fresh, client::write(config)))
        .and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(|error| Error::setup(format!("write `{}`: {error}", path.display())))
}
