//! Sign-ins at issuers that do it wrong.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::identity::tests::signer::{Signer, half_hash};
use crate::identity::token::Algorithm;
use crate::model::secret::Secret;
use crate::model::time::Clock as _;
use crate::net::entropy;
use crate::oidc::error::Error;
use crate::oidc::http::{Http, Trust};
use crate::oidc::login::{self, Client, SignIn, SignedIn};
use crate::oidc::tests::fake::{Answer, Fake, START, StillClock};

fn client(fake: &Fake) -> Client {
    Client {
        issuer: fake.url.clone(),
        client_id: "dbgate".to_owned(),
        scopes: vec!["groups".to_owned()],
    }
}

async fn begin(fake: &Fake) -> Result<SignIn, Error> {
    let http = Http::new(&fake.url, Trust::System).unwrap();
    SignIn::begin(client(fake), http, None, &entropy::System).await
}

fn asked(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn tokens(fake: &Fake, nonce: Option<&str>, over: &Value) -> Answer {
    let mut claims = json!({
        "iss": fake.url, "sub": "ada", "aud": "dbgate", "iat": START, "exp": START + 600,
        "at_hash": half_hash(Algorithm::Es256, "access-1"),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let members = claims.as_object_mut().unwrap();
    members.extend(over.as_object().unwrap().clone());
    Answer::Json(json!({
        "id_token": Signer::issuer().simple(Algorithm::Es256, &claims),
        "access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer",
    }))
}

/// Comes back with these parameters; says what the page says and what the sign-in leads to.
async fn come_back(
    sign_in: SignIn,
    parameters: &[(&str, &str)],
) -> (String, Result<SignedIn, Error>) {
    let asked = asked(sign_in.url());
    let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
    back.query_pairs_mut()
        .append_pair("state", &asked["state"])
        .extend_pairs(parameters);
    let clock = StillClock::new();
    let finish = tokio::spawn(async move {
        sign_in
            .finish(Duration::from_secs(20), || clock.now())
            .await
    });
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = browser
        .get(back)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    (page, finish.await.unwrap())
}

#[tokio::test]
async fn the_request_is_a_code_with_pkce_state_and_nonce() {
    let fake = Fake::start().await;
    let sign_in = begin(&fake).await.unwrap();
    let first = asked(sign_in.url());
    assert_eq!(first["response_type"], "code");
    assert_eq!(first["scope"], "openid groups");
    assert_eq!(first["code_challenge_method"], "S256");
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(first[name].len(), 43);
    }
    let second = asked(begin(&fake).await.unwrap().url());
    for name in ["state", "nonce", "code_challenge", "redirect_uri"] {
        assert_ne!(first[name], second[name]);
    }
    fake.answer("/token", tokens(&fake, Some(&first["nonce"]), &json!({})));
    let (page, signed_in) = come_back(sign_in, &[("code", "code-1"), ("iss", &fake.url)]).await;
    assert!(page.contains("You can close this window"), "{page}");
    let signed_in = signed_in.unwrap();
    assert_eq!(signed_in.verified.id().sub, "ada");
    let posted = fake.posted();
    assert_eq!(posted["code"], "code-1");
    assert_eq!(posted["redirect_uri"], first["redirect_uri"]);
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        posted["code_verifier"].as_bytes(),
    );
    let challenge = crate::identity::tests::signer::encode(digest);
    assert_eq!(challenge, first["code_challenge"]);
}

#[tokio::test]
async fn answers_that_are_not_the_issuer_s_are_refused_before_any_token() {
    let fake = Fake::start().await;
    let url = fake.url.clone();
    let elsewhere = format!("{url}/");
    let bad: [(&[(&str, &str)], &str); 6] = [
        (
            &[("code", "x"), ("iss", "https://evil.example")],
            "another issuer",
        ),
        (&[("code", "x"), ("iss", &elsewhere)], "another issuer"),
        (&[("code", "x")], "does not name its issuer"),
        (&[("iss", &url)], "brings no code"),
        (&[("iss", &url), ("code", "")], "brings no code"),
        (
            &[
                ("iss", &url),
                ("error", "access_denied"),
                ("error_description", "<b>no</b>"),
            ],
            "access_denied (<b>no</b>)",
        ),
    ];
    for (parameters, expected) in bad {
        let (page, outcome) = come_back(begin(&fake).await.unwrap(), parameters).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(page.contains("The sign-in failed"), "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }
    assert_eq!(fake.hits("/token"), 0);
}

#[tokio::test]
async fn tokens_that_do_not_belong_to_the_sign_in_are_refused() {
    let fake = Fake::start().await;
    let bad = [
        (json!({ "nonce": "other" }), "another sign-in"),
        (json!({ "at_hash": "other" }), "at_hash"),
        (json!({ "aud": "other" }), "meant for `other`"),
        (json!({ "iss": "https://evil.example" }), "issuer is"),
        (json!({ "exp": START - 600, "iat": START - 700 }), "expired"),
    ];
    for (over, expected) in bad {
        let sign_in = begin(&fake).await.unwrap();
        let nonce = asked(sign_in.url())["nonce"].clone();
        fake.answer("/token", tokens(&fake, Some(&nonce), &over));
        let (page, outcome) = come_back(sign_in, &[("code", "x"), ("iss", &fake.url)]).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(page.contains("The sign-in failed"));
    }
    let sign_in = begin(&fake).await.unwrap();
    fake.answer("/token", tokens(&fake, None, &json!({})));
    let (_, outcome) = come_back(sign_in, &[("code", "x"), ("iss", &fake.url)]).await;
    assert!(outcome.unwrap_err().to_string().contains("no `nonce`"));
}

#[tokio::test]
async fn token_endpoints_that_fail_say_how() {
    let fake = Fake::start().await;
    let bad = [
        (
            Answer::Status(
                400,
                r#"{"error":"invalid_grant","error_description":"used"}"#.to_owned(),
            ),
            "invalid_grant (used)",
        ),
        (Answer::Status(500, "oops".to_owned()), "status 500"),
        (Answer::Json(json!({ "access_token": "a" })), "no ID token"),
        (
            Answer::Redirect("https://evil.example/".to_owned()),
            "status 302",
        ),
        (Answer::Endless(2_000_000), "longer than 1 MiB"),
        (
            Answer::Status(200, r#"{"id_token":"a","id_token":"b"}"#.to_owned()),
            "there twice",
        ),
    ];
    for (answer, expected) in bad {
        fake.answer("/token", answer);
        let sign_in = begin(&fake).await.unwrap();
        let (_, outcome) = come_back(sign_in, &[("code", "x"), ("iss", &fake.url)]).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn issuers_that_cannot_do_it_are_told_apart() {
    let fake = Fake::start().await;
    let bad = [
        (
            json!({ "code_challenge_methods_supported": ["plain"] }),
            "no PKCE with S256",
        ),
        (
            json!({ "authorization_endpoint": null }),
            "no `authorization_endpoint`",
        ),
        (
            json!({ "authorization_endpoint": "file:///bin/sh" }),
            "`authorization_endpoint` is refused",
        ),
        (json!({ "jwks_uri": null }), "no `jwks_uri`"),
    ];
    for (over, expected) in bad {
        fake.discovery(&over);
        let error = begin(&fake).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let fake = Fake::start().await;
    let sign_in = begin(&fake).await.unwrap();
    let clock = StillClock::new();
    let late = sign_in
        .finish(Duration::from_millis(50), || clock.now())
        .await;
    assert!(matches!(late, Err(Error::Late { .. })));
}

#[tokio::test]
async fn a_refresh_leads_back_to_the_same_subject() {
    let fake = Fake::start().await;
    let http = Http::new(&fake.url, Trust::System).unwrap();
    let token = Secret::from("refresh-0");
    let clock = StillClock::new();
    fake.answer("/token", tokens(&fake, None, &json!({})));
    let refreshed = login::refresh(&client(&fake), &http, &token, "ada", || clock.now()).await;
    let refreshed = refreshed.unwrap().tokens.refresh_token.unwrap();
    assert_eq!(refreshed.expose(), "refresh-1");
    assert_eq!(fake.posted()["refresh_token"], "refresh-0");
    let other = login::refresh(&client(&fake), &http, &token, "bob", || clock.now()).await;
    assert!(matches!(other, Err(Error::OtherSubject)));
    login::revoke(&client(&fake), &http, &token)
        .await
        .unwrap_err();
    fake.answer("/revoke", Answer::Status(200, String::new()));
    login::revoke(&client(&fake), &http, &token).await.unwrap();
    assert_eq!(fake.posted()["token"], "refresh-0");
}
