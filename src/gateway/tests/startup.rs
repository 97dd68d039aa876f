//! Settings in startup packets.

use crate::gateway::startup::Settings;
use crate::wire::startup::{Startup, Version};

/// Settings as `name=value` joined by `,`, or the SQLSTATE of the refusal.
fn check(parameters: &[(&str, &str)], expected: &str) {
    let mut all = vec![("user".to_owned(), "s0".to_owned())];
    all.extend(
        parameters
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    );
    let startup = Startup {
        version: Version::V3_0,
        parameters: all,
    };
    let came = match Settings::read(&startup) {
        Ok(settings) => settings
            .values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(","),
        Err(fields) => fields.code.to_string(),
    };
    assert_eq!(came, expected, "{parameters:?}");
}

#[test]
fn settings_of_a_client_pass() {
    check(&[], "");
    check(&[("application_name", "psql")], "application_name=psql");
    check(&[("DateStyle", "ISO")], "datestyle=ISO");
    check(&[("database", "prod"), ("TimeZone", "UTC")], "timezone=UTC");
    check(
        &[(
            "options",
            "-c statement_timeout=5s --lock-timeout=1s -cwork_mem=4MB",
        )],
        "statement_timeout=5s,lock_timeout=1s,work_mem=4MB",
    );
    check(&[("options", r"-c search_path=a\ b")], "search_path=a b");
    check(
        &[("options", "-c timezone=UTC"), ("timezone", "CET")],
        "timezone=CET",
    );
    check(&[("_pq_.something", "x")], "");
    check(&[("replication", "off")], "");
}

#[test]
fn what_the_guard_relies_on_is_set_by_the_guard() {
    check(&[("client_encoding", "utf-8")], "");
    check(&[("client_encoding", "'UTF8'")], "");
    check(&[("client_encoding", "SQL_ASCII")], "");
    check(&[("standard_conforming_strings", "on")], "");
    check(&[("client_encoding", "BIG5")], "");
    check(&[("standard_conforming_strings", "off")], "");
    check(&[("options", "-c standard-conforming-strings=off")], "");
    check(&[("options", "-c backslash_quote=on")], "");
    check(&[("options", "-c default_transaction_read_only=off")], "");
}

#[test]
fn what_is_not_for_a_client_is_refused() {
    check(&[("role", "postgres")], "42501");
    check(&[("options", "-c role=postgres")], "42501");
    check(&[("options", "-c session_authorization=postgres")], "42501");
    check(&[("session_preload_libraries", "x")], "42501");
    check(
        &[("options", "-c client_connection_check_interval=0")],
        "42501",
    );
    check(&[("replication", "database")], "0A000");
}

#[test]
fn malformed_options_end_in_an_error_not_a_loop() {
    for text in [
        "-c=", "-c", "-c x", "--", "-B 10", "x", "-c =", "--=v", "\\",
    ] {
        check(&[("options", text)], "08P01");
    }
    let many = "-c geqo=on ".repeat(5_000);
    check(&[("options", &many)], "08P01");
}
