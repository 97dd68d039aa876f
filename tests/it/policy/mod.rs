//! The policy in force: read again as it changes, its mistakes shown, what it refuses explained, the limits it sets kept.

mod timing;

use std::process::Output;
use std::time::{Duration, Instant};

use dbgate::wire::frontend::Message;
use dbgate::wire::row::Format;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::demo::Demo;
use crate::harness::postgres::Server;
use crate::harness::site::{Broker, DBGATE, Engineer, Site, Who};
use crate::harness::wire::{self, Heard, Wire};
use crate::harness::world::policy_text;

const PROTECT: &str =
    "[[protect]]\nname = \"mail\"\ncolumns = [\"public.customers.email\"]\nmask = \"email\"\n";

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The only value of the only row.
fn cell(heard: &[Heard]) -> String {
    let rows = wire::rows(heard);
    assert_eq!(
        (rows.len(), rows[0].len()),
        (1, 1),
        "{:?}",
        wire::error(heard)
    );
    String::from_utf8(rows[0][0].clone().unwrap()).unwrap()
}

/// Waits until a request to the broker answers with that text.
fn until_it_says(broker: &Broker, site: &Site, path: &str, text: &str) {
    let since = Instant::now();
    while !broker.get(site, path).1.contains(text) {
        assert!(since.elapsed() < Duration::from_secs(20), "{path}: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_sessions_follow_a_new_policy_and_mistakes_leave_the_old_one() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let granted = engineer.grant(600).await;
    let (mut wire, _) = Wire::open(&granted, &offer.name, &[]).await;
    let sql = "SELECT email FROM customers WHERE id = 7";
    let prepare = Message::Parse {
        name: "kept",
        sql,
        types: Vec::new(),
    };
    wire.send(&[prepare, Message::Sync]).await;
    wire.until_ready().await;
    let again = async |wire: &mut Wire| {
        let bind = Message::Bind {
            portal: "",
            statement: "kept",
            formats: Vec::new(),
            parameters: Vec::new(),
            results: vec![Format::Binary],
        };
        let execute = Message::Execute {
            portal: "",
            limit: 0,
        };
        wire.send(&[bind, execute, Message::Sync]).await;
        wire.until_ready().await
    };
    assert_eq!(cell(&wire.query(sql).await), "7@example.com");
    assert_eq!(cell(&again(&mut wire).await), "7@example.com");
    // A file that changed is read by itself, and the next statement goes by it.
    let masked = policy_text(&offer, PROTECT);
    site.write("policy.toml", &masked);
    broker.until_policy(&site, &masked).await;
    assert_eq!(cell(&wire.query(sql).await), "***@***.com");
    assert_eq!(cell(&again(&mut wire).await), "***@***.com");
    until_it_says(&broker, &site, "/metrics", "dbgate_policy_refused 0");
    // With mistakes it is not: log, readiness and metrics say so.
    site.write(
        "policy.toml",
        &masked.replace("mask = \"email\"", "mask = \"emial\"\nmore = 1"),
    );
    broker.signal(Signal::HUP);
    until_it_says(
        &broker,
        &site,
        "/readyz",
        "the policy files have 2 mistakes",
    );
    until_it_says(&broker, &site, "/metrics", "dbgate_policy_refused 1");
    assert_eq!(broker.get(&site, "/readyz").0, 200, "the old policy serves");
    let problems = broker.lines();
    let problems = problems.iter().filter_map(|line| line["problem"].as_str());
    let problems: Vec<&str> = problems.collect();
    assert!(
        problems.iter().any(|p| p.contains("did you mean `email`?")),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|p| p.contains("no setting `more` here")),
        "{problems:?}"
    );
    assert_eq!(cell(&wire.query(sql).await), "***@***.com");
    // Mended, with a rule more: by SIGHUP alone.
    let rule = "[[rule]]\nname = \"none\"\neffect = \"deny\"\nreads = [\"public.customers\"]\n";
    let denied = policy_text(&offer, &format!("{PROTECT}{rule}"));
    site.write("policy.toml", &denied);
    broker.signal(Signal::HUP);
    broker.until_policy(&site, &denied).await;
    until_it_says(&broker, &site, "/readyz", "ok");
    let refused = wire::error(&wire.query(sql).await).unwrap();
    assert!(refused.detail.starts_with("Rule `none` at "), "{refused:?}");
    assert_eq!(wire::error(&again(&mut wire).await).unwrap().code, "42501");
    // Who may not come in any more is out.
    let nobody = denied.replace("groups = [\"engineers\"]", "groups = [\"others\"]");
    site.write("policy.toml", &nobody);
    broker.signal(Signal::HUP);
    broker.until_policy(&site, &nobody).await;
    let (tag, body) = wire.next().await;
    let end = wire::error(&[(tag, body)]).unwrap();
    assert_eq!(end.code, "57P01");
    assert!(end.message.contains("policy"), "{end:?}");
}

const MISTAKES: &str = r#"
[[allow]]
name = "all"
groups = ["engineers"]
databases = ["prod"]
do = ["raed"]
roles = ["r"]
requre_reason = true

[[protect]]
columns = ["customers.email"]
mask = "partail"

[limits]
statement_time = "soon"
"#;

#[test]
fn policy_check_shows_all_mistakes_at_once_underlined_with_what_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    std::fs::write(&file, MISTAKES).unwrap();
    let check = || {
        let mut command = std::process::Command::new(DBGATE);
        command
            .args(["policy", "check"])
            .arg(&file)
            .output()
            .unwrap()
    };
    let output = check();
    let (_, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(stderr.contains("the policy has 5 mistakes"), "{stderr}");
    for (line, what, meant) in [
        (
            "8 | requre_reason",
            "there is no setting `requre_reason` here",
            "did you mean `require_reason`?",
        ),
        (
            "6 | do = [\"raed\"]",
            "`raed` is no thing to do",
            "did you mean `read`?",
        ),
        (
            "11 | columns",
            "does not have the form `schema.table.column`",
            "",
        ),
        (
            "12 | mask",
            "`partail` is no mask",
            "did you mean `partial`?",
        ),
        ("15 | statement_time", "soon", ""),
    ] {
        for text in [line, what, meant] {
            assert!(stderr.contains(text), "{text}: {stderr}");
        }
        let shown = stderr
            .lines()
            .skip_while(|shown| !shown.contains(line))
            .nth(1);
        assert!(
            shown.is_some_and(|under| under.contains("^^^^")),
            "{line}: {stderr}"
        );
    }
    std::fs::write(&file, policy_text_of_nobody()).unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
    assert!(said(&output).0.contains("valid"));
}

fn policy_text_of_nobody() -> &'static str {
    "[[allow]]\nname = \"all\"\neveryone = true\ndatabases = [\"prod\"]\ndo = [\"read\"]\nroles = [\"r\"]\n"
}

const TESTS: &str = r#"
[[test]]
name = "mail is masked"
as = { groups = ["engineers"] }
database = "DB"
sql = "select id, email from customers"
expect = "allow"
masked = ["email"]

[[test]]
name = "nobody searches mail"
as = { groups = ["engineers"] }
database = "DB"
sql = "select id from customers where email like 'a%'"
expect = "deny"
rule = "mail"

[[test]]
name = "strangers stay out"
as = { groups = ["others"] }
database = "DB"
sql = "select 1"
expect = "EXPECT"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn policy_test_runs_what_the_author_expects_against_the_real_catalog() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let run = |expect: &str| {
        let tests = TESTS.replace("DB", &offer.name).replace("EXPECT", expect);
        site.write(
            "policy.toml",
            &policy_text(&offer, &format!("{PROTECT}{tests}")),
        );
        let mut command = std::process::Command::new(DBGATE);
        let command = command.args(["policy", "test", "--config"]);
        command.arg(site.path("broker.toml")).output().unwrap()
    };
    let output = run("deny");
    assert_eq!(output.status.code(), Some(0), "{:?}", said(&output));
    let output = run("review");
    let (stdout, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("1 of 3 tests of the policy failed"),
        "{stderr}"
    );
    let failed = stdout
        .lines()
        .find(|line| line.contains("strangers"))
        .unwrap();
    assert!(
        failed.contains("FAILED") && failed.contains("expected review, came deny"),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_footprint_lineage_rules_masks_outcome_and_what_would_change_it() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let rules = "[[rule]]\nname = \"no-drop\"\neffect = \"deny\"\nstatements = [\"drop\"]\n\
                 hint = \"Drop it in a migration.\"\n\
                 [[rule]]\nname = \"two\"\neffect = \"review\"\nwrites = [\"public.customers\"]\napprovers = [\"dba\"]\n";
    site.write(
        "policy.toml",
        &policy_text(&offer, &format!("{PROTECT}{rules}")),
    );
    let broker = site.run();
    let explain = |sql: &str, more: &[&str]| {
        let mut arguments = vec!["explain", &offer.name, "-c", sql];
        arguments.extend(more);
        let output = site.dbgate(&broker, Who::Engineer, &arguments);
        let (stdout, stderr) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        stdout
    };
    let json = |sql: &str| -> Value {
        let text = explain(sql, &["--output", "json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "dbgate.explain/1", "{text}");
        value["statements"][0].clone()
    };
    let read = "SELECT c.id, c.email AS mail FROM customers c WHERE c.email = 'x'";
    let text = explain(read, &[]);
    for line in [
        "SELECT: would run",
        "allowed   by `engineers",
        "reads     public.customers",
        "shows     mail (from public.customers.email), masked: email",
        "uses      public.customers.email for equality: allowed",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let value = json(read);
    assert_eq!(value["outcome"], "allow");
    assert_eq!(value["columns"][1]["from"][0], "public.customers.email");
    assert_eq!(value["columns"][1]["mask"], "email");
    assert_eq!(value["uses"][0]["how"], "equality");
    let drop = "SELECT 1; DROP TABLE customers";
    let text = explain(drop, &[]);
    for line in [
        "would be refused",
        "rule      `no-drop` (deny) at ",
        "to change Drop it in a migration.",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let value: Value = serde_json::from_str(&explain(drop, &["--output", "json"])).unwrap();
    let against = &value["statements"][1]["denials"][0];
    assert_eq!(against["position"], 11, "{against}");
    assert_eq!(value["statements"][1]["rules"][0]["effect"], "deny");
    let text = explain("UPDATE customers SET name = 'x' WHERE id = 7", &[]);
    assert!(
        text.contains("would wait for 1 of dba (rule `two`)"),
        "{text}"
    );
    let value = json("SELECT upper(email) FROM customers");
    assert_eq!(value["outcome"], "deny");
    assert_eq!(value["columns"][0]["origin"], "computed");
    assert!(
        value["denials"][0]["hint"]
            .as_str()
            .unwrap()
            .contains("masked")
    );
}

/// What each starter rule stops, as a client sends it.
const STOPPED: [(&str, &str, &str); 33] = [
    ("no-drop", "DROP", "DROP TABLE orders"),
    ("no-drop", "DROP", "DROP SCHEMA public CASCADE"),
    ("no-drop", "DROP", "DROP VIEW IF EXISTS nothing"),
    ("no-drop", "DROP", "DROP INDEX orders_customer_id_idx"),
    ("no-truncate", "TRUNCATE", "TRUNCATE orders CASCADE"),
    (
        "no-alter-drop",
        "ALTER",
        "ALTER TABLE orders DROP COLUMN note",
    ),
    (
        "no-alter-drop",
        "ALTER",
        "ALTER TABLE orders ADD x int, DROP CONSTRAINT orders_pkey",
    ),
    (
        "no-unrestricted-write",
        "UPDATE",
        "UPDATE products SET stock = 0",
    ),
    (
        "no-unrestricted-write",
        "UPDATE",
        "UPDATE products SET stock = 0 WHERE true",
    ),
    (
        "no-unrestricted-write",
        "UPDATE",
        "UPDATE products SET stock = 0 WHERE 1=1",
    ),
    (
        "no-unrestricted-write",
        "UPDATE",
        "UPDATE products SET stock = 0 WHERE id = id",
    ),
    (
        "no-unrestricted-write",
        "UPDATE",
        "UPDATE products SET stock = 0 WHERE coalesce(id, 1) = coalesce(id, 1)",
    ),
    ("no-unrestricted-write", "DELETE", "DELETE FROM products"),
    (
        "no-unrestricted-write",
        "DELETE",
        "DELETE FROM products WHERE 'a' = 'a' OR id = 7",
    ),
    (
        "no-unrestricted-write",
        "WITH",
        "WITH x AS (DELETE FROM products RETURNING id) SELECT id FROM x",
    ),
    (
        "no-unrestricted-write",
        "PREPARE",
        "PREPARE d AS DELETE FROM products",
    ),
    ("no-server-access", "COPY", "COPY orders TO PROGRAM 'cat'"),
    (
        "no-server-access",
        "COPY",
        "COPY products FROM PROGRAM 'echo'",
    ),
    ("no-server-access", "COPY", "COPY orders TO '/tmp/orders'"),
    (
        "no-server-access",
        "COPY",
        "COPY products FROM '/etc/passwd'",
    ),
    (
        "no-server-access",
        "SELECT",
        "SELECT pg_read_file('/etc/passwd')",
    ),
    (
        "no-server-access",
        "SELECT",
        "SELECT lo_import('/etc/passwd')",
    ),
    ("no-role-changes", "CREATE", "CREATE ROLE mallory SUPERUSER"),
    (
        "no-role-changes",
        "ALTER",
        "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
    ),
    ("no-role-changes", "DROP", "DROP ROLE dbgate_write"),
    ("no-role-hazards", "SET", "SET ROLE postgres"),
    (
        "no-role-hazards",
        "SET",
        "SET SESSION AUTHORIZATION postgres",
    ),
    (
        "no-role-hazards",
        "SELECT",
        "SELECT set_config('role', 'postgres', false)",
    ),
    (
        "no-role-hazards",
        "ALTER",
        "ALTER TABLE orders OWNER TO postgres",
    ),
    ("no-grant", "GRANT", "GRANT SELECT ON customers TO PUBLIC"),
    (
        "no-grant",
        "REVOKE",
        "REVOKE SELECT ON orders FROM dbgate_read",
    ),
    ("no-lock", "LOCK", "LOCK TABLE orders"),
    ("no-lock", "LOCK", "LOCK orders IN SHARE MODE NOWAIT"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_starter_rule_refuses_with_rule_file_line_hint_and_position() {
    let demo = Demo::start();
    let session = demo.session();
    let (client, connection) = session.config().connect(session.tls()).await.unwrap();
    tokio::spawn(connection);
    let policy = std::fs::read_to_string(demo.said("policy_file")).unwrap();
    for (rule, word, sql) in STOPPED {
        let name = format!("name = \"{rule}\"");
        let line = policy.lines().position(|line| line == name).unwrap();
        let place = format!("Rule `{rule}` at {}:{line}.", demo.said("policy_file"));
        for (how, text, position) in [
            ("simple", sql.to_owned(), 1),
            ("second", format!("SELECT 'ä';\n  {sql}"), 15),
            ("extended", format!("  {sql}"), 3),
        ] {
            let error = match how {
                "extended" => client.prepare(&text).await.map(drop),
                _ => client.batch_execute(&text).await,
            };
            let error = error
                .err()
                .unwrap_or_else(|| panic!("{how}: {text}: it ran"));
            let error = error
                .as_db_error()
                .unwrap_or_else(|| panic!("{text}: {error}"));
            assert_eq!(error.code().code(), "42501", "{text}: {error:?}");
            assert_eq!(error.detail(), Some(place.as_str()), "{text}: {error:?}");
            assert!(
                error.hint().is_some_and(|hint| hint.len() > 10),
                "{text}: {error:?}"
            );
            assert!(
                error.message().ends_with("is denied on `prod`"),
                "{text}: {error:?}"
            );
            let at = tokio_postgres::error::ErrorPosition::Original(position);
            assert_eq!(error.position(), Some(&at), "{text}: {error:?}");
            assert!(
                text.chars()
                    .skip(position as usize - 1)
                    .collect::<String>()
                    .starts_with(word)
            );
        }
    }
    let rows = client
        .query_one("SELECT count(*) FROM products", &[])
        .await
        .unwrap();
    assert!(rows.get::<_, i64>(0) > 0, "nothing was changed");
    client
        .batch_execute("PREPARE p AS SELECT name FROM orders_of")
        .await
        .unwrap_err();
    println!("{} statements, each in three forms", STOPPED.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_resolve_do_not_load_the_database() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, PROTECT));
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let granted = engineer.grant(600).await;
    let postgres = server.superuser("postgres").await;
    let commits = async || -> i64 {
        // The server tells its counters at most once a second.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let sql = format!(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = '{}'",
            offer.name
        );
        postgres.query_one(&sql, &[]).await.unwrap().get(0)
    };
    let mut wires = Vec::new();
    for _ in 0..4 {
        wires.push(Wire::open(&granted, &offer.name, &[]).await.0);
    }
    let window = Duration::from_secs(3);
    let first = commits().await;
    tokio::time::sleep(window).await;
    let before = commits().await;
    let idle = before - first;
    let since = Instant::now();
    let mut tasks = Vec::new();
    for mut wire in wires {
        tasks.push(tokio::spawn(async move {
            let mut refused = 0;
            while since.elapsed() < window {
                let error = wire::error(&wire.query("SELECT x FROM nowhere").await).unwrap();
                assert_eq!(error.code, "42P01");
                refused += 1;
            }
            refused
        }));
    }
    let mut refused = 0;
    for task in tasks {
        refused += task.await.unwrap();
    }
    let took = i64::try_from(since.elapsed().as_millis()).unwrap();
    let asked = commits().await - before;
    println!("{refused} refusals in {window:?}: {asked} transactions, {idle} without them");
    // A look every 50 ms at most, which takes two: it is prepared, and run. What goes on without them comes in unequal pieces.
    let most = 2 * (took / 50 + 5 + idle);
    assert!(asked <= most, "{asked} of {most}");
    assert!(refused >= 20, "{refused}");
    found_at_once(&engineer, &server).await;
}

/// What was made beside the gateway a moment ago is found by the look.
async fn found_at_once(engineer: &Engineer, server: &Server) {
    let database = engineer.database();
    let (mut wire, _) = Wire::open(&engineer.grant(600).await, database, &[]).await;
    let postgres = server.superuser(database).await;
    for n in 0..5 {
        let sql =
            format!("CREATE TABLE late_{n} AS SELECT 1 AS x; GRANT SELECT ON late_{n} TO PUBLIC");
        postgres.batch_execute(&sql).await.unwrap();
        let heard = wire.query(&format!("SELECT x::text FROM late_{n}")).await;
        assert_eq!(cell(&heard), "1");
    }
    // A prepared statement whose names mean something else says what helps.
    assert_eq!(
        wire::error(&wire.query("PREPARE p AS SELECT * FROM late_0").await),
        None
    );
    postgres
        .batch_execute("ALTER TABLE late_0 ADD y int")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let error = wire::error(&wire.query("EXECUTE p").await).unwrap();
    assert_eq!(error.code, "0A000", "{error:?}");
    assert!(error.hint.contains("DEALLOCATE"), "{error:?}");
}
