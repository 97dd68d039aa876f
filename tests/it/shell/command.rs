//! Prompt, backslash commands, and what the shell says of errors.

use std::fs;

use crate::harness::demo::Demo;
use crate::shell::{Sitting, timeless};

#[test]
fn the_prompt_tells_where_one_is() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    assert_eq!(sitting.prompt(), "prod write =>");
    assert_eq!(timeless(&sitting.ask("begin;")), "BEGIN");
    assert_eq!(sitting.prompt(), "prod write =*>");
    let answer = timeless(&sitting.ask("select nme from customers;"));
    assert_eq!(
        answer,
        "error: column \"nme\" does not exist\nline 1: select nme from customers\n               ^"
    );
    assert_eq!(sitting.prompt(), "prod write =!>");
    let answer = timeless(&sitting.ask("select 1;"));
    assert!(
        answer.starts_with("error: current transaction is aborted"),
        "{answer}"
    );
    assert_eq!(timeless(&sitting.ask("rollback;")), "ROLLBACK");
    assert_eq!(sitting.prompt(), "prod write =>");
    let left = sitting.ready();
    assert!(left.contains("60m =>") || left.contains("59m =>"), "{left}");
    // Notices and warnings of the database.
    assert_eq!(
        timeless(&sitting.ask("create table if not exists orders (id int);")),
        "notice: relation \"orders\" already exists, skipping\nCREATE TABLE"
    );
    assert_eq!(
        timeless(&sitting.ask("rollback;")),
        "warning: there is no transaction in progress\nROLLBACK"
    );
    let words = ["connect", "prod", "--duration", "60s", "--reason", "a test"];
    let reading = Sitting::with(&demo.command("engineer", &words), 100, 40);
    assert_eq!(reading.prompt(), "prod read =>");
    assert!(reading.ready().trim_end().ends_with("s =>"));
    let answer = timeless(&reading.ask("insert into products (sku) values ('x');"));
    assert!(answer.starts_with("error: "), "{answer}");
}

#[test]
fn backslash_commands_look_around() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let has = |line: &str, expected: &[&str]| {
        let answer = timeless(&sitting.ask(line));
        for text in expected {
            assert!(answer.contains(text), "{line}: {text} is not in\n{answer}");
        }
        answer
    };
    has("\\?", &["\\copy T FROM FILE", "\\why", "Ctrl-D, \\q"]);
    has(
        "\\d",
        &[
            "List of relations",
            " public | customers ",
            "| view ",
            "| sequence ",
        ],
    );
    let tables = has("\\dt", &[" public | orders        | table"]);
    assert!(
        !tables.contains("view") && !tables.contains("sequence"),
        "{tables}"
    );
    has("\\dv", &["unpaid_orders"]);
    has("\\di", &["customers_pkey"]);
    has("\\ds", &["orders_id_seq"]);
    has("\\dt pay*", &["payments"]);
    has("\\dn", &["List of schemas", " public"]);
    has("\\l", &["List of databases", " prod "]);
    has("\\du", &["dbgate_admin", "Superuser"]);
    has("\\df", &["List of functions", "(0 rows)"]);
    has("\\df pg_sleep", &["pg_sleep", "double precision"]);
    has(
        "\\d orders",
        &[
            "Table \"public.orders\"",
            " customer_id | bigint                   | not null |",
            "'new'::order_status",
            "\"orders_pkey\" PRIMARY KEY, btree (id)",
            "FOREIGN KEY (customer_id) REFERENCES customers(id)",
            "TABLE payments CONSTRAINT",
        ],
    );
    has("\\d+ customers", &["Description", "payment card number"]);
    has(
        "\\d unpaid_orders",
        &[
            "View \"public.unpaid_orders\"",
            "View definition:",
            "SELECT",
        ],
    );
    has(
        "\\d nothing",
        &["error: there is no relation `nothing` that this session may see"],
    );
    has(
        "\\timng",
        &["there is no command `\\timng`; did you mean `\\timing`?"],
    );
    has(
        "\\conninfo",
        &[
            "You are ada@demo.example, connected to `prod` to write",
            "PostgreSQL 1",
        ],
    );
}

#[test]
fn backslash_commands_change_what_is_shown() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let ask = |line: &str| timeless(&sitting.ask(line));
    assert_eq!(ask("\\x"), "Columns are shown one below the other.");
    assert_eq!(
        ask("select 1 as one, 'b' as two;"),
        "-[ 1 ]\none | 1\ntwo | b\n(1 row)"
    );
    assert_eq!(ask("\\x off"), "Columns are shown side by side.");
    assert_eq!(ask("select 1 as one;"), " one\n-----\n   1\n(1 row)");
    assert_eq!(ask("select 1 as one \\gx"), "-[ 1 ]\none | 1\n(1 row)");
    assert_eq!(ask("select 2 as two \\g"), " two\n-----\n   2\n(1 row)");
    assert_eq!(
        ask("\\x auto"),
        "Columns are shown side by side where they fit."
    );
    assert!(sitting.ask("select 1;").contains("\ntime: "));
    assert_eq!(ask("\\timing"), "Timing is off.");
    assert!(!sitting.ask("select 1;").contains("time: "));
    assert_eq!(ask("\\timing on"), "Timing is on.");
}

#[test]
fn files_are_run_read_and_written() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let ask = |line: &str| timeless(&sitting.ask(line));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sql = "select 'from a file' as text;\n\nselect 1\n  / 0;\nselect 'not reached';\n";
    fs::write(path("a.sql"), sql).unwrap();
    let answer = ask(&format!("\\i {}", path("a.sql")));
    assert!(answer.contains(" from a file"), "{answer}");
    assert!(
        answer.contains(&format!("error: {}:3: division by zero", path("a.sql"))),
        "{answer}"
    );
    assert!(!answer.contains("not reached"), "{answer}");
    let answer = ask("\\i /nonexistent.sql");
    assert!(
        answer.starts_with("error: read `/nonexistent.sql`: "),
        "{answer}"
    );

    ask("create table shell_rows (id int, note text);");
    fs::write(path("rows.csv"), "id,note\n1,one\n2,\"two, or so\"\n").unwrap();
    let line = format!(
        "\\copy shell_rows from '{}' with (format csv, header)",
        path("rows.csv")
    );
    assert_eq!(ask(&line), "COPY 2");
    assert!(ask("select note from shell_rows;").contains(" two, or so"));
    let line = format!("\\copy shell_rows to {}", path("out.txt"));
    assert_eq!(ask(&line), "COPY 2");
    assert_eq!(
        fs::read_to_string(path("out.txt")).unwrap(),
        "1\tone\n2\ttwo, or so\n"
    );
    let query = "(select name, email from customers where id = 7)";
    let line = format!("\\copy {query} to {} csv", path("masked.csv"));
    assert_eq!(ask(&line), "COPY 1");
    assert_eq!(
        fs::read_to_string(path("masked.csv")).unwrap(),
        "Radia Vogel,r***@***.com\n"
    );
    // A line that does not fit is told with the database's words, and the shell goes on.
    fs::write(path("bad.csv"), "1\tone\nx\ttwo\n").unwrap();
    let answer = ask(&format!("\\copy shell_rows from {}", path("bad.csv")));
    assert!(
        answer.contains("error: invalid input syntax for type integer"),
        "{answer}"
    );
    assert!(answer.contains("line 2"), "{answer}");
    // A refused COPY swallows its data.
    let answer = ask(&format!("\\copy payments from {}", path("bad.csv")));
    assert!(
        answer.starts_with("error: ") || answer.starts_with("notice: "),
        "{answer}"
    );
    assert!(ask("\\copy shell_rows from program 'ls'").contains("programs are not run"));
    assert!(
        ask("\\copy shell_rows to /nonexistent/x").starts_with("error: write `/nonexistent/x`")
    );
    assert!(ask("select count(*) as n from shell_rows;").contains(" 2"));
}

#[test]
fn a_refusal_is_explained() {
    let demo = Demo::start();
    let sitting = Sitting::start(&demo);
    let ask = |line: &str| timeless(&sitting.ask(line));
    assert_eq!(ask("\\why"), "Nothing was refused in this sitting.");
    let answer = ask("select id, upper(email) from customers;");
    assert!(
        answer.contains("hint: \\why explains the refusal"),
        "{answer}"
    );
    let answer = ask("\\why");
    for text in [
        "  select id, upper(email) from customers\n",
        "was refused: ",
        "Protection `customer-email` at ",
        "SELECT: would be refused",
        "uses      public.customers.email for computation: refused",
        "to change Select the column as it is; it is then shown masked.",
    ] {
        assert!(answer.contains(text), "{text} is not in\n{answer}");
    }
    // Nobody who looks over the shoulder learns a password by it.
    ask("alter role somebody password 'quite-secret';");
    let answer = ask("\\why");
    assert!(
        answer.contains("alter role somebody password '***'"),
        "{answer}"
    );
    assert!(!answer.contains("quite-secret"), "{answer}");
}
