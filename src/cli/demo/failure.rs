//! A demo or a broker that does not start, for people.

use crate::cli::error::Error;
use crate::cli::problem;
use crate::demo::locate::NotFound;
use crate::demo::{play, run};
use crate::net;
use crate::server;
use crate::store;

/// A demo that does not start, or not end.
pub(super) fn demo(error: run::Error) -> Error {
    let message = error.to_string();
    match error {
        run::Error::NotFound(_) => Error::setup(message).with_hint(NotFound::hint()),
        run::Error::Server(error) => server(&error),
        run::Error::Config(problems) => Error::setup(problem::render(&problems, false)),
        run::Error::Database(error) => match error.hint() {
            Some(hint) => Error::setup(message).with_hint(hint),
            None => Error::setup(message),
        },
        run::Error::Unfit { lines, .. } if !lines.is_empty() => {
            Error::setup(message).with_hint(format!("what mends it:\n  {}", lines.join("\n  ")))
        }
        run::Error::Left { sql, .. } => {
            Error::failed(message).with_hint(format!("as a superuser: {sql}"))
        }
        _ => Error::setup(message),
    }
}

/// A play in which somebody left the script.
pub(super) fn play(error: &play::Error) -> Error {
    Error::failed(format!("the play stops: {error}"))
}

/// A broker that does not start.
pub(crate) fn server(error: &server::Error) -> Error {
    match error {
        server::Error::Policy(problems) => {
            Error::setup(format!("{error}\n{}", problem::render(problems, false)))
                .with_hint("`dbgate policy check FILE` shows the same")
        }
        other => {
            let failure = Error::setup(other.to_string());
            match server_advice(other) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
    }
}

/// What helps a broker that does not start.
fn server_advice(error: &server::Error) -> Option<String> {
    Some(match error {
        server::Error::Store(store::Error::Locked { pid, .. }) => {
            format!("stop process {pid} first, or give this broker a `data_dir` of its own")
        }
        server::Error::Store(_) | server::Error::Audit(_) => {
            "look at `data_dir` and `audit_dir`: are they the broker's own, and is there room on the disk?".to_owned()
        }
        server::Error::Net(net::Error::Bind { .. }) => {
            "stop what listens there, or choose another `address` in `[listen]`".to_owned()
        }
        server::Error::Read { .. } => "the configuration names this file: is it there, and may the broker read it?".to_owned(),
        server::Error::Net(_) => {
            "look at `certificate` and `key` in `[tls]`: PEM, the leaf first, both of one pair".to_owned()
        }
        server::Error::Target { .. } | server::Error::Issuers(_) | server::Error::Broker(_) => {
            "`dbgate broker check` shows what is missing and which line mends it".to_owned()
        }
        server::Error::Policy(_) => return None,
    })
}
