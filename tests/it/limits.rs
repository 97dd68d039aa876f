//! The limits that end a result, a session's statements, and somebody's hour.

use dbgate::wire::row::Format;

use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, Engineer, Site};
use crate::harness::wire::{self, Wire};
use crate::harness::world::policy_text;

const LIMITS: &str = "[limits]\nrows = 10_000\nbytes = 2_000_000\nstatement_time = \"1s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn limits_end_a_result_clearly_and_the_connection_goes_on() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, LIMITS));
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    rows(&offer.name, &engineer).await;
    bytes_and_time(&offer.name, &engineer).await;
    drop(broker);
    statements(&site, &offer).await;
    totals(&site, &offer).await;
}

const SERIES: &str = "SELECT g FROM generate_series(1, 10000) g";
const LONGER: &str = "SELECT g FROM generate_series(1, 10001) g";
const ROWS: &str = "dbgate: row limit of 10 000 reached";

async fn rows(database: &str, engineer: &Engineer) {
    let granted = engineer.grant(600).await;
    let (mut wire, _) = Wire::open(&granted, database, &[]).await;
    let copy = |sql: &str, options: &str| format!("COPY ({sql}) TO STDOUT {options}");
    for sql in [SERIES, LONGER] {
        let came = [
            ("simple", wire.query(sql).await),
            ("extended", wire.execute(sql, Format::Text).await),
            ("binary", wire.execute(sql, Format::Binary).await),
            ("portal", wire.run(sql, Format::Text, 999).await),
            ("copy", wire.query(&copy(sql, "")).await),
            ("csv", wire.query(&copy(sql, "(FORMAT csv, HEADER)")).await),
            (
                "binary copy",
                wire.query(&copy(sql, "(FORMAT binary)")).await,
            ),
            (
                "second of two",
                wire.query(&format!("SELECT 1; {sql}")).await,
            ),
        ];
        for (how, heard) in came {
            let rows = wire::rows(&heard).len();
            let (error, done) = (
                wire::error(&heard),
                heard.iter().any(|(tag, _)| *tag == b'C'),
            );
            if sql == SERIES {
                assert_eq!(error, None, "{how}");
                continue;
            }
            let error = error.unwrap_or_else(|| panic!("{how}: no limit"));
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("53400", ROWS),
                "{how}"
            );
            assert!(error.hint.contains("fewer rows"), "{how}");
            assert!(rows <= 10_001, "{how}: {rows}");
            assert!(!done || how == "second of two", "{how}");
            let after = wire::rows(&wire.query("SELECT 7").await);
            assert_eq!(after, [[Some(b"7".to_vec())]], "{how}");
        }
    }
    // In a transaction the limit is an error like any other.
    wire.query("BEGIN; SAVEPOINT here").await;
    assert_eq!(
        wire::error(&wire.query(LONGER).await).unwrap().message,
        ROWS
    );
    assert_eq!(
        wire::error(&wire.query("SELECT 1").await).unwrap().code,
        "25P02"
    );
    assert_eq!(
        wire::error(&wire.query("ROLLBACK TO here; SELECT 1; COMMIT").await),
        None
    );
}

async fn bytes_and_time(database: &str, engineer: &Engineer) {
    let granted = engineer.grant(600).await;
    let (mut wire, _) = Wire::open(&granted, database, &[]).await;
    let wide = "SELECT repeat('x', 100000) FROM generate_series(1, 100)";
    for heard in [
        wire.query(wide).await,
        wire.execute(wide, Format::Binary).await,
        wire.query(&format!("COPY ({wide}) TO STDOUT")).await,
    ] {
        let error = wire::error(&heard).unwrap();
        assert_eq!(
            error.message,
            "dbgate: size limit of 2 000 000 bytes reached"
        );
        let sent: usize = heard.iter().map(|(_, body)| body.len()).sum();
        assert!(sent < 2_100_000, "{sent}");
    }
    let loops = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b";
    for sql in ["SELECT pg_sleep(30)", loops] {
        let since = std::time::Instant::now();
        let error = wire::error(&wire.query(sql).await).unwrap();
        assert_eq!(error.code, "57014", "{error:?}");
        assert!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
    }
}

/// A broker that limits, and has nobody's hour on its books.
async fn limited(site: &Site, offer: &Offer, limit: &str) -> (Broker, Engineer) {
    let policy = policy_text(offer, &format!("[limits]\n{limit}\n"));
    site.write("policy.toml", &policy);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    (broker, engineer)
}

/// Whether somebody's next session may do it.
async fn anew(engineer: &Engineer, sql: &str) -> Option<String> {
    let granted = engineer.grant(600).await;
    let (mut fresh, _) = Wire::open(&granted, engineer.database(), &[]).await;
    wire::error(&fresh.query(sql).await).map(|error| error.message)
}

/// How much of everything, in the session and in an hour, over all connections.
async fn totals(site: &Site, offer: &Offer) {
    let ten = "SELECT generate_series(1, 10)";
    let kilo = "SELECT repeat('x', 1000)";
    let slow = "SELECT pg_sleep(0.6)";
    let much = "SELECT pg_sleep(30)";
    for (limit, fits, more, told) in [
        (
            "rows_per_session = 15",
            ten,
            ten,
            "53400 dbgate: the session's limit of 15 rows is used up",
        ),
        (
            "rows_per_hour = 15",
            ten,
            ten,
            "53400 dbgate: the limit of 15 rows in an hour is used up",
        ),
        (
            "bytes_per_session = 1500",
            kilo,
            kilo,
            "53400 dbgate: the session's limit of 1 500 bytes is used up",
        ),
        (
            "bytes_per_hour = 1500",
            kilo,
            kilo,
            "53400 dbgate: the limit of 1 500 bytes in an hour is used up",
        ),
        (
            "time_per_session = \"1s\"",
            slow,
            much,
            "57014 dbgate: the session's limit of 1s of running time is used up",
        ),
        (
            "time_per_hour = \"1s\"",
            slow,
            much,
            "57014 dbgate: the limit of 1s of running time in an hour is used up",
        ),
    ] {
        let (_broker, engineer) = limited(site, offer, limit).await;
        let database = engineer.database();
        let granted = engineer.grant(600).await;
        let (mut one, _) = Wire::open(&granted, database, &[]).await;
        let (mut other, _) = Wire::open(&granted, database, &[]).await;
        assert_eq!(wire::error(&one.query(fits).await), None, "{limit}");
        let since = std::time::Instant::now();
        let stopped = other.query(more).await;
        let error = wire::error(&stopped).unwrap();
        assert_eq!(format!("{} {}", error.code, error.message), told, "{limit}");
        assert!(since.elapsed().as_secs() < 5, "{limit}");
        assert!(wire::rows(&stopped).len() <= 5, "{limit}");
        // A new session begins anew, but not a new hour.
        let (sql, hour) = match limit.contains("_per_hour") {
            true => (more, told.get(6..)),
            false => (fits, None),
        };
        assert_eq!(anew(&engineer, sql).await.as_deref(), hour, "{limit}");
        if limit.starts_with("rows") {
            assert_eq!(wire::rows(&stopped).len(), 5, "{limit}");
            // Nothing is left: the next is refused before it runs.
            let refused = wire::error(&one.query("SELECT 1").await).unwrap();
            assert_eq!(format!("{} {}", refused.code, refused.message), told);
        }
    }
}

/// How many statements, in the session and in an hour, over all connections.
async fn statements(site: &Site, offer: &Offer) {
    for (limit, message) in [
        (
            "statements = 5",
            "dbgate: statement limit of this session reached (5)",
        ),
        (
            "statements_per_hour = 5",
            "dbgate: statement limit of an hour reached (5)",
        ),
    ] {
        let (_broker, engineer) = limited(site, offer, limit).await;
        let database = engineer.database();
        let granted = engineer.grant(600).await;
        let (mut one, _) = Wire::open(&granted, database, &[]).await;
        let (mut other, _) = Wire::open(&granted, database, &[]).await;
        assert_eq!(
            wire::error(&one.query("SELECT 1; SELECT 2; SELECT 3").await),
            None
        );
        assert_eq!(wire::error(&other.query("SELECT 4").await), None);
        // Two would be one too many: neither runs.
        let refused = other.query("SELECT 5; SELECT 6").await;
        assert_eq!(wire::error(&refused).unwrap().message, message);
        assert!(wire::rows(&refused).is_empty());
        assert_eq!(
            wire::error(&one.execute("SELECT 5", Format::Text).await),
            None
        );
        let refused = wire::error(&one.query("SELECT 6").await).unwrap();
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("53400", message)
        );
        let hour = limit.contains("_per_hour").then_some(message);
        assert_eq!(anew(&engineer, "SELECT 1").await.as_deref(), hour);
    }
}
