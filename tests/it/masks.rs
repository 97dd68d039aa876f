//! Every mask on every type, in every form a value can take on the wire.

use bytes::BytesMut;
use dbgate::wire::row::Format;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use crate::harness::postgres::Server;
use crate::harness::site::Site;
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
