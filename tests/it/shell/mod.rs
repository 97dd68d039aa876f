//! The shell as a person meets it: the built binary in a real terminal.

mod command;
mod editing;
mod rows;
mod running;

use std::process::Command;

use crate::harness::demo::Demo;
use crate::harness::terminal::Terminal;

/// Somebody in front of the shell.
struct Sitting {
    terminal: Terminal,
}

/// The policy of the demo, with other words in it.
pub(crate) fn policy(changes: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let mut text = include_str!("../../../src/demo/policy.toml").to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The command of the engineer's shell.
fn connect(demo: &Demo, more: &[&str]) -> Command {
    let words = ["connect", "prod", "--access", "write", "--reason", "a test"];
    demo.command("engineer", &[&words, more].concat())
}

impl Sitting {
    fn start(demo: &Demo) -> Self {
        Self::with(&connect(demo, &[]), 100, 40)
    }

    fn with(command: &Command, columns: u16, lines: u16) -> Self {
        let terminal = Terminal::start(command, columns, lines);
        let sitting = Self { terminal };
        sitting.terminal.expect("Connected to `prod`");
        sitting.ready();
        sitting
    }

    /// Waits for an empty prompt.
    fn ready(&self) -> String {
        self.terminal.until("a prompt", |shown| {
            shown.trim_end().lines().next_back().is_some_and(is_prompt)
        })
    }

    /// Enters a line and waits for the prompt behind what comes of it; what has come.
    fn ask(&self, line: &str) -> String {
        self.enter(line);
        self.answer(line)
    }

    /// Types a line and presses Enter when it is there.
    fn enter(&self, line: &str) {
        self.terminal.keys(line);
        let last = line.lines().next_back().unwrap_or_default();
        self.terminal.until("what is typed", |shown| {
            shown.trim_end().ends_with(last.trim_end())
        });
        self.terminal.press(&["Enter"]);
    }

    /// What has come since `line` was entered, when there is a prompt again.
    fn answer(&self, line: &str) -> String {
        let shown = self.ready();
        // The last of several lines stands alone, a single one behind the prompt.
        let entered = match line.rsplit_once('\n') {
            Some((_, last)) => format!("\n{last}"),
            None => format!("> {line}"),
        };
        let (_, after) = shown.rsplit_once(&entered).expect("the line is there");
        let mut lines: Vec<&str> = after
            .trim_end()
            .lines()
            .skip(1)
            .map(str::trim_end)
            .collect();
        lines.pop();
        lines.join("\n")
    }

    /// The prompt without the time that is left.
    fn prompt(&self) -> String {
        let shown = self.ready();
        let last = shown.trim_end().lines().next_back().unwrap();
        let words: Vec<&str> = last.split_whitespace().collect();
        let [database, access, left, mark] = words.as_slice() else {
            panic!("{last}");
        };
        assert!(left.ends_with(['m', 's']), "{last}");
        format!("{database} {access} {mark}")
    }
}

fn is_prompt(line: &str) -> bool {
    line.starts_with("prod ") && ["=>", "=*>", "=!>"].iter().any(|mark| line.ends_with(mark))
}

/// What was told, without how long it took.
fn timeless(answer: &str) -> String {
    let lines = answer.lines().filter(|line| !line.starts_with("time: "));
    lines.collect::<Vec<_>>().join("\n")
}
