//! How a command ends: the kinds of failure, their exit codes, and what the person who is stuck reads.

use std::fmt;
use std::io;

use serde::Serialize;

use crate::oidc;
use crate::remote::broker;
use crate::remote::credentials;
use crate::remote::sign_in;

/// Why a command did not do what it was asked for. The number is the exit code; 0 means done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1: the database or the command failed.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: the policy refuses it.
    Refused,
    /// 4: signing in comes first.
    Login,
    /// 5: it waits for an approval.
    Pending,
    /// 6: the session or the request expired, was denied or killed.
    Ended,
    /// 7: something on this machine is missing or wrong: configuration, keyring, port, disk, programs.
    Setup,
    /// 8: the broker can't be reached, or its certificate is not trusted.
    Unreachable,
    /// 9: a verification failed.
    Unproven,
    /// 128 + n: signal n ended it.
    Signal(u8),
    /// Whatever the command that `dbgate run` started ended with.
    Child(u8),
}

impl Kind {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Login => 4,
            Self::Pending => 5,
            Self::Ended => 6,
            Self::Setup => 7,
            Self::Unreachable => 8,
            Self::Unproven => 9,
            Self::Signal(number) => 128_u8.saturating_add(number),
            Self::Child(code) => code,
        }
    }

    /// The word a program can match.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Login => "login_needed",
            Self::Pending => "pending",
            Self::Ended => "ended",
            Self::Setup => "setup",
            Self::Unreachable => "unreachable",
            Self::Unproven => "unproven",
            Self::Signal(_) => "signal",
            Self::Child(_) => "child",
        }
    }
}

/// A failure as it is told: one sentence, more about it, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Error {
    /// What kind, hence the exit code.
    #[serde(skip)]
    pub kind: Kind,
    /// Lower case, no full stop, the thing in backticks. Empty when everything was said already.
    pub message: String,
    /// More about it, such as the rule with file and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Box<str>>,
    /// A finer word than the kind's: the broker's problem code, the database's SQLSTATE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// The request that waits, when one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<str>>,
}

impl Error {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            code: None,
            request: None,
        }
    }

    /// 1: the command failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// 2: the command line makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// 7: something on this machine is missing or wrong.
    pub fn setup(message: impl Into<String>) -> Self {
        Self::new(Kind::Setup, message)
    }

    /// 128 + n: ended by a signal; there is nothing to tell.
    #[must_use]
    pub fn signal(number: u8) -> Self {
        Self::told(Kind::Signal(number))
    }

    /// A failure that has been told already; only the exit code is left to give.
    #[must_use]
    pub fn told(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// The same, with the next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with more about it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, with a word a program can match.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same, with the request that waits.
    #[must_use]
    pub fn with_request(mut self, request: impl Into<Box<str>>) -> Self {
        self.request = Some(request.into());
        self
    }

    /// The failure as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut body = serde_json::json!({
            "kind": self.kind.word(),
            "exit_code": self.kind.exit_code(),
        });
        if let (Some(body), Ok(serde_json::Value::Object(more))) =
            (body.as_object_mut(), serde_json::to_value(self))
        {
            body.extend(more);
        }
        serde_json::json!({ "schema": "dbgate.error/1", "error": body })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    /// Only for our own output: a file or socket deserves a sentence of its own.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // The reader (`head`, a pager) has seen enough; that is SIGPIPE to everyone else.
            return Self::told(Kind::Signal(13));
        }
        Self::setup(format!("write the output: {error}"))
            .with_hint("make room where the output goes, or send it elsewhere")
    }
}

impl From<broker::Error> for Error {
    fn from(error: broker::Error) -> Self {
        let message = error.to_string();
        match error {
            broker::Error::Address { .. } => Self::setup(message)
                .with_hint("give the broker's address with `--url` or `DBGATE_URL`"),
            broker::Error::CaFile { .. } => Self::setup(message)
                .with_hint("`--ca-file` takes a file of certificates in PEM form"),
            broker::Error::Unreachable { .. } => Self::new(Kind::Unreachable, message)
                .with_hint("is the address right, and is the broker running?"),
            broker::Error::Untrusted { .. } => Self::new(Kind::Unreachable, message).with_hint(
                "give the certificate authority's file with `--ca-file` or `DBGATE_CA_FILE`",
            ),
            broker::Error::Nonsense { .. } => Self::new(Kind::Unreachable, message)
                .with_hint("is this the address of a dbgate broker?"),
            broker::Error::Refused { status, problem } => Self {
                kind: refusal(status, &problem.code),
                message,
                detail: problem.detail.map(Into::into),
                hint: problem.hint.map(Into::into),
                code: Some(problem.code.into()),
                request: None,
            },
        }
    }
}

impl From<credentials::Error> for Error {
    fn from(error: credentials::Error) -> Self {
        let hint = match &error {
            credentials::Error::Keyring { .. } | credentials::Error::Unfaithful { .. } => {
                "unlock the keyring, or choose with `--token-store file` or `--token-store memory`"
            }
            credentials::Error::File(_) => "the folder of tokens is below `--config-dir`",
            credentials::Error::Unreadable { .. } => "run `dbgate logout`, then `dbgate login`",
        };
        Self::setup(error.to_string()).with_hint(hint)
    }
}

impl From<sign_in::Error> for Error {
    fn from(error: sign_in::Error) -> Self {
        let message = error.to_string();
        match error {
            sign_in::Error::Needed { .. } => Self::new(Kind::Login, message)
                .with_hint("run `dbgate login`, or set `DBGATE_ID_TOKEN`"),
            sign_in::Error::Broker(error) => error.into(),
            sign_in::Error::Store(error) => error.into(),
            sign_in::Error::Answer { .. } => Self::new(Kind::Unreachable, message),
            sign_in::Error::Issuer(oidc::error::Error::Port { .. }) => {
                Self::setup(message).with_hint("choose another one with `--port`")
            }
            sign_in::Error::Issuer(oidc::error::Error::Client { .. }) => Self::setup(message),
            sign_in::Error::Issuer(error) if error.is_outage() => {
                Self::new(Kind::Unreachable, message)
                    .with_hint("the issuer has to answer before anybody can sign in")
            }
            sign_in::Error::Issuer(error) if error.is_fault() => Self::new(Kind::Login, message)
                .with_hint(
                    "an administrator has to mend it, at the issuer or in the broker's `[[issuer]]`",
                ),
            sign_in::Error::Issuer(_) => {
                Self::new(Kind::Login, message).with_hint("run `dbgate login` again")
            }
        }
    }
}

/// What the broker's status and word mean for the one who called.
fn refusal(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "pending" | "review_pending") => Kind::Pending,
        (_, "expired" | "denied" | "killed" | "withdrawn" | "session_ended") | (410, _) => {
            Kind::Ended
        }
        (401, _) => Kind::Login,
        (403, _) => Kind::Refused,
        // The broker has answered: it is the database that fails.
        (_, "database_unavailable" | "database_unprepared") => Kind::Failed,
        (502..=504, _) => Kind::Unreachable,
        _ => Kind::Failed,
    }
}
