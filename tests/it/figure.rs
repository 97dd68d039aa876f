//! Figures of leases: many at once (row C6), the door (C13), clocks (C9, C10).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dbgate::broker::Error;
use dbgate::broker::open::Outcome;
use dbgate::broker::session::Session;
use dbgate::model::access::Access;
use dbgate::model::secret::Secret;
use dbgate::model::session::CloseReason;
use dbgate::model::subject::Subject;
use dbgate::upstream::admin::Admin;
use dbgate::upstream::role;
use dbgate::upstream::role::name::Name;
use dbgate::wire::scram::{LEASE_ITERATIONS, Verifier};

use crate::harness::postgres::Server;
use crate::harness::world::{ManualClock, World, compile, person, start};
use crate::harness::{long, raw};

fn ann() -> Subject {
    person("ann", &["engineers"])
}

/// How many roles of leases hang on the roles of a world's database, and how many of them may log in.
async fn leases(world: &World) -> (i64, i64) {
    let client = world.server.superuser(&world.offer.name).await;
    let sql = "SELECT count(DISTINCT r.oid), count(DISTINCT r.oid) FILTER (WHERE r.rolcanlogin) \
               FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member \
               WHERE m.roleid IN ($1::text::regrole, $2::text::regrole) AND r.rolname LIKE 'dbgate%'";
    let roles = (world.offer.role("reader"), world.offer.role("writer"));
    let row = client.query_one(sql, &[&roles.0, &roles.1]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_many_leases_at_once_end_together_and_grants_go_on() {
    let count: usize = if long() { 5_000 } else { 150 };
    let world = Arc::new(World::new().await);
    let mut spans = Vec::new();
    for first in (0..count).step_by(8) {
        let tasks: Vec<_> = (first..count.min(first + 8))
            .map(|number| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let who = person(&format!("p{number}"), &["engineers"]);
                    let started = Instant::now();
                    world.open(&who, Access::Read, 3600).await;
                    started.elapsed()
                })
            })
            .collect();
        for task in tasks {
            spans.push(task.await.unwrap());
        }
    }
    assert_eq!(leases(&world).await, (count as i64, 0));
    spans.sort();
    let p99 = spans[(spans.len() - 1) * 99 / 100];
    assert!(p99 <= Duration::from_millis(500), "{p99:?}");
    // All end in one moment, and somebody asks for a session meanwhile.
    let name = &world.offer.name;
    let other = format!(
        "[[allow]]\nname = \"others\"\ngroups = [\"others\"]\ndatabases = [\"{name}\"]\ndo = [\"read\"]\nroles = [\"{name}_reader\"]\n"
    );
    let since = Instant::now();
    world.broker.set_policy(compile(&other)).await.unwrap();
    let oda = person("oda", &["others"]);
    let asked = Instant::now();
    let opened = world
        .broker
        .open_session(&oda, world.ask(Access::Read, 600), None)
        .await;
    let granted = asked.elapsed();
    assert!(matches!(opened, Ok(Outcome::Granted { .. })), "{opened:?}");
    while leases(&world).await.0 > 1 {
        assert!(since.elapsed() < Duration::from_secs(60), "leases are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{count} leases: a grant takes {:?} (p50), {p99:?} (p99); all gone {:?} after their end, a grant meanwhile took {granted:?}",
        spans[spans.len() / 2],
        since.elapsed()
    );
    world.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_the_door_is_open_for_moments_while_a_thousand_connect() {
    let (sessions, each) = if long() { (20, 50) } else { (4, 50) };
    let world = Arc::new(World::new().await);
    let stop = Arc::new(AtomicBool::new(false));
    let longest = Arc::new(AtomicU64::new(0));
    let (stopped, window, watched) = (Arc::clone(&stop), Arc::clone(&longest), Arc::clone(&world));
    // Looks as fast as it can; a window is from the first look that sees a role open to the first that sees it closed.
    let looker = tokio::spawn(async move {
        let client = watched.server.superuser(&watched.offer.name).await;
        let sql = "SELECT r.rolname::text FROM pg_roles r JOIN pg_auth_members m ON m.member = r.oid \
                   WHERE m.roleid = $1::text::regrole AND r.rolcanlogin AND r.rolname LIKE 'dbgate%'";
        let statement = client.prepare(sql).await.unwrap();
        let reader = watched.offer.role("reader");
        let mut open = std::collections::HashMap::new();
        let (mut looks, mut seen) = (0_u32, 0_u32);
        while !stopped.load(Ordering::SeqCst) {
            let rows = client.query(&statement, &[&reader]).await.unwrap();
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            looks += 1;
            open.retain(|name, since: &mut Instant| {
                let still = names.contains(name);
                let micros = u64::try_from(since.elapsed().as_micros()).unwrap();
                window.fetch_max(micros, Ordering::SeqCst);
                still
            });
            for name in names {
                seen += 1;
                open.entry(name).or_insert_with(Instant::now);
            }
        }
        (looks, seen)
    });
    let mut entered = 0;
    for number in 0..sessions {
        let who = person(&format!("p{number}"), &["engineers"]);
        let session = world.open(&who, Access::Read, 600).await;
        let tasks: Vec<_> = (0..each)
            .map(|_| {
                let (world, session) = (Arc::clone(&world), Arc::clone(&session));
                tokio::spawn(async move {
                    let attachment = world.attach(&session);
                    let mut entered = world.enter(&attachment).await.expect("everybody gets in");
                    raw::query(&mut entered.connection, "SELECT 1")
                        .await
                        .unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
            entered += 1;
        }
        assert_eq!(
            leases(&world).await.1,
            0,
            "a door is open when nobody connects"
        );
        world
            .broker
            .end_session(&who, &session.id, None)
            .await
            .unwrap();
    }
    // A session whose time is up while it connects: nobody gets in late, and nothing is left.
    let session = world.open(&ann(), Access::Read, 1).await;
    let attachment = world.attach(&session);
    let begun = Instant::now();
    while world.enter(&attachment).await.is_ok() {
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "it is let in after its end"
        );
    }
    assert_eq!(session.over(), Some(CloseReason::Expired));
    let since = Instant::now();
    while !world.roles(&session).await.is_empty() {
        assert!(since.elapsed() < Duration::from_secs(3), "the lease stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (looks, seen) = looker.await.unwrap();
    let longest = Duration::from_micros(longest.load(Ordering::SeqCst));
    assert!(
        seen > 0,
        "{looks} looks saw no open door: the test shows nothing"
    );
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    println!(
        "{entered} connects, {looks} looks, {seen} of them saw an open door; it is open for at most {longest:?}"
    );
    world.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c9_a_session_is_renewed_in_its_last_second_and_not_after_it() {
    let world = World::new().await;
    let session = world.open(&ann(), Access::Read, 600).await;
    let cap = session.opened.after(Duration::from_secs(8 * 3600));
    let hour = Some(Duration::from_secs(3600));
    world.clock.pass(Duration::from_millis(599_000));
    // Twice at once, in the last second.
    let who = ann();
    let (one, two) = tokio::join!(
        world.broker.renew(&who, &session.id, hour),
        world.broker.renew(&who, &session.id, hour)
    );
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    assert!(session.ends() <= cap);
    for _ in 0..10 {
        world.clock.pass(Duration::from_secs(3500));
        let renewed = world.broker.renew(&ann(), &session.id, hour).await;
        assert!(session.ends() <= cap, "{} is after {cap}", session.ends());
        if renewed.is_err() {
            break;
        }
    }
    assert_eq!(
        session.over(),
        Some(CloseReason::Expired),
        "the cap ends it"
    );
    let late = world.broker.renew(&ann(), &session.id, hour).await;
    assert!(
        matches!(late, Err(Error::Over(_) | Error::NoSession)),
        "{late:?}"
    );
    world.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_whatever_the_brokers_clock_shows_a_session_lasts_no_longer_than_it_was_granted_for() {
    let minute = 60_000_000;
    for (jump, granted) in [
        (-1_000_000, true),
        (60 * minute, true),
        (30 * 24 * 60 * minute, true),
        // The database is an hour ahead of the broker: by its clock the session would be over before it began.
        (-60 * minute, false),
    ] {
        let world = World::new().await;
        world.clock.jump(jump);
        let opened = world
            .broker
            .open_session(&ann(), world.ask(Access::Read, 600), None)
            .await;
        let Ok(Outcome::Granted { session, .. }) = opened else {
            assert!(
                !granted && matches!(opened, Err(Error::Skew(_))),
                "{jump}: {opened:?}"
            );
            assert_eq!(
                leases(&world).await.0,
                0,
                "a refused session leaves its lease"
            );
            world.broker.stop().await;
            continue;
        };
        assert!(granted, "{jump}");
        assert!(
            session.left() <= Duration::from_secs(600),
            "{jump}: {:?}",
            session.left()
        );
        // Set again while it lasts, over a change of the hour or a leap second: no session is longer for it.
        for again in [-3_600_000_000, 3_600_000_000, 1_000_000, -1_000_000] {
            world.clock.jump(again);
            assert!(session.left() <= Duration::from_secs(600), "{jump} {again}");
        }
        world.clock.pass(Duration::from_secs(601));
        assert_eq!(session.over(), Some(CloseReason::Expired), "{jump}");
        world.broker.stop().await;
    }
}

/// Lets a session's lease log in, as nobody but the broker does, and returns its name.
async fn open_door(world: &World, session: &Session, secret: &Secret<String>) -> Name {
    let admin = Admin::new(Arc::new(world.server.target(&world.offer)));
    let name: Name = world.roles(session).await[0].parse().unwrap();
    let verifier = Verifier::new(secret, b"0123456789abcdef", LEASE_ITERATIONS).unwrap();
    let text = verifier.to_text();
    role::open_door(&admin, &name, text.expose(), session.ends())
        .await
        .unwrap();
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_a_door_that_was_left_open_is_closed_by_the_broker_and_by_the_next_start() {
    let world = World::new().await;
    let secret = Secret::from("0123456789abcdef0123456789abcdef");
    let session = world.open(&ann(), Access::Read, 600).await;
    open_door(&world, &session, &secret).await;
    assert_eq!(leases(&world).await, (1, 1));
    let since = Instant::now();
    while leases(&world).await.1 > 0 {
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "the door stays open"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let noticed = since.elapsed();
    assert!(session.over().is_none(), "a session ended for an open door");

    // The broker dies with a door open.
    let server = Server::shared();
    let offer = server.offer().await;
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let run = tokio::runtime::Runtime::new().unwrap();
    let (path, inner, ours) = (
        directory.path().to_owned(),
        offer.clone(),
        Arc::clone(&clock),
    );
    let (dead_server, dead_secret) = (Arc::clone(&server), secret.clone());
    let dead = run.spawn(async move {
        let broker = start(&dead_server, &inner, &ours, &path).await;
        let dead = World {
            server: dead_server,
            offer: inner,
            clock: ours,
            broker,
            directory: Arc::new(tempfile::tempdir().unwrap()),
        };
        let session = dead.open(&ann(), Access::Read, 600).await;
        open_door(&dead, &session, &dead_secret).await
    });
    let name = dead.await.unwrap();
    run.shutdown_background();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let broker = start(&server, &offer, &clock, directory.path()).await;
    let direct = server
        .connect(&offer.name, name.as_str(), secret.expose())
        .await;
    assert!(
        direct.is_err(),
        "a lease of a dead broker logs in after the next start"
    );
    broker.stop().await;
    world.broker.stop().await;
    println!("an open door was closed after {noticed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_a_lease_given_to_another_role_ends_its_session() {
    let world = World::new().await;
    let server = &world.server;
    let postgres = server.superuser(&world.offer.name).await;
    let friend = world.offer.role("friend");
    let sql = format!("CREATE ROLE {friend} LOGIN PASSWORD 'friend'");
    postgres.batch_execute(&sql).await.unwrap();
    let friend_client = server
        .connect(&world.offer.name, &friend, "friend")
        .await
        .unwrap();
    let read = "SELECT count(*) FROM customers";
    assert!(friend_client.batch_execute(read).await.is_err());
    let session = world.open(&ann(), Access::Write, 600).await;
    let mut entered = world.enter(&world.attach(&session)).await.unwrap();
    let lease = world.roles(&session).await[0].clone();
    let give = format!("DO $x$ BEGIN EXECUTE 'GRANT {lease} TO {friend}'; END $x$");
    let given = raw::query(&mut entered.connection, &give).await;
    if server.version().await >= 150_000 {
        let (code, _) = given.expect_err("since 15 nobody gives themselves away");
        assert_eq!(code, "42501");
        // A superuser still can.
        let sql = format!("GRANT {lease} TO {friend}");
        postgres.batch_execute(&sql).await.unwrap();
    } else {
        given.expect("before 15 a role may give itself to others");
    }
    let since = Instant::now();
    while friend_client.batch_execute(read).await.is_ok() || session.over().is_none() {
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "somebody else reads by a lease"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let noticed = since.elapsed();
    while !world.roles(&session).await.is_empty() {
        assert!(since.elapsed() < Duration::from_secs(5), "the lease stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(friend_client.batch_execute(read).await.is_err());
    let Some(CloseReason::Killed { by }) = session.over() else {
        panic!("{:?}", session.over());
    };
    assert!(by.contains("given to another role"), "{by}");
    println!("ended {noticed:?} after a lease was given to another role");
    world.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_a_lease_used_beside_the_gateway_ends_its_session() {
    let world = World::new().await;
    let secret = Secret::from("0123456789abcdef0123456789abcdef");
    let session = world.open(&ann(), Access::Read, 600).await;
    let attachment = world.attach(&session);
    let _entered = world.enter(&attachment).await.unwrap();
    let name = open_door(&world, &session, &secret).await;
    let beside = world
        .server
        .connect(&world.offer.name, name.as_str(), secret.expose())
        .await
        .unwrap();
    let since = Instant::now();
    while !world.roles(&session).await.is_empty() {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "it goes on unnoticed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(beside.batch_execute("SELECT 1").await.is_err());
    let Some(CloseReason::Killed { by }) = session.over() else {
        panic!("{:?}", session.over());
    };
    assert!(by.contains("beside the gateway"), "{by}");
    println!(
        "ended {:?} after a login beside the gateway",
        since.elapsed()
    );
    world.broker.stop().await;
}
