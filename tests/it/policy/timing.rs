//! Limits of time: clients tighten them, and never loosen them.

use std::time::{Duration, Instant};

use dbgate::api::types;
use dbgate::wire::row::Format;

use crate::harness::postgres::Server;
use crate::harness::site::Site;
use crate::harness::wire::{self, Wire};
use crate::harness::world::policy_text;
use crate::policy::cell;

const TIMED: &str = "[limits]\nstatement_time = \"1s\"\n";
const AT_MOST: &str = "dbgate: statement_timeout is at most 1000ms in this session";

/// Ways to loosen a limit: what is sent, whether a notice comes with it or with the next statement.
const LOOSER: [&str; 12] = [
    "SET statement_timeout = 0",
    "SET SESSION statement_timeout TO '10min'",
    "SET Statement_Timeout = 3600000",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT pg_catalog.set_config('STATEMENT_TIMEOUT', '2h', false)",
    "UPDATE pg_settings SET setting = '0' WHERE name = 'statement_timeout'",
    "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); END $$",
    "SELECT loosen()",
    "BEGIN; SET statement_timeout = 0; COMMIT",
    "BEGIN; SET LOCAL statement_timeout = '1ms'; SET statement_timeout = 0; COMMIT",
    "SET statement_timeout = 0; SELECT 1",
    "SET statement_timeout = 0; RESET application_name; SET lock_timeout = '5s'",
];

#[tokio::test(flavor = "multi_thread")]
async fn time_limits_are_tightened_by_clients_never_loosened() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let text =
        policy_text(&offer, TIMED).replace("\"define\"]", "\"define\", \"call\", \"admin\"]");
    site.write("policy.toml", &text);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let granted = engineer.grant(600).await;
    let (mut wire, first) = Wire::open(&granted, &offer.name, &[]).await;
    assert_eq!(wire::notices(&first), [""; 0]);
    let show = "SHOW statement_timeout";
    let function = "CREATE FUNCTION loosen() RETURNS text LANGUAGE sql AS \
                    $$ SELECT set_config('statement_timeout', '0', false) $$";
    assert_eq!(wire::error(&wire.query(function).await), None);
    let slow = "CREATE FUNCTION slow() RETURNS text LANGUAGE sql SET statement_timeout = 0 AS \
                $$ SELECT pg_sleep(30)::text $$";
    assert_eq!(wire::error(&wire.query(slow).await), None);
    for sql in LOOSER {
        wire.query("RESET statement_timeout").await;
        let mut heard = wire.query(sql).await;
        assert_eq!(wire::error(&heard), None, "{sql}");
        let shown = wire.query(show).await;
        assert_eq!(cell(&shown), "1s", "{sql}");
        heard.extend(shown);
        assert_eq!(wire::notices(&heard), [AT_MOST], "{sql}");
        // By the extended protocol, too.
        let extended = !sql.contains(';') || sql.starts_with("DO");
        if extended {
            let mut heard = wire.execute(sql, Format::Text).await;
            assert_eq!(wire::error(&heard), None, "{sql}");
            let shown = wire.execute(show, Format::Text).await;
            assert_eq!(cell(&shown), "1s", "{sql}");
            heard.extend(shown);
            assert_eq!(wire::notices(&heard), [AT_MOST], "{sql}");
        }
    }
    tightened(&mut wire).await;
    ended(&mut wire).await;
    // In the startup packet, and for the next connection.
    for options in [
        [("options", "-c statement_timeout=0")],
        [("statement_timeout", "1h")],
    ] {
        let (mut wire, first) = Wire::open(&granted, &offer.name, &options).await;
        assert_eq!(wire::notices(&first), [AT_MOST]);
        assert_eq!(cell(&wire.query(show).await), "1s");
    }
    let role = wire
        .query("ALTER ROLE CURRENT_USER SET statement_timeout = 0")
        .await;
    println!(
        "ALTER ROLE: {:?}",
        wire::error(&role).map(|error| error.code)
    );
    let (mut next, _) = Wire::open(&granted, &offer.name, &[]).await;
    assert_eq!(cell(&next.query(show).await), "1s");
}

/// What is tighter is the client's to choose, and to take back.
async fn tightened(wire: &mut Wire) {
    let show = "SHOW statement_timeout";
    for (sql, expected) in [
        ("SET statement_timeout = 300", "300ms"),
        ("RESET statement_timeout", "1s"),
        ("SET statement_timeout = '0.5s'", "500ms"),
        ("RESET ALL", "1s"),
        (
            "SET statement_timeout = 700; BEGIN; SET LOCAL statement_timeout = 0",
            "1s",
        ),
        ("COMMIT", "700ms"),
        ("BEGIN; SET LOCAL statement_timeout = 200", "200ms"),
        ("ROLLBACK", "700ms"),
        ("BEGIN; SAVEPOINT a; SET statement_timeout = 0", "1s"),
        ("ROLLBACK TO a", "700ms"),
        ("SET statement_timeout = 0", "1s"),
        ("COMMIT", "1s"),
        ("DISCARD ALL", "1s"),
    ] {
        assert_eq!(wire::error(&wire.query(sql).await), None, "{sql}");
        assert_eq!(cell(&wire.query(show).await), expected, "{sql}");
    }
    for (name, cap) in [
        ("lock_timeout", "1min"),
        ("idle_in_transaction_session_timeout", "10min"),
    ] {
        let heard = wire.query(&format!("SET {name} = 0")).await;
        assert!(wire::notices(&heard)[0].contains(name));
        assert_eq!(cell(&wire.query(&format!("SHOW {name}")).await), cap);
    }
}

/// Whatever the server's own timer was set to, the gateway's ends a statement.
async fn ended(wire: &mut Wire) {
    for sql in [
        "SET statement_timeout = 0; SELECT pg_sleep(30)",
        "SELECT set_config('statement_timeout', '0', false); SELECT pg_sleep(30)",
        "SELECT slow()",
        "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_sleep(30); COMMIT",
    ] {
        let since = Instant::now();
        let error = wire::error(&wire.query(sql).await).unwrap();
        assert_eq!(error.code, "57014", "{sql}: {error:?}");
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "{sql}: {:?}",
            since.elapsed()
        );
        wire.query("ROLLBACK").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_had_left_is_no_limit_any_more_once_it_is_renewed() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let granted = engineer.grant(8).await;
    let open = async |options: &[(&str, &str)]| Wire::open(&granted, &offer.name, options).await.0;
    let left = "SELECT current_setting('statement_timeout')::interval > interval '8 s'";
    let (mut busy, mut idle) = (open(&[]).await, open(&[]).await);
    let mut within = open(&[]).await;
    let mut chosen = open(&[("statement_timeout", "4s")]).await;
    assert_eq!(cell(&busy.query(left).await), "f");
    within.query("BEGIN").await;
    let renew = types::Renew {
        duration_s: Some(600),
    };
    let id = &granted.session.id;
    let renewed = engineer.remote.renew_session(id, &renew).await;
    assert!(renewed.is_ok(), "{renewed:?}");
    for sql in ["SELECT 1", "RESET ALL", "DISCARD ALL"] {
        let heard = busy.query(sql).await;
        assert_eq!(wire::error(&heard), None, "{sql}");
        assert_eq!(cell(&busy.query(left).await), "t", "{sql}");
        assert_eq!(wire::notices(&heard), [""; 0], "{sql}");
    }
    for sql in ["SELECT 1", "ROLLBACK"] {
        within.query(sql).await;
        assert_eq!(cell(&within.query(left).await), "t", "{sql}");
    }
    // What the client has chosen stays so.
    let show = "SHOW statement_timeout";
    assert_eq!(cell(&chosen.query(show).await), "4s");
    // Nothing at all was done here since before the session was renewed, for longer than it had left.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(cell(&idle.query("SELECT 'here'").await), "here");
}
