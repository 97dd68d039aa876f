//! Habits that all commands share: streams, versions of JSON, color, environment variables, exit codes.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::demo::Demo;
use crate::harness::terminal::Terminal;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Help is fitted to 100 columns: a line that is longer and ends before its paragraph does comes out ragged.
#[test]
fn paragraphs_of_help_are_left_to_be_fitted() {
    fn check(command: &clap::Command) {
        let help = command.get_after_long_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let mut lines = help.lines().peekable();
        while let Some(line) = lines.next() {
            let goes_on = lines
                .peek()
                .is_some_and(|next| !next.is_empty() && !next.starts_with(' '));
            let name = command.get_name();
            assert!(line.len() <= 100 || !goes_on, "{name}: {line}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&dbgate::cli::definitions());
}

#[test]
fn every_flag_has_a_variable() {
    fn check(command: &clap::Command, path: &str, seen: &mut Vec<(String, String)>) {
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else {
                continue;
            };
            let action = arg.get_action();
            if matches!(action, clap::ArgAction::Help | clap::ArgAction::Version) {
                continue;
            }
            let variable = arg
                .get_env()
                .unwrap_or_else(|| panic!("{path} --{long}"))
                .to_str()
                .unwrap();
            assert!(
                variable.starts_with("DBGATE_"),
                "{path} --{long}: {variable}"
            );
            // What somebody has set there may be nobody else's business.
            assert!(arg.is_hide_env_values_set(), "{path} --{long}");
            seen.push((variable.to_owned(), long.to_owned()));
        }
        for inner in command.get_subcommands() {
            if !inner.is_hide_set() {
                check(inner, &format!("{path} {}", inner.get_name()), seen);
            }
        }
    }
    let mut seen = Vec::new();
    check(&dbgate::cli::definitions(), "dbgate", &mut seen);
    assert!(seen.len() > 50, "{seen:?}");
    // One variable means one thing.
    seen.sort();
    seen.dedup();
    let names = seen.iter().map(|(variable, _)| variable);
    let twice: Vec<_> = names
        .clone()
        .filter(|name| names.clone().filter(|other| other == name).count() > 1)
        .collect();
    assert!(
        twice.iter().all(|name| *name == "DBGATE_BROKER_CONFIG"),
        "{twice:?}"
    );
}

#[test]
fn a_variable_does_what_its_flag_does() {
    let demo = Demo::start();
    let exec = |variables: &[(&str, &str)], words: &[&str]| {
        let mut command = demo.command("engineer", &[&["exec", "prod"], words].concat());
        command.envs(variables.iter().copied());
        command.output().unwrap()
    };
    let output = exec(
        &[
            ("DBGATE_EXEC_COMMAND", "select 1 as a"),
            ("DBGATE_OUTPUT", "csv"),
        ],
        &[],
    );
    assert_eq!(stdout(&output), "a\n1\n");
    // What is on the command line goes before.
    let output = exec(
        &[("DBGATE_OUTPUT", "csv")],
        &["-c", "select 1 as a", "--output", "ndjson"],
    );
    assert_eq!(stdout(&output), "{\"a\":1}\n");
    for (quiet, told) in [("1", ""), ("0", "BEGIN\n")] {
        let output = exec(&[("DBGATE_QUIET", quiet)], &["-c", "begin"]);
        assert!(stderr(&output).ends_with(told), "{quiet}: {output:?}");
        assert_eq!(stderr(&output).is_empty(), told.is_empty(), "{output:?}");
    }
    let output = exec(
        &[("DBGATE_EXEC_CSV_SAFE", "yes"), ("DBGATE_OUTPUT", "csv")],
        &["-c", "select '=1' as a"],
    );
    assert_eq!(stdout(&output), "a\n'=1\n");
    let output = demo
        .command("engineer", &["env", "prod"])
        .env("DBGATE_ENV_FORMAT", "jdbc")
        .output()
        .unwrap();
    assert!(
        stdout(&output).starts_with("jdbc:postgresql://"),
        "{output:?}"
    );
    // A value that makes no sense is a mistake of usage, wherever it stands.
    let output = exec(&[("DBGATE_DURATION", "soon")], &["-c", "select 1"]);
    assert_eq!(output.status.code(), Some(2));
    // And the help says so.
    let help = demo
        .command("engineer", &["exec", "--help"])
        .output()
        .unwrap();
    assert!(
        stdout(&help).contains("[env: DBGATE_EXEC_FILE]"),
        "{}",
        stdout(&help)
    );
}

#[test]
fn json_names_its_version_and_talk_stays_out_of_it() {
    let demo = Demo::start();
    let policy = demo.said("policy_file");
    let commands: [(&str, &[&str]); 9] = [
        ("engineer", &["status"]),
        ("engineer", &["ls"]),
        ("engineer", &["sessions"]),
        ("reviewer", &["requests"]),
        ("engineer", &["explain", "prod", "-c", "select 1"]),
        ("engineer", &["env", "prod"]),
        ("engineer", &["exec", "prod", "-c", "select 1"]),
        ("auditor", &["audit", "search"]),
        ("engineer", &["policy", "check", policy]),
    ];
    for (who, words) in commands {
        let output = demo
            .command(who, &[words, &["--output", "json"]].concat())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        let text = stdout(&output);
        let document: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{words:?}: {error}\n{text}"));
        let schema = document["schema"]
            .as_str()
            .unwrap_or_else(|| panic!("{words:?}: {text}"));
        let (name, version) = schema.split_once('/').unwrap();
        assert!(
            name.starts_with("dbgate.") && version.parse::<u32>().is_ok(),
            "{schema}"
        );
    }
    // Failures: one document on stderr, nothing on stdout.
    let failures: [(&[&str], i32); 4] = [
        (&["exec", "prod", "-c", "select 1 / 0"], 1),
        (&["exec", "prod", "-c", "drop table orders"], 3),
        (&["exec", "prod"], 2),
        (&["env", "nowhere"], 1),
    ];
    for (words, code) in failures {
        let output = demo
            .command("engineer", &[words, &["--output", "json"]].concat())
            .output()
            .unwrap();
        let document: Value = serde_json::from_str(&stderr(&output))
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(document["schema"], "dbgate.error/1");
        assert_eq!(
            document["error"]["exit_code"],
            i64::from(output.status.code().unwrap()),
            "{words:?}"
        );
        assert!(
            document["error"]["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        if code != 1 || words[0] == "exec" {
            assert_eq!(output.status.code(), Some(code), "{words:?}: {document}");
        }
    }
}

#[test]
fn color_and_progress_are_for_terminals_that_want_them() {
    let demo = Demo::start();
    let words = [
        "exec",
        "prod",
        "-c",
        "select email from customers where id = 7",
        "-c",
        "select pg_sleep(1)",
        "-c",
        "nonsense",
    ];
    let escapes = |text: &str| text.contains('\x1b');
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        (stdout(&output), stderr(&output))
    };
    // A pipe gets neither color nor a spinner, unless it asks for color.
    let (out, talk) = run(&mut demo.command("engineer", &words));
    assert!(
        !escapes(&out) && !escapes(&talk) && !talk.contains("Running"),
        "{out}{talk}"
    );
    let colored = [&words[..], &["--color", "always"]].concat();
    let (out, talk) = run(&mut demo.command("engineer", &colored));
    assert!(escapes(&out) && escapes(&talk), "{out}{talk}");
    let (out, _) = run(demo.command("engineer", &colored).env("NO_COLOR", "1"));
    assert!(escapes(&out), "a flag goes before a variable");
    // A terminal gets both.
    let shown = |command: &Command| {
        let terminal = Terminal::start(command, 100, 30);
        terminal.expect("Running");
        terminal.ended();
        assert!(!terminal.all().contains("Running"), "what turned is gone");
        terminal.colors()
    };
    assert!(escapes(&shown(&demo.command("engineer", &words))));
    let mut plain = demo.command("engineer", &words);
    plain.env("NO_COLOR", "1");
    let text = shown(&plain);
    assert!(
        !escapes(&text) && text.contains("~r***@***.com"),
        "{text:?}"
    );
}
