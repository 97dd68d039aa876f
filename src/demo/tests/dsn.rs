//! The address of a server that is there.

use crate::demo::dsn::Dsn;
use crate::model::secret::Secret;

/// Host, port, role, encrypted or not, and the URL for clients; or what is said of it.
fn check(text: &str, expected: Result<(&str, u16, &str, bool, &str), &str>) {
    let read = text.parse::<Dsn>();
    match (read, expected) {
        (Ok(dsn), Ok((host, port, user, encrypted, url))) => {
            let seen = (
                dsn.host.as_str(),
                dsn.port,
                dsn.user.as_str(),
                dsn.encrypted,
            );
            assert_eq!(seen, (host, port, user, encrypted), "{text}");
            assert_eq!(dsn.url("demo"), url, "{text}");
        }
        (Err(error), Err(part)) => {
            let error = error.to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        (read, expected) => panic!("{text}: {read:?}, not {expected:?}"),
    }
}

#[test]
fn an_address_is_read_as_libpq_reads_it() {
    let local = "postgresql://ada@127.0.0.1:5432/demo";
    check(
        "postgres://ada@localhost",
        Ok(("127.0.0.1", 5432, "ada", false, local)),
    );
    check(
        "postgresql://ada:p%40ss%3Dw+r&d@127.0.0.1:6000/postgres",
        Ok((
            "127.0.0.1",
            6000,
            "ada",
            false,
            "postgresql://ada:p%40ss%3Dw%2Br%26d@127.0.0.1:6000/demo",
        )),
    );
    let ipv6 = "postgresql://ada@[::1]:5432/demo";
    check(
        "postgres://ada@[::1]/postgres",
        Ok(("::1", 5432, "ada", false, ipv6)),
    );
    let socket = "postgresql://ada@%2Fvar%2Frun%2Fpostgresql:5433/demo";
    let path = "/var/run/postgresql";
    check(
        "postgres:///postgres?host=/var/run/postgresql&port=5433&user=ada",
        Ok((path, 5433, "ada", false, socket)),
    );
    check(
        "postgres://ada@/postgres?host=/var/run/postgresql&port=5433",
        Ok((path, 5433, "ada", false, socket)),
    );
    check(
        "postgres://ada@%2Fvar%2Frun%2Fpostgresql:5433",
        Ok((path, 5433, "ada", false, socket)),
    );
}

#[test]
fn what_leaves_this_machine_is_encrypted_and_checked() {
    let far = "postgresql://ada@db.example.com:5432/demo?sslmode=verify-full";
    for mode in [
        "",
        "?sslmode=prefer",
        "?sslmode=require",
        "?sslmode=verify-full",
    ] {
        check(
            &format!("postgres://ada@db.example.com/postgres{mode}"),
            Ok(("db.example.com", 5432, "ada", true, far)),
        );
    }
    let trusted = format!("{far}&sslrootcert=%2Fca.pem");
    check(
        "postgres://ada@db.example.com/postgres?sslrootcert=/ca.pem",
        Ok(("db.example.com", 5432, "ada", true, &trusted)),
    );
    check(
        "postgres://ada:hunter2@db.example.com/?sslmode=disable",
        Err("loopback and unix sockets only"),
    );
    let near = "postgresql://ada@127.0.0.1:5432/demo?sslmode=verify-full";
    check(
        "postgres://ada@127.0.0.1/?sslmode=require",
        Ok(("127.0.0.1", 5432, "ada", true, near)),
    );
}

#[test]
fn what_can_not_be_read_is_told_without_the_password() {
    check("ada:hunter2@localhost", Err("no URL of PostgreSQL"));
    check("hunter2", Err("no URL"));
    check(
        "mysql://ada:hunter2@localhost/",
        Err("no URL of PostgreSQL"),
    );
    check(
        "postgres://localhost/?password=hunter2",
        Err("no role is named"),
    );
    check(
        "postgres://ada:hunter2@localhost/?sslmode=maybe",
        Err("`maybe` is no sslmode"),
    );
    check(
        "postgres://ada:hunter2@localhost/?target_session_attrs=any",
        Err("`target_session_attrs` is not known"),
    );
    check(
        "postgres://ada:hunter2@localhost/?port=many",
        Err("the port is no number"),
    );
}

#[test]
fn a_password_does_not_print() {
    let dsn: Dsn = "postgres://ada:hunter2@localhost/".parse().unwrap();
    assert!(!format!("{dsn:?}").contains("hunter2"));
    let local = Dsn::local(5433, "postgres", Secret::from("x y"));
    assert_eq!(
        local.url("prod"),
        "postgresql://postgres:x%20y@127.0.0.1:5433/prod"
    );
}
