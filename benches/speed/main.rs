//! How fast dbgate is: the figures of `docs/performance.md`, measured side by side in one run of some minutes.
//!
//! `cargo bench --bench speed` measures everything; behind `--`, names of parts (`version`, `exec`, `select`, `many`, `rows`) choose, and
//! `--rounds 3` is shorter. Needs PostgreSQL's programs, `psql` and `pgbench` among them. Everything stays on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends"
)]

mod client;
mod exec;
mod figure;
mod forward;
mod many;
mod process;
mod rows;
mod select;
mod site;

use std::time::Instant;

use crate::figure::line;
use crate::site::Site;

/// How often every way is measured.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == "forward"
    {
        forward::run(rest);
        return;
    }
    let mut rounds = ROUNDS;
    let mut parts = Vec::new();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            // Cargo says it.
            "--bench" => {}
            "--rounds" => {
                rounds = words
                    .next()
                    .and_then(|number| number.parse().ok())
                    .expect("--rounds NUMBER");
            }
            "version" | "exec" | "select" | "many" | "rows" => parts.push(word),
            other => panic!("there is no part `{other}`: version, exec, select, many, rows"),
        }
    }
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let begun = now();
    line(&format!("{}, load {}", process::machine(), process::load()));
    if wanted("version") {
        exec::version();
    }
    if ["exec", "select", "many", "rows"].into_iter().any(wanted) {
        let site = Site::start();
        line(&format!("\n{}, {rounds} rounds.", site.version()));
        if wanted("exec") {
            exec::measure(&site);
        }
        if wanted("select") {
            select::measure(&site, rounds);
        }
        if wanted("many") {
            many::measure(&site, rounds);
        }
        if wanted("rows") {
            rows::measure(&site, rounds);
        }
    }
    line(&format!(
        "\nIt took {} s; the load is {} now.",
        begun.elapsed().as_secs(),
        process::load()
    ));
}

/// The moment: what is measured is time.
fn now() -> Instant {
    Instant::now()
}
