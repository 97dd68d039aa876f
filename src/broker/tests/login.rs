//! Sign-ins at the broker: what is given out, what is kept, when it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::broker::login::{Error, Issued, Logins, Surroundings};
use crate::identity::tests::signer::Signer;
use crate::identity::token::Algorithm;
use crate::model::secret::Secret;
use crate::model::subject;
use crate::net::entropy;
use crate::oidc::issuer::{Credentials, Issuers};
use crate::oidc::tests::fake::{Fake, START, StillClock};
use crate::oidc::tests::issuer::trusted;
use crate::store::sqlite::Sqlite;

const LIFETIME: Duration = Duration::from_secs(600);

fn logins(fake: &Fake, clock: &Arc<StillClock>, directory: &Path) -> Logins {
    let trusted = vec![trusted(&fake.url, "dbgate", subject::Kind::Person)];
    let issuers = Issuers::new(trusted, Arc::<StillClock>::clone(clock)).unwrap();
    let surroundings = Surroundings {
        store: Arc::new(Sqlite::open(directory).unwrap()),
        clock: Arc::<StillClock>::clone(clock),
        entropy: Arc::new(entropy::System),
    };
    Logins::new(issuers, surroundings, LIFETIME)
}

fn credentials(fake: &Fake, sub: &str, issued: i64) -> Credentials {
    let claims = json!({
        "iss": fake.url, "sub": sub, "aud": "dbgate", "groups": ["dev"],
        "iat": START + issued, "exp": START + 6000,
    });
    Credentials {
        id_token: Secret::new(Signer::issuer().simple(Algorithm::EdDsa, &claims)),
        access_token: None,
        nonce: None,
    }
}

async fn log_in(
    logins: &Logins,
    credentials: &Credentials,
    prior: Option<&Secret<String>>,
) -> Issued {
    let identified = logins.identify(credentials).await.unwrap();
    logins.issue(identified, prior).await.unwrap()
}

#[tokio::test]
async fn a_token_of_ours_speaks_for_the_subject_until_it_ends() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let issued = log_in(&logins, &credentials(&fake, "ada", 0), None).await;
    let caller = logins.caller(&issued.token).await.unwrap();
    assert_eq!(caller, issued.caller);
    assert_eq!(caller.subject.id.sub, "ada");
    clock.advance(LIFETIME);
    assert!(matches!(
        logins.caller(&issued.token).await,
        Err(Error::Ended)
    ));
}

#[tokio::test]
async fn only_its_hash_is_kept() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let issued = log_in(&logins, &credentials(&fake, "ada", 0), None).await;
    let token = issued.token.expose().as_bytes();
    assert!(token.len() > 40);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!content.windows(token.len()).any(|window| window == token));
    }
}

#[tokio::test]
async fn nothing_else_is_a_token_of_ours() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let credentials = credentials(&fake, "ada", 0);
    let issued = log_in(&logins, &credentials, None).await;
    let token = issued.token.expose();
    let others = [
        String::new(),
        "dbgate_".to_owned(),
        format!("{token}x"),
        token.get(..token.len() - 1).unwrap().to_owned(),
        token.to_uppercase(),
        token.strip_prefix("dbgate_").unwrap().to_owned(),
        credentials.id_token.expose().clone(),
        format!("dbgate_{}", "x".repeat(1 << 20)),
    ];
    for other in others {
        let refused = logins.caller(&Secret::new(other)).await;
        assert!(matches!(refused, Err(Error::Ended)));
    }
}

#[tokio::test]
async fn a_logout_ends_the_whole_login_and_no_other() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let first = log_in(&logins, &credentials(&fake, "ada", 0), None).await;
    // A refresh: another ID token, with the earlier token of ours beside it.
    let renewed = log_in(&logins, &credentials(&fake, "ada", 1), Some(&first.token)).await;
    assert_eq!(renewed.caller.family, first.caller.family);
    // A script: the same ID token with every command.
    let again = log_in(&logins, &credentials(&fake, "ada", 0), None).await;
    assert_eq!(again.caller.family, first.caller.family);
    // Another machine, and somebody who presents a token that is not his.
    let elsewhere = log_in(&logins, &credentials(&fake, "ada", 2), None).await;
    assert_ne!(elsewhere.caller.family, first.caller.family);
    let bob = log_in(&logins, &credentials(&fake, "bob", 0), Some(&first.token)).await;
    assert_ne!(bob.caller.family, first.caller.family);
    assert_eq!(logins.end(&renewed.caller).await.unwrap(), 3);
    for ended in [&first, &renewed, &again] {
        assert!(logins.caller(&ended.token).await.is_err());
    }
    for open in [&elsewhere, &bob] {
        assert!(logins.caller(&open.token).await.is_ok());
    }
}

#[tokio::test]
async fn a_login_goes_on_when_its_token_has_expired_and_leaving_ends_it() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let first = log_in(&logins, &credentials(&fake, "ada", 0), None).await;
    clock.advance(LIFETIME);
    assert!(logins.caller(&first.token).await.is_err());
    let leaver = logins.leaver(&first.token).await.unwrap();
    assert_eq!(leaver, first.caller);
    // The next morning: what was opened the evening before belongs to the same login.
    let renewed = log_in(&logins, &credentials(&fake, "ada", 600), Some(&first.token)).await;
    assert_eq!(renewed.caller.family, first.caller.family);
    let bob = log_in(&logins, &credentials(&fake, "bob", 600), Some(&first.token)).await;
    assert_ne!(bob.caller.family, first.caller.family);
    assert_eq!(logins.end(&leaver).await.unwrap(), 2);
    for ended in [&first, &renewed] {
        assert!(logins.leaver(&ended.token).await.is_err());
        let again = log_in(&logins, &credentials(&fake, "ada", 601), Some(&ended.token)).await;
        assert_ne!(again.caller.family, first.caller.family, "it is revived");
    }
}

#[tokio::test]
async fn an_agent_of_two_people_has_a_login_for_each() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let agent = |person: &str| {
        let claims = json!({
            "iss": fake.url, "sub": person, "aud": "dbgate", "groups": ["dev"],
            "iat": START, "exp": START + 6000, "act": { "sub": "assistant" },
        });
        Credentials {
            id_token: Secret::new(Signer::issuer().simple(Algorithm::EdDsa, &claims)),
            access_token: None,
            nonce: None,
        }
    };
    let for_ada = log_in(&logins, &agent("ada"), None).await;
    let for_bob = log_in(&logins, &agent("bob"), Some(&for_ada.token)).await;
    assert_eq!(for_ada.caller.subject.id, for_bob.caller.subject.id);
    assert!(!for_ada.caller.subject.is(&for_bob.caller.subject));
    assert_ne!(for_ada.caller.family, for_bob.caller.family);
}

#[tokio::test]
async fn refusals_have_a_word_for_programs() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    let logins = logins(&fake, &clock, directory.path());
    let other = Fake::start().await;
    let foreign = logins.identify(&credentials(&other, "ada", 0)).await;
    assert_eq!(foreign.unwrap_err().code(), "unknown_issuer");
    clock.advance(Duration::from_secs(7000));
    let late = logins
        .identify(&credentials(&fake, "ada", 0))
        .await
        .unwrap_err();
    assert_eq!(late.code(), "token_expired");
    assert!(late.hint().is_some());
    assert_eq!(Error::Ended.code(), "login_needed");
}

#[tokio::test]
async fn an_issuer_at_fault_is_not_laid_at_the_door_of_whoever_signs_in() {
    let (fake, clock) = (Fake::start().await, StillClock::new());
    let directory = tempfile::tempdir().unwrap();
    fake.discovery(&json!({ "issuer": "https://another.example" }));
    let logins = logins(&fake, &clock, directory.path());
    let error = logins
        .identify(&credentials(&fake, "ada", 0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "issuer_unavailable");
    let hint = error.hint().unwrap_or_default();
    assert!(
        hint.contains("an administrator has to mend it"),
        "{error}: {hint}"
    );
    assert!(matches!(&error, Error::Identity(cause) if cause.is_fault() && !cause.is_outage()));
}
