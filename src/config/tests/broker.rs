//! The broker's file.

use std::path::Path;

use crate::config::broker::{UpstreamTls, parse};
use crate::config::problem::Source;

const GOOD: &str = r#"
data_dir = "state"
policy_files = ["policy.toml"]

[tls]
certificate = "server.pem"
key = "server.key"

[[issuer]]
url = "https://sso.example.com"
audience = "dbgate"

[[database]]
name = "prod"
host = "db.example.com"
admin = "dbgate_admin"
"#;

fn problems(text: &str) -> Vec<String> {
    match parse(&Source::new("broker.toml", text), Path::new("/etc/dbgate")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_short_file_is_enough_and_paths_are_taken_from_its_folder() {
    let config = parse(&Source::new("broker.toml", GOOD), Path::new("/etc/dbgate")).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/dbgate/state"));
    assert_eq!(config.audit_dir, Path::new("/etc/dbgate/state/audit"));
    let (name, database) = config.databases.first_key_value().unwrap();
    assert_eq!(
        (name.as_str(), database.dbname.as_str(), database.port),
        ("prod", "prod", 5432)
    );
    assert_eq!(database.tls, UpstreamTls::VerifyFull);
}

#[test]
fn all_mistakes_are_shown_at_once_with_their_places() {
    let text = GOOD
        .replace("data_dir", "data_dri")
        .replace("https://sso", "http://sso")
        .replace("\"prod\"", "\"Prod\"")
        .replace("admin =", "port = 70000\nadmin =");
    let shown = problems(&text).join("\n");
    for expected in [
        "broker.toml:2:1: there is no setting `data_dri` here (did you mean `data_dir`?)",
        "`data_dir` is missing",
        "broker.toml:10:7: the issuer `http://sso.example.com` must be `https:`",
        "broker.toml:14:8: `Prod` is no database name",
        "broker.toml:16:8: `port` must be a whole number from 1 to 65535",
    ] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
}

#[test]
fn a_database_elsewhere_is_not_reached_in_clear() {
    let text = GOOD.replace("admin =", "tls = \"off\"\nadmin =");
    assert!(
        problems(&text)
            .join("\n")
            .contains("unix sockets and loopback addresses only")
    );
}

#[test]
fn certificates_that_are_named_are_looked_at() {
    let with = |more: &str| GOOD.replace("host = \"db.example.com\"", more);
    let tls = |text: &str| {
        let config = parse(&Source::new("broker.toml", text), Path::new("/etc/dbgate")).unwrap();
        config.databases.first_key_value().unwrap().1.tls
    };
    let loopback = "host = \"127.0.0.1\"";
    assert_eq!(tls(&with(loopback)), UpstreamTls::Off);
    let named = with(&format!("{loopback}\nca_file = \"ca.pem\""));
    assert_eq!(tls(&named), UpstreamTls::VerifyFull);
    for useless in [
        "host = \"127.0.0.1\"\nca_file = \"ca.pem\"\ntls = \"off\"",
        "host = \"/run/postgresql\"\nca_file = \"ca.pem\"",
    ] {
        let shown = problems(&with(useless)).join("\n");
        assert!(
            shown.contains("broker.toml:16:11: `ca_file` is of no use here"),
            "{shown}"
        );
    }
}

/// What the reader of the file asks for: the words in quotes that follow its calls.
fn keys() -> Vec<&'static str> {
    const SOURCE: &str = include_str!("../broker.rs");
    let calls = [
        ".text(\"",
        ".texts(\"",
        ".table(\"",
        ".tables(\"",
        ".parsed(\"",
        ".read(\"",
        ".number(\"",
        ".map(\"",
        "&mut table, \"",
    ];
    let mut keys: Vec<&str> = calls
        .iter()
        .flat_map(|call| SOURCE.split(call).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    // One that stands on a line of its own.
    keys.push("plain_text");
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_read() {
    let text = include_str!("../../../docs/operations.md");
    let rows: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .map(|cell| cell.trim_matches(['*', '`', '[', ']']))
        .collect();
    let keys = keys();
    assert!(keys.len() > 30, "{keys:?}");
    for key in &keys {
        assert!(
            rows.contains(key),
            "`{key}` is not in a table of docs/operations.md"
        );
    }
    let table = text
        .split("| key |")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    for line in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let key = line.split('`').next().unwrap();
        assert!(keys.contains(&key), "`{key}` is documented and not read");
    }
}

#[test]
fn the_documented_example_is_a_configuration() {
    let text = include_str!("../../../docs/operations.md");
    let example = text
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert_eq!(problems(example), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let shown = problems("data_dir = \n[tls").join("\n");
    assert!(shown.contains("broker.toml:1:"), "{shown}");
}
