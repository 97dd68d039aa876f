//! Every mask on every type, in every form a value can take on the wire; and the limits that end a result.

use bytes::BytesMut;
use dbgate::wire::row::Format;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Engineer, Site};
use crate::harness::wire::{self, Wire};
use crate::harness::world::policy_text;

/// A type as SQL calls it, and the value that must not be seen.
const TYPES: [(&str, &str); 10] = [
    ("text", "grace.hopper@navy.example"),
    ("varchar(40)", "Straße 12, Zürich-Öst"),
    ("int", "1583204771"),
    ("bigint", "7238947123894712389"),
    ("numeric", "918273645.1234"),
    ("date", "1987-06-23"),
    ("time", "17:43:21.123457"),
    ("timestamptz", "1991-08-25 20:57:08.5+00"),
    ("uuid", "a3bb189e-8bf9-3888-9912-ace4e6543002"),
    ("bool", "t"),
];

/// What is shown in place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Nothing: the type has no form for what the mask would show.
    Null,
    /// This, as text.
    This(&'static str),
    /// Something else than the value, the same each time.
    Token,
}

use Shown::{Null, This, Token};

/// A mask as a policy writes it, and what it shows for each of [`TYPES`].
const MASKS: [(&str, &str, [Shown; 10]); 9] = [
    (
        "redact",
        "mask = \"redact\"",
        [
            This("***"),
            This("***"),
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
        ],
    ),
    ("null", "mask = \"null\"", [Null; 10]),
    (
        "partial",
        "mask = \"partial\"\nfirst = 1\nlast = 2",
        [
            This("g******le"),
            This("S******st"),
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
        ],
    ),
    (
        "email",
        "mask = \"email\"",
        [
            This("g***@***.example"),
            This("***"),
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
        ],
    ),
    (
        "token",
        "mask = \"token\"",
        [
            Token, Token, Token, Token, Token, Null, Null, Null, Token, Null,
        ],
    ),
    (
        "bucket",
        "mask = \"bucket\"\nsize = 1000",
        [
            Null,
            Null,
            This("1583204000"),
            This("7238947123894712000"),
            This("918273000.0000"),
            Null,
            Null,
            Null,
            Null,
            Null,
        ],
    ),
    (
        "month",
        "mask = \"truncate\"\nunit = \"month\"",
        [
            Null,
            Null,
            Null,
            Null,
            Null,
            This("1987-06-01"),
            Null,
            This("1991-08-01 00:00:00+00"),
            Null,
            Null,
        ],
    ),
    (
        "hour",
        "mask = \"truncate\"\nunit = \"hour\"",
        [
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            This("17:00:00"),
            This("1991-08-25 20:00:00+00"),
            Null,
            Null,
        ],
    ),
    (
        "constant",
        "mask = \"constant\"",
        [
            This("hidden"),
            This("hidden"),
            This("42"),
            This("-42"),
            This("1.50"),
            This("2000-02-29"),
            This("12:30:00"),
            This("2000-01-01 00:00:00+00"),
            This("00000000-0000-4000-8000-000000000000"),
            This("f"),
        ],
    ),
];

/// A value in the bytes of the wire, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

fn column(index: usize) -> String {
    format!("c{index}")
}

fn schema() -> String {
    let columns = |with: &dyn Fn(usize, &str, &str) -> String| {
        let all = TYPES.iter().enumerate();
        let all = all.map(|(index, (sql, value))| with(index, sql, value));
        all.collect::<Vec<_>>().join(", ")
    };
    let mut text = "SET TimeZone = 'UTC';\n".to_owned();
    for (mask, _, _) in MASKS {
        let table = columns(&|index, sql, _| format!("{} {sql}", column(index)));
        let values = columns(&|_, sql, value| format!("'{value}'::{sql}"));
        let nulls = columns(&|_, _, _| "NULL".to_owned());
        text += &format!(
            "CREATE TABLE m_{mask} (id int PRIMARY KEY, {table});\n\
             INSERT INTO m_{mask} VALUES (1, {values}), (2, {nulls});\n"
        );
    }
    text
}

fn protection() -> String {
    let mut text = String::new();
    for (mask, settings, shown) in MASKS {
        if mask != "constant" {
            text += &format!(
                "[[protect]]\nname = \"{mask}\"\ncolumns = [\"public.m_{mask}.c*\"]\n{settings}\n"
            );
            continue;
        }
        for (index, shown) in shown.iter().enumerate() {
            let This(value) = shown else {
                panic!("a constant is shown")
            };
            text += &format!(
                "[[protect]]\nname = \"{mask}-{index}\"\n\
                 columns = [\"public.m_{mask}.c{index}\"]\n{settings}\nvalue = \"{value}\"\n"
            );
        }
    }
    text
}

/// Lets the roles of sessions reach the tables that a superuser has made.
async fn grant(client: &tokio_postgres::Client, offer: &crate::harness::postgres::Offer) {
    let (reader, writer) = (offer.role("reader"), offer.role("writer"));
    let sql = format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {writer}"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// The rows of a binary `COPY`.
fn tuples(data: &[u8]) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rest = &data[19..];
    let mut rows = Vec::new();
    while rest[..2] != [0xFF, 0xFF] {
        let row = wire::values(rest);
        let size = row
            .iter()
            .map(|value| 4 + value.as_ref().map_or(0, Vec::len));
        rest = &rest[2 + size.sum::<usize>()..];
        rows.push(row);
    }
    rows
}

fn text(value: Option<&Vec<u8>>) -> Option<String> {
    value.map(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mask_keeps_type_and_null_and_no_value_in_any_format() {
    let server = Server::shared();
    let offer = server.offer().await;
    let postgres = server.superuser(&offer.name).await;
    postgres.batch_execute(&schema()).await.unwrap();
    grant(&postgres, &offer).await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, &protection()));
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let granted = engineer.grant(600).await;
    let (mut wire, _) = Wire::open(&granted, &offer.name, &[("TimeZone", "UTC")]).await;
    let mut cells = 0;
    for (mask, _, shown) in MASKS {
        let sql = format!("SELECT * FROM m_{mask} ORDER BY id");
        let direct = postgres.prepare(&sql).await.unwrap();
        let simple = wire.query(&sql).await;
        let extended = wire.execute(&sql, Format::Text).await;
        let binary = wire.execute(&sql, Format::Binary).await;
        let lines = wire.query(&format!("COPY ({sql}) TO STDOUT")).await;
        let csv = wire
            .query(&format!("COPY ({sql}) TO STDOUT (FORMAT csv, NULL '~')"))
            .await;
        let data = wire
            .query(&format!("COPY ({sql}) TO STDOUT (FORMAT binary)"))
            .await;
        for heard in [&simple, &extended, &binary, &lines, &csv, &data] {
            assert_eq!(wire::error(heard), None, "{mask}");
        }
        let oids: Vec<u32> = direct.columns().iter().map(|c| c.type_().oid()).collect();
        for heard in [&simple, &extended, &binary] {
            assert_eq!(wire::types(heard), oids, "{mask}");
        }
        let lines = String::from_utf8(wire::copied(&lines)).unwrap();
        let lines: Vec<Vec<&str>> = lines.lines().map(|l| l.split('\t').collect()).collect();
        let csv = String::from_utf8(wire::copied(&csv)).unwrap();
        let csv: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
        let (binary, data) = (wire::rows(&binary), tuples(&wire::copied(&data)));
        let (simple, extended) = (wire::rows(&simple), wire::rows(&extended));
        for rows in [&simple, &extended, &binary, &data] {
            assert_eq!(rows.len(), 2, "{mask}");
            // NULL stays NULL.
            assert!(rows[1][1..].iter().all(Option::is_none), "{mask}");
        }
        for (index, (sql, real)) in TYPES.iter().enumerate() {
            let (at, what) = (index + 1, format!("{mask} of {sql}"));
            let came = text(simple[0][at].as_ref());
            match shown[index] {
                Null => assert_eq!(came, None, "{what}"),
                This(expected) => assert_eq!(came.as_deref(), Some(expected), "{what}"),
                Token => assert!(came.as_deref().is_some_and(|came| came != *real), "{what}"),
            }
            assert_eq!(text(extended[0][at].as_ref()), came, "{what}");
            assert_eq!(data[0][at], binary[0][at], "{what}: COPY in binary format");
            assert_eq!(lines[0][at], came.as_deref().unwrap_or("\\N"), "{what}");
            assert_eq!(csv[0][at], came.as_deref().unwrap_or("~"), "{what}");
            assert_eq!((lines[1][at], csv[1][at]), ("\\N", "~"), "{what}");
            // The server itself reads what was shown, and finds the same value in both formats.
            let legal = format!("SELECT $1::{sql}::text");
            let of = [direct.columns()[at].type_().clone()];
            let typed = postgres.prepare_typed(&legal, &of).await.unwrap();
            let read: Option<String> = match &binary[0][at] {
                None => None,
                Some(bytes) => {
                    let row = postgres.query_one(&typed, &[&Raw(bytes.clone())]).await;
                    row.unwrap_or_else(|error| panic!("{what}: {error}")).get(0)
                }
            };
            let as_text: Option<String> = match &came {
                None => None,
                Some(came) => {
                    let cast = format!("SELECT '{came}'::{sql}::text");
                    let row = postgres.query_one(&cast, &[]).await;
                    row.unwrap_or_else(|error| panic!("{what}: {error}")).get(0)
                }
            };
            assert_eq!(read, as_text, "{what}");
            cells += 6;
        }
    }
    unheard(&wire, &postgres).await;
    println!(
        "{cells} masked cells, {} bytes looked through",
        wire.heard.len()
    );
}

/// No value is among what came, in text or in binary.
async fn unheard(wire: &Wire, postgres: &tokio_postgres::Client) {
    for (sql, real) in TYPES.iter().filter(|(sql, _)| *sql != "bool") {
        let row = postgres
            .query_one(&format!("SELECT '{real}'::{sql}"), &[])
            .await;
        let binary: Raw = row.unwrap().get(0);
        for needle in [real.as_bytes(), &binary.0] {
            assert!(needle.len() >= 4);
            let found = wire
                .heard
                .windows(needle.len())
                .any(|bytes| bytes == needle);
            assert!(!found, "{sql}: {needle:?}");
        }
    }
}

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
    statements(&site, &broker, &engineer).await;
    totals(&site, &broker, &engineer).await;
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

/// How much of everything, in the session and in an hour, over all connections.
async fn totals(site: &Site, broker: &Broker, engineer: &Engineer) {
    let database = engineer.database();
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
        let policy = policy_text(engineer.offer(), &format!("[limits]\n{limit}\n"));
        site.write("policy.toml", &policy);
        broker.signal(rustix::process::Signal::HUP);
        broker.until_policy(site, &policy).await;
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
        let (mut fresh, _) = Wire::open(&engineer.grant(600).await, database, &[]).await;
        assert_eq!(
            wire::error(&fresh.query(fits).await),
            None,
            "another session"
        );
        if limit.starts_with("rows") {
            assert_eq!(wire::rows(&stopped).len(), 5, "{limit}");
            // Nothing is left: the next is refused before it runs.
            let refused = wire::error(&one.query("SELECT 1").await).unwrap();
            assert_eq!(format!("{} {}", refused.code, refused.message), told);
        }
    }
}

/// How many statements, in the session and in an hour, over all connections.
async fn statements(site: &Site, broker: &Broker, engineer: &Engineer) {
    let database = engineer.database();
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
        let policy = policy_text(engineer.offer(), &format!("[limits]\n{limit}\n"));
        site.write("policy.toml", &policy);
        broker.signal(rustix::process::Signal::HUP);
        broker.until_policy(site, &policy).await;
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
        let (mut fresh, _) = Wire::open(&engineer.grant(600).await, database, &[]).await;
        assert_eq!(
            wire::error(&fresh.query("SELECT 1").await),
            None,
            "another session"
        );
    }
}
