//! The commands of the road: told to try, and played by `--play`.

use std::fmt;

use crate::demo::issuer::people::{ADA, ANN, Account, REX};

/// Somebody's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose.
    pub who: &'static Account,
    /// `dbgate`, or another program.
    pub program: &'static str,
    /// The arguments.
    pub arguments: Vec<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        for argument in &self.arguments {
            write!(f, " {}", quoted(argument))?;
        }
        Ok(())
    }
}

/// Who am I.
#[must_use]
pub fn status() -> Call {
    engineer(&["status"])
}

/// Rows with masked columns.
#[must_use]
pub fn look(database: &str) -> Call {
    let sql = "select id, name, email, card from customers limit 3";
    engineer(&["exec", database, "--reason", "look around", "-c", sql])
}

/// What the policy stops.
#[must_use]
pub fn destroy(database: &str) -> Call {
    engineer(&["exec", database, "-c", "drop table payments"])
}

/// What somebody else must agree to.
#[must_use]
pub fn change(database: &str) -> Call {
    let sql = "update payments set amount = amount + 5 where id = 7";
    engineer(&[
        "exec",
        database,
        "--access",
        "write",
        "--reason",
        "ticket 1234",
        "--wait",
        "10m",
        "-c",
        sql,
    ])
}

/// What waits for the reviewer.
#[must_use]
pub fn requests() -> Call {
    call(&REX, &["requests"])
}

/// The reviewer's consent.
#[must_use]
pub fn approve(request: &str) -> Call {
    call(&REX, &["approve", request])
}

/// A local port for tools.
#[must_use]
pub fn tunnel(database: &str) -> Call {
    engineer(&["tunnel", database])
}

/// psql, unchanged, through the tunnel.
#[must_use]
pub fn psql(url: &str) -> Call {
    let sql = "select name, email from customers where id = 2";
    Call {
        program: "psql",
        ..engineer(&[url, "-c", sql])
    }
}

/// Who did what, why, and under whose approval.
#[must_use]
pub fn search() -> Call {
    call(&ANN, &["audit", "search", "--table", "payments"])
}

/// Whether the log is whole.
#[must_use]
pub fn verify() -> Call {
    call(&ANN, &["audit", "verify"])
}

/// A word as a shell has to be given it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn engineer(arguments: &[&str]) -> Call {
    call(&ADA, arguments)
}

fn call(who: &'static Account, arguments: &[&str]) -> Call {
    Call {
        who,
        program: "dbgate",
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
    }
}
