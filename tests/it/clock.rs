//! Clocks that jump under the whole binary and under a real database (row C10), by libfaketime: no session lasts longer for it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::postgres::Server;
use crate::harness::site::{Broker, Engineer, Entered, Site, connect};

const HOUR: i64 = 3600;

/// How long the sessions of these tests last.
const LASTS: Duration = Duration::from_secs(4);

/// A clock that is set by a file; what does not jump, such as a timer's clock, goes on as it is.
struct Faked(PathBuf);

impl Faked {
    fn new(path: PathBuf) -> Self {
        let faked = Self(path);
        faked.set(0);
        faked
    }

    /// Seconds ahead of the real time.
    fn set(&self, seconds: i64) {
        use std::os::unix::fs::PermissionsExt as _;
        // Whole at every moment: it is read with every look at the clock.
        let fresh = self.0.with_extension("fresh");
        std::fs::write(&fresh, format!("{seconds:+}")).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(&fresh, &self.0).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let found = places
        .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    found.expect("libfaketime is installed (Debian: faketime)")
}

fn run(site: &Site, clock: &Faked) -> Broker {
    let log = site.path("broker.log");
    let mut command = site.command(&log);
    command.envs(clock.environment());
    Broker::wait(command.spawn().unwrap(), log)
}

/// How long after `since` a client's connection ended and its credential was worth nothing.
async fn over(entered: Entered, since: Instant) -> Duration {
    let Entered {
        client,
        ended,
        granted,
        ..
    } = entered;
    let limit = Duration::from_secs(20);
    let _told = tokio::time::timeout(limit, ended)
        .await
        .expect("the session goes on and on");
    let took = since.elapsed();
    drop(client);
    let again = connect(&granted, &granted.session.database).await;
    assert!(again.is_err(), "the credential still works");
    took
}

/// Not longer than it was granted for, but for the moment an end takes.
fn in_time(took: Duration, what: &str) {
    let latest = LASTS + Duration::from_secs(3);
    assert!(took < latest, "{what}: it lasted {took:?}");
}

async fn enter(engineer: &Engineer) -> Entered {
    engineer.enter(LASTS.as_secs()).await
}

fn clock_of(directory: &Path) -> Faked {
    Faked::new(directory.join("clock"))
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_the_clock_of_the_broker_jumps_and_no_session_is_longer_for_it() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let clock = clock_of(&site.path(""));
    let broker = run(&site, &clock);
    let engineer = site.engineer(&broker).await;
    let mut longest = Duration::ZERO;
    // A correction, daylight saving both ways, a month, a leap second both ways.
    for jump in [HOUR, -HOUR, 30 * 24 * HOUR, -30 * 24 * HOUR, 1, -1] {
        clock.set(0);
        let since = Instant::now();
        let open = enter(&engineer).await;
        clock.set(jump);
        let took = over(open, since).await;
        in_time(took, &format!("a jump of {jump} s"));
        longest = longest.max(took);
    }
    // Granted while the clock is wrong: by a clock that is behind the database's it would be over at once, and is refused.
    for (offset, granted) in [(30, true), (-HOUR, false)] {
        clock.set(0);
        let engineer = site.engineer(&broker).await;
        clock.set(offset);
        let since = Instant::now();
        let open = match engineer.ask(LASTS.as_secs()).await {
            Ok(open) => open,
            Err(refused) => {
                let refused = refused.to_string();
                assert!(!granted && refused.contains("clock"), "{offset}: {refused}");
                continue;
            }
        };
        assert!(granted, "{offset} s behind the database it is granted");
        let took = over(engineer.attach(open).await, since).await;
        in_time(took, &format!("an offset of {offset} s"));
        longest = longest.max(took);
    }
    println!("sessions of {LASTS:?}: the longest lasted {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_broker_that_starts_with_its_clock_set_back_revives_no_session() {
    let server = Server::shared();
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let clock = clock_of(&site.path(""));
    let broker = run(&site, &clock);
    let engineer = site.engineer(&broker).await;
    let since = Instant::now();
    let Entered { granted, .. } = enter(&engineer).await;
    broker.kill();
    clock.set(-HOUR);
    let port = granted.gateway.port;
    site.edit("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let _broker = run(&site, &clock);
    tokio::time::sleep(LASTS.saturating_sub(since.elapsed())).await;
    // From its end on, again and again: as soon as the broker can know, and ever after.
    let end = Instant::now();
    while end.elapsed() < Duration::from_secs(3) {
        let again = connect(&granted, &offer.name).await;
        if let Ok((client, _)) = again {
            let rows = client.query("SELECT 1", &[]).await;
            assert!(
                rows.is_err(),
                "it is let in {:?} after its end",
                end.elapsed()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_the_clock_of_the_database_jumps_and_the_earlier_end_counts() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock_of(directory.path());
    // The server runs as somebody else when we are root.
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::with_environment(clock.environment());
    let offer = server.offer().await;
    let site = Site::new(&server, &offer);
    let broker = site.run();
    let engineer = site.engineer(&broker).await;
    // As after a sleep of the broker's machine, during which its timers stood still: the database knows better.
    let open = engineer.enter(600).await;
    let since = Instant::now();
    clock.set(HOUR);
    let ahead = over(open, since).await;
    assert!(ahead < Duration::from_secs(3), "{ahead:?}");
    let check = site.check();
    let items = check.items();
    let skew = items.iter().find(|item| item["item"] == "clock").unwrap();
    assert_eq!(skew["state"], "warning", "{skew}");
    assert!(skew["text"].as_str().unwrap().contains("differ"), "{skew}");
    clock.set(0);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let since = Instant::now();
    let open = enter(&engineer).await;
    clock.set(-HOUR);
    let behind = over(open, since).await;
    in_time(behind, "a database an hour behind");
    println!(
        "a session of 600 s ended {ahead:?} after the database's clock passed its end; one of {LASTS:?} lasted {behind:?} \
         with that clock an hour behind"
    );
}
