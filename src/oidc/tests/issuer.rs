//! From credentials to subjects, with several issuers and with `userinfo`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::broker::Issuer;
use crate::identity::tests::signer::{Signer, half_hash};
use crate::identity::token::Algorithm;
use crate::model::secret::Secret;
use crate::model::subject::{self, Subject};
use crate::oidc::error::Error;
use crate::oidc::issuer::{Credentials, Issuers};
use crate::oidc::tests::fake::{Answer, Fake, START, StillClock};

/// An issuer as a broker's configuration names it.
pub(crate) fn trusted(url: &str, audience: &str, kind: subject::Kind) -> Issuer {
    Issuer {
        url: url.to_owned(),
        audience: audience.to_owned(),
        client_id: None,
        scopes: Vec::new(),
        kind,
        kind_claim: None,
        groups_claim: Some("groups".to_owned()),
        groups: Vec::new(),
        display_claim: "sub".to_owned(),
        required: BTreeMap::new(),
        keep_claims: Vec::new(),
        ca_file: None,
    }
}

fn token(url: &str, over: &Value) -> Secret<String> {
    let mut claims = json!({
        "iss": url, "sub": "ada", "aud": "dbgate", "iat": START, "exp": START + 600,
        "at_hash": half_hash(Algorithm::EdDsa, "access-1"),
    });
    let members = claims.as_object_mut().unwrap();
    members.extend(over.as_object().unwrap().clone());
    Secret::new(Signer::issuer().simple(Algorithm::EdDsa, &claims))
}

fn credentials(id_token: Secret<String>, access: Option<&str>) -> Credentials {
    Credentials {
        id_token,
        access_token: access.map(Secret::from),
        nonce: None,
    }
}

fn issuers(trusted: Vec<Issuer>) -> Issuers {
    let clock: Arc<StillClock> = StillClock::new();
    Issuers::new(trusted, clock).unwrap()
}

async fn identify(fake: &Fake, access: Option<&str>) -> Result<Subject, Error> {
    let issuers = issuers(vec![trusted(&fake.url, "dbgate", subject::Kind::Person)]);
    let credentials = credentials(token(&fake.url, &json!({})), access);
    Ok(issuers.identify(&credentials).await?.subject)
}

#[tokio::test]
async fn the_groups_of_a_thin_token_are_at_userinfo() {
    let fake = Fake::start().await;
    fake.answer(
        "/userinfo",
        Answer::Json(json!({ "sub": "ada", "groups": ["dba"] })),
    );
    let subject = identify(&fake, Some("access-1")).await.unwrap();
    assert!(subject.groups.contains("dba"));
    assert_eq!(fake.hits("/userinfo"), 1);
    let without = identify(&fake, None).await.unwrap();
    assert!(without.groups.is_empty());
    assert_eq!(fake.hits("/userinfo"), 1);
}

#[tokio::test]
async fn userinfo_that_cannot_be_trusted_refuses_the_sign_in() {
    let fake = Fake::start().await;
    let bad = [
        (
            Answer::Json(json!({ "sub": "bob", "groups": ["dba"] })),
            "another subject",
        ),
        (
            Answer::Json(json!({ "groups": ["dba"] })),
            "another subject",
        ),
        (Answer::Status(401, String::new()), "status 401"),
        (Answer::Status(200, "eyJh".to_owned()), "no JSON"),
        (Answer::Endless(10), "not `application/json`"),
        (
            Answer::Redirect("http://127.0.0.1:1/".to_owned()),
            "status 302",
        ),
    ];
    for (answer, expected) in bad {
        fake.answer("/userinfo", answer);
        let error = identify(&fake, Some("access-1")).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let stolen = identify(&fake, Some("access-2")).await.unwrap_err();
    assert!(stolen.to_string().contains("at_hash"));
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_is_never_asked() {
    let (fake, other) = (Fake::start().await, Fake::start().await);
    let issuers = issuers(vec![trusted(&fake.url, "dbgate", subject::Kind::Person)]);
    let credentials = credentials(token(&other.url, &json!({})), None);
    let error = issuers.identify(&credentials).await.unwrap_err();
    assert!(matches!(error, Error::UnknownIssuer { .. }));
    assert_eq!(other.hits("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn one_issuer_may_be_trusted_for_people_and_for_jobs() {
    let fake = Fake::start().await;
    let issuers = issuers(vec![
        trusted(&fake.url, "dbgate", subject::Kind::Person),
        trusted(&fake.url, "dbgate-ci", subject::Kind::Job),
    ]);
    for (audience, kind) in [
        ("dbgate", subject::Kind::Person),
        ("dbgate-ci", subject::Kind::Job),
    ] {
        let token = token(&fake.url, &json!({ "aud": audience }));
        let identified = issuers.identify(&credentials(token, None)).await.unwrap();
        assert_eq!(identified.subject.kind, kind);
    }
    let other = token(&fake.url, &json!({ "aud": "other" }));
    assert!(issuers.identify(&credentials(other, None)).await.is_err());
    assert_eq!(fake.hits("/jwks"), 1);
}

#[tokio::test]
async fn one_issuer_s_keys_do_not_sign_for_another() {
    let (first, second) = (Fake::start().await, Fake::start().await);
    second.answer("/jwks", Answer::Json(Signer::stranger().key_set()));
    let issuers = issuers(vec![
        trusted(&first.url, "dbgate", subject::Kind::Person),
        trusted(&second.url, "dbgate", subject::Kind::Person),
    ]);
    let forged = credentials(token(&second.url, &json!({})), None);
    let error = issuers.identify(&forged).await.unwrap_err();
    assert!(error.to_string().contains("signature is wrong"), "{error}");
}
