//! A broker that does not start, or runs out of disk.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::badinput::{Said, check};
use crate::harness::long;
use crate::harness::peer::{self, Peer};
use crate::harness::postgres::Server;
use crate::harness::site::{DBGATE, Site};

/// Five mistakes, each of its own kind.
const WRONG: &str = r#"[[allow]]
name = "engineers"
groups = ["engineers"]
databases = ["prod"]
do = ["reed"]
roles = ["reader"]
max_duration = "8 parsecs"

[[protect]]
columns = ["public.customers.email"]
mask = "redakt"
claer_for = ["reviewers"]

[[rule]]
name = "no-drop"
effect = "forbid"
statements = ["drop"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_start_says_what_to_mend() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let absent = Command::new(DBGATE)
        .args(["broker", "run", "--config", "/nonexistent/broker.toml"])
        .output()
        .unwrap();
    check("broker without configuration", &absent);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    site.edit("127.0.0.1:0", &port);
    check("port in use", &site.fail());
    site.edit(&port, "127.0.0.1:0");
    std::fs::rename(site.path("server.pem"), site.path("away.pem")).unwrap();
    check("certificate missing", &site.fail());
    std::fs::rename(site.path("away.pem"), site.path("server.pem")).unwrap();

    site.write("policy.toml", WRONG);
    let checked = Command::new(DBGATE)
        .args(["policy", "check"])
        .arg(site.path("policy.toml"))
        .output()
        .unwrap();
    check("policy with five mistakes", &checked);
    let refused = site.fail();
    check("broker with five mistakes in its policy", &refused);
    for output in [checked, refused] {
        let text = String::from_utf8(output.stderr).unwrap();
        for line in [5, 7, 11, 12, 16] {
            let place = format!("policy.toml:{line}:");
            assert!(text.contains(&place), "{place} is not in {text}");
        }
        // Each underlined, four with the word that was meant.
        for word in ["`read`", "`redact`", "`clear_for`", "deny, review", "^^^"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_below_the_audit_log_stops_statements_and_mends_itself() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.edit(
        "data_dir = \"data\"",
        "data_dir = \"data\"\naudit_dir = \"audit\"",
    );
    let broker = site.run_on_small("audit");
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    assert_eq!(peer::kinds(&peer.query("select 1")), "TDCZ");
    let client = server.superuser(&offer.name).await;
    let rounds = if long() { 50 } else { 3 };
    let (mut done, mut slowest) = (0_i64, Duration::ZERO);
    for round in 0..rounds {
        let full = broker.fill(&site.path("audit"));
        let mut answer = Vec::new();
        let mut refused = 0;
        // What is left of the last page may still take a statement or two.
        for number in 0..200 {
            let id = 1000 * (round + 1) + number;
            answer = peer.query(&format!("INSERT INTO customers VALUES ({id})"));
            if peer::kinds(&answer).contains('E') {
                refused += 1;
            } else {
                assert_eq!(refused, 0, "it goes on while the disk is full");
                done += 1;
            }
            if refused == 5 {
                break;
            }
        }
        check("disk of the audit log full", Said::on_wire(&answer));
        // What was refused has not run, and what has run was not refused.
        let sql = "SELECT count(*) FROM customers WHERE id >= 1000";
        let row = client.query_one(sql, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), done);
        assert_eq!(broker.get(&site, "/readyz").0, 503);
        drop(full);
        let since = Instant::now();
        while peer::kinds(&peer.query("select 1")) != "TDCZ"
            || broker.get(&site, "/readyz").0 != 200
        {
            let took = since.elapsed();
            assert!(took < Duration::from_secs(5), "it does not resume");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = slowest.max(since.elapsed());
    }
    println!("{rounds} times full, resumed after {slowest:?} at most");
}
