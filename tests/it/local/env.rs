//! `dbgate env`: a session that outlives the command, in every form that a tool reads.

use std::fs;

use serde_json::Value;

use crate::harness::demo::Demo;
use crate::local::{open_sessions, psql, sh};

const SQL: &str = "select name || ' ' || current_setting('transaction_read_only'), email from customers where id = 7";
const ROW: &str = "Radia Vogel on|r***@***.com";

/// Settings in a form.
fn env(demo: &Demo, format: &str) -> String {
    let words = [
        "env",
        "prod",
        "--format",
        format,
        "--duration",
        "30m",
        "--access",
        "read",
    ];
    let output = demo.command("engineer", &words).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("on `prod` (read) ends at "), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The secret is data, not talk.
    assert!(!stderr.contains("postgresql://"), "{stderr}");
    text.trim_end().to_owned()
}

#[test]
fn whom_the_system_trusts_is_named_so_that_any_libpq_can_read_it() {
    let demo = Demo::start();
    let trusted = demo.said("ca_file").to_owned();
    let url = demo
        .command("engineer", &["env", "prod", "--format", "url"])
        .env_remove("DBGATE_CA_FILE")
        .env("SSL_CERT_FILE", &trusted)
        .output()
        .unwrap();
    let url = String::from_utf8(url.stdout).unwrap();
    assert!(url.contains("sslmode=verify-full&sslrootcert=%2F"), "{url}");
    assert_eq!(psql(url.trim_end(), SQL), ROW);
}

#[test]
fn every_form_works_in_the_tool_that_reads_it() {
    let demo = Demo::start();
    assert_eq!(psql(&env(&demo, "url"), SQL), ROW);

    let script = r#"eval "$1"; psql -XAt -c "$2" && psql -XAt "$DATABASE_URL" -c "$2""#;
    let (text, code) = sh(script, &[&env(&demo, "env"), SQL]);
    assert_eq!(
        (text.as_str(), code),
        (format!("{ROW}\n{ROW}\n").as_str(), 0)
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pg_service.conf");
    let sections = format!("[other]\nhost=/nowhere\n\n{}\n", env(&demo, "pgservice"));
    fs::write(&file, sections).unwrap();
    let script = r#"PGSERVICEFILE=$1 psql -XAt service=dbgate-prod -c "$2""#;
    assert_eq!(
        sh(script, &[file.to_str().unwrap(), SQL]),
        (format!("{ROW}\n"), 0)
    );

    let (text, code) = sh(r#"eval "$1 -XAt -c \"\$2\"""#, &[&env(&demo, "psql"), SQL]);
    assert_eq!((text.as_str(), code), (format!("{ROW}\n").as_str(), 0));

    let settings: Value = serde_json::from_str(&env(&demo, "json")).unwrap();
    let text = |key: &str| settings[key].as_str().unwrap().to_owned();
    let conninfo = format!(
        "host={} port={} user={} password={} dbname={} sslmode={} sslrootcert={}",
        text("host"),
        settings["port"],
        text("user"),
        text("password"),
        text("database"),
        text("sslmode"),
        text("sslrootcert"),
    );
    assert_eq!(psql(&conninfo, SQL), ROW);
    assert_eq!(psql(&text("url"), SQL), ROW);
    jdbc(&env(&demo, "jdbc"), folder.path());
    // They all live on, and are as was asked for.
    let open = open_sessions(&demo);
    assert_eq!(open.len(), 6);
    for session in open {
        assert_eq!(session["access"], "read");
        let moment = |key: &str| {
            session[key]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .unwrap()
        };
        let span = moment("ends").duration_since(moment("opened")).as_secs();
        assert_eq!(span, 30 * 60);
    }
}

/// Java's driver, which reads its own kind of URL.
fn jdbc(url: &str, folder: &std::path::Path) {
    let program = "import java.sql.*;
        class Probe {
            public static void main(String[] words) throws Exception {
                try (Connection c = DriverManager.getConnection(words[0]); Statement s = c.createStatement();
                     ResultSet r = s.executeQuery(words[1])) {
                    r.next();
                    System.out.println(r.getString(1) + \"|\" + r.getString(2));
                }
            }
        }";
    let file = folder.join("Probe.java");
    fs::write(&file, program).unwrap();
    let script = r#"java -cp /usr/share/java/postgresql.jar "$1" "$2" "$3""#;
    let (text, code) = sh(script, &[file.to_str().unwrap(), url, SQL]);
    assert_eq!((text.as_str(), code), (format!("{ROW}\n").as_str(), 0));
}

#[test]
fn a_session_of_env_ends_when_it_is_told_to() {
    let demo = Demo::start();
    let url = env(&demo, "url");
    let open = open_sessions(&demo);
    let id = open[0]["id"].as_str().unwrap();
    assert_eq!(psql(&url, "select 1"), "1");
    let kill = demo
        .command("engineer", &["sessions", "kill", id])
        .output()
        .unwrap();
    assert!(kill.status.success());
    // Once more is no mistake, and says since when and why it is over.
    let again = demo
        .command("engineer", &["sessions", "kill", id])
        .output()
        .unwrap();
    assert_eq!(again, kill);
    let unknown = demo
        .command("engineer", &["sessions", "kill", "s0123456789ab"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let after = psql(&url, "select 1");
    assert!(
        after.contains("FATAL") && after.contains("dbgate env"),
        "{after}"
    );
    // As a document with a version, for programs.
    let words = ["env", "prod", "--output", "json", "--duration", "5m"];
    let output = demo.command("engineer", &words).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["schema"], "dbgate.env/1");
    assert_eq!(said["session"]["access"], "read");
    assert_eq!(
        psql(said["settings"]["url"].as_str().unwrap(), "select 2"),
        "2"
    );
}
