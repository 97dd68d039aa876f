//! What runs beside native tools on somebody's machine: `tunnel`, `env`, `run`, `exec`.

mod env;
mod exec;
mod run;
mod tunnel;
mod waiting;

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::demo::Demo;

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command that goes on, and what it has said.
struct Running {
    child: Child,
    out: Receiver<String>,
    talk: Receiver<String>,
    said: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let talk = lines(child.stderr.take().unwrap());
        Self {
            child,
            out,
            talk,
            said: String::new(),
        }
    }

    /// The next line of its stdout.
    fn line(&self) -> String {
        self.out.recv_timeout(PATIENCE).expect("a line of output")
    }

    /// Waits until it has said this on stderr.
    fn says(&mut self, text: &str) {
        let since = Instant::now();
        while !self.said.contains(text) {
            match self.talk.recv_timeout(Duration::from_millis(200)) {
                Ok(line) => self.said.push_str(&format!("{line}\n")),
                Err(_) => assert!(
                    since.elapsed() < PATIENCE,
                    "`{text}` is not in\n{}",
                    self.said
                ),
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until it has ended; its exit code.
    fn ended(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < PATIENCE, "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// What a shell makes of a command line, with what is printed and the exit code.
pub(crate) fn sh(script: &str, arguments: &[&str]) -> (String, i32) {
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    told(&output)
}

fn told(output: &Output) -> (String, i32) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (text, output.status.code().unwrap_or(-1))
}

/// Runs SQL by psql.
fn psql(url: &str, sql: &str) -> String {
    let (text, _) = sh(r#"exec psql -XAtq "$1" -c "$2" 2>&1"#, &[url, sql]);
    text.trim_end().to_owned()
}

/// The sessions that are open, as JSON.
fn open_sessions(demo: &Demo) -> Vec<Value> {
    let output = demo
        .command("engineer", &["sessions", "--output", "json"])
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = listed["items"].as_array().unwrap();
    let open = items.iter().filter(|item| item["state"] == "open");
    open.cloned().collect()
}

/// Waits until so many sessions are open.
fn until_open(demo: &Demo, count: usize) -> Vec<Value> {
    let since = Instant::now();
    loop {
        let open = open_sessions(demo);
        if open.len() == count {
            return open;
        }
        assert!(since.elapsed() < PATIENCE, "{count} expected: {open:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
