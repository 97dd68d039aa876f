//! `dbgate demo --dsn`: a server that is there is left as it was.

use std::time::Duration;

use rustix::process::Signal;

use crate::demo::play::assert_road;
use crate::demo::{Stage, out, signal, talk};
use crate::harness;
use crate::harness::postgres::{PASSWORD, Server};

/// A server that is there, with a role that may make databases and roles, and is no superuser.
struct There(Server);

impl There {
    async fn new() -> Self {
        let server = Server::own();
        let postgres = server.superuser("postgres").await;
        postgres
            .batch_execute(&format!(
                "CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}';
                 CREATE ROLE weak LOGIN CREATEDB PASSWORD '{PASSWORD}'"
            ))
            .await
            .unwrap();
        Self(server)
    }

    fn dsn(&self, role: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!(
            "postgres://{role}:{password}@127.0.0.1:{}/postgres",
            self.0.port
        )
    }

    /// Every role and database of the server, and who is a member of what.
    async fn inventory(&self) -> Vec<String> {
        let postgres = self.0.superuser("postgres").await;
        let sql = "SELECT 'role ' || rolname FROM pg_roles UNION ALL SELECT 'database ' || datname FROM pg_database
                   UNION ALL SELECT 'member ' || roleid::regrole || ' ' || member::regrole FROM pg_auth_members ORDER BY 1";
        let rows = postgres.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_there_is_left_as_it_was() {
    let there = There::new().await;
    let stage = Stage::new();
    let before = there.inventory().await;
    for role in ["maker", "postgres"] {
        let played = stage.run(&["--play", "--dsn", &there.dsn(role)]);
        assert_eq!(
            played.status.code(),
            Some(0),
            "{role}: {}\n{}",
            out(&played),
            talk(&played)
        );
        assert_road(&out(&played));
        assert!(
            out(&played).contains("the server at 127.0.0.1:"),
            "{}",
            out(&played)
        );
        assert_eq!(there.inventory().await, before, "{role}");
        stage.assert_clean();
    }
}

/// `dbgate demo --dsn` with Ctrl-C after all kinds of times, during the making, the play and the taking down.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_there_is_left_as_it_was_also_after_ctrl_c() {
    let there = There::new().await;
    let stage = Stage::new();
    let before = there.inventory().await;
    let times = if harness::long() { 60 } else { 10 };
    let mut early = 0;
    for turn in 0..times {
        let mut child = stage
            .command(&["--play", "--dsn", &there.dsn("maker")])
            .spawn()
            .unwrap();
        // From at once to two and a half seconds.
        std::thread::sleep(Duration::from_millis(60 + 2440 * turn / times));
        if child.try_wait().unwrap().is_none() {
            signal(
                &child,
                [Signal::INT, Signal::TERM][usize::try_from(turn % 2).unwrap()],
            );
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(130 | 143) => early += 1,
            other => panic!("{other:?}: {}\n{}", out(&output), talk(&output)),
        }
        assert_eq!(
            there.inventory().await,
            before,
            "turn {turn}: {}",
            out(&output)
        );
        stage.assert_clean();
    }
    println!("{times} times, {early} of them interrupted");
    assert!(
        early > times / 3,
        "{early} of {times} were interrupted: nothing is shown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_and_names_that_are_taken_are_told_with_what_helps() {
    let there = There::new().await;
    let stage = Stage::new();
    let tell = |role: &str| {
        let output = stage.run(&["--json", "--dsn", &there.dsn(role)]);
        assert_eq!(output.status.code(), Some(7), "{}", talk(&output));
        assert_eq!(out(&output), "");
        stage.assert_clean();
        talk(&output)
    };
    let told = tell("weak");
    assert!(told.contains("the role `weak` lacks CREATEROLE"), "{told}");
    assert!(told.contains("ALTER ROLE \"weak\" CREATEROLE;"), "{told}");
    let postgres = there.0.superuser("postgres").await;
    postgres
        .batch_execute("CREATE ROLE dbgate_read")
        .await
        .unwrap();
    let before = there.inventory().await;
    let told = tell("maker");
    assert!(
        told.contains("`ROLE dbgate_read` is already there"),
        "{told}"
    );
    assert!(told.contains("DROP ROLE dbgate_read;"), "{told}");
    assert_eq!(there.inventory().await, before);
    postgres
        .batch_execute("DROP ROLE dbgate_read")
        .await
        .unwrap();
    // Where sessions' roles come in without a password, no session can be opened: that is told now, not then.
    let before = there.inventory().await;
    there.0.prepend_hba("host dbgate_demo all all trust").await;
    let told = tell("maker");
    assert!(
        told.contains("lets the role in without a password"),
        "{told}"
    );
    assert!(
        told.contains("host all +dbgate_lease 127.0.0.1/32 scram-sha-256"),
        "{told}"
    );
    assert_eq!(there.inventory().await, before);
    there
        .0
        .prepend_hba("host dbgate_demo dbgate_admin all reject")
        .await;
    let told = tell("maker");
    assert!(
        told.contains("the broker can't work on this server"),
        "{told}"
    );
    assert_eq!(there.inventory().await, before);
    let closed = stage.run(&["--json", "--dsn", "postgres://maker@127.0.0.1:1/postgres"]);
    assert_eq!(closed.status.code(), Some(7));
    assert!(
        talk(&closed).contains("is the server running?"),
        "{}",
        talk(&closed)
    );
    let nonsense = stage.run(&["--json", "--dsn", "postgres://:hunter2@127.0.0.1/"]);
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(!talk(&nonsense).contains("hunter2"), "{}", talk(&nonsense));
}
