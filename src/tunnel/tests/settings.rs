//! Settings in all forms, also with characters that need quoting.

use std::path::PathBuf;

use crate::model::secret::Secret;
use crate::tunnel::settings::{Format, Settings, Tls};

fn local() -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: 15_432,
        user: "dbgate".to_owned(),
        secret: Secret::from("s3-cr_et"),
        database: "prod".to_owned(),
        tls: Tls::Off,
    }
}

fn odd() -> Settings {
    Settings {
        host: "db.example.com".to_owned(),
        port: 443,
        user: "s0123".to_owned(),
        secret: Secret::from("it's a/b"),
        database: "prod".to_owned(),
        tls: Tls::File(PathBuf::from("/tmp/my ca.pem")),
    }
}

fn check(settings: &Settings, format: Format, expected: &str) {
    assert_eq!(settings.show(format).unwrap(), expected);
}

#[test]
fn a_local_port_in_all_forms() {
    let url = "postgresql://dbgate:s3-cr_et@127.0.0.1:15432/prod?sslmode=disable";
    check(&local(), Format::Url, url);
    check(
        &local(),
        Format::Env,
        &format!(
            "export PGHOST=127.0.0.1\nexport PGPORT=15432\nexport PGUSER=dbgate\nexport PGPASSWORD=s3-cr_et\n\
             export PGDATABASE=prod\nexport PGSSLMODE=disable\nexport DATABASE_URL='{url}'"
        ),
    );
    check(
        &local(),
        Format::Jdbc,
        "jdbc:postgresql://127.0.0.1:15432/prod?user=dbgate&password=s3-cr_et&sslmode=disable",
    );
    check(
        &local(),
        Format::Pgservice,
        "[dbgate-prod]\nhost=127.0.0.1\nport=15432\nuser=dbgate\npassword=s3-cr_et\ndbname=prod\nsslmode=disable",
    );
    check(
        &local(),
        Format::Psql,
        "PGPASSWORD=s3-cr_et psql 'host=127.0.0.1 port=15432 user=dbgate dbname=prod sslmode=disable'",
    );
    let json: serde_json::Value =
        serde_json::from_str(&local().show(Format::Json).unwrap()).unwrap();
    assert_eq!((&json["port"], &json["url"]), (&15_432.into(), &url.into()));
}

#[test]
fn characters_that_mean_something_are_quoted() {
    check(
        &odd(),
        Format::Url,
        "postgresql://s0123:it%27s%20a%2Fb@db.example.com:443/prod?sslmode=verify-full&sslrootcert=%2Ftmp%2Fmy%20ca.pem",
    );
    check(
        &odd(),
        Format::Psql,
        r"PGPASSWORD='it'\''s a/b' psql 'host=db.example.com port=443 user=s0123 dbname=prod sslmode=verify-full sslrootcert='\''/tmp/my ca.pem'\'''",
    );
    let system = Settings {
        tls: Tls::System(None),
        ..odd()
    };
    assert!(
        system
            .url()
            .ends_with("?sslmode=verify-full&sslrootcert=system")
    );
    let system = Settings {
        tls: Tls::System(Some(PathBuf::from("/etc/ssl/cert.pem"))),
        ..odd()
    };
    assert!(
        system
            .url()
            .ends_with("?sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fcert.pem")
    );
    let jdbc = system.show(Format::Jdbc).unwrap();
    assert!(
        jdbc.ends_with("&sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory")
    );
}

#[test]
fn a_socket_is_a_host_parameter_and_nothing_for_java() {
    let host = "/run/user/1000".to_owned();
    let socket = Settings { host, ..local() };
    check(
        &socket,
        Format::Url,
        "postgresql://dbgate:s3-cr_et@/prod?host=%2Frun%2Fuser%2F1000&port=15432&sslmode=disable",
    );
    assert!(socket.show(Format::Jdbc).is_err());
}
