//! Point selects of one client, in each protocol and over every way in turn.

use crate::client::Client;
use crate::figure::{Spread, Table, line, quantile, ratios};
use crate::process;
use crate::site::{Peer, Site};

use dbgate::wire::frontend::{Message, Target};

/// Statements of one run.
const STATEMENTS: u32 = 3000;

/// How a row is asked for.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    /// The same text each time.
    Fixed,
    /// The number is in the text.
    Varied,
    /// Parsed, bound and executed each time.
    Extended,
    /// Parsed once.
    Prepared,
}

const PROTOCOLS: [(Protocol, &str); 4] = [
    (Protocol::Fixed, "simple protocol, one text"),
    (Protocol::Varied, "simple protocol, a new text each time"),
    (Protocol::Extended, "extended protocol"),
    (Protocol::Prepared, "prepared statement"),
];

const SQL: &str = "SELECT balance FROM account WHERE id = $1";

/// What came of one run, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Run {
    median: f64,
    late: f64,
    /// Of the process in between, for each statement.
    cpu: f64,
}

/// Measures, and prints a table for each protocol.
pub(crate) fn measure(site: &Site, rounds: usize) {
    for (protocol, title) in PROTOCOLS {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); site.peers.len()];
        let mut syncs = Vec::new();
        for round in 0..rounds {
            syncs.push(sync(site));
            for turn in 0..site.peers.len() {
                let index = (round + turn) % site.peers.len();
                runs[index].push(run(&site.peers[index], protocol));
            }
        }
        show(site, title, &runs, &syncs);
    }
}

fn show(site: &Site, title: &str, runs: &[Vec<Run>], syncs: &[f64]) {
    let mut table = Table::new(&[
        "way",
        "p50, µs",
        "p99, µs",
        "p50 ÷ direct",
        "÷ direct, TLS",
        "÷ forwarder",
        "CPU, µs each",
    ]);
    let of = |index: usize, what: fn(&Run) -> f64| -> Vec<f64> {
        runs[index].iter().map(what).collect()
    };
    for (index, peer) in site.peers.iter().enumerate() {
        let ours = of(index, |run| run.median);
        let by = |other| format!("{:.2}", ratios(&ours, &of(other, |run| run.median)));
        let cpu = Spread::of(of(index, |run| run.cpu));
        table.row([
            peer.name.to_owned(),
            format!("{:.0}", Spread::of(ours.iter().copied())),
            format!("{:.0}", Spread::of(of(index, |run| run.late)).median),
            by(0),
            by(1),
            by(2),
            peer.pid.map_or("–".to_owned(), |_| format!("{cpu:.0}")),
        ]);
    }
    table.print(&format!("Point select, {title}"));
    let (gateway, floor) = (of(3, |run| run.median), of(2, |run| run.median));
    let pairs = gateway.iter().zip(&floor);
    let more: Vec<f64> = pairs.map(|(ours, floor)| ours - floor).collect();
    line(&format!(
        "600 bytes were made durable in {:.0} µs (p50). The gateway's p50 is the forwarder's and {:.1} times that.",
        Spread::of(syncs.iter().copied()),
        ratios(&more, syncs)
    ));
}

fn run(peer: &Peer, protocol: Protocol) -> Run {
    let mut client = Client::open(peer);
    let mut messages = Vec::new();
    let parse = Message::Parse {
        name: "p",
        sql: SQL,
        types: Vec::new(),
    };
    parse.encode(&mut messages).unwrap();
    Message::Sync.encode(&mut messages).unwrap();
    client.ask(&messages);
    let mut taken = Vec::new();
    let before = peer.pid.map(process::cpu).unwrap_or_default();
    for turn in 0..STATEMENTS {
        // Numbers far apart, the same ones for everybody.
        let id = (turn * 7919 % 100_000 + 1).to_string();
        messages.clear();
        protocol.write(&id, &mut messages);
        let begun = crate::now();
        client.ask(&messages);
        taken.push(u64::try_from(begun.elapsed().as_micros()).unwrap());
    }
    let used = peer.pid.map(process::cpu).unwrap_or_default() - before;
    taken.sort_unstable();
    Run {
        median: quantile(&taken, 0.5),
        late: quantile(&taken, 0.99),
        cpu: used.as_secs_f64() * 1e6 / f64::from(STATEMENTS),
    }
}

impl Protocol {
    fn write(self, id: &str, out: &mut Vec<u8>) {
        let query = |sql: &str, out: &mut Vec<u8>| Message::Query { sql }.encode(out).unwrap();
        let statement = match self {
            Self::Fixed => return query("SELECT balance FROM account WHERE id = 4242", out),
            Self::Varied => {
                return query(&format!("SELECT balance FROM account WHERE id = {id}"), out);
            }
            Self::Extended => "",
            Self::Prepared => "p",
        };
        if statement.is_empty() {
            let parse = Message::Parse {
                name: "",
                sql: SQL,
                types: Vec::new(),
            };
            parse.encode(out).unwrap();
        }
        let bind = Message::Bind {
            portal: "",
            statement,
            formats: Vec::new(),
            parameters: vec![Some(id.as_bytes())],
            results: Vec::new(),
        };
        let execute = Message::Execute {
            portal: "",
            limit: 0,
        };
        let describe = Message::Describe(Target::Portal(""));
        for message in [bind, describe, execute, Message::Sync] {
            message.encode(out).unwrap();
        }
    }
}

/// How long the disk of the log takes to make 600 bytes durable: the median of some.
fn sync(site: &Site) -> f64 {
    use std::os::unix::fs::FileExt as _;
    let path = site.log().join("sync.tmp");
    let file = std::fs::File::create(&path).unwrap();
    let mut taken: Vec<u64> = (0..200)
        .map(|turn| {
            let begun = crate::now();
            file.write_all_at(&[7; 600], turn * 600).unwrap();
            file.sync_data().unwrap();
            u64::try_from(begun.elapsed().as_micros()).unwrap()
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    taken.sort_unstable();
    quantile(&taken, 0.5)
}
