//! Backslash commands, and the arguments of some.

use crate::shell::meta::{self, Command, Switch};

#[track_caller]
fn copies(line: &str, sql: &str, file: &str, reads: bool) {
    let Ok(Command::Copy(copy)) = meta::parse(line) else {
        panic!("{line}: {:?}", meta::parse(line));
    };
    assert_eq!(
        (copy.sql.as_str(), copy.file.as_str(), copy.reads),
        (sql, file, reads)
    );
}

#[test]
fn a_copy_is_taken_apart() {
    copies("\\copy t from a.csv", "COPY t FROM STDIN", "a.csv", true);
    copies(
        "\\copy t (a, b) from 'my file.csv' with (format csv, header);",
        "COPY t (a, b) FROM STDIN with (format csv, header)",
        "my file.csv",
        true,
    );
    copies(
        "\\copy (select a from b) to 'it''s.csv' csv",
        "COPY (select a from b) TO STDOUT csv",
        "it's.csv",
        false,
    );
    for wrong in [
        "\\copy",
        "\\copy t",
        "\\copy t from",
        "\\copy t to program 'ls'",
    ] {
        assert!(meta::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn commands_are_spelled_as_in_psql() {
    let fine = [
        ("\\q", Command::Quit),
        ("\\?", Command::Help),
        ("\\why", Command::Why),
        ("\\x", Command::Expanded(Switch::Toggle)),
        ("\\x auto", Command::Expanded(Switch::Auto)),
        ("\\timing off", Command::Timing(Switch::Off)),
        ("\\i 'a b.sql'", Command::Include("a b.sql".to_owned())),
        (
            "\\d customers",
            Command::Describe("customers".to_owned(), false),
        ),
        (
            "\\d+ customers;",
            Command::Describe("customers".to_owned(), true),
        ),
    ];
    for (line, expected) in fine {
        assert_eq!(meta::parse(line), Ok(expected), "{line}");
    }
    for list in [
        "d", "dt", "dv", "dn", "df", "du", "l", "dtv", "dt+", "dtS", "df pg_*",
    ] {
        assert!(matches!(meta::parse(list), Ok(Command::List(_))), "{list}");
    }
    let wrong = meta::parse("\\timng").unwrap_err();
    assert_eq!(
        wrong,
        "there is no command `\\timng`; did you mean `\\timing`?"
    );
    assert!(meta::parse("\\x maybe").is_err());
}
