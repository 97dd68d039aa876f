//! How often keys are looked up, and what goes on when they can't be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::identity;
use crate::identity::tests::signer::Signer;
use crate::oidc::error::Error;
use crate::oidc::http::{Http, Trust};
use crate::oidc::jwks::{Cache, FRESH, INTERVAL, USABLE};
use crate::oidc::tests::fake::{Answer, Fake, StillClock};

const KEYS: &str = "/jwks";

fn cache(fake: &Fake, clock: &Arc<StillClock>) -> Cache {
    let http = Http::new(&fake.url, Trust::System).unwrap();
    Cache::new(fake.url.clone(), http, Arc::<StillClock>::clone(clock))
}

#[tokio::test]
async fn a_hundred_thousand_unknown_keys_cause_one_look_up_and_hold_up_nobody() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    cache.with_key("ed").await.unwrap();
    clock.advance(INTERVAL);
    let before = fake.hits(KEYS);
    let mut tasks = tokio::task::JoinSet::new();
    let mut slowest = Duration::ZERO;
    for number in 0..100_000 {
        let unknown = cache.clone();
        tasks.spawn(async move {
            unknown
                .with_key(&format!("unknown-{number}"))
                .await
                .is_err()
        });
        if number % 1000 == 0 {
            // Somebody with a good key, in the middle of it.
            #[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
            let started = Instant::now();
            cache.with_key("ed").await.unwrap();
            slowest = slowest.max(started.elapsed());
        }
    }
    while let Some(refused) = tasks.join_next().await {
        assert!(refused.unwrap());
    }
    assert_eq!(fake.hits(KEYS) - before, 1);
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert!(cache.with_key("ed").await.is_ok());
    clock.advance(INTERVAL);
    assert!(cache.with_key("unknown").await.is_err());
    assert_eq!(fake.hits(KEYS) - before, 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_use_up_the_look_up() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    for _ in 0..20 {
        let asking = cache.with_key("ed");
        let _gone = tokio::time::timeout(Duration::from_nanos(1), asking).await;
    }
    assert!(cache.with_key("ed").await.is_ok());
    assert_eq!(fake.hits(KEYS), 1);
}

#[tokio::test]
async fn a_rotated_key_is_found_and_a_removed_one_is_gone() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    fake.answer(
        KEYS,
        Answer::Json(json!({ "keys": [Signer::issuer().jwk("ed")] })),
    );
    cache.with_key("ed").await.unwrap();
    // Overlapping: the new one beside the old one.
    let both = json!({ "keys": [Signer::issuer().jwk("ed"), Signer::issuer().jwk("p256")] });
    fake.answer(KEYS, Answer::Json(both));
    assert!(matches!(
        cache.with_key("p256").await,
        Err(Error::UnknownKey { .. })
    ));
    clock.advance(INTERVAL);
    assert!(cache.with_key("p256").await.is_ok());
    assert!(cache.with_key("ed").await.is_ok());
    // Abrupt: the old ones are gone at once.
    fake.answer(
        KEYS,
        Answer::Json(json!({ "keys": [Signer::issuer().jwk("p384")] })),
    );
    clock.advance(INTERVAL);
    assert!(cache.with_key("p384").await.is_ok());
    let gone = cache.with_key("ed").await;
    assert!(matches!(gone, Err(Error::UnknownKey { .. })), "{gone:?}");
}

#[tokio::test]
async fn keys_in_use_are_looked_up_again_when_they_are_old() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    cache.with_key("ed").await.unwrap();
    clock.advance(FRESH - Duration::from_secs(1));
    cache.with_key("ed").await.unwrap();
    assert_eq!(fake.hits(KEYS), 1);
    clock.advance(Duration::from_secs(1));
    cache.with_key("ed").await.unwrap();
    // It goes on in the background.
    #[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
    let patience = Instant::now();
    while fake.hits(KEYS) < 2 {
        assert!(patience.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn without_the_issuer_the_keys_go_on_for_an_hour() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    cache.with_key("ed").await.unwrap();
    fake.answer(KEYS, Answer::Status(503, String::new()));
    for _ in 0..59 {
        clock.advance(Duration::from_secs(60));
        assert!(cache.with_key("ed").await.is_ok());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    clock.advance(USABLE - Duration::from_secs(59 * 60));
    let ended = cache.with_key("ed").await.unwrap_err();
    assert!(ended.is_outage(), "{ended}");
    fake.answer(KEYS, Answer::Json(Signer::issuer().key_set()));
    clock.advance(INTERVAL);
    assert!(cache.with_key("ed").await.is_ok());
}

#[tokio::test]
async fn key_sets_that_are_too_long_or_lead_elsewhere_are_refused() {
    let (fake, other, clock) = (Fake::start().await, Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    let bad = [
        (Answer::Endless(1024 * 1024 + 1), "longer than 1 MiB"),
        (Answer::Endless(100 * 1024 * 1024), "longer than 1 MiB"),
        (
            Answer::Redirect(format!("{}/jwks", other.url)),
            "status 302",
        ),
        (
            Answer::Redirect("http://169.254.169.254/latest".to_owned()),
            "status 302",
        ),
        (Answer::Status(200, "<html>".to_owned()), "can't be read"),
        (Answer::Json(json!({ "keys": [] })), "none of them"),
        (Answer::Json(json!([])), "can't be read"),
        (Answer::Status(404, String::new()), "status 404"),
    ];
    for (answer, expected) in bad {
        fake.answer(KEYS, answer);
        let error = cache.with_key("ed").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        clock.advance(INTERVAL);
    }
    assert_eq!(other.hits(KEYS), 0);
}

#[tokio::test]
async fn an_issuer_that_dawdles_is_given_up_in_time() {
    for answer in [Answer::Slow, Answer::Hang] {
        let (fake, clock) = (Fake::start().await, StillClock::new());
        fake.answer(KEYS, answer);
        #[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
        let started = Instant::now();
        let error = cache(&fake, &clock).with_key("ed").await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert!(started.elapsed() < Duration::from_secs(7));
    }
}

#[tokio::test]
async fn an_issuer_that_becomes_another_is_refused_and_the_keys_go_on() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let cache = cache(&fake, &clock);
    cache.with_key("ed").await.unwrap();
    fake.discovery(&json!({ "issuer": "https://evil.example" }));
    clock.advance(INTERVAL);
    let error = cache.with_key("new").await.unwrap_err();
    assert!(matches!(error, Error::IssuerMismatch { .. }), "{error}");
    assert!(cache.with_key("ed").await.is_ok());
}

#[tokio::test]
async fn an_unknown_key_of_a_fresh_set_is_the_token_s_fault() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let error = cache(&fake, &clock).with_key("nope").await.unwrap_err();
    let expected = identity::error::Error::UnknownKey {
        kid: "nope".to_owned(),
    };
    assert!(matches!(error, Error::Token(error) if error == expected));
}
