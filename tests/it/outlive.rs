//! What a session tries in order to last longer than it may (row C11), and a lease that can't be dropped (row C7).

use std::time::{Duration, Instant};

use crate::harness::postgres::{PASSWORD, Server};
use crate::harness::raw;
use crate::harness::site::{Site, Who};
use crate::harness::world::policy_text;
use crate::lease::Bench;

/// What comes of a script while the lease lasts.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// PostgreSQL refuses it.
    Refused,
    /// It is done, and what it left goes with the lease.
    Done,
    /// It is still at it when the lease ends.
    Busy,
    /// The same before PostgreSQL 16; from then on it is refused.
    Old,
}
use Fate::{Busy, Done, Old, Refused};

/// `$conn` is a connection string to the server itself, as the lease, with a password the lease gave itself.
const SCRIPTS: [(Fate, &str); 26] = [
    (
        Busy,
        "DO $x$ BEGIN LOOP BEGIN PERFORM pg_sleep(0.1); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $x$",
    ),
    (
        Busy,
        "DO $x$ BEGIN LOOP BEGIN PERFORM pg_sleep(10); EXCEPTION WHEN query_canceled OR admin_shutdown THEN NULL; END; END LOOP; END $x$",
    ),
    (Busy, "SELECT pg_advisory_lock(7), pg_sleep(60)"),
    (
        Busy,
        "BEGIN; ALTER ROLE CURRENT_USER SET work_mem = '1MB'; SELECT pg_sleep(60)",
    ),
    (
        Busy,
        "SET client_connection_check_interval = 0; SET statement_timeout = 0; SET idle_session_timeout = 0; SELECT pg_sleep(60)",
    ),
    (
        Busy,
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; \
            SELECT count(*) FROM customers a, customers b, customers c, customers d, customers e",
    ),
    (
        Busy,
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $x$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $x$; \
            CREATE TABLE slow (i int); \
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late(); \
            BEGIN; INSERT INTO slow VALUES (1); COMMIT",
    ),
    (Old, "SET ROLE $writer; SELECT pg_sleep(60)"),
    (
        Busy,
        "CREATE TEMPORARY TABLE t AS SELECT * FROM customers; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t; LISTEN x; SELECT pg_sleep(60)",
    ),
    (
        Busy,
        "LOCK TABLE customers IN ROW EXCLUSIVE MODE; SELECT pg_sleep(60)",
    ),
    (
        Done,
        "BEGIN; DELETE FROM customers WHERE id = 1; PREPARE TRANSACTION '$name'",
    ),
    (
        Done,
        "BEGIN; CREATE TABLE mine_$name (i int); PREPARE TRANSACTION '$name'",
    ),
    (
        Done,
        "BEGIN; ALTER ROLE CURRENT_USER SET work_mem = '1MB'; PREPARE TRANSACTION '$name'",
    ),
    (
        Done,
        "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; CREATE TABLE mine_$name (i int); PREPARE TRANSACTION '$name'",
    ),
    (
        Done,
        "SELECT pg_advisory_lock(8); SELECT pg_export_snapshot()",
    ),
    (
        Done,
        "SELECT dblink_send_query('x', 'SELECT 1') WHERE false; ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    ),
    (
        Refused,
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'; SELECT dblink_connect('self', $conn)",
    ),
    (
        Refused,
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'; CREATE SERVER s_$name FOREIGN DATA WRAPPER postgres_fdw \
               OPTIONS (host '$socket', port '$port', dbname '$db'); \
               CREATE USER MAPPING FOR CURRENT_USER SERVER s_$name OPTIONS (user '$name', password 'mine'); \
               CREATE FOREIGN TABLE f_$name (id int) SERVER s_$name OPTIONS (table_name 'customers'); \
               SELECT count(*) FROM f_$name",
    ),
    (
        Refused,
        "CREATE SUBSCRIPTION s CONNECTION $conn PUBLICATION p",
    ),
    (Refused, "COPY (SELECT 1) TO PROGRAM 'sleep 100'"),
    (
        Refused,
        "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()",
    ),
    (Refused, "CREATE EXTENSION pg_cron"),
    (
        Refused,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$admin'",
    ),
    (Refused, "LOCK TABLE pg_catalog.pg_authid"),
    (Refused, "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'"),
    (Refused, "CREATE ROLE helper LOGIN"),
];

#[tokio::test]
async fn c11_nothing_a_session_starts_outlives_it() {
    let bench = Bench::new().await;
    let writer = bench.offer.role("writer");
    let postgres = bench.server.superuser(&bench.offer.name).await;
    let sql = format!(
        "CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {writer}, {owner}",
        owner = bench.offer.role("owner")
    );
    postgres.batch_execute(&sql).await.unwrap();
    let options = bench.server.version().await >= 160_000;
    let mut worst = Duration::ZERO;
    for (fate, script) in SCRIPTS {
        let name = bench.create("writer").await;
        let socket = bench.server.socket().display().to_string();
        let port = bench.server.port.to_string();
        let conn = format!(
            "'host={socket} port={port} dbname={} user={name} password=mine'",
            bench.offer.name
        );
        let sql = script
            .replace("$conn", &conn)
            .replace("$socket", &socket)
            .replace("$port", &port)
            .replace("$db", &bench.offer.name)
            .replace("$admin", &bench.offer.role("admin"))
            .replace("$writer", &writer)
            .replace("$name", name.as_str());
        let mut connection = bench.connect(&name).await;
        let fate = match fate {
            Old if options => Refused,
            Old => Busy,
            fate => fate,
        };
        match fate {
            Busy | Old => {
                raw::start(&mut connection, &sql).await;
                tokio::time::sleep(Duration::from_millis(150)).await;
                let busy =
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
                let pid = i32::try_from(connection.pid).unwrap();
                let busy: i64 = postgres.query_one(busy, &[&pid]).await.unwrap().get(0);
                assert_eq!(busy, 1, "{sql}: it is not at it");
            }
            Done => drop(raw::query(&mut connection, &sql).await.unwrap()),
            Refused => drop(raw::query(&mut connection, &sql).await.unwrap_err()),
        }
        let started = Instant::now();
        let ended = bench.end(&name).await;
        ended.unwrap_or_else(|error| panic!("{sql}: {error}"));
        worst = worst.max(started.elapsed());
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{sql}: {:?}",
            started.elapsed()
        );
        assert!(!bench.is_there(&name).await, "{sql}");
        // The backend, its parallel workers, and what it prepared.
        let left = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid = $1 OR leader_pid = $1 OR usename = $2) \
                         + (SELECT count(*) FROM pg_prepared_xacts WHERE owner = $2)";
        let pid = i32::try_from(connection.pid).unwrap();
        let row = postgres
            .query_one(left, &[&pid, &name.as_str()])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "{sql}");
        for password in ["mine", PASSWORD] {
            let direct = bench
                .server
                .connect(&bench.offer.name, name.as_str(), password)
                .await;
            assert!(direct.is_err(), "{sql}: a direct login");
        }
    }
    println!("{} scripts, the slowest end took {worst:?}", SCRIPTS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_lease_that_cannot_be_dropped_stays_closed_is_reported_and_tried_again() {
    let server = Server::own();
    let postgres = server.superuser("postgres").await;
    postgres
        .batch_execute("CREATE ROLE dbgate_lease")
        .await
        .unwrap();
    postgres
        .batch_execute("CREATE DATABASE hidden")
        .await
        .unwrap();
    let offer = server.offer().await;
    let grant = format!(
        "REVOKE CONNECT ON DATABASE hidden FROM PUBLIC; GRANT dbgate_lease TO {} WITH ADMIN OPTION",
        offer.role("admin")
    );
    postgres.batch_execute(&grant).await.unwrap();
    let site = Site::new(&server, &offer);
    let audit = "[[allow]]\nname = \"auditors\"\ngroups = [\"auditors\"]\ndo = [\"audit\"]\n";
    site.write("policy.toml", &policy_text(&offer, audit));
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let entered = engineer.enter(600).await;
    let role: String = postgres
        .query_one(
            "SELECT usename::text FROM pg_stat_activity WHERE usename LIKE 'dbgate%s%'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    // It comes to own something where the admin role can't go.
    let hidden = server.superuser("hidden").await;
    let own = format!("CREATE TABLE t (i int); ALTER TABLE t OWNER TO {role}");
    hidden.batch_execute(&own).await.unwrap();
    engineer.remote.end_session(&entered.id).await.unwrap();

    let state = "SELECT rolcanlogin, (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname) \
                 FROM pg_roles WHERE rolname = $1";
    let row = postgres.query_one(state, &[&role]).await.unwrap();
    assert_eq!(
        (row.get::<_, bool>(0), row.get::<_, i64>(1)),
        (false, 0),
        "it is closed"
    );
    let found = site.dbgate(
        &broker,
        Who::Auditor,
        &["audit", "search", "--output", "ndjson"],
    );
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.status.success(), "{found:?}");
    assert!(
        text.contains("role_stuck") && text.contains(&role),
        "{text}"
    );
    // The check reads the state beside the broker that works on it.
    let check = site.check();
    assert_eq!(check.code, 1, "{}", check.stderr);
    let missing = check.missing();
    let item = missing.iter().find(|item| item["item"] == "stuck").unwrap();
    assert_eq!(item["subject"], role.as_str());
    assert!(item["text"].as_str().unwrap().contains("hidden"), "{item}");
    assert_eq!(item["mend"][0]["database"], "hidden", "{item}");
    let since = Instant::now();
    while !broker
        .get(&site, "/metrics")
        .1
        .contains("dbgate_leases_stuck 1")
    {
        assert!(
            since.elapsed() < Duration::from_secs(8),
            "the stuck lease is not counted"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    hidden
        .batch_execute(item["mend"][0]["line"].as_str().unwrap())
        .await
        .unwrap();
    let since = Instant::now();
    let there = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
    while postgres
        .query_one(there, &[&role])
        .await
        .unwrap()
        .get::<_, i64>(0)
        > 0
    {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "it is not tried again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "dropped {:?} after what it owned was given away",
        since.elapsed()
    );
    assert_eq!(
        site.check()
            .missing()
            .iter()
            .filter(|item| item["item"] == "stuck")
            .count(),
        0
    );
    let found = site.dbgate(
        &broker,
        Who::Auditor,
        &["audit", "search", "--output", "ndjson"],
    );
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(text.contains("role_reaped"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_changes_of_ones_own_role_are_refused_by_the_guard_or_worth_nothing() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let changes = [
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "ALTER USER CURRENT_USER PASSWORD 'mine'",
        "ALTER ROLE SESSION_USER WITH ENCRYPTED PASSWORD 'mine'",
        "ALTER ROLE $name PASSWORD 'mine'",
        "ALTER ROLE CURRENT_USER SET statement_timeout = 0",
        "ALTER ROLE CURRENT_USER SET client_connection_check_interval = 0",
        "ALTER ROLE CURRENT_USER IN DATABASE $db SET search_path = evil",
        "ALTER ROLE CURRENT_USER RESET ALL",
        "ALTER ROLE ALL SET work_mem = '1MB'",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    ];
    let wraps: [fn(&str) -> String; 4] = [
        str::to_owned,
        |sql| format!("DO $x$ BEGIN EXECUTE $y${sql}$y$; END $x$"),
        |sql| {
            format!(
                "CREATE FUNCTION public.f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $x$ BEGIN EXECUTE $y${sql}$y$; END $x$; \
                 SELECT public.f(); DROP FUNCTION public.f()"
            )
        },
        |sql| format!("BEGIN; {sql}; COMMIT"),
    ];
    let entered = engineer.enter(600).await;
    let postgres = server.superuser(&offer.name).await;
    let like = format!("dbgate%{}%", entered.id);
    let name: String = postgres
        .query_one(
            "SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1",
            &[&like],
        )
        .await
        .unwrap()
        .get(0);
    let (mut tried, mut refused) = (0, 0);
    for change in changes {
        for (number, wrap) in wraps.iter().enumerate() {
            let sql = wrap(&change.replace("$name", &name).replace("$db", &offer.name));
            tried += 1;
            match entered.client.batch_execute(&sql).await {
                Err(error) => {
                    let code = error.code().map(|code| code.code().to_owned());
                    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
                    refused += 1;
                }
                // Only what a function does inside can slip through.
                Ok(()) => assert_eq!(number, 2, "{sql} was not refused"),
            }
            let _not_in_one = entered.client.batch_execute("ROLLBACK").await;
            let _not_there = entered
                .client
                .batch_execute("DROP FUNCTION public.f()")
                .await;
            let direct = server.connect(&offer.name, &name, "mine").await;
            assert!(direct.is_err(), "a direct login after {sql}");
        }
    }
    println!("{refused} of {tried} forms refused by the guard; 0 direct logins");
    assert!(tried >= 40);
    // How the server notices that nobody is there can't be changed.
    for pinned in [
        "client_connection_check_interval",
        "tcp_user_timeout",
        "tcp_keepalives_idle",
    ] {
        let changed = entered
            .client
            .batch_execute(&format!("SET {pinned} = 0"))
            .await;
        assert!(changed.is_err(), "{pinned} was changed");
    }
    // The next connection starts from the limits of the session, whatever slipped through.
    let (next, _ended) = crate::harness::site::connect(&entered.granted, &offer.name)
        .await
        .unwrap();
    let row = next
        .query_one("SELECT current_setting('client_connection_check_interval'), current_setting('search_path')", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "1s");
    assert!(!row.get::<_, String>(1).contains("evil"));
}
