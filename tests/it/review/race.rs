//! Approvers, deniers, the client, its owner, the clock and the policy race for one statement (row E1): one outcome, and it runs once at
//! most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbgate::api::types::Decide;
use dbgate::remote::broker::Broker as Remote;
use rustix::process::Signal;

use super::{RULES, Stage};
use crate::harness::long;
use crate::harness::site::{CROWD, Entered};
use crate::harness::world::policy_text;

/// How many races there are; every [`ALL`]th has all approvers at once.
const SHORT: usize = 160;
const LONG: usize = 10_000;
const ALL: usize = 40;
/// How many statements are held at the same time, each on a connection of its own.
const LANES: usize = 4;

/// What takes part in a race, besides those who agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Against {
    /// Nobody: many agree at once.
    Nobody,
    Deny,
    Cancel,
    Withdraw,
    Expire,
    Vanish,
    Policy,
}

const AGAINST: [Against; 8] = [
    Against::Nobody,
    Against::Deny,
    Against::Cancel,
    Against::Withdraw,
    Against::Expire,
    Against::Vanish,
    Against::Policy,
    Against::Deny,
];

struct Races {
    stage: Stage,
    crowd: Vec<Remote>,
    next: AtomicUsize,
    total: usize,
}

/// How one race ended.
#[derive(Debug)]
struct End {
    against: Against,
    request: String,
    state: String,
    rows: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_races_for_a_statement_there_is_one_outcome_and_it_runs_once_at_most() {
    let total = if long() { LONG } else { SHORT };
    let stage = Stage::new().await;
    for table in ["ran", "tight"] {
        let sql = format!(
            "CREATE TABLE {table} (race int); GRANT SELECT, INSERT ON {table} TO {}",
            stage.offer.role("writer")
        );
        stage.watcher.batch_execute(&sql).await.unwrap();
    }
    let text = policy(&stage, "");
    stage.site.write("policy.toml", &text);
    stage.broker.signal(Signal::HUP);
    stage.broker.until_policy(&stage.site, &text).await;
    let since = Instant::now();
    let crowd = stage.site.crowd(&stage.broker, CROWD).await;
    let races = Arc::new(Races {
        stage,
        crowd,
        next: AtomicUsize::new(0),
        total,
    });
    let lanes: Vec<_> = (0..LANES)
        .map(|_| tokio::spawn(Arc::clone(&races).lane()))
        .collect();
    let mut counts: BTreeMap<(Against, String), usize> = BTreeMap::new();
    let mut ran = 0;
    let mut ids = Vec::new();
    for lane in lanes {
        for end in lane.await.unwrap() {
            ran += end.rows;
            *counts.entry((end.against, end.state)).or_default() += 1;
            ids.push((end.request, end.rows));
        }
    }
    // Nothing of it has run since, and the log tells the same.
    let stage = &races.stage;
    let there = stage
        .number("SELECT (SELECT count(*) FROM ran) + (SELECT count(*) FROM tight)")
        .await;
    assert_eq!(there, ran);
    let twice = "SELECT count(*) FROM (SELECT FROM ran GROUP BY race HAVING count(*) > 1) x";
    assert_eq!(stage.number(twice).await, 0);
    for (id, rows) in ids.iter().step_by((ids.len() / 40).max(1)) {
        let told = stage.told(id);
        let of = |name: &str| told.iter().filter(|event| *event == name).count();
        let ends = [
            "request_used",
            "request_denied",
            "request_withdrawn",
            "request_expired",
        ];
        assert_eq!(ends.into_iter().map(of).sum::<usize>(), 1, "{id}: {told:?}");
        assert!(
            of("statement_intended") <= of("request_used"),
            "{id}: {told:?}"
        );
        assert!(
            *rows == 0 || of("statement_intended") == 1,
            "{id}: {told:?}"
        );
    }
    println!(
        "{total} races in {:?}, {ran} statements ran, none twice: {counts:?}",
        since.elapsed()
    );
    let used = |against| {
        counts
            .keys()
            .any(|(of, state)| *of == against && state == "used")
    };
    assert!(
        used(Against::Nobody) && used(Against::Deny),
        "nobody wins by agreeing: {counts:?}"
    );
}

/// The policy of these races; `more` goes below the rule that holds.
fn policy(stage: &Stage, more: &str) -> String {
    let rule = format!(
        "[[rule]]\nname = \"ran\"\neffect = \"review\"\nwrites = [\"public.ran\"]\n\
         approvers = [\"reviewers\"]\nhold = \"60s\"\n{more}\n\
         [[rule]]\nname = \"tight\"\neffect = \"review\"\nwrites = [\"public.tight\"]\n\
         approvers = [\"reviewers\"]\nhold = \"1s\"\n"
    );
    policy_text(&stage.offer, &format!("{RULES}{rule}"))
}

impl Races {
    async fn lane(self: Arc<Self>) -> Vec<End> {
        let mut ends = Vec::new();
        let mut entered = self.stage.enter().await;
        loop {
            let race = self.next.fetch_add(1, Ordering::Relaxed);
            if race >= self.total {
                return ends;
            }
            let against = match AGAINST[race % AGAINST.len()] {
                // Policies take their time to be loaded, and there is one for all.
                Against::Policy if race % (AGAINST.len() * 5) != 6 => Against::Deny,
                other => other,
            };
            ends.push(self.run(race, against, &entered).await);
            if against == Against::Vanish {
                entered = self.stage.enter().await;
            }
        }
    }

    async fn run(&self, race: usize, against: Against, entered: &Entered) -> End {
        let table = if against == Against::Expire {
            "tight"
        } else {
            "ran"
        };
        let sql = format!("INSERT INTO {table} VALUES ({race})");
        let held = Instant::now();
        let client = entered.client.batch_execute(&sql);
        let (outcome, request) = tokio::join!(client, async {
            let id = self.find(race, table).await;
            // The request of a hold of one second is raced for as its time is up.
            if against == Against::Expire {
                let left = Duration::from_millis(960 + (race as u64 * 7) % 90);
                tokio::time::sleep(left.saturating_sub(held.elapsed())).await;
            }
            self.decide(race, against, &id, entered).await;
            id
        });
        let state = self.settled(&request).await;
        if against == Against::Vanish && state == "used" {
            // What was begun is ended; nobody tells when.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let sql = format!("SELECT count(*) FROM {table} WHERE race = {race}");
        let rows = self.stage.number(&sql).await;
        assert!(rows <= 1, "{against:?}: race {race} ran {rows} times");
        if rows == 1 {
            assert_eq!(state, "used", "{against:?}: race {race} ran");
        }
        if against != Against::Vanish {
            assert_eq!(
                outcome.is_ok(),
                rows == 1,
                "{against:?}: race {race}: {outcome:?}"
            );
        }
        End {
            against,
            request,
            state,
            rows,
        }
    }

    /// The request of that race.
    async fn find(&self, race: usize, table: &str) -> String {
        let text = format!("INSERT INTO {table} VALUES ({race})");
        let since = Instant::now();
        loop {
            let all = self.crowd[race % CROWD].requests(false).await.unwrap();
            let found = all
                .into_iter()
                .find(|one| one.statement.as_deref() == Some(&text));
            if let Some(request) = found {
                return request.id;
            }
            assert!(
                since.elapsed() < Duration::from_secs(30),
                "race {race} is not held"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Everybody at once.
    async fn decide(&self, race: usize, against: Against, id: &str, entered: &Entered) {
        let many = if race.is_multiple_of(ALL) { CROWD } else { 4 };
        // Now before those who agree, now behind them.
        let pause = Duration::from_micros((race as u64 * 211) % 6000);
        let wait = Duration::from_micros((race as u64 * 977) % 9000);
        let approvers: Vec<_> = (0..many)
            .map(|number| {
                let approver = self.crowd[(race + number) % CROWD].clone();
                let id = id.to_owned();
                tokio::spawn(async move {
                    if against != Against::Nobody {
                        tokio::time::sleep(wait).await;
                    }
                    approver
                        .approve(&id, &Decide::default())
                        .await
                        .map(|request| request.state)
                })
            })
            .collect();
        match against {
            Against::Nobody | Against::Expire => {}
            Against::Deny => {
                tokio::time::sleep(pause).await;
                let no = Decide {
                    reason: Some("no".to_owned()),
                    max_rows: None,
                };
                self.stage.reviewer.deny(id, &no).await.ok();
            }
            Against::Cancel => {
                tokio::time::sleep(pause).await;
                let cancel = entered.client.cancel_token();
                cancel.cancel_query(tokio_postgres::NoTls).await.ok();
            }
            Against::Withdraw => {
                tokio::time::sleep(pause).await;
                self.stage.engineer.remote.withdraw(id).await.ok();
            }
            Against::Vanish => {
                tokio::time::sleep(pause).await;
                entered.ended.abort();
            }
            Against::Policy => {
                let more = format!("needed = {}\n", 1 + (race / 40) % 2);
                self.stage
                    .site
                    .write("policy.toml", &policy(&self.stage, &more));
                self.stage.broker.signal(Signal::HUP);
            }
        }
        let mut agreed = 0;
        for approver in approvers {
            if let Ok(state) = approver.await.unwrap() {
                agreed += usize::from(state == "used" || state == "approved");
            }
        }
        assert!(
            agreed <= 1,
            "{against:?}: race {race}: {agreed} were told that they let it run"
        );
        // Where two must agree by now, or nobody did, the client is let go.
        if against != Against::Nobody && agreed == 0 {
            self.stage.engineer.remote.withdraw(id).await.ok();
        }
    }

    /// Waits until a request is over; which end it is.
    async fn settled(&self, id: &str) -> String {
        let since = Instant::now();
        loop {
            let state = self.stage.state(id).await;
            if state != "pending" && state != "approved" {
                return state;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "{id} is {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
