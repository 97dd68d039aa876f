//! `dbgate demo --play`: the road, and what ends it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::demo::{Stage, out, path_with, talk};
use crate::harness;

/// What everybody sees who plays the road.
const ROAD: &[&str] = &[
    "ada$ dbgate status",
    "signed in as  ada@demo.example",
    "ada$ dbgate exec prod --reason 'look around'",
    "***@***.com",
    "ada$ dbgate exec prod -c 'drop table payments'",
    "error: `DROP` is denied on `prod`",
    "ada$ dbgate exec prod --access write",
    "waiting for the approval of `reviewers`",
    "rex$ dbgate requests",
    "rex$ dbgate approve r",
    "Approved.",
    "UPDATE 1",
    "ada$ dbgate tunnel prod",
    "ada$ psql 'postgresql://",
    "Edsger Stein | e***@***.com",
    "ann$ dbgate audit search",
    "approved by rex@demo.example",
    "ann$ dbgate audit verify",
    "intact",
];

/// Each of them comes after the one before.
pub(super) fn assert_road(text: &str) {
    let mut rest = text;
    for part in ROAD {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("`{part}` is missing or too early:\n{text}");
        };
        rest = after;
    }
    assert!(!text.contains("@example.com"), "{text}");
}

#[test]
fn the_road_plays_by_itself_and_ends() {
    let stage = Stage::new();
    let played = stage.run(&["--play"]);
    assert_eq!(
        played.status.code(),
        Some(0),
        "{}\n{}",
        out(&played),
        talk(&played)
    );
    assert_road(&out(&played));
    assert_eq!(talk(&played), "");
    stage.assert_clean();
}

/// A road that is another than the one that was told ends the play.
#[test]
fn a_step_that_does_something_else_ends_the_play_with_a_failure() {
    let stage = Stage::new();
    let tools = stage.path("tools");
    fs::create_dir(&tools).unwrap();
    let psql = tools.join("psql");
    let answers = [
        (
            "echo 'Edsger Stein | edsger.stein2@example.com'",
            "did not say `***@***.com`",
        ),
        (
            "echo 'e***@***.com | e@example.com'; echo '(1 row)'",
            "showed `@example.com`",
        ),
        (
            "echo 'e***@***.com'; echo '(1 row)'; exit 2",
            "not with exit code 0",
        ),
    ];
    for (answer, expected) in answers {
        fs::write(&psql, format!("#!/bin/sh\n{answer}\n")).unwrap();
        fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = stage.command(&["--play"]);
        let played = command.env("PATH", path_with(&tools)).output().unwrap();
        assert_eq!(played.status.code(), Some(1), "{answer}: {}", out(&played));
        let told = talk(&played);
        assert!(
            told.contains("the play stops: `psql ") && told.contains(expected),
            "{told}"
        );
        assert!(
            !out(&played).contains("ann$"),
            "it went on: {}",
            out(&played)
        );
        stage.assert_clean();
    }
}

#[test]
fn without_psql_the_play_says_so_and_goes_on() {
    let stage = Stage::new();
    let bin = stage.path("bin");
    fs::create_dir(&bin).unwrap();
    let real = harness::postgres::programs();
    for program in ["initdb", "postgres"] {
        std::os::unix::fs::symlink(real.join(program), bin.join(program)).unwrap();
    }
    let mut command = stage.command(&["--play", "--pg-bin", "bin"]);
    command.env("PATH", &bin).current_dir(stage.path(""));
    let played = command.output().unwrap();
    assert_eq!(played.status.code(), Some(0), "{}", talk(&played));
    let text = out(&played);
    assert!(
        text.contains("# psql is not on this machine, so this is not run: psql 'postgresql://"),
        "{text}"
    );
    assert!(text.contains("ann$ dbgate audit verify"), "{text}");
}
