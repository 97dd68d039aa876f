//! Transactions that define something and go on to use it, as migrations do: nobody else sees it before they end.

use std::time::Duration;

use dbgate::wire::row::Format;

use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Site};
use crate::harness::wire::{self, Heard, Wire};
use crate::harness::world::policy_text;

const PROTECT: &str =
    "[[protect]]\nname = \"mail\"\ncolumns = [\"public.*.email\"]\nmask = \"email\"\n";

/// A database whose table `customers` belongs to who may write, a view of it, and a connection to it.
struct Place {
    postgres: tokio_postgres::Client,
    wire: Wire,
    _broker: Broker,
    _site: Site,
}

impl Place {
    async fn new() -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        let postgres = server.superuser(&offer.name).await;
        let sql = format!(
            "ALTER TABLE customers OWNER TO {writer}; CREATE VIEW names AS SELECT id, name FROM customers;
             GRANT SELECT ON names TO {writer}",
            writer = offer.role("writer")
        );
        postgres.batch_execute(&sql).await.unwrap();
        let site = Site::new(&server, &offer);
        site.write("policy.toml", &policy_text(&offer, PROTECT));
        let broker = site.run();
        let engineer = site.engineer(&broker).await;
        let granted = engineer.grant(600).await;
        let (wire, _) = Wire::open(&granted, &offer.name, &[]).await;
        Self {
            postgres,
            wire,
            _broker: broker,
            _site: site,
        }
    }

    /// Runs a statement in one protocol or the other; its values, row after row.
    async fn run(&mut self, sql: &str, extended: bool) -> Vec<String> {
        let heard = if extended {
            self.wire.execute(sql, Format::Text).await
        } else {
            self.wire.query(sql).await
        };
        assert_eq!(wire::error(&heard), None, "{sql}");
        values(&heard)
    }

    /// Runs a statement that is refused; the SQLSTATE and what is said.
    async fn refused(&mut self, sql: &str) -> (String, String) {
        let heard = self.wire.query(sql).await;
        let report = wire::error(&heard).expect(sql);
        (report.code, report.message)
    }
}

fn values(heard: &[Heard]) -> Vec<String> {
    let rows = wire::rows(heard).into_iter().flatten();
    rows.map(|value| String::from_utf8(value.unwrap()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_in_one_transaction_uses_what_it_has_just_defined() {
    let mut place = Place::new().await;
    for extended in [false, true] {
        let mut run = async |sql: &str| place.run(sql, extended).await;
        run("BEGIN").await;
        run("SET LOCAL statement_timeout = '7s'").await;
        run("SET LOCAL search_path = public, pg_catalog").await;
        run("CREATE TABLE visits (id int PRIMARY KEY, customer int, note text)").await;
        run("INSERT INTO visits VALUES (1, 7, 'first'), (2, 8, 'second')").await;
        run("ALTER TABLE visits ADD COLUMN stars int DEFAULT 3").await;
        run("UPDATE visits SET stars = 5 WHERE id = 2").await;
        let joined = "SELECT v.note, v.stars, c.email FROM visits v JOIN customers c ON c.id = v.customer WHERE v.id = 2";
        assert_eq!(run(joined).await, ["second", "5", "***@***.com"]);
        run("SAVEPOINT before").await;
        run("ALTER TABLE visits RENAME COLUMN note TO remark").await;
        assert_eq!(
            run("SELECT remark FROM visits WHERE id = 1").await,
            ["first"]
        );
        run("ROLLBACK TO SAVEPOINT before").await;
        assert_eq!(run("SELECT note FROM visits WHERE id = 1").await, ["first"]);
        // Being asked has left nothing behind.
        assert_eq!(run("SHOW statement_timeout").await, ["7s"]);
        assert_eq!(run("SHOW search_path").await, ["public, pg_catalog"]);
        run("COMMIT").await;
        assert_eq!(run("SELECT count(*) FROM visits").await, ["2"]);
        run("DROP TABLE visits").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_definitions_of_its_own_opens_no_window() {
    let mut place = Place::new().await;
    // A new table with a column that the policy protects.
    place.run("BEGIN", false).await;
    place
        .run("CREATE TABLE contacts (id int, email text)", false)
        .await;
    place
        .run(
            "INSERT INTO contacts VALUES (7, 'grace@navy.example')",
            false,
        )
        .await;
    let mail = "SELECT email FROM contacts WHERE id = 7";
    assert_eq!(place.run(mail, false).await, ["g***@***.example"]);
    let flow = "CREATE TABLE copy AS SELECT email FROM contacts";
    let (code, said) = place.refused(flow).await;
    assert_eq!(code, "42501", "{said}");
    place.run("ROLLBACK", false).await;
    // A definition that somebody else has changed since.
    place.run("BEGIN", false).await;
    place.run("CREATE TABLE mine (id int)", false).await;
    place.run("SELECT id FROM mine", false).await;
    place
        .postgres
        .batch_execute("CREATE OR REPLACE VIEW names AS SELECT id, email AS name FROM customers")
        .await
        .unwrap();
    // What others define is looked at once a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let name = "SELECT name FROM names WHERE id = 7";
    assert_eq!(place.run(name, false).await, ["***@***.com"]);
    place.run("ROLLBACK", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_sees_less_than_the_server_is_told_to_commit_first() {
    let mut place = Place::new().await;
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        place
            .run(&format!("BEGIN ISOLATION LEVEL {isolation}"), false)
            .await;
        place.run("CREATE TABLE mine (id int)", false).await;
        let (code, said) = place.refused("SELECT id FROM mine").await;
        assert_eq!(
            (code.as_str(), said.as_str()),
            (
                "42501",
                "this transaction has changed definitions that dbgate cannot see yet"
            )
        );
        place.run("ROLLBACK", false).await;
    }
    // A name that nobody knows is the server's to complain about.
    place.run("BEGIN", false).await;
    place.run("CREATE TABLE mine (id int)", false).await;
    let (code, said) = place.refused("SELECT nothing FROM mine").await;
    assert_eq!(code, "42703", "{said}");
    place.run("ROLLBACK", false).await;
}
