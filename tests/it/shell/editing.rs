//! What happens while somebody types: lines, colors, completion, history.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::demo::Demo;
use crate::shell::{Sitting, connect, timeless};

#[test]
fn statements_are_typed_completed_colored_and_remembered() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    many_lines(&sitting);
    colors(&sitting);
    completion(&sitting);
    history(&demo, &sitting);
    leaves(&demo, &sitting);
}

fn many_lines(sitting: &Sitting) {
    let terminal = &sitting.terminal;
    // Enter only ends what is complete: not within a string, a bracket, or before the semicolon.
    terminal.keys("select 'one;");
    terminal.press(&["Enter"]);
    terminal.keys("two' as text, (");
    terminal.press(&["Enter"]);
    terminal.keys("select 3");
    terminal.press(&["Enter"]);
    terminal.keys(") as n");
    terminal.press(&["Enter"]);
    let answer = timeless(&sitting.ask("-- the end\n;"));
    assert!(answer.contains(" one;\\ntwo | 3"), "{answer}");
    // A paste comes as one, and several statements in it run one after the other.
    terminal.paste("select 'first'\n  as a;\nselect 'second' as b;\n");
    terminal.expect("as b;");
    terminal.press(&["Enter"]);
    let shown = sitting.ready();
    assert!(
        shown.contains(" first\n") && shown.contains(" second\n"),
        "{shown}"
    );
    // Ctrl-C drops what is typed, not the shell.
    terminal.keys("select nonsense from");
    terminal.press(&["Enter"]);
    terminal.keys("more");
    terminal.expect("more");
    terminal.press(&["C-c"]);
    let shown = sitting.ready();
    assert!(!shown.contains("error"), "{shown}");
    assert_eq!(
        timeless(&sitting.ask("select 1 as one;")),
        " one\n-----\n   1\n(1 row)"
    );
    // What a psql user types to throw a statement away does not run it.
    terminal.keys("delete from products where id = 1");
    let answer = sitting.ask("\n\\r");
    assert!(
        answer.contains("`\\r` stands behind a statement that has not ended"),
        "{answer}"
    );
    let answer = sitting.ask("select count(*) from products where id = 1;");
    assert!(answer.contains("     1"), "{answer}");
}

fn colors(sitting: &Sitting) {
    let terminal = &sitting.terminal;
    terminal.keys("select 'text', 12 from orders -- why");
    terminal.expect("-- why");
    let shown = terminal.colors();
    let line = shown.lines().rfind(|line| line.contains("why")).unwrap();
    // Bold blue, green, cyan, and a faint comment.
    for (code, word) in [
        ("34m", "select"),
        ("32m", "'text'"),
        ("36m", "12"),
        ("2m", "-- why"),
    ] {
        let before = line.split(word).next().unwrap();
        assert!(
            before.ends_with(&format!("\x1b[{code}")),
            "{word}: {line:?}"
        );
    }
    terminal.press(&["C-c"]);
    sitting.ready();
}

fn completion(sitting: &Sitting) {
    let terminal = &sitting.terminal;
    // The names are fetched while nothing runs; they are there once a table is completed.
    for (typed, becomes) in [
        ("sel", "select"),
        ("select * from support", "select * from support_notes"),
        ("select birth from customers", ""),
        ("select pg_size_p", "select pg_size_pretty("),
        ("\\timi", "\\timing"),
        ("\\d support", "\\d support_notes"),
    ] {
        if becomes.is_empty() {
            continue;
        }
        let since = std::time::Instant::now();
        loop {
            terminal.keys(typed);
            terminal.expect(typed);
            terminal.press(&["Tab"]);
            std::thread::sleep(std::time::Duration::from_millis(100));
            let shown = terminal.screen();
            let last = shown.trim_end().lines().next_back().unwrap().to_owned();
            terminal.press(&["C-c"]);
            sitting.ready();
            if last.ends_with(&format!("=> {becomes}")) {
                break;
            }
            assert!(since.elapsed().as_secs() < 20, "{typed}: {last}");
        }
    }
    // A column of the table that is named, in the middle of the line.
    terminal.keys("select birt from customers");
    terminal.press(&["Home", "M-f", "M-f", "Tab"]);
    terminal.expect("select birth_date from customers");
    terminal.press(&["C-c"]);
    sitting.ready();
    // Several are listed.
    terminal.keys("select * from cust");
    terminal.press(&["Tab", "Tab"]);
    terminal.expect("customer_orders");
    terminal.press(&["C-c"]);
    sitting.ready();
}

fn history(demo: &Demo, sitting: &Sitting) {
    sitting.ask("select 'the one before';");
    // Refused here; remembered all the same, without what it would have told.
    sitting.ask("alter role somebody password 'quite-secret-1';");
    sitting.ask("create user x with encrypted password $$quite-secret-2$$;");
    let terminal = &sitting.terminal;
    terminal.press(&["Up"]);
    terminal.until("an entry without a password", |shown| {
        let last = shown.trim_end().lines().next_back().unwrap_or_default();
        last.contains("create user x") && !last.contains("quite")
    });
    terminal.press(&["Up", "Up"]);
    terminal.until("an older entry", |shown| {
        shown.trim_end().ends_with("select 'the one before';")
    });
    terminal.press(&["C-c"]);
    sitting.ready();
    let folder = demo.config_dir().join("history");
    let file = folder.join("prod.jsonl");
    for (path, mode) in [(&folder, 0o700), (&file, 0o600)] {
        let found = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("the one before") && text.contains("alter role somebody"));
    assert!(!text.contains("quite-secret"), "{text}");
    // What was typed over several lines is one entry.
    assert!(
        text.contains("select 'one;\\ntwo' as text, (\\nselect 3\\n) as n"),
        "{text}"
    );
}

fn leaves(demo: &Demo, sitting: &Sitting) {
    sitting.ask("begin;");
    sitting.terminal.press(&["C-d"]);
    sitting
        .terminal
        .expect("The open transaction is rolled back.");
    assert_eq!(sitting.terminal.ended(), 0);
    // The session is over with it.
    let output = demo.command("engineer", &["sessions"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(!listed.contains("open"), "{listed}");
    // The next sitting knows what was typed in this one; with `--no-history` nothing is kept.
    let next = Sitting::start(demo);
    next.terminal.press(&["Up", "Up"]);
    next.terminal
        .expect("create user x with encrypted password ");
    next.terminal.press(&["C-c"]);
    next.ready();
    next.enter("\\q");
    assert_eq!(next.terminal.ended(), 0);
    let quiet = Sitting::with(&connect(demo, &["--no-history"]), 100, 40);
    quiet.ask("select 'nobody keeps this';");
    quiet.enter("\\q");
    assert_eq!(quiet.terminal.ended(), 0);
    let text = fs::read_to_string(demo.config_dir().join("history/prod.jsonl")).unwrap();
    assert!(!text.contains("nobody keeps this"));
}
