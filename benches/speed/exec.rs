//! The program's start alone, and `dbgate exec` from its start to the first byte of the first row, beside psql straight to the database; what of it is the lease.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::Value;

use crate::figure::{Spread, Table, line};
use crate::process;
use crate::site::{DBGATE, Site};

/// Runs of each that are measured, after some that are not.
const RUNS: usize = 30;
const WARM: usize = 3;

/// Milliseconds from the start of a program to its first byte, and to its end.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: f64,
    end: f64,
}

/// Measures, and prints a table.
pub(crate) fn measure(site: &Site) {
    let (mut execs, mut psqls) = (Vec::new(), Vec::new());
    for turn in 0..RUNS + WARM {
        let mut exec = site.dbgate("engineer");
        exec.args(["exec", "prod", "--reason", "figures"])
            .args(["-c", "SELECT balance FROM account WHERE id = 4242"]);
        let direct = &site.peers[1];
        let mut psql = site.program("psql");
        psql.args(["-X", "-h", "127.0.0.1", "-p", &direct.port.to_string()])
            .args(["-U", &direct.user, "prod"])
            .args(["-c", "SELECT balance FROM account WHERE id = 4242"])
            .env("PGPASSWORD", &direct.password)
            .env("PGSSLMODE", "require");
        let pair = (run(&mut exec), run(&mut psql));
        if turn >= WARM {
            execs.push(pair.0);
            psqls.push(pair.1);
        }
    }
    let mut table = Table::new(&["program", "first row, ms", "end, ms"]);
    for (name, runs) in [("dbgate exec", &execs), ("psql, direct with TLS", &psqls)] {
        table.row([
            name.to_owned(),
            format!("{:.1}", Spread::of(runs.iter().map(|run| run.first))),
            format!("{:.1}", Spread::of(runs.iter().map(|run| run.end))),
        ]);
    }
    table.print("From the start of the program to its first row");
    steps(site);
}

fn run(command: &mut Command) -> Run {
    let begun = crate::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut rest = vec![0; 1];
    stdout.read_exact(&mut rest).expect("it prints something");
    let first = begun.elapsed();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    Run {
        first: first.as_secs_f64() * 1e3,
        end: begun.elapsed().as_secs_f64() * 1e3,
    }
}

/// The steps of a session on its way to the first row, each from one record of the audit log to another. A record has its time before it is
/// made durable, so that every step but the last includes the disk.
const STEPS: [(&str, &str, &str); 5] = [
    (
        "the session is granted and kept",
        "session_granted",
        "lease_intended",
    ),
    (
        "the lease's role is made",
        "lease_intended",
        "session_opened",
    ),
    (
        "the client comes back with its credential",
        "session_opened",
        "connection_opened",
    ),
    (
        "the lease lets the broker in; the client sends its statement",
        "connection_opened",
        "statement_intended",
    ),
    (
        "the statement runs and is answered",
        "statement_intended",
        "statement_finished",
    ),
];

/// What the log says about the sessions that were measured.
fn steps(site: &Site) {
    let mut search = site.dbgate("auditor");
    search.args(["audit", "search", "--limit", "2000", "--output", "ndjson"]);
    let output = search.output().unwrap();
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{erred}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut sessions: BTreeMap<String, BTreeMap<String, Timestamp>> = BTreeMap::new();
    for text in text.lines() {
        let record: Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| record[name].as_str().map(str::to_owned);
        if let (Some(session), Some(event), Some(time)) =
            (field("session"), field("event"), field("time"))
        {
            let events = sessions.entry(session).or_default();
            events.entry(event).or_insert(time.parse().unwrap());
        }
    }
    let taken = |from: &str, to: &str| -> Vec<f64> {
        sessions
            .values()
            .filter_map(|events| Some(events.get(to)?.duration_since(*events.get(from)?)))
            .map(|span| span.as_secs_f64() * 1e3)
            .collect()
    };
    let mut table = Table::new(&["step", "ms"]);
    for (name, from, to) in STEPS {
        table.row([
            name.to_owned(),
            format!("{:.1}", Spread::of(taken(from, to))),
        ]);
    }
    table.print("What the broker does meanwhile");
}

/// How often the program is started to say its version.
const STARTS: usize = 50;

/// Measures what it costs to start the program at all, and how large it is; prints a line.
pub(crate) fn version() {
    let taken = (0..STARTS).map(|_| {
        let mut command = Command::new(DBGATE);
        process::cpu_of(command.arg("--version")).as_secs_f64() * 1e3
    });
    line(&format!(
        "\n`dbgate --version` takes {:.1} ms of CPU, {STARTS} times. The program has {:.1} MB.",
        Spread::of(taken),
        fs::metadata(DBGATE).unwrap().len() as f64 / 1e6
    ));
}
