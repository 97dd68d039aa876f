//! Every kind of event, as the built binary records it: who, where, why, from where, and what came of it; found again by each question.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dbgate::model::time::Timestamp;
use serde_json::Value;

use crate::audit::{psql, records, run, verified};
use crate::harness::demo::Demo;
use crate::harness::peer::{self, Peer};
use crate::harness::postgres::Server;
use crate::harness::site::{Site, Who};
use crate::harness::world::policy_text;
use crate::log::eventually;

/// Who may read the log.
const AUDITORS: &str = r#"
[[allow]]
name = "auditors"
groups = ["auditors"]
do = ["audit"]
"#;

/// Who, in which session, where, why.
const WITHIN: [&str; 6] = [
    "/subject/sub",
    "/subject/issuer",
    "/subject/kind",
    "/session",
    "/database",
    "/reason",
];
/// The same for a statement, and on which connection, from where.
const CLIENT: [&str; 3] = ["/connection", "/client/address", "/client/name"];

/// Each event, and what it has apart from those.
const EVENTS: [(&str, &[&str]); 25] = [
    ("broker_started", &["/version"]),
    ("policy_loaded", &["/policy"]),
    ("policy_refused", &["/error"]),
    ("logged_in", &["/subject/sub", "/method", "/client/address"]),
    ("login_refused", &["/error", "/client/address"]),
    (
        "session_requested",
        &[
            "/subject/sub",
            "/database",
            "/reason",
            "/access",
            "/client/address",
        ],
    ),
    (
        "session_refused",
        &["/subject/sub", "/database", "/error", "/client/address"],
    ),
    (
        "session_granted",
        &[
            "/ends",
            "/decision/rule",
            "/decision/policy",
            "/roles/0",
            "/client/address",
        ],
    ),
    ("lease_intended", &["/role", "/ends"]),
    ("session_opened", &["/role"]),
    ("session_ended", &["/client/address"]),
    ("session_killed", &["/owner/sub", "/client/address"]),
    ("session_closed", &["/end/why"]),
    ("connection_opened", &["/connection"]),
    ("connection_refused", &["/error", "/client/address"]),
    ("connection_closed", &["/statements", "/end"]),
    (
        "statement_intended",
        &[
            "/statement",
            "/footprint/kind",
            "/decision/rule",
            "/decision/policy",
        ],
    ),
    (
        "statement_refused",
        &[
            "/statement",
            "/footprint/kind",
            "/decision/rule",
            "/sqlstate",
            "/error",
        ],
    ),
    (
        "statement_finished",
        &["/intent", "/rows", "/bytes", "/micros", "/tag"],
    ),
    (
        "statement_failed",
        &["/intent", "/micros", "/sqlstate", "/error"],
    ),
    ("statement_cancelled", &["/intent"]),
    (
        "statement_held",
        &[
            "/statement",
            "/request",
            "/needed",
            "/approvers/0",
            "/binding",
            "/decision/rule",
        ],
    ),
    (
        "request_approved",
        &[
            "/subject/sub",
            "/request",
            "/have",
            "/needed",
            "/max_rows",
            "/note",
        ],
    ),
    ("request_denied", &["/subject/sub", "/request", "/note"]),
    ("audit_read", &["/subject/sub", "/what", "/filter"]),
];

/// Whether an event is one of a session, or of a connection in it.
fn common(event: &str) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let of_session = event.starts_with("lease_")
        || event.starts_with("statement_")
        || matches!(
            event,
            "session_granted"
                | "session_opened"
                | "session_ended"
                | "session_killed"
                | "session_closed"
                | "connection_opened"
                | "connection_closed"
        );
    if of_session {
        fields.extend(WITHIN);
    }
    if event.starts_with("statement_") || matches!(event, "connection_opened" | "connection_closed")
    {
        fields.extend(CLIENT);
    }
    fields
}

/// Something that waits for the reviewer is decided.
fn decide(demo: &Demo, arguments: &[&str]) {
    let id = eventually("a request", || {
        let output = run(demo, "reviewer", &["requests", "--output", "ndjson"]);
        let line = output.stdout.split(|byte| *byte == b'\n').next()?;
        let request: Value = serde_json::from_slice(line).ok()?;
        Some(request["id"].as_str()?.to_owned())
    });
    let all = [&arguments[..1], &[id.as_str()], &arguments[1..]].concat();
    let output = run(demo, "reviewer", &all);
    assert!(output.status.success(), "{output:?}");
}

/// Makes all of them happen.
async fn live(demo: &Demo, policy: &std::path::Path) {
    let good = std::fs::read_to_string(policy).unwrap();
    std::fs::write(policy, "[[alow]]\n").unwrap();
    eventually("the broken policy is noticed", || {
        let events = records(demo, &["search", "--event", "policy_refused"]);
        (!events.is_empty()).then_some(())
    });
    std::fs::write(policy, good).unwrap();
    let refused = demo
        .command("engineer", &["ls"])
        .env("DBGATE_ID_TOKEN", "not.a.token")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let refused = run(
        demo,
        "auditor",
        &["exec", "prod", "--reason", "r", "-c", "SELECT 1"],
    );
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let done = run(
        demo,
        "engineer",
        &["exec", "prod", "--reason", "r", "-c", "SELECT 1"],
    );
    assert!(done.status.success(), "{done:?}");
    let session = demo.session();
    let wrong = session.url().replace(session.id(), "s0000000000ab");
    psql(&wrong, "SELECT 1");
    let url = format!("{}&application_name=tester", session.url());
    psql(
        &url,
        "SELECT id, email FROM customers WHERE id = 7; SELECT 1/0; DROP TABLE customers;",
    );
    let mut config = session.config();
    config.application_name("tester");
    let (client, connection) = config.connect(session.tls()).await.unwrap();
    tokio::spawn(connection);
    let cancel = client.cancel_token();
    let tls = session.tls();
    let sleeping = client.query("SELECT pg_sleep(20), $1::text", &[&"a parameter"]);
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cancel.cancel_query(tls).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleeping, cancelling);
    assert!(slept.is_err());
    for (decision, number) in [
        (&["approve", "--max-rows", "3", "--reason", "fine"][..], 1),
        (&["deny", "--reason", "no"], 2),
    ] {
        let sql = format!("UPDATE payments SET amount = amount WHERE id = {number}");
        let mut child = Command::new("psql")
            .args(["-XAtq", &url, "-c", &sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        decide(demo, decision);
        child.wait().unwrap();
    }
    drop(client);
    let killed = run(demo, "auditor", &["sessions", "kill", session.id()]);
    assert!(killed.status.success(), "{killed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_event_is_recorded_with_all_that_it_has() {
    let place = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).unwrap();
    let folder = place.path().join("demo");
    let demo = Demo::with(&["--dir", folder.to_str().unwrap()]);
    let policy = std::path::PathBuf::from(demo.said("policy_file"));
    live(&demo, &policy).await;
    let session = eventually("the end of the session", || {
        let closed = records(&demo, &["search", "--event", "session_closed"]);
        Some(closed.last()?["session"].as_str()?.to_owned())
    });
    let all = records(&demo, &["search", "--all"]);
    let of = |event: &str| {
        all.iter()
            .filter(|record| record["event"] == event)
            .collect::<Vec<_>>()
    };
    for (event, fields) in EVENTS {
        let found = of(event);
        assert!(!found.is_empty(), "{event} is not recorded");
        let complete = |record: &&&Value| {
            let fields = fields.iter().copied().chain(common(event));
            fields
                .into_iter()
                .all(|field| record.pointer(field).is_some_and(|value| !value.is_null()))
        };
        let missing: Vec<String> = fields
            .iter()
            .copied()
            .chain(common(event))
            .filter(|field| {
                !found
                    .iter()
                    .any(|record| record.pointer(field).is_some_and(|value| !value.is_null()))
            })
            .map(str::to_owned)
            .collect();
        assert!(
            found.iter().any(|record| complete(&record)),
            "{event} lacks {missing:?}: {:#?}",
            found[0]
        );
    }
    // What was masked, with how many values; parameters; and that each end belongs to its intent.
    let masked = of("statement_finished")
        .into_iter()
        .find(|record| record["masked"][0]["values"] == 1)
        .expect("a masked value is counted");
    assert_eq!(masked["masked"][0]["from"][0], "public.customers.email");
    // The driver sends it in binary.
    let parameter: String = "a parameter"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(of("statement_intended").iter().any(|record| {
        let parameters = record["parameters"].as_str();
        parameters.is_some_and(|text| text.contains(&parameter))
    }));
    for end in all.iter().filter(|record| record["intent"].is_u64()) {
        let at = usize::try_from(end["intent"].as_u64().unwrap()).unwrap();
        assert_eq!(all[at]["event"], "statement_intended");
        assert!(end["index"].as_u64() > all[at]["index"].as_u64());
    }
    // In the order in which it is to happen.
    let first = |event: &str| {
        all.iter()
            .position(|record| record["event"] == event && record["session"] == *session)
            .unwrap()
    };
    let order = [
        "session_granted",
        "lease_intended",
        "session_opened",
        "connection_opened",
        "statement_intended",
        "statement_finished",
        "session_killed",
        "session_closed",
    ];
    assert!(order.is_sorted_by_key(|event| first(event)), "{all:#?}");
    // Nobody is said to have killed the session of a command that was done.
    let killed = of("session_killed");
    assert!(killed.iter().all(|record| record["session"] == *session));
    assert_eq!(killed[0]["owner"]["sub"], "ada");
    assert_eq!(killed[0]["subject"]["sub"], "ann");
    assert!(
        of("session_ended")
            .iter()
            .all(|record| record["session"] != *session)
    );
    found_again(&demo, &session);
    println!("{} records of {} kinds", all.len(), EVENTS.len());
    verified(&demo);
}

/// Each question of `audit search` by itself.
fn found_again(demo: &Demo, session: &str) {
    let questions: [(&[&str], &str, &str); 9] = [
        (&["--who", "ada"], "/subject/sub", "ada"),
        (&["--database", "prod"], "/database", "prod"),
        (&["--session", session], "/session", session),
        (&["--decision", "deny"], "/decision/outcome", "deny"),
        (&["--event", "statement_held"], "/event", "statement_held"),
        (
            &["--table", "payments", "--event", "statement_intended"],
            "/footprint/tables/public.payments/written",
            "true",
        ),
        // What came of them is found with them.
        (
            &["--table", "payments", "--event", "statement_finished"],
            "/tag",
            "UPDATE 1",
        ),
        (
            &["--text", "DROP table"],
            "/statement",
            "DROP TABLE customers",
        ),
        (
            &["--text", "no", "--event", "request_denied"],
            "/note",
            "no",
        ),
    ];
    for (question, field, value) in questions {
        let found = records(demo, &[&["search"], question].concat());
        assert!(!found.is_empty(), "{question:?} finds nothing");
        for record in &found {
            let text = record
                .pointer(field)
                .map(|of| of.as_str().map_or_else(|| of.to_string(), str::to_owned));
            assert!(
                text.as_deref() == Some(value)
                    || text.as_deref().is_some_and(|text| text.starts_with(value)),
                "{question:?}: {record}"
            );
        }
    }
    let all = records(demo, &["search", "--all"]);
    let middle = &all[all.len() / 2];
    let time = middle["time"].as_str().unwrap();
    let since = records(demo, &["search", "--since", time, "--limit", "1000"]);
    let until = records(demo, &["search", "--until", time, "--limit", "1000"]);
    assert_eq!(since[0]["time"], middle["time"]);
    let at = |record: &Value| {
        record["time"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    assert!(until.iter().all(|record| at(record) < at(middle)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_recorded_as_unknown() {
    let mut server = Server::own();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write("policy.toml", &policy_text(&offer, AUDITORS));
    let broker = site.run();
    let sql = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON customers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()";
    let superuser = server.superuser(&offer.name).await;
    superuser.batch_execute(sql).await.unwrap();
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    assert_eq!(
        peer::kinds(&peer.query("BEGIN; INSERT INTO customers VALUES (4711)")),
        "CCZ"
    );
    peer.say(b'Q', &peer::text("COMMIT"));
    let active =
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'";
    let since = Instant::now();
    while superuser
        .query_one(active, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "it does not commit"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill();
    let told = peer.until(b'Z');
    let (_, body) = told
        .iter()
        .find(|(kind, _)| *kind == b'E')
        .expect("an error");
    assert_eq!(peer::field(body, b'C'), "08006", "{told:?}");
    assert!(
        peer::field(body, b'D').contains("unknown") || peer::field(body, b'M').contains("unknown"),
        "{told:?}"
    );
    let found = site.dbgate(
        &broker,
        Who::Auditor,
        &[
            "audit",
            "search",
            "--event",
            "statement_unknown",
            "--output",
            "ndjson",
        ],
    );
    let record: Value =
        serde_json::from_slice(&found.stdout).unwrap_or_else(|_| panic!("{found:?}"));
    assert_eq!(record["subject"]["sub"], "ada", "{record}");
    let intent = record["intent"].as_u64().unwrap();
    let all = site.dbgate(
        &broker,
        Who::Auditor,
        &["audit", "search", "--all", "--output", "ndjson"],
    );
    let intended = String::from_utf8(all.stdout).unwrap();
    let intended = intended
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|record| record["index"] == intent)
        .unwrap();
    assert_eq!(intended["statement"], "COMMIT");
}

/// Behind the statement that waits there is more to read, and then the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_behind_a_held_statement_withdraws_it() {
    const HELD: &str = r#"
[[rule]]
name = "held"
effect = "review"
writes = ["public.customers"]
approvers = ["auditors"]
hold = "60s"
in_transaction = "60s"
"#;
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    site.write(
        "policy.toml",
        &policy_text(&offer, &format!("{AUDITORS}{HELD}")),
    );
    let broker = site.run();
    let granted = site.engineer(&broker).await.grant(600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    let text = peer::text;
    let sql = "DELETE FROM customers WHERE id = 1";
    let pipeline = [
        peer::frame(b'P', &[text(""), text(sql), vec![0, 0]].concat()),
        peer::frame(b'B', &[0; 8]),
        peer::frame(b'E', &[text(""), vec![0; 4]].concat()),
        peer::frame(b'S', &[]),
    ];
    peer.send(&pipeline.concat()).unwrap();
    let found = |event: &str| {
        let question = ["audit", "search", "--event", event, "--output", "ndjson"];
        let output = site.dbgate(&broker, Who::Auditor, &question);
        assert!(output.status.success(), "{output:?}");
        (!output.stdout.is_empty()).then_some(())
    };
    eventually("it is held", || found("statement_held"));
    assert!(found("request_withdrawn").is_none());
    drop(peer);
    eventually("it is withdrawn", || found("request_withdrawn"));
}

/// A replay on a terminal takes the time that it took, at the speed that is wanted.
#[test]
fn a_replay_takes_its_time_on_a_terminal_and_none_elsewhere() {
    let demo = Demo::start();
    let session = demo.session();
    psql(
        session.url(),
        "SELECT 'first'; SELECT pg_sleep(1.5); SELECT 'last';",
    );
    let played = |more: &str| {
        let command = demo.command("auditor", &[]);
        let program = command.get_program().to_str().unwrap().to_owned();
        let line = format!("{program} audit replay {} {more}", session.id());
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            script.env(name, value.unwrap());
        }
        let since = Instant::now();
        let output = script.env("TERM", "xterm").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("SELECT 'first'") && text.contains("SELECT 'last'"),
            "{text}"
        );
        since.elapsed()
    };
    let (slow, fast) = (played(""), played("--speed 20"));
    let (capped, none) = (played("--max-pause 100ms"), played("--no-wait"));
    let second = Duration::from_secs(1);
    assert!(slow > second + second / 2, "{slow:?}");
    assert!(
        slow > fast + second && slow > capped + second / 2 && slow > none + second,
        "{slow:?} {fast:?} {capped:?} {none:?}"
    );
    println!(
        "in its time {slow:?}, 20 times as fast {fast:?}, short pauses {capped:?}, none {none:?}"
    );
}
