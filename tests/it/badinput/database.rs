//! Databases that are not there, not allowed, down or over, and statements that may not run.

use std::process::Stdio;
use std::time::Duration;

use dbgate::remote;

use crate::badinput::{Said, check};
use crate::harness::peer::Peer;
use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, Site, Who};
use crate::harness::world::policy_text;

const NO_DROP: &str = r#"
[[rule]]
name = "no-drop"
effect = "deny"
statements = ["drop"]
hint = "Drop objects in a migration."
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_allowed_is_refused_with_what_would_help() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, NO_DROP));
    let broker = site.run();
    let exec = |who, arguments: &[&str]| {
        let all = [&["exec"], arguments].concat();
        site.dbgate(&broker, who, &all)
    };
    let near = format!("{}x", offer.name);
    check(
        "no such database, one is near",
        &exec(Who::Engineer, &[&near, "-c", "select 1"]),
    );
    check(
        "no such database",
        &exec(Who::Engineer, &["warehouse", "-c", "select 1"]),
    );
    check(
        "not allowed to open",
        &exec(Who::Auditor, &[&offer.name, "-c", "select 1"]),
    );
    check(
        "statement not allowed",
        &site.exec(&broker, "DROP TABLE customers"),
    );

    check(
        "a session of no time",
        &exec(
            Who::Engineer,
            &[&offer.name, "--duration", "0s", "-c", "select 1"],
        ),
    );
    let Err(remote::broker::Error::Refused { status, problem }) =
        site.engineer(&broker).await.ask(0).await
    else {
        panic!("a session of no time is granted");
    };
    assert_eq!((status, problem.code.as_str()), (400, "bad_request"));
    assert!(problem.message.contains("`duration_s` is 0"));

    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    let refused = peer.query("DROP TABLE customers");
    check(
        "statement not allowed, on the wire",
        Said::on_wire(&refused),
    );
    let mut peer = Peer::dial(broker.port());
    peer.hello(&[("user", &granted.user), ("database", "elsewhere")]);
    check(
        "another database in the connection",
        Said::on_wire(&peer.prove(&granted.secret)),
    );
    for user in [granted.user.as_str(), "nobody"] {
        let mut peer = Peer::dial(broker.port());
        peer.hello(&[("user", user), ("database", &offer.name)]);
        check("wrong credential", Said::on_wire(&peer.prove("wrong")));
    }
    // Who may only read is told so before a session is made.
    let readers =
        policy_text(&offer, "").replace(r#"do = ["read", "write", "define"]"#, r#"do = ["read"]"#);
    site.write("policy.toml", &readers);
    drop(broker);
    let broker = site.run();
    check(
        "not allowed to write",
        &site.exec(&broker, "DELETE FROM customers WHERE id = 1"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_expires_in_the_middle_of_a_query_says_so_in_time() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let arguments = [
        "exec",
        &offer.name,
        "--duration",
        "2s",
        "-c",
        "SELECT pg_sleep(60)",
    ];
    let running = site
        .start(&broker, Who::Engineer, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let granted = site.engineer(&broker).await.grant(2).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    let answer = peer.query("SELECT pg_sleep(60)");
    check(
        "session expired in the middle of a query, on the wire",
        Said::on_wire(&answer),
    );
    let ended = running.wait_with_output().unwrap();
    check("session expired in the middle of a query", &ended);
}

/// A statement that runs at the database for a minute, begun at the command line.
async fn busy(server: &Server, offer: &Offer, site: &Site, broker: &Broker) -> std::process::Child {
    let arguments = ["exec", &offer.name, "-c", "SELECT pg_sleep(60)"];
    let mut running = site
        .start(broker, Who::Engineer, &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let client = server.superuser(&offer.name).await;
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'";
    for _ in 0..500 {
        if client
            .query_one(sleeps, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 1
        {
            return running;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.kill().unwrap();
    panic!("the statement does not begin: {:?}", running.wait());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_down_is_said_where_it_is_missed() {
    let mut server = Server::own();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    peer.say(b'Q', b"SELECT pg_sleep(61)\0");
    let running = busy(&server, &offer, &site, &broker).await;
    server.kill();
    check(
        "database down in the middle, on the wire",
        Said::on_wire(&peer.until(0)),
    );
    check(
        "database down in the middle",
        &running.wait_with_output().unwrap(),
    );
    let mut peer = Peer::dial(broker.port());
    peer.hello(&[("user", &granted.user), ("database", &offer.name)]);
    check(
        "database down, on the wire",
        Said::on_wire(&peer.prove(&granted.secret)),
    );
    check("database down", &site.exec(&broker, "SELECT 1"));
    // The session goes on when the database is back.
    server.start_again();
    for _ in 0..100 {
        let mut peer = Peer::dial(broker.port());
        peer.hello(&[("user", &granted.user), ("database", &offer.name)]);
        if peer
            .prove(&granted.secret)
            .last()
            .is_some_and(|(kind, _)| *kind == b'Z')
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the session does not go on");
}
