//! Point selects of 32 clients at once, by pgbench, over every way in turn.

use std::fs;
use std::process::Stdio;

use crate::figure::{Spread, Table, ratios};
use crate::process;
use crate::site::{Peer, Site};

const CLIENTS: u32 = 32;
/// Statements of each.
const STATEMENTS: u32 = 1000;

const SCRIPT: &str = "\\set id random(1, 100000)\nSELECT balance FROM account WHERE id = :id;\n";

/// What came of one run.
#[derive(Debug, Clone, Copy)]
struct Run {
    per_second: f64,
    /// Microseconds of the process in between, for each statement; the logins are in it.
    cpu: f64,
}

/// Measures, and prints a table.
pub(crate) fn measure(site: &Site, rounds: usize) {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); site.peers.len()];
    for round in 0..rounds {
        for turn in 0..site.peers.len() {
            let index = (round + turn) % site.peers.len();
            runs[index].push(run(site, &site.peers[index]));
        }
    }
    let mut table = Table::new(&[
        "way",
        "a second",
        "÷ direct",
        "÷ direct, TLS",
        "÷ forwarder",
        "CPU, µs each",
        "CPU ÷ forwarder",
    ]);
    let of = |index: usize, what: fn(&Run) -> f64| -> Vec<f64> {
        runs[index].iter().map(what).collect()
    };
    for (index, peer) in site.peers.iter().enumerate() {
        let ours = of(index, |run| run.per_second);
        let by = |other| format!("{:.2}", ratios(&ours, &of(other, |run| run.per_second)));
        let cpu = of(index, |run| run.cpu);
        let between = |text: String| peer.pid.map_or("–".to_owned(), |_| text);
        table.row([
            peer.name.to_owned(),
            format!("{:.0}", Spread::of(ours.iter().copied())),
            by(0),
            by(1),
            by(2),
            between(format!("{:.0}", Spread::of(cpu.iter().copied()))),
            between(format!("{:.2}", ratios(&cpu, &of(2, |run| run.cpu)))),
        ]);
    }
    table.print("Point select, prepared statement, 32 clients");
}

fn run(site: &Site, peer: &Peer) -> Run {
    let script = site.folder().join("script.sql");
    fs::write(&script, SCRIPT).unwrap();
    let mut command = site.program("pgbench");
    command
        .args(["-n", "-M", "prepared", "-j", "2"])
        .args(["-c", &CLIENTS.to_string()])
        .args(["-t", &STATEMENTS.to_string()])
        .arg("-f")
        .arg(&script)
        .args(["-h", "127.0.0.1", "-p", &peer.port.to_string()])
        .args(["-U", &peer.user, "prod"])
        .env("PGPASSWORD", &peer.password)
        .env("PGSSLMODE", if peer.tls { "require" } else { "disable" })
        .stdin(Stdio::null());
    let before = peer.pid.map(process::cpu).unwrap_or_default();
    let output = command.output().unwrap();
    let used = peer.pid.map(process::cpu).unwrap_or_default() - before;
    let said = String::from_utf8_lossy(&output.stdout);
    let erred = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "pgbench over {}: {erred}",
        peer.name
    );
    Run {
        per_second: per_second(&said),
        cpu: used.as_secs_f64() * 1e6 / f64::from(CLIENTS * STATEMENTS),
    }
}

/// `tps = 1234.5 (without initial connection time)`
fn per_second(said: &str) -> f64 {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next());
    let number = number.and_then(|number| number.parse().ok());
    number.expect("pgbench says how many a second")
}
