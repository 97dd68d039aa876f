//! `dbgate broker run`, as the built binary: what it says when it cannot serve, how it goes on by itself, how it stops.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::badinput::check;
use crate::harness::postgres::Server;
use crate::harness::site::{Site, Who};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for it, at most so long.
fn wait_for(what: &str, limit: Duration, mut check: impl FnMut() -> bool) -> Duration {
    let since = Instant::now();
    while !check() {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_on_a_data_directory_names_the_first() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let second = site.fail();
    assert_eq!(second.status.code(), Some(7), "{}", said(&second));
    check("two brokers on one data directory", &second);
    let first = broker.child.id().to_string();
    assert!(said(&second).contains(&first), "{}", said(&second));
    // The first one goes on; and when it is killed, the directory is free at once.
    let rows = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(rows.status.success(), "{}", said(&rows));
    broker.kill();
    let again = site.run();
    let rows = site.dbgate(&again, Who::Auditor, &["status"]);
    assert!(rows.status.success(), "{}", said(&rows));
    println!("served after {:?}", again.started);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_fails_for_a_missing_right_names_the_line_that_mends_it() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let postgres = server.superuser(&offer.name).await;
    let (admin, writer) = (offer.role("admin"), offer.role("writer"));
    let lacks = [
        (
            format!("ALTER ROLE {admin} NOCREATEROLE"),
            "can't make roles",
            format!("ALTER ROLE \"{admin}\" CREATEROLE;"),
        ),
        (
            format!("DROP OWNED BY {writer}; DROP ROLE {writer}"),
            "there is no role",
            format!("CREATE ROLE \"{writer}\" NOLOGIN;"),
        ),
    ];
    for (break_it, why, line) in lacks {
        postgres.batch_execute(&break_it).await.unwrap();
        let refused = site.exec(&broker, "SELECT 1");
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let text = said(&refused);
        assert!(text.contains(why), "{text}");
        if break_it.contains("NOCREATEROLE") {
            check("admin role without rights", &refused);
        }
        assert!(text.contains(&line), "{text}");
        assert!(text.contains("dbgate broker check"), "{text}");
        let logged = broker.lines();
        let told = logged
            .iter()
            .any(|line| line["level"] == "ERROR" && line["database"] == offer.name);
        assert!(told, "{logged:?}");
        postgres.batch_execute(&line).await.unwrap();
        if break_it.contains("DROP") {
            let grant = format!("GRANT {writer} TO {admin} WITH ADMIN OPTION");
            postgres.batch_execute(&grant).await.unwrap();
        }
        let rows = site.exec(&broker, "SELECT 1");
        assert!(rows.status.success(), "after {line}: {}", said(&rows));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_starts_without_its_database_says_so_and_recovers_by_itself() {
    let mut server = Server::own();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    server.kill();
    let broker = site.run();
    wait_for("readiness turns red", Duration::from_secs(5), || {
        broker.get(&site, "/readyz").0 == 503
    });
    let (_, text) = broker.get(&site, "/readyz");
    assert!(
        text.contains(&format!("the database `{}` can't be used", offer.name)),
        "{text}"
    );
    assert_eq!(broker.get(&site, "/livez"), (200, "ok\n".to_owned()));
    let refused = site.exec(&broker, "SELECT 1");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let text = said(&refused);
    assert!(
        text.contains("cannot be used now") && text.contains("hint: try again"),
        "{text}"
    );
    let lines = broker.lines();
    let told = lines
        .iter()
        .filter(|line| line["message"] == "the database can't be used");
    assert_eq!(told.count(), 1, "one line for one fact: {lines:?}");

    server.start_again();
    let green = wait_for("readiness turns green", Duration::from_secs(10), || {
        broker.get(&site, "/readyz").0 == 200
    });
    let rows = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(rows.status.success(), "{}", said(&rows));
    let lines = broker.lines();
    let told = lines
        .iter()
        .filter(|line| line["message"] == "the database can be used again");
    assert_eq!(told.count(), 1, "{lines:?}");
    println!("ready {green:?} after the database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_below_the_state_is_said_and_mends_itself() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.edit(
        "data_dir = \"data\"",
        "data_dir = \"data\"\naudit_dir = \"audit\"",
    );
    let broker = site.run_on_small("data");
    let rows = site.exec(&broker, "SELECT 1");
    assert!(rows.status.success(), "{}", said(&rows));

    let full = broker.fill(&site.path("data"));
    // What is left of the last page may still take a change or two.
    let mut refused = site.exec(&broker, "SELECT 1");
    for _ in 0..40 {
        if !refused.status.success() {
            break;
        }
        refused = site.exec(&broker, "SELECT 1");
    }
    let text = said(&refused);
    assert!(!refused.status.success(), "a full disk was not noticed");
    assert!(text.contains("can't write down its state"), "{text}");
    check("disk of the state full", &refused);
    let (status, text) = broker.get(&site, "/readyz");
    assert_eq!(status, 503, "{text}");
    assert!(
        text.contains("the state can't be written") && text.contains("full"),
        "{text}"
    );
    // No lease is left open by what could not be written down.
    drop(full);
    let green = wait_for("readiness turns green", Duration::from_secs(12), || {
        broker.get(&site, "/readyz").0 == 200
    });
    let rows = site.exec(&broker, "SELECT count(*) FROM customers");
    assert!(rows.status.success(), "{}", said(&rows));
    let client = server.superuser(&offer.name).await;
    let leases = "SELECT count(DISTINCT m.member) FROM pg_auth_members m \
                  WHERE m.roleid = $1::text::regrole AND m.member::regrole::text LIKE 'dbgate%'";
    let since = Instant::now();
    loop {
        let left: i64 = client
            .query_one(leases, &[&offer.role("writer")])
            .await
            .unwrap()
            .get(0);
        if left == 0 {
            break;
        }
        assert!(
            since.elapsed() < Duration::from_secs(15),
            "{left} leases are left"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("ready {green:?} after there was room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_an_open_statement_finish_and_ends_all_leases() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let mut broker = site.run();
    let arguments = [
        "exec",
        &offer.name,
        "-c",
        "SELECT pg_sleep(2), 42 AS answer",
        "--output",
        "csv",
    ];
    let running = site
        .start(&broker, Who::Engineer, &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = server.superuser(&offer.name).await;
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                  AND query LIKE 'SELECT pg_sleep(2)%' AND state = 'active'";
    let since = Instant::now();
    while client
        .query_one(sleeps, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(since.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = Instant::now();
    broker.signal(Signal::TERM);
    // Nobody new is let in meanwhile.
    wait_for("the port closes", Duration::from_secs(1), || {
        broker.get(&site, "/livez").0 != 200
    });
    let finished = running.wait_with_output().unwrap();
    assert!(finished.status.success(), "{}", said(&finished));
    assert!(
        String::from_utf8_lossy(&finished.stdout).contains("42"),
        "{finished:?}"
    );
    let status = broker.child.wait().unwrap();
    let took = asked.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let left: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_auth_members m WHERE m.roleid = $1::text::regrole \
             AND m.member::regrole::text LIKE 'dbgate%'",
            &[&offer.role("reader")],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0, "leases are left after a stop");
    println!("stopped {took:?} after it was asked to");

    // Every line is one object with a time, a level and a sentence.
    let text = std::fs::read_to_string(&broker.log).unwrap();
    assert_eq!(text.lines().count(), broker.lines().len(), "{text}");
    for line in broker.lines() {
        for key in ["timestamp", "level", "message", "target"] {
            assert!(line[key].is_string(), "{key} is not in {line}");
        }
    }
    let messages: Vec<_> = broker
        .lines()
        .iter()
        .map(|l| l["message"].to_string())
        .collect();
    assert_eq!(
        messages,
        ["\"serving\"", "\"stopping\"", "\"stopped\""],
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_no_longer_than_the_drain_time() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::with(&server, &offer, "[limits]\ndrain = \"1s\"\n");
    let mut broker = site.run();
    let arguments = ["exec", &offer.name, "-c", "SELECT pg_sleep(60)"];
    let running = site
        .start(&broker, Who::Engineer, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    broker.signal(Signal::TERM);
    let status = broker.child.wait().unwrap();
    let took = asked.elapsed();
    let finished = running.wait_with_output().unwrap();
    assert!(status.success(), "{status}");
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert!(!finished.status.success(), "{}", said(&finished));
    let client = server.superuser(&offer.name).await;
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    let busy: i64 = client.query_one(busy, &[]).await.unwrap().get(0);
    assert_eq!(busy, 0, "the statement runs on after the broker has ended");
    println!("stopped {took:?} after it was asked to, drain time 1 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_log_has_a_line_a_fact_and_the_metrics_are_prometheus() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let rows = site.exec(&broker, "SELECT 1");
    assert!(rows.status.success(), "{}", said(&rows));
    let (status, text) = broker.get(&site, "/metrics");
    assert_eq!(status, 200);
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
    let documented = std::fs::read_to_string("docs/operations.md").unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    assert!(names.len() >= 5, "{text}");
    for name in names {
        assert!(
            documented.contains(name),
            "`{name}` is not in docs/operations.md"
        );
    }
}
