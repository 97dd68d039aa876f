//! The role of a lease, straight on the database: creation, door, attacks by the role on itself, end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dbgate::model::secret::Secret;
use dbgate::model::session::SessionId;
use dbgate::model::time::Timestamp;
use dbgate::upstream::admin::Admin;
use dbgate::upstream::connect::{self, Connection};
use dbgate::upstream::role::end::{self, Stuck};
use dbgate::upstream::role::name::Name;
use dbgate::upstream::role::{self, Plan};
use dbgate::upstream::target::Target;
use dbgate::upstream::{Error, cancel};
use dbgate::wire::scram::{LEASE_ITERATIONS, Verifier};

use crate::harness::postgres::{Offer, Server};
use crate::harness::{long, raw};

/// The password behind the door.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Leases on a database of their own.
pub(crate) struct Bench {
    pub(crate) server: Arc<Server>,
    pub(crate) offer: Offer,
    pub(crate) admin: Admin,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let server = Server::shared();
        let offer = server.offer().await;
        let admin = Admin::new(Arc::new(server.target(&offer)));
        Self {
            server,
            offer,
            admin,
        }
    }

    fn target(&self) -> &Target {
        self.admin.target()
    }

    fn owner(&self) -> String {
        self.offer.role("owner")
    }

    pub(crate) async fn create(&self, which: &str) -> Name {
        self.try_create(which).await.expect("the role is created").0
    }

    async fn try_create(&self, which: &str) -> Result<(Name, role::Created), Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let session: SessionId = format!("s{number:012}").parse().unwrap();
        let name = Name::new("ann@example.com", &session, 1);
        let plan = Plan {
            name: &name,
            roles: &[self.offer.role(which)],
            until: in_an_hour(),
            connections: 50,
        };
        let created = role::create(&self.admin, &plan).await?;
        Ok((name, created))
    }

    async fn open_door(&self, name: &Name) {
        let secret = Secret::from(SECRET);
        let verifier = Verifier::new(&secret, b"0123456789abcdef", LEASE_ITERATIONS).unwrap();
        let text = verifier.to_text();
        role::open_door(&self.admin, name, text.expose(), in_an_hour())
            .await
            .expect("the door opens");
    }

    async fn try_connect(&self, name: &Name) -> Result<Connection, Error> {
        let parameters = [("application_name".to_owned(), "test".to_owned())];
        connect::open(
            self.target(),
            name.as_str(),
            &Secret::from(SECRET),
            &parameters,
        )
        .await
    }

    pub(crate) async fn connect(&self, name: &Name) -> Connection {
        self.open_door(name).await;
        let connection = self.try_connect(name).await.expect("the lease gets in");
        role::close_door(&self.admin, name)
            .await
            .expect("the door closes");
        connection
    }

    pub(crate) async fn end(&self, name: &Name) -> Result<(), Stuck> {
        end::shut(&self.admin, name).await?;
        end::drop_role(&self.admin, name, Some(&self.owner())).await
    }

    pub(crate) async fn is_there(&self, name: &Name) -> bool {
        let names = [name.clone()];
        !end::existing(&self.admin, &names).await.unwrap().is_empty()
    }
}

fn in_an_hour() -> Timestamp {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = Timestamp::from_micros(now.as_micros().try_into().unwrap());
    now.after(Duration::from_secs(3600))
}

#[tokio::test]
async fn a_lease_has_the_rights_of_its_grant_and_no_others() {
    let bench = Bench::new().await;
    let name = bench.create("reader").await;
    let mut connection = bench.connect(&name).await;
    let rows = raw::query(&mut connection, "SELECT count(*) FROM customers")
        .await
        .unwrap();
    assert_eq!(rows, [[Some("100".to_owned())]]);
    for sql in [
        "DELETE FROM customers",
        "CREATE TABLE mine (i int)",
        "CREATE ROLE x",
        "SELECT * FROM pg_authid",
    ] {
        let (code, message) = raw::query(&mut connection, sql).await.unwrap_err();
        assert_eq!(code, "42501", "{sql}: {message}");
    }
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn a_lease_gets_in_only_while_the_door_is_open() {
    let bench = Bench::new().await;
    let name = bench.create("reader").await;
    let refused = bench.try_connect(&name).await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("28P01"), "{refused}");
    let mut connection = bench.connect(&name).await;
    raw::query(&mut connection, "SELECT 1").await.unwrap();
    let refused = bench.try_connect(&name).await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("28P01"), "{refused}");
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn over_tls_the_channel_is_bound() {
    let bench = Bench::new().await;
    let target = bench.server.tls_target(&bench.offer);
    let admin = Admin::new(Arc::new(target.clone()));
    assert!(
        admin
            .live()
            .await
            .expect("the admin gets in by TLS")
            .version
            >= 140_000
    );
    let name = bench.create("reader").await;
    bench.open_door(&name).await;
    let secret = Secret::from(SECRET);
    let mut connection = connect::open(&target, name.as_str(), &secret, &[])
        .await
        .unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let rows = raw::query(&mut connection, sql).await.unwrap();
    assert_eq!(rows, [[Some("t".to_owned())]]);
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn a_cancel_ends_the_statement_and_not_the_connection() {
    let bench = Bench::new().await;
    let name = bench.create("reader").await;
    let mut connection = bench.connect(&name).await;
    raw::start(&mut connection, "SELECT pg_sleep(60)").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    cancel::send(bench.target(), connection.pid, &connection.key)
        .await
        .unwrap();
    let (code, _) = raw::finish(&mut connection).await.unwrap_err();
    assert_eq!(code, "57014");
    raw::query(&mut connection, "SELECT 1").await.unwrap();
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn settings_of_the_grants_role_come_back_and_superusers_ones_do_not() {
    let bench = Bench::new().await;
    let reader = bench.offer.role("reader");
    let database = &bench.offer.name;
    let sql = format!(
        "ALTER ROLE {reader} SET work_mem = '8MB'; ALTER ROLE {reader} SET search_path = shop, \"$user\";
         ALTER ROLE {reader} SET my.setting = 'a=b';
         ALTER ROLE {reader} IN DATABASE {database} SET work_mem = '16MB';
         ALTER ROLE {reader} IN DATABASE postgres SET work_mem = '32MB';
         ALTER ROLE {reader} SET log_statement = 'none'"
    );
    bench
        .server
        .superuser(database)
        .await
        .batch_execute(&sql)
        .await
        .unwrap();
    let (name, created) = bench.try_create("reader").await.unwrap();
    let mut settings = created.settings;
    settings.sort();
    let expected = [
        ("my.setting", "a=b"),
        ("search_path", "shop, \"$user\""),
        ("work_mem", "16MB"),
    ];
    assert_eq!(
        settings,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    let skew = created.clock.micros() - in_an_hour().micros() + 3_600_000_000;
    assert!(skew.abs() < 2_000_000, "{skew}");
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn c5_leases_leave_no_residue() {
    const WORKERS: usize = 5;
    let cycles = if long() { 10_000 } else { 100 };
    let bench = Bench::new().await;
    let database = bench.server.superuser(&bench.offer.name).await;
    let count = "SELECT concat_ws(' ', (SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
                                         WHERE r.rolname LIKE $1),
                   (SELECT count(*) FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database
                                                                    WHERE datname = current_database())),
                   (SELECT count(*) FROM pg_default_acl),
                   (SELECT count(*) FROM pg_db_role_setting
                     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
                   (SELECT sum(pg_column_size(relacl)) FROM pg_class))";
    let pattern = format!("{}\\_%", bench.offer.name);
    let before: String = database.query_one(count, &[&pattern]).await.unwrap().get(0);
    let bench = Arc::new(bench);
    let tasks: Vec<_> = (0..WORKERS)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let mut spans = Vec::new();
                for _ in 0..cycles / WORKERS {
                    let started = Instant::now();
                    let name = bench.create("writer").await;
                    spans.push(started.elapsed());
                    let mut connection = bench.connect(&name).await;
                    raw::query(&mut connection, "SELECT 1").await.unwrap();
                    bench.end(&name).await.unwrap();
                    assert!(!bench.is_there(&name).await);
                }
                spans
            })
        })
        .collect();
    let mut spans = Vec::new();
    for task in tasks {
        spans.extend(task.await.unwrap());
    }
    let after: String = database.query_one(count, &[&pattern]).await.unwrap().get(0);
    assert_eq!(before, after);
    spans.sort();
    let (median, worst) = (spans[spans.len() / 2], spans[spans.len() - 1]);
    println!("{cycles} cycles; a lease is created in {median:?} (median), {worst:?} (worst)");
}

#[tokio::test]
async fn c12_what_a_lease_changes_about_itself_is_worth_nothing() {
    // Each as plain SQL, through `DO`, through `EXECUTE` in a function, and in a transaction that stays open for a moment.
    let changes = [
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "ALTER USER CURRENT_USER PASSWORD 'mine'",
        "ALTER ROLE SESSION_USER WITH ENCRYPTED PASSWORD 'mine'",
        "ALTER ROLE CURRENT_USER LOGIN PASSWORD 'mine'",
        "ALTER ROLE CURRENT_USER PASSWORD 'mine' VALID UNTIL 'infinity'",
        "ALTER ROLE CURRENT_USER SET statement_timeout = 0",
        "ALTER ROLE CURRENT_USER SET client_connection_check_interval = 0",
        "ALTER ROLE CURRENT_USER SET default_transaction_read_only = off",
        "ALTER ROLE CURRENT_USER SET search_path = 'evil'",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
        "ALTER ROLE CURRENT_USER NOINHERIT",
    ];
    let wraps: [fn(&str) -> String; 4] = [
        str::to_owned,
        |sql| format!("DO $x$ BEGIN EXECUTE $y${sql}$y$; END $x$"),
        |sql| {
            format!(
                "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER \
                 AS $x$ BEGIN EXECUTE $y${sql}$y$; END $x$; SELECT pg_temp.f(); DROP FUNCTION pg_temp.f()"
            )
        },
        |sql| format!("BEGIN; {sql}; SELECT pg_sleep(0.05); COMMIT"),
    ];
    let bench = Bench::new().await;
    let name = bench.create("writer").await;
    let mut tried = 0;
    for change in changes {
        for wrap in wraps {
            let mut connection = bench.connect(&name).await;
            let _allowed_or_not = raw::query(&mut connection, &wrap(change)).await;
            tried += 1;
            for password in ["mine", SECRET] {
                let direct = bench
                    .server
                    .connect(&bench.offer.name, name.as_str(), password)
                    .await;
                assert!(direct.is_err(), "direct login after {}", wrap(change));
            }
            drop(connection);
            let mut next = bench.connect(&name).await;
            let sql = "SELECT current_setting('statement_timeout'), current_setting('search_path'), \
                       current_setting('client_connection_check_interval')";
            let rows = raw::query(&mut next, sql).await.unwrap();
            let expected = ["0", "\"$user\", public", "0"].map(|v| Some(v.to_owned()));
            assert_eq!(rows, [expected], "after {}", wrap(change));
        }
    }
    assert!(tried >= 40);
    bench.end(&name).await.unwrap();
}

#[tokio::test]
async fn c1_a_lease_ends_while_it_works_waits_or_holds_its_own_entry() {
    let states = [
        "SELECT 1",
        "SELECT pg_sleep(60)",
        "BEGIN; SELECT 1",
        "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; SELECT pg_sleep(60)",
        "LISTEN x",
        "COPY customers FROM STDIN",
        "SELECT * FROM generate_series(1, 100000000)",
        "CREATE TEMPORARY TABLE t AS SELECT * FROM customers",
        "SELECT pg_advisory_lock(1)",
    ];
    let bench = Bench::new().await;
    for sql in states {
        let name = bench.create("writer").await;
        let mut connection = bench.connect(&name).await;
        raw::start(&mut connection, sql).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        bench
            .end(&name)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let took = started.elapsed();
        assert!(took < Duration::from_secs(3), "{sql}: {took:?}");
        assert!(!bench.is_there(&name).await, "{sql}");
        let client = bench.server.superuser(&bench.offer.name).await;
        let pid = i32::try_from(connection.pid).unwrap();
        let left = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
        assert!(
            client.query(left, &[&pid]).await.unwrap().is_empty(),
            "{sql}: backend is left"
        );
    }
}

#[tokio::test]
async fn c7_what_a_lease_owns_in_three_databases_goes_to_the_owner() {
    let bench = Bench::new().await;
    let other = bench.server.offer().await;
    let third = bench.server.offer().await;
    let name = bench.create("writer").await;
    let (role, owner) = (name.as_str(), bench.owner());
    let objects = format!(
        "GRANT CREATE ON SCHEMA public TO {owner};
         CREATE SCHEMA s_{role} AUTHORIZATION {role}; GRANT CREATE ON SCHEMA s_{role} TO {owner};
         GRANT CREATE ON DATABASE \"$db\" TO {owner};
         SET ROLE {role};
         CREATE TABLE s_{role}.t (id serial PRIMARY KEY, v text);
         CREATE TABLE s_{role}.part (i int) PARTITION BY RANGE (i);
         CREATE TABLE s_{role}.part1 PARTITION OF s_{role}.part FOR VALUES FROM (0) TO (9);
         CREATE INDEX ON s_{role}.t (v);
         CREATE VIEW s_{role}.v AS SELECT 1 AS a;
         CREATE MATERIALIZED VIEW s_{role}.m AS SELECT 1 AS a;
         CREATE SEQUENCE s_{role}.q;
         CREATE TYPE s_{role}.e AS ENUM ('a'); CREATE TYPE s_{role}.c AS (a int);
         CREATE TYPE s_{role}.r AS RANGE (subtype = int4);
         CREATE DOMAIN s_{role}.d AS int CHECK (VALUE > 0);
         CREATE FUNCTION s_{role}.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
         CREATE PROCEDURE s_{role}.p() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
         CREATE AGGREGATE s_{role}.a(int) (SFUNC = int4pl, STYPE = int);
         CREATE OPERATOR s_{role}.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
         CREATE COLLATION s_{role}.co FROM \"C\";
         CREATE TEXT SEARCH DICTIONARY s_{role}.td (TEMPLATE = simple);
         CREATE TEXT SEARCH CONFIGURATION s_{role}.tc (COPY = english);
         CREATE STATISTICS s_{role}.st (ndistinct) ON id, v FROM s_{role}.t;
         CREATE CONVERSION s_{role}.cv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
         CREATE OPERATOR FAMILY s_{role}.of USING btree;
         CREATE POLICY pol ON s_{role}.t TO {role} USING (true);
         CREATE TRIGGER tr BEFORE UPDATE ON s_{role}.t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
         CREATE RULE ru AS ON INSERT TO s_{role}.v DO INSTEAD NOTHING;
         GRANT SELECT ON s_{role}.t TO PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
         SELECT lo_create(0); COMMENT ON TABLE s_{role}.t IS 'x';
         RESET ROLE;
         CREATE PUBLICATION pu_{role} FOR TABLE s_{role}.t; ALTER PUBLICATION pu_{role} OWNER TO {role};
         CREATE FOREIGN DATA WRAPPER fw_{role}; GRANT USAGE ON FOREIGN DATA WRAPPER fw_{role} TO {owner};
         CREATE SERVER fs_{role} FOREIGN DATA WRAPPER fw_{role}; ALTER SERVER fs_{role} OWNER TO {role};
         CREATE USER MAPPING FOR {role} SERVER fs_{role};
         "
    );
    for database in [&bench.offer.name, &other.name, &third.name] {
        let client = bench.server.superuser(database).await;
        let sql = objects.replace("$db", database);
        // The operator family needs a superuser; everything else is the role's own doing.
        let sql = sql.replace(
            &format!("CREATE OPERATOR FAMILY s_{role}.of USING btree;"),
            &format!("RESET ROLE; CREATE OPERATOR FAMILY s_{role}.of USING btree;
                      ALTER OPERATOR FAMILY s_{role}.of USING btree OWNER TO {role}; SET ROLE {role};"),
        );
        client.batch_execute(&sql).await.unwrap();
    }
    let kinds = objects.matches("CREATE ").count() - objects.matches("GRANT CREATE ").count();
    println!("{kinds} kinds of objects in 3 databases");
    assert!(kinds >= 25, "{kinds}");
    let mut connection = bench.connect(&name).await;
    let sql = "BEGIN; DELETE FROM customers WHERE id = 1; PREPARE TRANSACTION 'left behind'";
    raw::query(&mut connection, sql).await.unwrap();
    bench.end(&name).await.unwrap();
    assert!(!bench.is_there(&name).await);
    for database in [&bench.offer.name, &other.name, &third.name] {
        let client = bench.server.superuser(database).await;
        let definer = "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace::regnamespace::text LIKE 's\\_%'";
        assert_eq!(
            client
                .query_one(definer, &[])
                .await
                .unwrap()
                .get::<_, i64>(0),
            0
        );
        let owned = "SELECT count(*) FROM pg_class WHERE relowner::regrole::text = $1 AND relkind IN ('r','p','v','m','S')";
        let owned: i64 = client.query_one(owned, &[&owner]).await.unwrap().get(0);
        assert!(owned >= 7, "{owned}");
    }
    let client = bench.server.superuser(&bench.offer.name).await;
    let prepared: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(prepared, 0);
}

#[tokio::test]
async fn without_an_owner_a_role_that_owns_something_stays_closed() {
    let bench = Bench::new().await;
    let name = bench.create("writer").await;
    let mut connection = bench.connect(&name).await;
    raw::query(&mut connection, "CREATE TABLE mine (i int)")
        .await
        .unwrap();
    end::shut(&bench.admin, &name).await.unwrap();
    let stuck = end::drop_role(&bench.admin, &name, None).await.unwrap_err();
    assert!(matches!(stuck, Stuck::Owns { .. }), "{stuck}");
    assert!(bench.is_there(&name).await);
    let look = role::look(&bench.admin).await.unwrap();
    assert!(!look.open.contains(&name) && !look.backends.iter().any(|(role, _)| *role == name));
    bench.end(&name).await.unwrap();
    assert!(!bench.is_there(&name).await);
}

#[tokio::test]
async fn what_somebody_else_granted_to_a_lease_is_named_and_in_the_way_until_it_is_revoked() {
    let bench = Bench::new().await;
    let name = bench.create("reader").await;
    let postgres = bench.server.superuser(&bench.offer.name).await;
    let grant =
        format!("GRANT SELECT ON customers TO {name}; GRANT USAGE ON LANGUAGE sql TO {name}");
    postgres.batch_execute(&grant).await.unwrap();
    let stuck = bench.end(&name).await.unwrap_err().to_string();
    assert!(
        stuck.contains("privileges for table public.customers"),
        "{stuck}"
    );
    let look = role::look(&bench.admin).await.unwrap();
    assert!(!look.open.contains(&name));
    postgres
        .batch_execute(&format!("DROP OWNED BY {name}"))
        .await
        .unwrap();
    bench.end(&name).await.unwrap();
    assert!(!bench.is_there(&name).await);
}

#[tokio::test]
async fn ending_twice_is_ending_once() {
    let bench = Bench::new().await;
    let name = bench.create("reader").await;
    bench.end(&name).await.unwrap();
    bench.end(&name).await.unwrap();
}
