//! `dbgate broker check`, as the built binary: what is missing is named, and the printed line mends it (row C8).

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{self, Check, DBGATE, Site};

/// A server whose `pg_hba.conf` is as it should be, and a database on it that lacks nothing.
async fn ready() -> (Server, Offer) {
    let server = Server::own();
    let postgres = server.superuser("postgres").await;
    postgres
        .batch_execute("CREATE ROLE dbgate_lease")
        .await
        .unwrap();
    server
        .prepend_hba("local all +dbgate_lease scram-sha-256\nhost all +dbgate_lease all reject")
        .await;
    let offer = complete(&server).await;
    (server, offer)
}

/// A database with an admin role that lacks nothing.
async fn complete(server: &Server) -> Offer {
    let offer = server.offer().await;
    let admin = offer.role("admin");
    let sql = format!(
        "GRANT dbgate_lease TO {admin} WITH ADMIN OPTION;
         GRANT SELECT ON pg_hba_file_rules TO {admin};
         GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {admin};"
    );
    let client = server.superuser(&offer.name).await;
    client.batch_execute(&sql).await.unwrap();
    offer
}

/// What of checks is left in a server's catalogs.
async fn residue(server: &Server) -> i64 {
    let client = server.superuser("postgres").await;
    let sql = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'dbgate\\_\\_%')
                    + (SELECT count(*) FROM pg_largeobject_metadata)";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// What an administrator forgot: SQL as the superuser, lines of `pg_hba.conf`, the item that tells, and the line that mends.
struct Lack {
    what: &'static str,
    sql: &'static str,
    hba: &'static str,
    item: &'static str,
    line: &'static str,
}

/// `$` is the database's name, the beginning of its roles' names.
const LACKS: [Lack; 20] = [
    Lack {
        what: "an admin role that is not admitted",
        sql: "",
        hba: "local $ $_admin reject",
        item: "connect",
        line: "local $ $_admin scram-sha-256",
    },
    Lack {
        what: "an admin role that may not connect to the database",
        sql: "REVOKE CONNECT ON DATABASE $ FROM PUBLIC",
        hba: "",
        item: "connect",
        line: "GRANT CONNECT ON DATABASE \"$\" TO \"$_admin\";",
    },
    Lack {
        what: "no CREATEROLE",
        sql: "ALTER ROLE $_admin NOCREATEROLE",
        hba: "",
        item: "createrole",
        line: "ALTER ROLE \"$_admin\" CREATEROLE;",
    },
    Lack {
        what: "no membership of a granted role",
        sql: "REVOKE $_reader FROM $_admin",
        hba: "",
        item: "grant",
        line: "GRANT \"$_reader\" TO \"$_admin\" WITH ADMIN OPTION;",
    },
    Lack {
        what: "membership without admin option",
        sql: "REVOKE ADMIN OPTION FOR $_writer FROM $_admin",
        hba: "",
        item: "grant",
        line: "GRANT \"$_writer\" TO \"$_admin\" WITH ADMIN OPTION;",
    },
    Lack {
        what: "a granted role that is not there",
        sql: "DROP OWNED BY $_reader; DROP ROLE $_reader",
        hba: "",
        item: "grant",
        line: "CREATE ROLE \"$_reader\" NOLOGIN;",
    },
    Lack {
        what: "a granted role that is a superuser",
        sql: "ALTER ROLE $_writer SUPERUSER",
        hba: "",
        item: "grant",
        line: "ALTER ROLE \"$_writer\" NOSUPERUSER;",
    },
    Lack {
        what: "no membership of the owner",
        sql: "REVOKE $_owner FROM $_admin",
        hba: "",
        item: "owner",
        line: "GRANT \"$_owner\" TO \"$_admin\"",
    },
    Lack {
        what: "an owner that is not there",
        sql: "DROP OWNED BY $_owner; DROP ROLE $_owner",
        hba: "",
        item: "owner",
        line: "CREATE ROLE \"$_owner\" NOLOGIN;",
    },
    Lack {
        what: "an owner that may log in",
        sql: "ALTER ROLE $_owner LOGIN",
        hba: "",
        item: "owner",
        line: "ALTER ROLE \"$_owner\" NOLOGIN;",
    },
    Lack {
        what: "an owner above the grant",
        sql: "GRANT pg_write_all_data TO $_owner",
        hba: "",
        item: "owner",
        line: "REVOKE \"pg_write_all_data\" FROM \"$_owner\";",
    },
    Lack {
        what: "an owner without room where sessions create",
        sql: "REVOKE CREATE ON SCHEMA public FROM $_owner",
        hba: "",
        item: "owner",
        line: "GRANT CREATE ON SCHEMA \"public\" TO \"$_owner\";",
    },
    Lack {
        what: "an admin role that does not inherit",
        sql: "ALTER ROLE $_admin NOINHERIT",
        hba: "",
        item: "inherit",
        line: "ALTER ROLE \"$_admin\" INHERIT;",
    },
    Lack {
        what: "an admin role with too few connections",
        sql: "ALTER ROLE $_admin CONNECTION LIMIT 3",
        hba: "",
        item: "connections",
        line: "ALTER ROLE \"$_admin\" CONNECTION LIMIT -1;",
    },
    Lack {
        what: "leases that may not connect to the database",
        sql: "REVOKE CONNECT ON DATABASE $ FROM PUBLIC; GRANT CONNECT ON DATABASE $ TO $_admin",
        hba: "",
        item: "connect",
        line: "GRANT CONNECT ON DATABASE \"$\" TO \"$_writer\";",
    },
    Lack {
        what: "no admin option on the group of leases",
        sql: "REVOKE dbgate_lease FROM $_admin",
        hba: "",
        item: "lease-group",
        line: "GRANT \"dbgate_lease\" TO \"$_admin\" WITH ADMIN OPTION;",
    },
    Lack {
        what: "leases let in without a password",
        sql: "",
        hba: "local $ +dbgate_lease trust",
        item: "scram",
        line: "local all +dbgate_lease scram-sha-256",
    },
    Lack {
        what: "leases not admitted",
        sql: "",
        hba: "local $ $_admin scram-sha-256\nlocal $ +dbgate_lease reject",
        item: "scram",
        line: "local all +dbgate_lease scram-sha-256",
    },
    Lack {
        what: "leases admitted from everywhere",
        sql: "",
        hba: "host all all 0.0.0.0/0 scram-sha-256",
        item: "pg_hba",
        line: "host all +dbgate_lease all reject",
    },
    Lack {
        what: "leases admitted by another method from somewhere",
        sql: "",
        hba: "host $ +$_reader 10.0.0.0/8 password",
        item: "pg_hba",
        line: "host all +dbgate_lease all reject",
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn c8_what_is_missing_is_named_and_the_printed_line_mends_it() {
    let (server, offer) = ready().await;
    let check = Site::new(&server, &offer).check();
    assert_eq!(check.code, 0, "{:?} {}", check.missing(), check.stderr);
    assert!(check.items().len() >= 20, "{:?}", check.items());
    let good = std::fs::read_to_string(server.hba_file()).unwrap();
    let version = server.version().await;
    for lack in &LACKS {
        let offer = complete(&server).await;
        let named = |text: &str| text.replace('$', &offer.name);
        let client = server.superuser(&offer.name).await;
        client.batch_execute(&named(lack.sql)).await.unwrap();
        if !lack.hba.is_empty() {
            server.prepend_hba(&named(lack.hba)).await;
        }
        let site = Site::new(&server, &offer);
        let what = lack.what;
        let check = site.check();
        if lack.item == "inherit" && version >= 160_000 {
            // There, what a role inherits is up to each membership, and the broker asks for it.
            assert_eq!(check.code, 0, "{what}: {:?}", check.missing());
            continue;
        }
        assert_eq!(check.code, 1, "{what}: {} {}", check.report, check.stderr);
        let found = check.missing();
        let named_so = found.iter().filter(|item| item["item"] == lack.item);
        let line = named(lack.line);
        // From 16 on, a membership has options behind it.
        let mut lines = named_so.flat_map(|item| item["mend"].as_array().into_iter().flatten());
        let there = lines.any(|mend| mend["line"].as_str().unwrap().starts_with(&line));
        assert!(there, "{what}: `{line}` is not printed: {found:?}");

        for sql in check.mends("sql") {
            client.batch_execute(&sql).await.unwrap();
        }
        let hba = check.mends("pg_hba");
        if !hba.is_empty() {
            server.prepend_hba(&hba.join("\n")).await;
        }
        // What is mended may show what was behind it; once more is enough.
        let again = site.check();
        for sql in again.mends("sql") {
            client.batch_execute(&sql).await.unwrap();
        }
        let after = site.check();
        assert_eq!(
            after.code,
            0,
            "{what}: {:?} {}",
            after.missing(),
            after.stderr
        );
        std::fs::write(server.hba_file(), &good).unwrap();
        server.reload().await;
    }
    assert_eq!(residue(&server).await, 0, "checks left something behind");
    println!("{} privilege sets", LACKS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_where_sessions_without_an_owner_could_create_things_is_named() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let client = server.superuser(&offer.name).await;
    // As it is in every database before PostgreSQL 15.
    let sql = "GRANT CREATE ON SCHEMA public TO PUBLIC";
    client.batch_execute(sql).await.unwrap();
    let warned = |check: &Check| -> Vec<String> {
        let items = check.items().into_iter();
        let owner = items.filter(|item| item["item"] == "owner" && item["state"] == "warning");
        let lines = owner.flat_map(|item| item["mend"].as_array().into_iter().flatten());
        lines
            .map(|mend| mend["line"].as_str().unwrap().to_owned())
            .collect()
    };
    let check = site.check();
    assert_eq!(check.code, 0, "{:?}", check.missing());
    let lines = warned(&check);
    assert_eq!(lines, ["REVOKE CREATE ON SCHEMA \"public\" FROM PUBLIC;"]);
    client.batch_execute(&lines[0]).await.unwrap();
    assert_eq!(warned(&site.check()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_group_of_leases_gets_it_by_the_printed_lines() {
    let server = Server::own();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let check = site.check();
    assert_eq!(check.code, 1, "{}", check.stderr);
    let lines = check.mends("sql");
    assert_eq!(lines[0], "CREATE ROLE dbgate_lease NOLOGIN;");
    let client = server.superuser(&offer.name).await;
    for line in &lines {
        client.batch_execute(line).await.unwrap();
    }
    // pg_hba can't be read by a plain admin role: that is said, with what should be in it, and is no failure.
    let check = site.check();
    assert_eq!(check.code, 0, "{:?}", check.missing());
    let items = check.items();
    let hba = items.iter().find(|item| item["item"] == "pg_hba").unwrap();
    assert_eq!(hba["state"], "unknown");
    let lines = hba["mend"].as_array().unwrap();
    for mend in lines {
        let line = mend["line"].as_str().unwrap();
        if mend["place"] == "sql" {
            client.batch_execute(line).await.unwrap();
        }
    }
    // Now it is read, and found to let leases in by loopback, too.
    let check = site.check();
    assert_eq!(check.code, 1);
    server.prepend_hba(&check.mends("pg_hba").join("\n")).await;
    let check = site.check();
    assert_eq!(check.code, 0, "{:?}", check.missing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_killed_leaves_nothing_after_the_next_one() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let mut left = 0;
    for moment in 0..24_u64 {
        let mut child = Command::new(DBGATE)
            .args(["broker", "check", "--config"])
            .arg(site.path("broker.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + 8 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        left += residue(&server).await;
    }
    assert!(left > 0, "no kill hit a role: the test shows nothing");
    // What was on its way when the last one was killed has arrived by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let check = site.check();
    assert_eq!(check.code, 0, "{:?} {}", check.missing(), check.stderr);
    assert_eq!(residue(&server).await, 0);
    println!("24 kills, {left} of them left a role");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_ends_with_the_code_of_the_gravest_thing() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let text = Command::new(DBGATE)
        .args(["broker", "check", "--config"])
        .arg(site.path("broker.toml"))
        .output()
        .unwrap();
    let shown = String::from_utf8(text.stdout).unwrap();
    assert!(shown.contains("ok       createrole"), "{shown}");
    // Releases with known holes are named; that alone is no failure.
    for hole in dbgate::upstream::check::release::holes(server.version().await) {
        assert!(shown.contains(hole.cve), "{} is not in {shown}", hole.cve);
    }

    let client = server.superuser(&offer.name).await;
    let admin = offer.role("admin");
    client
        .batch_execute(&format!("ALTER ROLE {admin} NOCREATEROLE"))
        .await
        .unwrap();
    assert_eq!(site.check().code, 1);
    site.edit(site::issuer_url(), "http://127.0.0.1:1");
    let check = site.check();
    assert_eq!(check.code, 8, "{} {}", check.report, check.stderr);
    assert!(check.missing().iter().any(|item| item["item"] == "issuer"));
    let site = Site::new(&server, &offer);
    site.edit(&format!("port = {}", server.port), "port = 1");
    let started = Instant::now();
    let check = site.check();
    assert_eq!(check.code, 8, "{} {}", check.report, check.stderr);
    assert!(started.elapsed() < Duration::from_secs(12));
    site.write("policy.toml", "[[allow]]\nnmae = \"x\"\n");
    let check = site.check();
    assert_eq!(check.code, 7, "{} {}", check.report, check.stderr);
    assert!(check.missing().iter().any(|item| item["item"] == "policy"));
    site.write("broker.toml", "data_dri = 1\n");
    let check = site.check();
    assert_eq!(check.code, 7, "{}", check.stderr);
    assert!(check.stderr.contains("did you mean"), "{}", check.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_is_found_from_any_folder_and_nothing_is_made_up_where_it_is_not() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let check = |site: &Site| {
        let output = Command::new(DBGATE)
            .args(["broker", "check", "--output", "json", "--config"])
            .arg("broker.toml")
            .current_dir(site.path(""))
            .output()
            .unwrap();
        Check::new(&output)
    };
    let state_of = |check: &Check, item: &str| -> Vec<String> {
        let items = check.items().into_iter();
        let found = items.filter(|found| found["item"] == item);
        found
            .map(|found| found["state"].as_str().unwrap().to_owned())
            .collect()
    };
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let _entered = engineer.enter(600).await;
    let found = check(&site);
    assert_eq!(found.code, 0, "{:?}", found.missing());
    assert_eq!(state_of(&found, "state"), ["ok"], "{}", found.report);
    assert_eq!(state_of(&found, "stuck"), ["ok"]);
    assert!(state_of(&found, "unknown-lease").is_empty());
    // A state that can't be read tells nothing of leases.
    broker.kill();
    std::fs::remove_dir_all(site.path("data")).unwrap();
    std::fs::create_dir(site.path("data")).unwrap();
    site.write(
        "data/state.sqlite",
        "this is no database, but long enough to look like one",
    );
    let found = check(&site);
    assert_eq!(found.code, 7, "{}", found.report);
    assert_eq!(state_of(&found, "state"), ["missing"]);
    assert_eq!(state_of(&found, "stuck"), ["unknown"], "{}", found.report);
    assert!(state_of(&found, "unknown-lease").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_secrets_are_looked_at_and_one_that_is_away_hides_nothing_else() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let secrets = |check: &Check| -> Vec<serde_json::Value> {
        let items = check.items().into_iter();
        let items = items.filter(|item| item["item"] == "secret");
        items.cloned().collect()
    };
    assert_eq!(secrets(&site.check())[0]["state"], "ok");
    site.allow("admin.password", 0o644);
    let check = site.check();
    assert_eq!(check.code, 0, "a warning is no failure");
    let found = &secrets(&check)[0];
    assert_eq!(found["state"], "warning");
    let mend = &found["mend"][0];
    assert_eq!(mend["place"], "broker");
    let line = mend["line"].as_str().unwrap();
    let mended = Command::new("sh").args(["-c", line]).status().unwrap();
    assert!(mended.success(), "{line}");
    assert_eq!(secrets(&site.check())[0]["state"], "ok");

    std::fs::remove_file(site.path("admin.password")).unwrap();
    let check = site.check();
    assert_eq!(check.code, 7, "{}", check.report);
    let missing = check.missing();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(missing[0]["item"], "file");
    assert!(check.items().iter().any(|item| item["item"] == "issuer"));
    assert!(check.stderr.contains("\"hint\""), "{}", check.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_role_that_is_not_there_is_made_by_the_printed_lines() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    // The socket trusts nobody, so that an absent role and a wrong password look alike.
    let admin = format!("{}_nobody", offer.name);
    site.edit(
        &format!("admin = \"{}\"", offer.role("admin")),
        &format!("admin = \"{admin}\""),
    );
    let hba = format!("local all {admin} scram-sha-256");
    server.prepend_hba(&hba).await;
    let check = site.check();
    let lines = check.mends("sql");
    assert_eq!(
        lines,
        [
            format!("CREATE ROLE \"{admin}\" LOGIN CREATEROLE; -- if there is none"),
            format!("\\password {admin}"),
        ]
    );
    let client = server.superuser(&offer.name).await;
    client.batch_execute(&lines[0]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_no_record_knows_is_named_and_the_printed_line_removes_it() {
    let (server, offer) = ready().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    let _entered = engineer.enter(600).await;
    let strange = |check: &Check| -> Vec<serde_json::Value> {
        let items = check.items().into_iter();
        items
            .filter(|item| item["item"] == "unknown-lease")
            .cloned()
            .collect()
    };
    let check = site.check();
    assert_eq!(
        strange(&check),
        Vec::<serde_json::Value>::new(),
        "its own lease is known"
    );
    // The broker is gone, and its state with it.
    broker.kill();
    std::fs::remove_dir_all(site.path("data")).unwrap();
    let check = site.check();
    let found = strange(&check);
    assert_eq!((check.code, found.len()), (0, 1), "{:?}", check.report);
    assert!(found[0]["mend"].is_null(), "it may be in use: {}", found[0]);
    let client = server.superuser(&offer.name).await;
    let role = found[0]["subject"].as_str().unwrap();
    let past = format!("ALTER ROLE {role} VALID UNTIL '2020-01-01'");
    client.batch_execute(&past).await.unwrap();
    let found = strange(&site.check());
    let line = found[0]["mend"][0]["line"].as_str().unwrap();
    client.batch_execute(line).await.unwrap();
    assert_eq!(strange(&site.check()), Vec::<serde_json::Value>::new());
}
