//! A real terminal with a program in it: a tmux server of its own, one pane, and what a person would see there.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// How long the screen may take to show what it must.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// Tells how the program has ended, and stays: tmux itself can miss the end of a child.
const AROUND: &str =
    r#"trap : INT; "$@"; printf '\n-- exit code %s, -- this was all' $?; exec sleep 1000"#;

/// A terminal. Dropping it ends what runs there.
pub(crate) struct Terminal {
    directory: tempfile::TempDir,
}

impl Terminal {
    /// Runs `command` in a terminal of so many columns and lines.
    pub(crate) fn start(command: &Command, columns: u16, lines: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = "set -g default-terminal tmux-256color\nset -g remain-on-exit on\n\
             set -g history-limit 20000\nset -s set-clipboard on\nset -g allow-rename on\nset -s escape-time 0\n\
             set -g set-titles on\nset -g status off\n";
        fs::write(directory.path().join("tmux.conf"), settings).unwrap();
        let terminal = Self { directory };
        let mut tmux = terminal.tmux();
        // What the program finds around it: nothing but what the command says.
        tmux.env_remove("NO_COLOR")
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => tmux.env(name, value),
                None => tmux.env_remove(name),
            };
        }
        tmux.args(["new-session", "-d", "-s", "it", "-x"])
            .arg(columns.to_string())
            .arg("-y")
            .arg(lines.to_string())
            .arg("--")
            .args(["sh", "-c", AROUND, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        let output = tmux.output().expect("tmux is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        terminal
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.path("socket"))
            .arg("-f")
            .arg(self.path("tmux.conf"))
            .stdin(Stdio::null());
        command
    }

    fn told(&self, arguments: &[&str]) -> Output {
        self.tmux().args(arguments).output().unwrap()
    }

    /// What tmux answers.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.told(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys, by tmux's names: `C-c`, `Tab`, `Up`.
    pub(crate) fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    /// Types text, as it is.
    pub(crate) fn keys(&self, text: &str) {
        // A semicolon at the end would be tmux's own.
        let text = match text.strip_suffix(';') {
            Some(rest) => format!("{rest}\\;"),
            None => text.to_owned(),
        };
        self.ask(&["send-keys", "-l", "--", &text]);
    }

    /// Pastes text at once, bracketed when the program wants it so.
    pub(crate) fn paste(&self, text: &str) {
        fs::write(self.path("paste"), text).unwrap();
        let file = self.path("paste");
        self.ask(&["load-buffer", "-b", "paste", file.to_str().unwrap()]);
        self.ask(&["paste-buffer", "-p", "-d", "-b", "paste"]);
    }

    /// What is on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// All that was shown, what has scrolled away included; lines that the terminal wrapped are whole.
    pub(crate) fn all(&self) -> String {
        self.ask(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// The screen with colors, as escapes.
    pub(crate) fn colors(&self) -> String {
        self.ask(&["capture-pane", "-p", "-e"])
    }

    /// What tmux knows of the pane: `pane_title`, `cursor_x`.
    pub(crate) fn fact(&self, name: &str) -> String {
        let answer = self.ask(&["display-message", "-p", &format!("#{{{name}}}")]);
        answer.trim_end_matches('\n').to_owned()
    }

    /// Makes the window larger or smaller.
    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.ask(&["resize-window", "-x", &columns, "-y", &lines]);
    }

    /// Waits until what was shown is as wanted; gives it.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let shown = self.all();
            if wanted(&shown) {
                return shown;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{what} does not come; the screen shows:\n{}",
                shown.trim_end()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a text was shown.
    pub(crate) fn expect(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |shown| shown.contains(text))
    }

    /// Waits until the program has ended; its exit code.
    pub(crate) fn ended(&self) -> u8 {
        let shown = self.until("its end", |shown| {
            shown.trim_end().ends_with("-- this was all")
        });
        let (_, last) = shown.rsplit_once("-- exit code ").unwrap();
        last.split(',').next().unwrap().parse().unwrap()
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> Pid {
        let shell = self.fact("pane_pid");
        let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.told(&["kill-server"]);
    }
}
