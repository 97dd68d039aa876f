//! Rows on the screen: as they come, as they fit, masked ones marked, and nothing that acts on the terminal.

use crate::harness::demo::Demo;
use crate::harness::{long, terminal::Terminal};
use crate::local::sh;
use crate::shell::{Sitting, connect, policy, timeless};

/// Megabytes that the process in the terminal takes, now and at most so far.
fn memory(terminal: &Terminal) -> (u64, u64) {
    let pid = terminal.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let word = line.split_whitespace().nth(1).unwrap();
        word.parse::<u64>().unwrap() / 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[test]
fn rows_stream_through_little_memory() {
    let rows = if long() { 5_000_000 } else { 250_000 };
    let limits = [
        ("rows = 100_000", "rows = 10_000_000"),
        ("statement_time = \"5m\"", "statement_time = \"1h\""),
    ];
    let policy = policy(&limits);
    let demo = Demo::with(&["--policy", policy.path().to_str().unwrap()]);
    let sitting = Sitting::start(&demo);
    sitting.ask("select generate_series(1, 1000) as n, md5('x') as text;");
    let (before, _) = memory(&sitting.terminal);
    let sql = format!("select generate_series(1, {rows}) as n, md5('x') as text;");
    sitting.enter(&sql);
    let last = format!("({rows} rows)");
    let since = std::time::Instant::now();
    while !sitting.terminal.screen().contains(&last) {
        assert!(since.elapsed().as_secs() < if long() { 900 } else { 60 });
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let (_, most) = memory(&sitting.terminal);
    println!(
        "{rows} rows on the screen in {:?}: {before} MiB before, {most} MiB at most",
        since.elapsed()
    );
    assert!(most < before + 8, "{before} MiB before, {most} MiB at most");
    // A number that is longer than those of the first rows is shown as a whole.
    assert!(sitting.terminal.screen().contains(&format!("{rows} | ")));
    // Ctrl-C in the middle of the stream: nothing that is still under way is shown.
    sitting.enter("select generate_series(1, 9000000) as n, md5('y') as text;");
    sitting.terminal.expect(" 1000 | ");
    let since = std::time::Instant::now();
    sitting.terminal.press(&["C-c"]);
    let shown = sitting.ready();
    assert!(shown.contains("error: canceling statement due to user request"));
    println!("canceled in {:?}", since.elapsed());
    assert!(since.elapsed().as_secs() < 5);
    assert_eq!(
        timeless(&sitting.ask("select 1 as one;")),
        " one\n-----\n   1\n(1 row)"
    );
}

#[test]
fn masked_cells_are_marked_by_more_than_color() {
    let demo = Demo::start();
    let mut command = connect(&demo, &[]);
    command.env("NO_COLOR", "1");
    let sitting = Sitting::with(&command, 100, 40);
    let sql = "select id, name, email, null::text as nothing, card from customers where id = 7;";
    let expected = " id |    name     |    email ~    | nothing |   card ~\n\
                    ----+-------------+---------------+---------+-------------\n  \
                    7 | Radia Vogel | ~r***@***.com | (null)  | ~******5433\n\
                    ~ masked: email, card\n(1 row)";
    assert_eq!(timeless(&sitting.ask(sql)), expected);
    let answer = timeless(&sitting.ask("select name, email from customers where id = 7 \\gx"));
    assert_eq!(
        answer,
        "-[ 1 ]----\nname    | Radia Vogel\nemail ~ | ~r***@***.com\n~ masked: email\n(1 row)"
    );
    // Prepared statements, cursors and several statements in one line.
    sitting.ask("prepare p as select email from customers where id = $1;");
    assert!(sitting.ask("execute p (7);").contains(" ~r***@***.com"));
    sitting.ask("begin;");
    sitting.ask("declare c cursor for select email, id from customers order by id;");
    assert!(
        sitting
            .ask("fetch 2 from c;")
            .contains(" ~l***@***.com |  1")
    );
    sitting.ask("rollback;");
    let answer =
        sitting.ask("select 1 as one; select email from customers where id = 7; select 2 as two;");
    assert_eq!(answer.matches('~').count(), 3, "{answer}");
    // What is not masked is not marked.
    assert!(
        !sitting
            .ask("select id, name from customers where id < 9;")
            .contains('~')
    );
    let escapes = sitting.terminal.colors();
    assert!(!escapes.contains("\x1b["), "{escapes:?}");
    drop(sitting);
    let colored = Sitting::start(&demo);
    colored.ask("select email from customers where id = 7;");
    let shown = colored.terminal.colors();
    assert!(shown.contains("\x1b[35m~r***@***.com"), "{shown:?}");
}

#[test]
fn tables_fit_the_terminal() {
    let demo = Demo::start();
    let sitting = Sitting::with(&connect(&demo, &[]), 60, 40);
    let width = |columns: usize| {
        let answer = timeless(&sitting.ask("select * from orders where id < 4;"));
        let longest = answer.lines().map(|line| line.chars().count()).max();
        assert!(longest.unwrap() <= columns, "{answer}");
        answer
    };
    let long = format!(
        "select 1 as n, repeat('long ', 30) as text, '{}' as more;",
        "é".repeat(9)
    );
    let answer = timeless(&sitting.ask(&long));
    assert!(
        answer.contains('…') || answer.contains("-[ 1 ]"),
        "{answer}"
    );
    sitting.ask("\\x off");
    let answer = timeless(&sitting.ask(&long));
    assert!(
        answer.lines().all(|line| line.chars().count() <= 60),
        "{answer}"
    );
    assert!(answer.contains("long…") || answer.contains("…"), "{answer}");
    assert!(answer.contains("éééééé"), "{answer}");
    width(60);
    // It is asked for anew with every statement.
    sitting.terminal.resize(140, 40);
    sitting.terminal.until("a wider terminal", |_| {
        sitting.terminal.fact("pane_width") == "140"
    });
    sitting.ask("\\x auto");
    let wide = width(140);
    assert!(
        wide.contains("placed_at") && wide.lines().next().unwrap().chars().count() > 60,
        "{wide}"
    );
    assert!(!wide.contains('…'), "{wide}");
}

#[test]
fn nothing_from_the_database_acts_on_the_terminal() {
    let demo = Demo::start();
    // Title, clipboard, screen, cursor, C1, bidirectional and invisible characters: shown, not sent.
    let evil = "E'evil\\x1b]0;owned\\x07\\x1b]52;c;b3duZWQ=\\x07\\x1b[2J\\x1b[1;1H\\u009b2J\\u202egpj\\u2066\\u200b'";
    let seen = "evil\\x1b]0;owned\\x07\\x1b]52;c;b3duZWQ=\\x07\\x1b[2J\\x1b[1;1H\\x9b2J\\u{202e}gpj\\u{2066}\\u{200b}";
    // Names that somebody else has given.
    let hidden = format!(
        "do $$ begin execute format('create table %1$I (%1$I int); insert into %1$I values (1); \
         comment on column %1$I.%1$I is %1$L', {evil}); end $$"
    );
    let (text, code) = sh(
        r#"psql -XAtq "$1" -c "$2""#,
        &[demo.said("admin_dsn"), &hidden],
    );
    assert_eq!(code, 0, "{text}");
    let sitting = Sitting::with(&connect(&demo, &[]), 200, 40);
    let terminal = &sitting.terminal;
    let title = terminal.fact("pane_title");
    let has = |line: &str, expected: &str| {
        let answer = timeless(&sitting.ask(line));
        assert!(
            answer.contains(expected),
            "{line}: {expected} is not in\n{answer}"
        );
    };
    has(&format!("select {evil} as text \\gx"), seen);
    has(&format!("select {evil} as text;"), seen);
    has(
        &format!("select {evil}::int;"),
        &format!("error: invalid input syntax for type integer: \"{seen}\""),
    );
    has(&format!("copy (select {evil}) to stdout;"), "]0;owned");
    has("\\dt", seen);
    has("\\d+ evil*", &format!("Table \"public.{seen}\""));
    has("\\d evil*", " evil\\x1b]0;owned\\x07\\x1b]52");
    has("table nowhere;", "error: ");
    // The names are not offered for completion: they would be written as they are.
    terminal.keys("select * from evi");
    terminal.expect("from evi");
    terminal.press(&["Tab", "Tab"]);
    terminal.keys("l");
    terminal.expect("select * from evil");
    terminal.press(&["C-c"]);
    sitting.ready();
    has(&format!("notify somebody, {evil};"), "NOTIFY");
    // For programs the strings are what they are, but no terminal acts on them.
    let words = ["exec", "prod", "--output", "json", "-c"];
    let sql = format!("select {evil} as text");
    let output = demo
        .command("engineer", &[&words[..], &[&sql]].concat())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(['\x1b', '\u{9b}', '\u{202e}']), "{text:?}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let value = document["results"][0]["rows"][0]["text"].as_str().unwrap();
    assert!(value.starts_with("evil\x1b]0;owned\x07"), "{value:?}");
    assert_eq!(terminal.fact("pane_title"), title);
    assert_eq!(terminal.ask(&["list-buffers"]), "");
    assert!(
        terminal.all().contains("Connected to `prod`"),
        "nothing was cleared"
    );
}
