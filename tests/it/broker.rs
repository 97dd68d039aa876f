//! The broker on a real database: sessions begin, are used, and end, whatever happens in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dbgate::audit::event::Client;
use dbgate::broker::open::Outcome;
use dbgate::broker::session::Session;
use dbgate::broker::{Ask, Error};
use dbgate::model::access::Access;
use dbgate::model::session::CloseReason;
use dbgate::model::subject::{self, Subject};
use dbgate::store::session;

use crate::harness::postgres::Server;
use crate::harness::world::{ManualClock, World, compile, person, policy, start};
use crate::harness::{long, raw};

pub(crate) fn ann() -> Subject {
    person("ann", &["engineers"])
}

/// Waits until a session's lease is gone; how long that took.
async fn gone(world: &World, session: &Session) -> Duration {
    let started = Instant::now();
    while !world.roles(session).await.is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the lease stays"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_session_reads_and_its_limits_cannot_be_shaken_off() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let attachment = world.attach(&session);
    let wishes = [("statement_timeout".to_owned(), "1h".to_owned())];
    let mut entered = world.broker.connect(&attachment, &wishes).await.unwrap();
    assert_eq!(entered.notices.len(), 1, "{:?}", entered.notices);
    let connection = &mut entered.connection;
    for reset in [
        "SELECT 1",
        "SET statement_timeout = 0; RESET ALL",
        "DISCARD ALL",
    ] {
        raw::query(connection, reset).await.unwrap();
        let sql = "SELECT current_setting('default_transaction_read_only'), \
                          current_setting('client_connection_check_interval'), \
                          current_setting('statement_timeout')::interval <= interval '10 min', \
                          current_setting('idle_session_timeout')::interval <= interval '10 min 2 s', \
                          count(*) FROM customers";
        let rows = raw::query(connection, sql).await.unwrap();
        let expected = ["on", "1s", "t", "t", "100"].map(|v| Some(v.to_owned()));
        assert_eq!(rows, [expected], "after {reset}");
    }
    let (code, _) = raw::query(connection, "DELETE FROM customers")
        .await
        .unwrap_err();
    assert!(code == "25006" || code == "42501", "{code}");
    world
        .broker
        .end_session(&ann(), &session.id, None)
        .await
        .unwrap();
    assert!(world.roles(&session).await.is_empty());
    world.broker.stop().await;
}

#[tokio::test]
async fn clients_that_come_at_once_share_one_door() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let attachments: Vec<_> = (0..40).map(|_| world.attach(&session)).collect();
    let entering = attachments.iter().map(|attachment| world.enter(attachment));
    let mut entered = Vec::new();
    for result in join_all(entering).await {
        entered.push(result.expect("everybody gets in"));
    }
    assert_eq!(session.connections(), 40);
    for one in &mut entered {
        raw::query(&mut one.connection, "SELECT 1").await.unwrap();
    }
    drop(attachments);
    assert_eq!(session.connections(), 0);
    world.broker.stop().await;
}

#[tokio::test]
async fn c13_a_lease_can_log_in_only_while_somebody_is_connecting() {
    let samples = if long() { 10_000 } else { 1_000 };
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let attachment = world.attach(&session);
    let client = world.server.superuser(&world.offer.name).await;
    let like = format!("dbgate%{}", session.id);
    let sql = "SELECT count(*) FROM pg_authid WHERE rolname LIKE $1 AND (rolcanlogin OR rolpassword IS NOT NULL)";
    let mut seen = 0;
    for _ in 0..samples / 50 {
        let _entered = world.enter(&attachment).await.unwrap();
        for _ in 0..50 {
            seen += client
                .query_one(sql, &[&like])
                .await
                .unwrap()
                .get::<_, i64>(0);
        }
    }
    assert_eq!(seen, 0, "of {samples} samples");
    world.broker.stop().await;
}

#[tokio::test]
async fn c1_a_session_ends_for_every_reason_and_its_clients_learn_why() {
    let world = World::new().await;
    let operator = person("olga", &["operators"]);
    let states = [
        "SELECT 1",
        "SELECT pg_sleep(60)",
        "BEGIN; SELECT 1",
        "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "LISTEN x",
        "COPY customers FROM STDIN",
    ];
    for cause in ["ended", "killed", "logged out", "policy", "expired"] {
        for state in states {
            let seconds = if cause == "expired" { 2 } else { 600 };
            let session = world.open(&ann(), Access::Write, seconds).await;
            let mut attachment = world.attach(&session);
            let mut entered = world.enter(&attachment).await.unwrap();
            raw::start(&mut entered.connection, state).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut started = Instant::now();
            let expected = match cause {
                "ended" => {
                    world
                        .broker
                        .end_session(&ann(), &session.id, None)
                        .await
                        .unwrap();
                    CloseReason::Ended
                }
                "killed" => {
                    world
                        .broker
                        .end_session(&operator, &session.id, None)
                        .await
                        .unwrap();
                    CloseReason::Killed {
                        by: "olga@example.com".to_owned(),
                    }
                }
                "logged out" => {
                    assert_eq!(world.broker.log_out("login").await, 1);
                    CloseReason::LoggedOut
                }
                "policy" => {
                    let nothing =
                        compile("[[allow]]\nname = \"x\"\ngroups = [\"x\"]\ndo = [\"audit\"]\n");
                    world.broker.set_policy(nothing).await.unwrap();
                    CloseReason::PolicyChanged
                }
                _ => {
                    let ends = session.ends();
                    started = Instant::now() + Duration::from_secs(2);
                    attachment.ended.wait_for(Option::is_some).await.unwrap();
                    assert!(dbgate::model::time::Clock::now(&*world.clock) >= ends);
                    CloseReason::Expired
                }
            };
            gone(&world, &session).await;
            let took = started.elapsed();
            assert!(took < Duration::from_secs(3), "{cause} {state}: {took:?}");
            assert_eq!(
                attachment.ended.borrow().clone(),
                Some(expected),
                "{cause} {state}"
            );
            // What was on its way is read first: rows of before the end, then the server's farewell.
            let _before = raw::finish(&mut entered.connection).await;
            let again = raw::query(&mut entered.connection, "SELECT 1").await;
            let (code, _) = again.unwrap_err();
            let closed = code == "08006" || code.starts_with("57P");
            assert!(
                closed,
                "{cause} {state}: the backend is still there: {code}"
            );
            let refused =
                world
                    .broker
                    .attach(session.id.as_str(), &world.offer.name, Client::default());
            assert!(refused.is_err());
            world
                .broker
                .set_policy(policy(&world.offer, ""))
                .await
                .unwrap();
        }
    }
    world.broker.stop().await;
}

#[tokio::test]
async fn a_session_that_is_opened_while_its_login_ends_ends_with_it() {
    let world = World::new().await;
    let ask = Ask {
        family: Some("a login that has ended".to_owned()),
        ..world.ask(Access::Read, 600)
    };
    let late = world.broker.open_session(&ann(), ask, None).await;
    assert!(
        matches!(late, Err(Error::Over(CloseReason::LoggedOut))),
        "{late:?}"
    );
    assert_eq!(leases(&world.server, &world.offer).await, 0);
    world.broker.stop().await;
}

#[tokio::test]
async fn an_agent_touches_nothing_that_it_was_given_for_somebody_else() {
    let world = World::new().await;
    let agent = |name: &str| Subject {
        behalf: Some(person(name, &[]).id),
        kind: subject::Kind::Agent,
        ..person("assistant", &["engineers"])
    };
    let (for_ann, for_bob) = (agent("ann"), agent("bob"));
    let session = world.open(&for_ann, Access::Read, 600).await;
    let broker = &world.broker;
    let filter = session::Filter::default();
    let sees = async |who: Subject| broker.list_sessions(&who, &filter).await.unwrap().len();
    assert_eq!(sees(for_ann.clone()).await, 1);
    assert_eq!(sees(ann()).await, 1, "what is done on her behalf is hers");
    assert_eq!(sees(for_bob.clone()).await, 0);
    assert_eq!(sees(person("bob", &[])).await, 0);
    let renewed = broker.renew(&for_bob, &session.id, None).await;
    assert!(matches!(renewed, Err(Error::NoSession)), "{renewed:?}");
    let secret = broker.replace_secret(&for_bob, &session.id).await;
    assert!(matches!(secret, Err(Error::NoSession)), "{secret:?}");
    let ended = broker.end_session(&for_bob, &session.id, None).await;
    assert!(matches!(ended, Err(Error::NoSession)), "{ended:?}");
    assert!(broker.renew(&for_ann, &session.id, None).await.is_ok());
    broker.end_session(&ann(), &session.id, None).await.unwrap();
    world.broker.stop().await;
}

#[tokio::test]
async fn the_broker_stops_and_the_session_goes_on_with_a_new_lease() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let attachment = world.attach(&session);
    let mut entered = world.enter(&attachment).await.unwrap();
    let before = world.roles(&session).await;
    world.broker.stop().await;
    assert!(world.roles(&session).await.is_empty());
    assert!(
        raw::query(&mut entered.connection, "SELECT 1")
            .await
            .is_err()
    );
    let World {
        server,
        offer,
        clock,
        broker,
        directory,
    } = world;
    drop((attachment, broker));
    let broker = start(&server, &offer, &clock, directory.path()).await;
    let world = World {
        server,
        offer,
        clock,
        broker,
        directory,
    };
    let attachment = world.attach(&session);
    let mut entered = world.enter(&attachment).await.unwrap();
    raw::query(&mut entered.connection, "SELECT 1")
        .await
        .unwrap();
    let after = world.roles(&session).await;
    assert_ne!(before, after);
    world
        .broker
        .end_session(&ann(), &session.id, None)
        .await
        .unwrap();
    assert!(world.roles(&session).await.is_empty());
    world.broker.stop().await;
}

#[test]
fn c4_a_broker_that_dies_at_any_moment_leaves_nothing_behind_after_its_next_start() {
    let moments = if long() { 400 } else { 40 };
    let server = Server::shared();
    let tests = tokio::runtime::Runtime::new().unwrap();
    let offer = tests.block_on(server.offer());
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let mut alive = 0;
    for moment in 0..moments {
        // All tasks of a run end between two of their steps when its runtime is dropped.
        let run = tokio::runtime::Runtime::new().unwrap();
        let broker = run.block_on(start(&server, &offer, &clock, directory.path()));
        let found = tests.block_on(leases(&server, &offer));
        assert_eq!(
            found, 0,
            "after death number {moment}: the next start left leases"
        );
        let ask = Ask {
            database: offer.name.parse().unwrap(),
            reason: None,
            duration: Some(Duration::from_secs(600)),
            access: Access::Write,
            request: None,
            family: None,
        };
        let name = offer.name.clone();
        run.spawn(async move {
            while let Ok(Outcome::Granted { session, .. }) =
                broker.open_session(&ann(), ask.clone(), None).await
            {
                let attachment = broker
                    .attach(session.id.as_str(), &name, Client::default())
                    .unwrap();
                let _entered = broker.connect(&attachment, &[]).await;
                let _ended = broker.end_session(&ann(), &session.id, None).await;
            }
        });
        std::thread::sleep(Duration::from_micros(700 * moment));
        run.shutdown_timeout(Duration::from_secs(5));
        alive += tests.block_on(leases(&server, &offer));
    }
    assert!(alive > 0, "no death hit a lease: the test shows nothing");
    // What was on its way to the database when the broker died is kept in mind until it cannot arrive any more.
    let run = tokio::runtime::Runtime::new().unwrap();
    clock.pass(Duration::from_secs(61));
    run.block_on(async {
        let broker = start(&server, &offer, &clock, directory.path()).await;
        let started = Instant::now();
        while !broker.store().leases().await.unwrap().is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        broker.stop().await;
    });
    assert_eq!(tests.block_on(leases(&server, &offer)), 0);
}

/// How many leases hang on the roles of a database.
async fn leases(server: &Server, offer: &crate::harness::postgres::Offer) -> i64 {
    let client = server.superuser(&offer.name).await;
    let sql = "SELECT count(DISTINCT m.member) FROM pg_auth_members m \
               WHERE m.roleid IN ($1::text::regrole, $2::text::regrole) AND m.member::regrole::text LIKE 'dbgate%'";
    let (reader, writer) = (offer.role("reader"), offer.role("writer"));
    client
        .query_one(sql, &[&reader, &writer])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn c3_leases_left_behind_are_gone_before_the_broker_serves() {
    // The figures are 200 within 5 s and 5,000 within a minute.
    let (count, limit) = if long() { (5_000, 60) } else { (200, 5) };
    let server = Server::shared();
    let offer = server.offer().await;
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let run = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (path, inner_offer, inner_server, inner_clock) = (
        directory.path().to_owned(),
        offer.clone(),
        Arc::clone(&server),
        Arc::clone(&clock),
    );
    let dead = run.spawn(async move {
        let broker = start(&inner_server, &inner_offer, &inner_clock, &path).await;
        for number in 0..count {
            let ask = Ask {
                database: inner_offer.name.parse().unwrap(),
                reason: None,
                duration: Some(Duration::from_secs(600)),
                access: Access::Read,
                request: None,
                family: None,
            };
            let who = person(&format!("p{number}"), &["engineers"]);
            broker.open_session(&who, ask, None).await.unwrap();
        }
    });
    dead.await.unwrap();
    run.shutdown_background();
    assert_eq!(leases(&server, &offer).await, count);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    let broker = start(&server, &offer, &clock, directory.path()).await;
    let took = started.elapsed();
    assert_eq!(leases(&server, &offer).await, 0);
    println!("{count} leases ended at start in {took:?}");
    assert!(took < Duration::from_secs(limit), "{took:?}");
    broker.stop().await;
}

#[tokio::test]
async fn c10_a_clock_that_is_set_extends_no_session() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    for hours in [-1, 1, 30 * 24] {
        world.clock.jump(hours * 3_600_000_000);
        assert!(
            session.over().is_none(),
            "the wall clock was set by {hours} h"
        );
        assert!(session.left() <= Duration::from_secs(600));
    }
    world.clock.pass(Duration::from_secs(601));
    assert_eq!(session.over(), Some(CloseReason::Expired));
    assert!(gone(&world, &session).await < Duration::from_secs(3));
    world.broker.stop().await;
}

#[tokio::test]
async fn c9_a_session_is_renewed_up_to_its_cap_and_not_further() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let first = session.ends();
    let hour = Duration::from_secs(3600);
    world
        .broker
        .renew(&ann(), &session.id, Some(hour))
        .await
        .unwrap();
    let second = session.ends();
    assert!(second > first);
    let cap = session.opened.after(Duration::from_secs(8 * 3600));
    for _ in 0..20 {
        world
            .broker
            .renew(&ann(), &session.id, Some(8 * hour))
            .await
            .unwrap();
        assert!(session.ends() <= cap);
    }
    assert_eq!(session.ends(), cap);
    let stranger = person("eve", &["engineers"]);
    assert!(matches!(
        world.broker.renew(&stranger, &session.id, None).await,
        Err(Error::NoSession)
    ));
    let left = person("ann", &[]);
    assert!(matches!(
        world.broker.renew(&left, &session.id, None).await,
        Err(Error::Denied(_))
    ));
    world.broker.stop().await;
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_the_reason() {
    let world = World::new().await;
    let nobody = person("nat", &["others"]);
    let refused = world
        .broker
        .open_session(&nobody, world.ask(Access::Read, 60), None)
        .await;
    assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    let mut ask = world.ask(Access::Read, 60);
    ask.database = format!("{}x", world.offer.name).parse().unwrap();
    let Err(Error::UnknownDatabase { nearest, .. }) =
        world.broker.open_session(&ann(), ask.clone(), None).await
    else {
        panic!("there is no such database");
    };
    assert_eq!(nearest.unwrap().as_str(), world.offer.name);
    let Err(Error::UnknownDatabase { nearest, .. }) =
        world.broker.open_session(&nobody, ask, None).await
    else {
        panic!("there is no such database");
    };
    assert_eq!(
        nearest, None,
        "a name was told to somebody who may not know it"
    );
    world.broker.stop().await;
}

/// Waits for all of them, at once.
pub(crate) async fn join_all<T>(
    futures: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, done) in &mut futures {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}
