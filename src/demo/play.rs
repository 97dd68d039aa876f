//! The road, played: the demo's people run the real commands, and each must do what it says.
//!
//! **Invariant:** nothing is shown that a command has not printed, and a command that does something else ends the play.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::demo::issuer::people::Account;
use crate::demo::run::Demo;
use crate::demo::script::{self, Call};

/// How long a command may take to say or do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line of the play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What happens, and why.
    Remark(String),
    /// A command that somebody types.
    Command {
        /// Who.
        who: &'static str,
        /// The command.
        text: String,
    },
    /// What a command prints.
    Output(String),
}

/// Why a play ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program does not start, or can't be heard.
    #[error("run `{call}`: {source}")]
    Start {
        /// The command.
        call: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A command did something else.
    #[error("`{call}` {what}")]
    Step {
        /// The command.
        call: String,
        /// What it did, or did not.
        what: String,
    },
    /// Nobody listens.
    #[error("nobody watches any more")]
    Alone,
}

/// What the people of a play share.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The demo they play on.
    pub demo: &'a Demo,
    /// Our own program.
    pub executable: PathBuf,
    /// `PATH`, for psql.
    pub path: Option<OsString>,
    /// Where lines go, one by one.
    pub lines: mpsc::Sender<Line>,
}

/// What a command must do.
#[derive(Debug, Clone, Copy)]
struct Expected<'a> {
    code: i32,
    says: &'a [&'a str],
    hides: &'a [&'a str],
}

impl<'a> Expected<'a> {
    const fn done(says: &'a [&'a str]) -> Self {
        Self {
            code: 0,
            says,
            hides: &[],
        }
    }
}

/// What a clear address of the shop has.
const CLEAR: &[&str] = &["@example.com"];

impl Stage<'_> {
    /// Plays all of it. Must be awaited on a thread that lives as long as the play (see `guardian`).
    ///
    /// # Errors
    /// When a command does not do what it says.
    pub async fn play(&self) -> Result<(), Error> {
        self.enter().await?;
        self.review().await?;
        self.tunnel().await?;
        self.look_back().await
    }

    /// Signing in, masks, and what is stopped.
    async fn enter(&self) -> Result<(), Error> {
        let database = &self.demo.ready.database;
        self.remark("Ada, an engineer, signs in: here by a token, by hand `dbgate login` does it in the browser.")
            .await?;
        self.run(
            script::status(),
            Expected::done(&["ada@demo.example", "engineers"]),
        )
        .await?;
        self.remark("She looks at customers. What is protected comes masked.")
            .await?;
        let masked = Expected {
            code: 0,
            says: &["***@***.com"],
            hides: CLEAR,
        };
        self.run(script::look(database), masked).await?;
        self.remark("She is about to drop a table, and is stopped.")
            .await?;
        let stopped = Expected {
            code: 3,
            says: &["`DROP` is denied", "no-drop"],
            hides: &[],
        };
        self.run(script::destroy(database), stopped).await
    }

    /// A statement that waits for the reviewer.
    async fn review(&self) -> Result<(), Error> {
        self.remark(
            "She corrects a payment. That takes somebody else's consent: the statement waits.",
        )
        .await?;
        let mut waiting = self
            .start(script::change(&self.demo.ready.database))
            .await?;
        let notice = waiting
            .until(&self.lines, "waiting for the approval")
            .await?;
        let id = notice.rsplit(' ').next().unwrap_or_default().to_owned();
        // The rest of the notice: its detail and its hint.
        waiting.until(&self.lines, "hint: ").await?;
        self.remark("Rex, a reviewer, sees what waits, and agrees.")
            .await?;
        self.run(
            script::requests(),
            Expected::done(&[&id, "update payments"]),
        )
        .await?;
        self.run(script::approve(&id), Expected::done(&["Approved."]))
            .await?;
        self.remark("Ada's statement goes on at once.").await?;
        waiting
            .finish(&self.lines, Expected::done(&["UPDATE 1"]))
            .await
    }

    /// psql, unchanged.
    async fn tunnel(&self) -> Result<(), Error> {
        let call = script::tunnel(&self.demo.ready.database);
        self.remark("She opens the same database with a psql that knows nothing of dbgate, through a tunnel.")
            .await?;
        let mut tunnel = self.start(call).await?;
        let url = tunnel.until(&self.lines, "postgresql://").await?;
        if !tunnel.text.contains("Ctrl-C") {
            // It may come before the settings or after them.
            tunnel.until(&self.lines, "Ctrl-C").await?;
        }
        let call = script::psql(&url);
        if self.psql().is_some() {
            let masked = Expected {
                code: 0,
                says: &["***@***.com", "(1 row)"],
                hides: CLEAR,
            };
            self.run(call, masked).await?;
        } else {
            self.remark(&format!(
                "psql is not on this machine, so this is not run: {call}"
            ))
            .await?;
        }
        tunnel.interrupt();
        tunnel.finish(&self.lines, Expected::done(&[])).await
    }

    /// The log.
    async fn look_back(&self) -> Result<(), Error> {
        self.remark(
            "Ann, an auditor, reads who did what to payments, why, and under whose approval.",
        )
        .await?;
        let told = [
            "drop table payments",
            "ada@demo.example",
            "approved by rex@demo.example",
            "ticket 1234",
        ];
        self.run(script::search(), Expected::done(&told)).await?;
        self.remark("Nothing in the log was changed, removed or reordered.")
            .await?;
        self.run(script::verify(), Expected::done(&["intact"]))
            .await
    }

    async fn run(&self, call: Call, expected: Expected<'_>) -> Result<(), Error> {
        let running = self.start(call).await?;
        running.finish(&self.lines, expected).await
    }

    async fn remark(&self, text: &str) -> Result<(), Error> {
        let line = Line::Remark(text.to_owned());
        self.lines.send(line).await.map_err(|_| Error::Alone)
    }

    /// psql in `PATH`, or beside the server's programs.
    fn psql(&self) -> Option<PathBuf> {
        let path = self.path.clone().unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let beside = self.demo.bin().map(Path::to_owned);
        folders
            .into_iter()
            .chain(beside)
            .map(|folder| folder.join("psql"))
            .find(|program| program.is_file())
    }

    /// Shows a command and starts it.
    async fn start(&self, call: Call) -> Result<Running, Error> {
        let line = Line::Command {
            who: call.who.sub,
            text: call.to_string(),
        };
        self.lines.send(line).await.map_err(|_| Error::Alone)?;
        let program = match call.program {
            "psql" => self.psql().unwrap_or_else(|| PathBuf::from("psql")),
            _ => self.executable.clone(),
        };
        let mut command = self.guarded(call.who);
        command.arg(program).args(&call.arguments);
        let call = call.to_string();
        Running::new(command, call)
    }

    /// A command that ends when we do, in a surrounding of its own: nobody's settings get in the way.
    fn guarded(&self, who: &Account) -> Command {
        let ready = &self.demo.ready;
        let home = self.demo.path("people").join(who.sub);
        let mut command = Command::new(&self.executable);
        command
            .args(["internal-guardian", "--keep-environment", "--parent"])
            .arg(std::process::id().to_string())
            .arg("--")
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", self.path.clone().unwrap_or_default())
            .env("HOME", &home)
            .env("PSQLRC", "/dev/null")
            .env("DBGATE_CONFIG_DIR", home.join("dbgate"))
            .env("DBGATE_URL", &ready.url)
            .env("DBGATE_CA_FILE", &ready.ca_file);
        if let Some(user) = ready.users.iter().find(|user| user.name == who.sub) {
            command.env("DBGATE_ID_TOKEN", &user.id_token);
        }
        // A Ctrl-C in the terminal is for the play, which then ends them.
        command.process_group(0).kill_on_drop(true);
        command
    }
}

/// A command that runs, and what it has said.
struct Running {
    call: String,
    child: Child,
    said: mpsc::Receiver<String>,
    text: String,
}

impl Running {
    fn new(mut command: Command, call: String) -> Result<Self, Error> {
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(source) => return Err(Error::Start { call, source }),
        };
        // A command that says much waits until it was shown.
        let (sender, said) = mpsc::channel(64);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(listen(out, sender.clone()));
        }
        if let Some(talk) = child.stderr.take() {
            tokio::spawn(listen(talk, sender));
        }
        Ok(Self {
            call,
            child,
            said,
            text: String::new(),
        })
    }

    /// Shows what is said until a line has `part`, and returns that line.
    async fn until(&mut self, lines: &mpsc::Sender<Line>, part: &str) -> Result<String, Error> {
        while let Some(line) = self.next().await? {
            let found = line.contains(part);
            show(lines, &line).await?;
            if found {
                return Ok(line);
            }
        }
        Err(self.wrong(format!("ended before it said `{part}`")))
    }

    /// Shows the rest, waits for the end, and looks at all of it.
    async fn finish(
        mut self,
        lines: &mpsc::Sender<Line>,
        expected: Expected<'_>,
    ) -> Result<(), Error> {
        while let Some(line) = self.next().await? {
            show(lines, &line).await?;
        }
        let status = match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) => status,
            Ok(Err(source)) => {
                let call = self.call.clone();
                return Err(Error::Start { call, source });
            }
            Err(_) => return Err(self.wrong("does not end".to_owned())),
        };
        self.judge(status, expected)
    }

    fn judge(&self, status: ExitStatus, expected: Expected<'_>) -> Result<(), Error> {
        if status.code() != Some(expected.code) {
            let code = expected.code;
            return Err(self.wrong(format!("ended with {status}, not with exit code {code}")));
        }
        if let Some(part) = expected
            .says
            .iter()
            .find(|part| !self.text.contains(**part))
        {
            return Err(self.wrong(format!("did not say `{part}`")));
        }
        match expected
            .hides
            .iter()
            .find(|part| self.text.contains(**part))
        {
            Some(part) => Err(self.wrong(format!("showed `{part}`"))),
            None => Ok(()),
        }
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(rustix::process::Pid::from_raw) {
            // One that has ended by itself is told from its exit code.
            rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
        }
    }

    async fn next(&mut self) -> Result<Option<String>, Error> {
        let Ok(line) = tokio::time::timeout(PATIENCE, self.said.recv()).await else {
            return Err(self.wrong(format!("said nothing for {} s", PATIENCE.as_secs())));
        };
        if let Some(line) = &line {
            self.text.push_str(line);
            self.text.push('\n');
        }
        Ok(line)
    }

    fn wrong(&self, what: String) -> Error {
        let call = self.call.clone();
        Error::Step { call, what }
    }
}

async fn show(lines: &mpsc::Sender<Line>, line: &str) -> Result<(), Error> {
    let line = Line::Output(line.to_owned());
    lines.send(line).await.map_err(|_| Error::Alone)
}

async fn listen(stream: impl AsyncRead + Unpin, said: mpsc::Sender<String>) {
    let mut lines = BufReader::new(stream).lines();
    // A stream that breaks is a command that has ended.
    while let Ok(Some(line)) = lines.next_line().await {
        if said.send(line).await.is_err() {
            return;
        }
    }
}
