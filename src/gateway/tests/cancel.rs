//! Cancel requests reach the connection whose key they name, and no other.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::gateway::cancel::{Fate, Key, Length, Registry};
use crate::model::time::{Clock, Entropy, Timestamp};
use crate::wire::startup::Cancel;

#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Different each time, and not random: tests must repeat.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        for byte in bytes {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = u8::try_from(state >> 56).unwrap();
        }
    }
}

fn registry() -> (Arc<Registry>, Arc<Hand>) {
    let clock = Arc::new(Hand::default());
    let registry = Registry::new(
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::new(Counter::default()),
    );
    (Arc::new(registry), clock)
}

const HOME: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
const AWAY: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

fn request(registry: &Registry, key: &Key, source: Option<IpAddr>) -> Fate {
    let cancel = Cancel {
        pid: key.pid(),
        key: key.bytes().to_vec(),
    };
    registry.request(&cancel, source)
}

async fn is_told(key: &mut Key) -> bool {
    tokio::time::timeout(Duration::from_millis(1), key.requested())
        .await
        .is_ok()
}

#[tokio::test]
async fn the_right_key_reaches_its_connection_only() {
    let (registry, _) = registry();
    let mut mine = registry.issue(7, HOME, Length::Short);
    // Another database's backend can have the same process id.
    let mut other = registry.issue(7, HOME, Length::Short);
    assert_eq!(request(&registry, &mine, HOME), Fate::Delivered);
    assert!(is_told(&mut mine).await);
    assert!(!is_told(&mut other).await);
}

#[tokio::test]
async fn a_short_key_counts_only_from_its_own_address_and_a_long_one_from_anywhere() {
    let (registry, _) = registry();
    let short = registry.issue(7, HOME, Length::Short);
    let long = registry.issue(8, HOME, Length::Long);
    assert_eq!(request(&registry, &short, AWAY), Fate::Unknown);
    assert_eq!(request(&registry, &long, AWAY), Fate::Delivered);
    assert_eq!(long.bytes().len(), 32);
}

#[tokio::test]
async fn a_key_is_worth_nothing_after_its_connection() {
    let (registry, _) = registry();
    let key = registry.issue(7, HOME, Length::Long);
    let cancel = Cancel {
        pid: 7,
        key: key.bytes().to_vec(),
    };
    drop(key);
    assert_eq!(registry.request(&cancel, HOME), Fate::Unknown);
}

#[tokio::test]
async fn a_million_forged_requests_have_no_effect() {
    let (registry, _) = registry();
    let mut victims: Vec<Key> = (0..100)
        .map(|pid| registry.issue(pid, HOME, Length::Short))
        .collect();
    let guesses = Counter::default();
    for round in 0..1_000_000_u32 {
        let mut key = [0; 4];
        guesses.fill(&mut key);
        let cancel = Cancel {
            pid: i32::try_from(round % 100).unwrap(),
            key: key.to_vec(),
        };
        let source = IpAddr::V4(Ipv4Addr::from(round / 8));
        assert_ne!(registry.request(&cancel, Some(source)), Fate::Delivered);
    }
    for victim in &mut victims {
        assert!(!is_told(victim).await);
    }
}

#[tokio::test]
async fn who_guesses_is_not_heard_for_a_while_and_others_are() {
    let (registry, clock) = registry();
    let mine = registry.issue(7, AWAY, Length::Long);
    for _ in 0..10 {
        let forged = Cancel {
            pid: 7,
            key: vec![0; 4],
        };
        assert_eq!(registry.request(&forged, HOME), Fate::Unknown);
    }
    assert_eq!(request(&registry, &mine, HOME), Fate::Ignored);
    assert_eq!(request(&registry, &mine, AWAY), Fate::Delivered);
    clock.0.store(11, Ordering::Relaxed);
    assert_eq!(request(&registry, &mine, HOME), Fate::Delivered);
}

#[tokio::test]
async fn many_requests_at_once_are_as_good_as_one() {
    let (registry, _) = registry();
    let mut mine = registry.issue(7, HOME, Length::Short);
    for _ in 0..100 {
        assert_eq!(request(&registry, &mine, HOME), Fate::Delivered);
    }
    assert!(is_told(&mut mine).await);
    assert!(!is_told(&mut mine).await);
}
