//! Bad input of every kind: each gets a sentence, a next step, and its exit code or SQLSTATE, as `docs/errors.md` says.

mod broker;
mod bytes;
mod database;
mod machine;

use std::process::Output;

use crate::harness::peer::{self, Message};

/// What somebody was told.
#[derive(Debug)]
pub(crate) struct Said {
    text: String,
    code: String,
}

impl From<&Output> for Said {
    fn from(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Self {
            text: stderr.into_owned(),
            code: format!("exit {}", output.status.code().unwrap_or(-1)),
        }
    }
}

impl Said {
    /// The first error among messages of the protocol.
    pub(crate) fn on_wire(messages: &[Message]) -> Self {
        let error = messages.iter().find(|(kind, _)| *kind == b'E');
        let (_, body) = error.unwrap_or_else(|| panic!("there is no error among {messages:?}"));
        let field = |kind| peer::field(body, kind);
        Self {
            text: format!("{}\n{}\n{}", field(b'M'), field(b'D'), field(b'H')),
            code: format!("SQLSTATE {}", field(b'C')),
        }
    }
}

/// A row of `docs/errors.md`.
struct Row {
    input: String,
    says: String,
    code: String,
    next: String,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../../../docs/errors.md");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| input |"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[input, says, code, next] = cells.as_slice() else {
            panic!("not four cells: {line}");
        };
        Row {
            input: input.to_owned(),
            says: says.to_owned(),
            code: code.to_owned(),
            next: next.to_owned(),
        }
    })
    .collect()
}

/// Compares with what the documentation promises.
pub(crate) fn check(input: &str, said: impl Into<Said>) {
    let said = said.into();
    let rows = rows();
    let row = rows.iter().find(|row| row.input == input);
    let row = row.unwrap_or_else(|| panic!("`{input}` is not in docs/errors.md"));
    assert_eq!(said.code, row.code, "{input}: {}", said.text);
    assert!(contains(&said.text, &row.says), "{input}: {}", said.text);
    assert!(
        contains(&said.text, &row.next),
        "{input}, the next step: {}",
        said.text
    );
    // What a system, a library or a programmer says to itself is no sentence.
    for noise in ["error sending request", "panicked", "Error {", "Some("] {
        assert!(!said.text.contains(noise), "{input}: {}", said.text);
    }
}

/// Whether the parts between `…` come in the text in this order.
fn contains(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('…').map(str::trim).all(|part| {
        let found = rest.split_once(part);
        rest = found.map_or(rest, |(_, after)| after);
        found.is_some()
    })
}

#[test]
fn every_row_of_the_documentation_is_provoked_by_a_test() {
    let mut tests = String::new();
    for file in ["broker", "bytes", "database", "machine", "../serve"] {
        tests += &std::fs::read_to_string(format!("tests/it/badinput/{file}.rs")).unwrap();
    }
    let rows = rows();
    assert!(rows.len() > 60, "{}", rows.len());
    for row in &rows {
        let named = format!("\"{}\"", row.input);
        assert!(tests.contains(&named), "nothing provokes {named}");
        assert_eq!(
            rows.iter().filter(|other| other.input == row.input).count(),
            1,
            "{named} twice"
        );
    }
    println!("{} rows of docs/errors.md", rows.len());
}
