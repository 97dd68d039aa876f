//! Commands as they are shown.

use crate::demo::script::{self, quoted};

#[test]
fn a_word_is_shown_as_a_shell_takes_it() {
    assert_eq!(quoted("prod"), "prod");
    assert_eq!(quoted(""), "''");
    assert_eq!(quoted("it's"), r"'it'\''s'");
    assert_eq!(quoted("$HOME/x"), "'$HOME/x'");
}

/// A shell reads back what is shown as what is run.
#[test]
fn a_command_is_shown_as_it_is_run() {
    let call = script::change("prod");
    let script = format!("printf '%s\\n' {call}");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<_> = std::iter::once(call.program)
        .chain(call.arguments.iter().map(String::as_str))
        .collect();
    assert_eq!(words.lines().collect::<Vec<_>>(), expected);
}

/// What the README shows was recorded of the commands as they are now.
#[test]
fn the_recording_in_the_readme_is_of_this_road() {
    let mut rest = include_str!("../../../README.md");
    let calls = [
        script::status(),
        script::look("prod"),
        script::destroy("prod"),
        script::change("prod"),
        script::requests(),
        script::tunnel("prod"),
        script::search(),
        script::verify(),
    ];
    for call in calls {
        let line = format!("{}$ {call}\n", call.who.sub);
        let Some((_, after)) = rest.split_once(&line) else {
            panic!("`{line}` is missing or too early: record `dbgate demo --play` again");
        };
        rest = after;
    }
}
