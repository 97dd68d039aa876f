//! The end of sessions, with the built binary: by every cause and in every state (row C1), with a broker that is killed (C2, C3)
//! or stopped in the middle (C10).

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dbgate::api::types;
use futures_util::StreamExt as _;
use rustix::process::Signal;
use tokio_postgres::Client;

use crate::harness::long;
use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, Engineer, Entered, Site, connect};
use crate::harness::world::policy_text;

/// What a client is doing when its session ends.
const STATES: [&str; 6] = ["idle", "transaction", "sleep", "rows", "copy", "listen"];

/// Why it ends.
const CAUSES: [&str; 4] = ["expiry", "kill", "logout", "policy"];

/// What is seen of a session's lease by the database.
struct Seen<'a> {
    client: &'a Client,
    like: String,
}

impl Seen<'_> {
    async fn pids(&self) -> Vec<i32> {
        let sql = "SELECT pid FROM pg_stat_activity WHERE usename LIKE $1";
        let rows = self.client.query(sql, &[&self.like]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until these backends and the role are gone.
    async fn gone(&self, pids: &[i32], what: &str) {
        let since = Instant::now();
        let sql = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1) AND usename LIKE $2) \
                        + (SELECT count(*) FROM pg_roles WHERE rolname LIKE $2)";
        loop {
            let row = self.client.query_one(sql, &[&pids, &self.like]).await;
            if row.unwrap().get::<_, i64>(0) == 0 {
                return;
            }
            assert!(
                since.elapsed() < Duration::from_secs(15),
                "{what}: the lease stays"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A client at work: what it is told at the end and when its last row came, and the sign for psql to look up.
type Occupied = (tokio::task::JoinHandle<(String, Instant)>, Arc<AtomicBool>);

/// Brings a client into a state; what it is told at the end comes out of the task. Rows that come later than a second after
/// the end was complete are counted against it.
fn occupy(entered: Entered, state: &'static str) -> Occupied {
    let over = Arc::new(AtomicBool::new(false));
    let sign = Arc::clone(&over);
    let task = tokio::spawn(async move {
        let Entered {
            client,
            ended,
            granted,
            ..
        } = entered;
        let mut last = Instant::now();
        if state == "copy" {
            drop(client);
            let said = tokio::task::spawn_blocking(move || copy(&granted, &over));
            return (said.await.unwrap(), last);
        }
        let told = match state {
            "transaction" => {
                client
                    .batch_execute("BEGIN; SELECT count(*) FROM customers")
                    .await
            }
            "sleep" => client.batch_execute("SELECT pg_sleep(60)").await,
            "listen" => client.batch_execute("LISTEN news").await,
            "rows" => {
                let sql =
                    "SELECT a.id, b.name FROM customers a, customers b, customers c, customers d";
                match client.query_raw(sql, Vec::<i32>::new()).await {
                    Ok(rows) => {
                        let mut rows = std::pin::pin!(rows);
                        loop {
                            match rows.next().await {
                                Some(Ok(_)) => last = Instant::now(),
                                Some(Err(error)) => break Err(error),
                                None => break Ok(()),
                            }
                        }
                    }
                    // The end came before the first row.
                    Err(error) => Err(error),
                }
            }
            _ => Ok(()),
        };
        let mut texts = Vec::new();
        texts.extend(told.err().map(|error| describe(&error)));
        let ended = ended.await.unwrap();
        texts.extend(ended.err().map(|error| describe(&error)));
        drop(client);
        (texts.join(" | "), last)
    });
    (task, sign)
}

/// psql in the middle of a COPY: a driver that only sends would not read what it is told. What it says.
fn copy(granted: &types::Granted, over: &AtomicBool) -> String {
    let mut child = Command::new("psql")
        .args(["--no-psqlrc", "-c", "COPY customers (id, name) FROM STDIN"])
        .env("PGHOST", &granted.gateway.host)
        .env("PGPORT", granted.gateway.port.to_string())
        .env("PGUSER", &granted.user)
        .env("PGPASSWORD", &granted.secret)
        .env("PGDATABASE", &granted.session.database)
        .env("PGSSLMODE", "disable")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql is installed");
    let mut stdin = child.stdin.take().unwrap();
    for number in 1_000_000.. {
        let written = writeln!(stdin, "{number}\tx").and_then(|()| stdin.flush());
        let over = over.load(Ordering::SeqCst);
        if over || written.is_err() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || error.to_string(),
        |said| format!("{} {}", said.code().code(), said.message()),
    )
}

/// Ends sessions of all states by one cause; how long each took.
async fn round(stage: &Stage<'_>, cause: &'static str) -> Vec<Duration> {
    let engineer = stage.site.engineer(stage.broker).await;
    let seconds = if cause == "expiry" { 3 } else { 600 };
    let mut ending = Vec::new();
    for state in STATES {
        let entered = engineer.enter(seconds).await;
        let seen = Seen {
            client: stage.postgres,
            like: format!("dbgate%{}%", entered.id),
        };
        let (id, ends) = (entered.id.clone(), entered.granted.session.ends.clone());
        let granted = entered.granted.clone();
        let told = occupy(entered, state);
        ending.push((state, id, ends, granted, seen, told));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut pids = Vec::new();
    for (state, .., seen, _) in &ending {
        let found = seen.pids().await;
        assert!(
            cause == "expiry" || found.len() == 1,
            "{cause} {state}: {found:?}"
        );
        pids.push(found);
    }
    let mut since = Instant::now();
    match cause {
        "kill" => {}
        "logout" => {
            let logout = types::Logout::default();
            engineer.remote.logout(&logout).await.unwrap();
        }
        "policy" => {
            let text = policy_text(stage.offer, "")
                .replace("groups = [\"engineers\"]", "groups = [\"x\"]");
            stage.site.write("policy.toml", &text);
            // What counts is when the policy is in force; the file is looked at every second.
            while !stage
                .broker
                .lines()
                .iter()
                .any(|line| line["message"] == "the policy was loaded")
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            since = Instant::now();
        }
        _ => {
            let (_, _, ends, ..) = ending.last().unwrap();
            let ends: jiff::Timestamp = ends.parse().unwrap();
            let left = ends.duration_since(jiff::Timestamp::now());
            tokio::time::sleep(left.try_into().unwrap_or_default()).await;
            since = Instant::now();
        }
    }
    let mut spans = Vec::new();
    for ((state, id, _, granted, seen, (told, sign)), pids) in ending.into_iter().zip(pids) {
        let what = format!("{cause} {state}");
        if cause == "kill" {
            since = Instant::now();
            engineer.remote.end_session(&id).await.unwrap();
        }
        seen.gone(&pids, &what).await;
        let took = since.elapsed();
        let over = Instant::now();
        sign.store(true, Ordering::SeqCst);
        assert!(took < Duration::from_secs(3), "{what}: {took:?}");
        spans.push(took);
        let (text, last) = tokio::time::timeout(Duration::from_secs(5), told)
            .await
            .unwrap_or_else(|_| panic!("{what}: the client waits on"))
            .unwrap();
        assert!(
            text.contains("the dbgate session has ended"),
            "{what}: it was told {text:?}"
        );
        // Rows of before the end may still be on their way through the client's buffers for a moment.
        let late = last.saturating_duration_since(over);
        assert!(
            late < Duration::from_secs(1),
            "{what}: rows {late:?} after the end"
        );
        let again = connect(&granted, &stage.offer.name).await;
        let code = again.err().and_then(|error| error.code().cloned());
        assert!(code.is_some(), "{what}: the credential still works");
    }
    if cause == "policy" {
        stage
            .site
            .write("policy.toml", &policy_text(stage.offer, ""));
        let loaded = |lines: &[serde_json::Value]| {
            lines
                .iter()
                .filter(|line| line["message"] == "the policy was loaded")
                .count()
        };
        let before = loaded(&stage.broker.lines());
        while loaded(&stage.broker.lines()) == before && before % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    spans
}

/// What the rounds of a test share.
struct Stage<'a> {
    site: &'a Site,
    broker: &'a Broker,
    offer: &'a Offer,
    postgres: &'a Client,
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_session_ends_in_every_state_by_every_cause_and_its_client_is_told_why() {
    let rounds = if long() { 50 } else { 1 };
    let server = Server::shared();
    let offer = server.offer().await;
    let postgres = server.superuser(&offer.name).await;
    let mut spans = Vec::new();
    for _ in 0..rounds {
        for cause in CAUSES {
            let site = Site::new(&server, &offer);
            let broker = site.run();
            let stage = Stage {
                site: &site,
                broker: &broker,
                offer: &offer,
                postgres: &postgres,
            };
            spans.extend(round(&stage, cause).await);
        }
    }
    spans.sort();
    let at = |part: usize| spans[(spans.len() - 1) * part / 100];
    println!(
        "{} states × {} causes × {rounds}: p50 {:?}, p99 {:?}, max {:?}",
        STATES.len(),
        CAUSES.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(!long() || at(99) <= Duration::from_secs(1), "{:?}", at(99));
}

/// How many roles of leases hang on a database's roles, and how many of them may log in.
async fn leases(postgres: &Client, offer: &Offer) -> (i64, i64) {
    let sql = "SELECT count(DISTINCT r.oid), count(DISTINCT r.oid) FILTER (WHERE r.rolcanlogin) \
               FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member \
               WHERE m.roleid IN ($1::text::regrole, $2::text::regrole) AND r.rolname LIKE 'dbgate%'";
    let roles = (offer.role("reader"), offer.role("writer"));
    let row = postgres
        .query_one(sql, &[&roles.0, &roles.1])
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

async fn crowd(engineer: &Arc<Engineer>, count: usize) -> Vec<Entered> {
    let mut entered = Vec::new();
    while entered.len() < count {
        let few = (count - entered.len()).min(8);
        let tasks: Vec<_> = (0..few)
            .map(|_| {
                let engineer = Arc::clone(engineer);
                tokio::spawn(async move { engineer.enter(600).await })
            })
            .collect();
        for task in tasks {
            entered.push(task.await.unwrap());
        }
    }
    entered
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_c3_after_a_kill_of_the_broker_backends_end_and_the_next_start_ends_the_leases() {
    let count = if long() { 200 } else { 30 };
    let server = Server::shared();
    let offer = server.offer().await;
    let postgres = server.superuser(&offer.name).await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = Arc::new(site.engineer(&broker).await);
    let entered = crowd(&engineer, count).await;
    let mut working = Vec::new();
    for (number, entered) in entered.into_iter().enumerate() {
        working.push(occupy(
            entered,
            ["idle", "sleep", "transaction"][number % 3],
        ));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'dbgate%'";
    let rows = postgres.query(sql, &[]).await.unwrap();
    let pids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(pids.len(), count, "every session has its backend");
    let killed = Instant::now();
    broker.kill();
    // By process id, not by name: a dropped role's backend would have none.
    let left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1)";
    while postgres
        .query_one(left, &[&pids])
        .await
        .unwrap()
        .get::<_, i64>(0)
        > 0
    {
        assert!(
            killed.elapsed() < Duration::from_secs(5),
            "backends run on without their broker"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let gone = killed.elapsed();
    let (roles, open) = leases(&postgres, &offer).await;
    assert_eq!(
        (roles, open),
        (count as i64, 0),
        "roles stay, closed, while the broker is dead"
    );
    // Other tests have leases on the same server.
    let until = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member \
                 WHERE m.roleid IN ($1::text::regrole, $2::text::regrole) AND r.rolname LIKE 'dbgate%' \
                 AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > now() + interval '601 s')";
    let granted = (offer.role("reader"), offer.role("writer"));
    assert_eq!(
        postgres
            .query_one(until, &[&granted.0, &granted.1])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );
    for (task, _) in working {
        task.await.unwrap();
    }

    let broker = site.run();
    assert_eq!(
        leases(&postgres, &offer).await.0,
        0,
        "leases are left when the port is open"
    );
    println!(
        "{count} sessions: backends gone {gone:?} after the kill; leases gone and port open {:?} after the start",
        broker.started
    );
    assert!(
        broker.started < Duration::from_secs(5),
        "{:?}",
        broker.started
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_broker_that_was_stopped_in_the_middle_extends_no_session() {
    let server = Server::shared();
    let offer = server.offer().await;
    let postgres = server.superuser(&offer.name).await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let entered = engineer.enter(3).await;
    let granted = entered.granted.clone();
    let seen = Seen {
        client: &postgres,
        like: format!("dbgate%{}%", entered.id),
    };
    let pids = seen.pids().await;
    let (sleeping, _) = occupy(entered, "sleep");
    tokio::time::sleep(Duration::from_millis(100)).await;
    broker.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(4)).await;
    // The database keeps the statement's end by itself.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1) AND state = 'active'";
    let busy: i64 = postgres.query_one(busy, &[&pids]).await.unwrap().get(0);
    assert_eq!(busy, 0, "a statement runs past the end of its session");
    broker.signal(Signal::CONT);
    let woken = Instant::now();
    seen.gone(&pids, "after the stop").await;
    assert!(
        woken.elapsed() < Duration::from_secs(3),
        "{:?}",
        woken.elapsed()
    );
    let (text, _) = sleeping.await.unwrap();
    assert!(!text.is_empty(), "the client was not told");
    assert!(connect(&granted, &offer.name).await.is_err());
    println!("gone {:?} after the broker went on", woken.elapsed());
}
