//! `dbgate run`: a command with the database in its environment.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::demo::Demo;
use crate::local::{Running, told, until_open};

/// `dbgate run prod -- …`
fn run(demo: &Demo, command: &[&str]) -> (String, i32) {
    let words = ["run", "prod", "--reason", "a test", "--"];
    let mut child = demo.command("engineer", &[&words, command].concat());
    // What would lead elsewhere.
    child
        .env("PGSERVICE", "nowhere")
        .env("PGHOSTADDR", "192.0.2.1")
        .env("PGSSLMODE", "verify-full")
        .env("PGPORT", "1")
        .env("PGPASSFILE", "/nonexistent");
    told(&child.output().unwrap())
}

#[test]
fn the_command_finds_the_database_and_its_exit_code_is_ours() {
    let demo = Demo::start();
    let sql = "select name, email from customers where id = 7";
    let row = "Radia Vogel|r***@***.com\n";
    assert_eq!(
        run(&demo, &["psql", "-XAt", "-c", sql]),
        (row.to_owned(), 0)
    );
    let script = r#"psql -XAt "$DATABASE_URL" -c "$0""#;
    assert_eq!(run(&demo, &["sh", "-c", script, sql]), (row.to_owned(), 0));
    let names = r#"for name in PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE DATABASE_URL; do
        eval "test -n \"\$$name\"" || echo "$name is not set"; done
        echo "$PGHOST $PGUSER $PGDATABASE ${PGSERVICE-unset}""#;
    assert_eq!(
        run(&demo, &["sh", "-c", names]),
        ("127.0.0.1 dbgate prod unset\n".to_owned(), 0)
    );
    // Whatever the code, arguments as they are.
    for code in [0, 1, 3, 42, 255] {
        assert_eq!(
            run(&demo, &["sh", "-c", &format!("exit {code}")]),
            (String::new(), code)
        );
    }
    let odd = ["printf", "%s|", "a b", "$HOME", "--output", "'"];
    assert_eq!(run(&demo, &odd).0, "a b|$HOME|--output|'|");
    assert_eq!(run(&demo, &["psql", "-XAtc", "select 1 / 0"]).1, 1);
    // Ended by a signal: as a shell says it.
    assert_eq!(run(&demo, &["sh", "-c", "kill -KILL $$"]).1, 128 + 9);
    assert_eq!(run(&demo, &["sh", "-c", "kill -TERM $$"]).1, 128 + 15);
    // What can't be started is told, by our own code.
    let (text, code) = run(&demo, &["no-such-program"]);
    assert!(text.contains("error: start `no-such-program`: "), "{text}");
    assert_eq!(code, 7);
    until_open(&demo, 0);
    let refused = demo
        .command("auditor", &["run", "prod", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(told(&refused).1, 3);
}

#[test]
fn signals_are_passed_on() {
    let demo = Demo::start();
    for (signal, name, code) in [
        (Signal::TERM, "TERM", 9),
        (Signal::INT, "INT", 8),
        (Signal::HUP, "HUP", 7),
        (Signal::USR1, "USR1", 6),
    ] {
        // One that does what it wants when it is told to end.
        let script = format!(
            "trap 'echo told; exit {code}' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let words = [
            "run", "prod", "--reason", "a test", "--", "sh", "-c", &script,
        ];
        let mut run = Running::start(demo.command("engineer", &words));
        assert_eq!(run.line(), "ready");
        run.signal(signal);
        assert_eq!(run.line(), "told", "{name}");
        assert_eq!(run.ended(), code, "{name}");
    }
    // One that a signal ends.
    let words = [
        "run",
        "prod",
        "--reason",
        "a test",
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 60",
    ];
    let mut run = Running::start(demo.command("engineer", &words));
    assert_eq!(run.line(), "ready");
    let since = Instant::now();
    run.signal(Signal::TERM);
    assert_eq!(run.ended(), 128 + 15);
    assert!(since.elapsed() < Duration::from_secs(10));
    until_open(&demo, 0);
}
