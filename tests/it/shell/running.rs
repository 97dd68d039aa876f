//! While a statement runs: the spinner, Ctrl-C, reviews, and sessions that end.

use crate::harness::demo::Demo;
use crate::shell::{Sitting, connect, timeless};

#[test]
fn a_statement_that_takes_long_shows_how_far_it_is() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let terminal = &sitting.terminal;
    sitting.enter("select pg_sleep(2);");
    let shown = terminal.expect("Running 1s");
    assert!(shown.contains("Running"), "{shown}");
    sitting.answer("select pg_sleep(2);");
    // What turned is gone without a trace.
    assert!(!terminal.all().contains("Running"));
    // Rows that come slowly are counted.
    sitting.ask("\\x off");
    let slow =
        "select n, pg_sleep(0.05), repeat('x', 9000) as wide from generate_series(1, 60) as n;";
    sitting.enter(slow);
    terminal.until("a count of rows", |shown| {
        shown
            .lines()
            .any(|line| line.contains("Running, ") && line.contains(" rows "))
    });
    assert!(sitting.answer(slow).contains("(60 rows)"));
    // What is fast shows nothing: the screen is looked at all the time while many statements run.
    for n in 0..5 {
        assert!(!sitting.ask(&format!("select {n};")).contains("Running"));
    }
}

#[test]
fn ctrl_c_cancels_the_statement_and_not_the_shell() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let terminal = &sitting.terminal;
    let sql = "select 1 as before; select pg_sleep(60); select 2 as behind;";
    sitting.enter(sql);
    terminal.expect("Running");
    terminal.press(&["C-c"]);
    let answer = sitting.answer(sql);
    assert!(answer.contains("before"), "{answer}");
    assert!(
        answer.contains("Canceling the statement.\nerror: canceling statement due to user request"),
        "{answer}"
    );
    // Nothing that was entered behind it runs, and nothing torn is left on the screen.
    assert!(
        !answer.contains(" behind\n") && !answer.contains("Running") && !answer.contains("^C"),
        "{answer}"
    );
    // In a transaction it fails, as any error would make it.
    sitting.ask("begin;");
    sitting.enter("select pg_sleep(61);");
    terminal.expect("Running");
    terminal.press(&["C-c"]);
    sitting.answer("select pg_sleep(61);");
    assert_eq!(sitting.prompt(), "prod write =!>");
    sitting.ask("rollback;");
    // Keys are shown again; what was typed meanwhile is there.
    sitting.enter("select pg_sleep(1) as slept;");
    terminal.expect("Running");
    terminal.keys("select 'typed ahead' as text;");
    terminal.press(&["Enter"]);
    terminal.expect(" typed ahead");
    assert_eq!(
        timeless(&sitting.ask("select 3 as three;")),
        " three\n-------\n     3\n(1 row)"
    );
    // A script does not go on behind it, either.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slow.sql");
    std::fs::write(
        &file,
        "select pg_sleep(62);\nselect 'not reached' as text;\n",
    )
    .unwrap();
    let line = format!("\\i {}", file.display());
    sitting.enter(&line);
    terminal.expect("Running");
    terminal.press(&["C-c"]);
    assert!(!sitting.answer(&line).contains("not reached"));
}

#[test]
fn a_statement_waits_for_its_review_in_the_shell() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let terminal = &sitting.terminal;
    let decide = |arguments: &[&str]| {
        let output = demo.command("reviewer", arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    };
    let request = |sql: &str| {
        sitting.enter(sql);
        let shown = terminal.until("a request", |shown| {
            let (_, after) = shown.rsplit_once(sql).unwrap_or_default();
            after.contains("Waiting for the approval of r")
        });
        let (_, after) = shown.rsplit_once(sql).unwrap();
        assert!(
            after.contains("notice: dbgate: waiting for the approval of `reviewers`, request r"),
            "{after}"
        );
        assert!(after.contains("hint: "), "{after}");
        let (_, id) = after.split_once("reviewers`, request ").unwrap();
        id.split_whitespace().next().unwrap().to_owned()
    };
    let sql = "update payments set amount = amount where id = 7;";
    decide(&["approve", &request(sql)]);
    assert!(timeless(&sitting.answer(sql)).ends_with("UPDATE 1"));
    let sql = "update payments set amount = amount where id = 8;";
    decide(&["deny", &request(sql), "--reason", "not today"]);
    let answer = sitting.answer(sql);
    assert!(
        answer.contains("was denied by ") && answer.contains("not today"),
        "{answer}"
    );
    // Ctrl-C withdraws it.
    let sql = "update payments set amount = amount where id = 9;";
    let id = request(sql);
    terminal.press(&["C-c"]);
    let answer = sitting.answer(sql);
    assert!(
        answer.contains(&format!("Request {id} is withdrawn.")),
        "{answer}"
    );
    let output = demo
        .command("reviewer", &["approve", &id])
        .output()
        .unwrap();
    assert!(!output.status.success());
    // In a transaction nobody waits while locks are held.
    sitting.ask("begin;");
    let answer = sitting.ask("update payments set amount = amount where id = 9;");
    assert!(
        answer.contains("does not wait for it in an open transaction"),
        "{answer}"
    );
}

#[test]
fn a_session_that_ends_is_told_whatever_goes_on() {
    let demo = Demo::start();
    let kill = |sitting: &Sitting| {
        let answer = sitting.ask("\\conninfo");
        let (_, id) = answer.split_once("in session ").unwrap();
        let id = id.split(',').next().unwrap().trim();
        let output = demo
            .command("engineer", &["sessions", "kill", id])
            .output()
            .unwrap();
        assert!(output.status.success());
    };
    // While somebody types: it is said at once; Enter leaves, with the code for what has ended.
    let idle = Sitting::start(&demo);
    kill(&idle);
    idle.terminal.expect("error: the dbgate session has ended");
    idle.terminal.press(&["Enter"]);
    assert_eq!(idle.terminal.ended(), 6);
    // While a statement runs.
    let command = connect(&demo, &["--duration", "8s"]);
    let busy = Sitting::with(&command, 100, 40);
    busy.enter("select pg_sleep(60);");
    assert_eq!(busy.terminal.ended(), 6);
    let shown = busy.terminal.all();
    assert!(
        shown.contains("error: the dbgate session has ended"),
        "{shown}"
    );
    // Somebody closes the window: the session ends all the same, and the terminal is as it was.
    let closed = Sitting::start(&demo);
    rustix::process::kill_process(closed.terminal.pid(), rustix::process::Signal::TERM).unwrap();
    assert_eq!(closed.terminal.ended(), 128 + 15);
    let output = demo.command("engineer", &["sessions"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(!listed.contains("open"), "{listed}");
}
