//! A PostgreSQL server of our own: made, started, and ended with this process.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::demo::guardian::Account;
use crate::demo::locate::Programs;
use crate::model::secret::Secret;

/// The superuser of the cluster.
pub const SUPERUSER: &str = "postgres";

/// The longest path of a unix socket, on the systems that allow least, without the zero at its end.
const LONGEST_SOCKET: usize = 103;

/// Where the socket is below the demo's folder.
const SOCKET: &str = "/postgres/run/.s.PGSQL.65535";

/// How long a server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Root, and no account to become.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody` to become"
    )]
    NoAccount,
    /// The server's account does not get to the folder.
    #[error(
        "PostgreSQL refuses to run as root, and user {account} can't reach `{}`: name a folder with `--dir` whose parents \
         let others pass, such as one below /tmp", dir.display()
    )]
    OutOfReach {
        /// The account's number.
        account: u32,
        /// The folder.
        dir: PathBuf,
    },
    /// The path of the unix socket does not fit.
    #[error("`{}` is too long for the path of a socket: name a folder of at most {} letters with `--dir`", dir.display(), LONGEST_SOCKET - SOCKET.len())]
    TooLong {
        /// The folder.
        dir: PathBuf,
    },
    /// A step failed.
    #[error("{step}: {source}")]
    Step {
        /// What was being done.
        step: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// Its last words.
        output: String,
    },
}

/// Where and how.
#[derive(Debug)]
pub struct Options {
    /// PostgreSQL's programs.
    pub programs: Programs,
    /// A folder for it alone; it is made.
    pub dir: PathBuf,
    /// The superuser's password.
    pub password: Secret<String>,
    /// Our own program, for the guardian.
    pub executable: PathBuf,
    /// Lines for `pg_hba.conf`.
    pub hba: String,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// The folder of its unix socket.
    pub socket_dir: PathBuf,
    /// Its TCP port on 127.0.0.1, which also names the socket.
    pub port: u16,
}

impl Server {
    /// Makes a cluster and starts it. Must be called from a thread that lives as long as the server should.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(options: &Options) -> Result<Self, Error> {
        let account = account()?;
        let dir = options.dir.parent().unwrap_or(&options.dir);
        if dir.as_os_str().len() + SOCKET.len() > LONGEST_SOCKET {
            let dir = dir.to_owned();
            return Err(Error::TooLong { dir });
        }
        let dirs = Dirs::make(&options.dir, account)?;
        initialize(options, &dirs, account)?;
        let port = free_port()?;
        write_settings(options, &dirs, port)?;
        let child = spawn(options, &dirs, account)?;
        let mut server = Self {
            child,
            socket_dir: dirs.socket,
            port,
        };
        server.wait_until_ready(&dirs.log)?;
        Ok(server)
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in order and waits.
    pub fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // SIGINT is the fast shutdown. A server that has ended by itself makes this fail, which is fine.
            kill_process(pid, Signal::INT).ok();
        }
        for _ in 0..PATIENCE.as_millis() / 20 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<(), Error> {
        let socket = self.socket_dir.join(format!(".s.PGSQL.{}", self.port));
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Ok(Some(_)) = self.child.try_wait() {
                break;
            }
            let log = fs::read_to_string(log).unwrap_or_default();
            if socket.exists() && log.contains("ready to accept connections") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let output = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<_> = output.lines().rev().take(5).collect();
        Err(Error::Program {
            program: "postgres",
            output: last.into_iter().rev().collect::<Vec<_>>().join("\n"),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Dirs {
    data: PathBuf,
    socket: PathBuf,
    log: PathBuf,
}

impl Dirs {
    fn make(dir: &Path, account: Option<Account>) -> Result<Self, Error> {
        let dirs = Self {
            data: dir.join("data"),
            socket: dir.join("run"),
            log: dir.join("postgres.log"),
        };
        for folder in [dir, &dirs.data, &dirs.socket] {
            fs::create_dir_all(folder).map_err(step(&format!("make `{}`", folder.display())))?;
            let mode = if folder == dirs.data { 0o700 } else { 0o755 };
            fs::set_permissions(folder, fs::Permissions::from_mode(mode))
                .map_err(step(&format!("set the mode of `{}`", folder.display())))?;
            if let Some(account) = account {
                chown(folder, Some(account.uid), Some(account.gid)).map_err(step(&format!(
                    "give `{}` to PostgreSQL's account",
                    folder.display()
                )))?;
            }
        }
        Ok(dirs)
    }
}

/// Whom to become: nobody else, unless we are root.
///
/// # Errors
/// When we are root and neither `postgres` nor `nobody` exists.
pub fn account() -> Result<Option<Account>, Error> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(step("read /etc/passwd"))?;
    for wanted in ["postgres", "nobody"] {
        for line in passwd.lines() {
            let mut fields = line.split(':');
            if fields.next() != Some(wanted) {
                continue;
            }
            let numbers = (
                fields.nth(1).and_then(|n| n.parse().ok()),
                fields.next().and_then(|n| n.parse().ok()),
            );
            if let (Some(uid), Some(gid)) = numbers {
                return Ok(Some(Account { uid, gid }));
            }
        }
    }
    Err(Error::NoAccount)
}

fn initialize(options: &Options, dirs: &Dirs, account: Option<Account>) -> Result<(), Error> {
    let password = options.dir.join("superuser.password");
    fs::write(&password, options.password.expose())
        .map_err(step("write the superuser's password"))?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))
        .map_err(step("protect the password"))?;
    let mut command = Command::new(options.programs.program("initdb"));
    command.arg("-D").arg(&dirs.data).args([
        "-U",
        SUPERUSER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    command
        .arg("--no-sync")
        .arg("--pwfile")
        .arg(&password)
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir(&options.dir);
    // A Ctrl-C in the terminal is for the demo.
    command.process_group(0);
    if let Some(account) = account {
        chown(&password, Some(account.uid), Some(account.gid))
            .map_err(step("hand over the password"))?;
        command.uid(account.uid).gid(account.gid);
    }
    let output = command
        .output()
        .map_err(|source| match (source.kind(), account) {
            // That it may run the program was tried when it was found; what it may not is to enter its folder.
            (io::ErrorKind::PermissionDenied, Some(account)) => Error::OutOfReach {
                account: account.uid,
                dir: options.dir.clone(),
            },
            _ => step("run initdb")(source),
        })?;
    fs::remove_file(&password).map_err(step("remove the password file"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program {
        program: "initdb",
        output: words,
    })
}

fn write_settings(options: &Options, dirs: &Dirs, port: u16) -> Result<(), Error> {
    let conf = dirs.data.join("postgresql.conf");
    let mut text = fs::read_to_string(&conf).map_err(step("read postgresql.conf"))?;
    let socket = dirs.socket.display().to_string().replace('\'', "''");
    text.push_str(&format!(
        "\nlisten_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket}'\n\
         fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 200\n\
         logging_collector = off\nlog_statement = 'none'\n\
         log_min_error_statement = panic\nlog_error_verbosity = terse\n"
    ));
    fs::write(&conf, text).map_err(step("write postgresql.conf"))?;
    fs::write(dirs.data.join("pg_hba.conf"), &options.hba).map_err(step("write pg_hba.conf"))
}

fn spawn(options: &Options, dirs: &Dirs, account: Option<Account>) -> Result<Child, Error> {
    let log = fs::File::create(&dirs.log).map_err(step("make the server's log file"))?;
    let mut command = Command::new(&options.executable);
    command
        .arg("internal-guardian")
        .arg("--parent")
        .arg(std::process::id().to_string());
    if let Some(account) = account {
        command
            .arg("--account")
            .arg(format!("{}:{}", account.uid, account.gid));
    }
    command
        .arg("--")
        .arg(options.programs.program("postgres"))
        .arg("-D")
        .arg(&dirs.data);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(step("share the log file"))?)
        .stderr(log);
    // A Ctrl-C in the terminal is for the demo, which then ends the server in order.
    command.process_group(0).current_dir(&options.dir);
    command.spawn().map_err(step("start the server"))
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(step("find a free port"))?;
    Ok(listener
        .local_addr()
        .map_err(step("find a free port"))?
        .port())
}

fn step(what: &str) -> impl FnOnce(io::Error) -> Error + use<> {
    let step = what.to_owned();
    move |source| Error::Step { step, source }
}
