//! Transcripts: what each command says and how it ends, without a broker. `UPDATE=1` writes them anew.
//!
//! A transcript has a `$ [NAME=value…] dbgate …` for each run, then `[exit code]`, what came on stdout, and what came on
//! stderr behind `! `.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory as _;

#[test]
fn every_command_says_what_its_transcript_says() {
    let mut wrong = Vec::new();
    let mut runs = 0;
    for path in transcripts() {
        let expected = fs::read_to_string(&path).unwrap();
        let calls: Vec<_> = expected
            .lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .collect();
        assert!(!calls.is_empty(), "{} runs nothing", path.display());
        runs += calls.len();
        let parts: Vec<_> = calls.iter().map(|call| run(call)).collect();
        let now = parts.join("\n");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &now).unwrap();
        } else if now != expected {
            wrong.push(format!("{}:\n{now}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "run `UPDATE=1 cargo test --test cli` if this is meant:\n{}",
        wrong.join("\n")
    );
    assert!(runs > 40, "only {runs} runs");
}

#[test]
fn every_command_has_a_transcript() {
    let there: Vec<_> = transcripts()
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for command in dbgate::cli::Cli::command().get_subcommands() {
        let name = command.get_name().to_owned();
        assert!(
            command.is_hide_set() || there.contains(&name),
            "tests/cli/{name}.txt is missing"
        );
    }
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let files = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    files
}

/// Runs a call by a shell, in an empty home and with nothing of the environment.
fn run(call: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_dbgate"));
    let output = Command::new("sh")
        .args(["-c", call])
        .env_clear()
        .env("HOME", home.path())
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", program.parent().unwrap().display()),
        )
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let code = output.status.code().unwrap();
    let mut text = format!("$ {call}\n[{code}]\n");
    for (bytes, mark) in [(&output.stdout, ""), (&output.stderr, "! ")] {
        for line in String::from_utf8_lossy(bytes).lines() {
            let line = format!("{mark}{line}");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
