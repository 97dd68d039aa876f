//! A million rows of five columns, read to the end by a client that only counts: clear, and with one column masked.

use crate::client::Client;
use crate::figure::{Spread, Table, line, ratios};
use crate::process;
use crate::site::{Peer, Site};

const ROWS: f64 = 1e6;

/// What came of one run.
#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    /// Of the process in between.
    cpu: f64,
    bytes: u64,
}

/// What is read, over which way.
struct Case<'a> {
    name: &'static str,
    peer: &'a Peer,
    table: &'static str,
    runs: Vec<Run>,
}

/// Measures, and prints a table.
pub(crate) fn measure(site: &Site, rounds: usize) {
    let case = |name, place: usize, table| Case {
        name,
        peer: &site.peers[place],
        table,
        runs: Vec::new(),
    };
    let mut cases = [
        case("direct", 0, "clean"),
        case("direct, TLS", 1, "clean"),
        case("forwarder", 2, "clean"),
        case("gateway, clear", 3, "clean"),
        case("gateway, masked by a constant", 3, "guarded"),
        case("gateway, masked by a keyed token", 3, "keyed"),
    ];
    for round in 0..rounds {
        let count = cases.len();
        for turn in 0..count {
            let case = &mut cases[(round + turn) % count];
            let run = run(case.peer, case.table);
            case.runs.push(run);
        }
    }
    let mut table = Table::new(&[
        "way",
        "1000 rows a second",
        "MB",
        "÷ direct",
        "÷ direct, TLS",
        "÷ forwarder",
        "CPU µs a row",
        "CPU ÷ forwarder",
    ]);
    let speeds: Vec<Vec<f64>> = cases
        .iter()
        .map(|case| case.runs.iter().map(|run| ROWS / run.seconds).collect())
        .collect();
    let cpus: Vec<Vec<f64>> = cases
        .iter()
        .map(|case| case.runs.iter().map(|run| run.cpu * 1e6 / ROWS).collect())
        .collect();
    for (index, case) in cases.iter().enumerate() {
        let by = |other: usize| format!("{:.2}", ratios(&speeds[index], &speeds[other]));
        let between = |text: String| if index > 1 { text } else { "–".to_owned() };
        table.row([
            case.name.to_owned(),
            format!(
                "{:.0}",
                Spread::of(speeds[index].iter().map(|speed| speed / 1e3))
            ),
            format!(
                "{}",
                case.runs.first().map_or(0, |run| run.bytes / 1_000_000)
            ),
            by(0),
            by(1),
            by(2),
            between(format!("{:.3}", Spread::of(cpus[index].iter().copied()))),
            between(format!("{:.2}", ratios(&cpus[index], &cpus[2]))),
        ]);
    }
    table.print("A million rows");
    let (now, most) = process::memory(site.broker());
    line(&format!(
        "The broker's memory after it: {} MiB, at most {} MiB.",
        now / 1024,
        most / 1024
    ));
}

fn run(peer: &Peer, table: &str) -> Run {
    let mut client = Client::open(peer);
    client.query("SELECT 1");
    let before = peer.pid.map(process::cpu).unwrap_or_default();
    let begun = crate::now();
    let bytes = client.query(&format!("SELECT id, code, name, note, amount FROM {table}"));
    let seconds = begun.elapsed().as_secs_f64();
    let used = peer.pid.map(process::cpu).unwrap_or_default() - before;
    Run {
        seconds,
        cpu: used.as_secs_f64(),
        bytes,
    }
}
