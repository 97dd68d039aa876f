//! The demo's issuer, through the same sign-in the command line uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use crate::config::broker;
use crate::config::problem::Source;
use crate::demo::issuer::people::find;
use crate::demo::issuer::{Error, Issuer};
use crate::model::subject;
use crate::model::time::{Clock, Timestamp};
use crate::net::clock;
use crate::net::entropy;
use crate::oidc;
use crate::oidc::http::{Http, Trust};
use crate::oidc::issuer::{Credentials, Issuers};
use crate::oidc::login::{self, Client, SignIn, SignedIn};

async fn start() -> Issuer {
    let address = ([127, 0, 0, 1], 0).into();
    Issuer::start(
        address,
        Arc::new(clock::System::new()),
        Arc::new(entropy::System),
    )
    .await
    .unwrap()
}

fn trusted(issuer: &Issuer) -> Issuers {
    let text = format!(
        "data_dir = \"d\"\npolicy_files = [\"p\"]\ntls = {{ certificate = \"c\", key = \"k\" }}\n{}\n\
         [[database]]\nname = \"shop\"\nhost = \"/tmp\"\nadmin = \"a\"\n",
        issuer.config()
    );
    let config = broker::parse(&Source::new("test", text), std::path::Path::new("/")).unwrap();
    Issuers::new(config.issuers, Arc::new(clock::System::new())).unwrap()
}

fn client(issuer: &Issuer) -> Client {
    Client {
        issuer: issuer.url().to_owned(),
        client_id: "dbgate".to_owned(),
        scopes: vec!["groups".to_owned(), "offline_access".to_owned()],
    }
}

fn now() -> Timestamp {
    clock::System::new().now()
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// Presses somebody's button, and says where the browser is sent.
async fn press(url: &Url, sub: &str) -> Url {
    let page = browser().get(url.clone()).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();
    let ticket = page
        .split("name=\"ticket\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let form = HashMap::from([("ticket", ticket), ("sub", sub)]);
    let answer = browser()
        .post(url.join("/authorize").unwrap())
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

async fn sign_in(issuer: &Issuer, sub: &str) -> SignedIn {
    let http = Http::new(issuer.url(), Trust::System).unwrap();
    let sign_in = SignIn::begin(client(issuer), http, None, &entropy::System)
        .await
        .unwrap();
    let url = sign_in.url().clone();
    let finish = tokio::spawn(sign_in.finish(Duration::from_secs(20), now));
    let back = press(&url, sub).await;
    let page = browser().get(back).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("You can close this window")
    );
    finish.await.unwrap().unwrap()
}

#[tokio::test]
async fn a_person_signs_in_and_the_broker_knows_who() {
    let issuer = start().await;
    let signed_in = sign_in(&issuer, "ada").await;
    let credentials = Credentials {
        id_token: signed_in.tokens.id_token.clone(),
        access_token: signed_in.tokens.access_token.clone(),
        nonce: signed_in.nonce.clone(),
    };
    let identified = trusted(&issuer).identify(&credentials).await.unwrap();
    let subject = identified.subject;
    assert_eq!(subject.id.sub, "ada");
    assert_eq!(subject.id.issuer, issuer.url());
    assert_eq!(subject.kind, subject::Kind::Person);
    assert_eq!(subject.display, "ada@demo.example");
    assert_eq!(
        subject.groups.into_iter().collect::<Vec<_>>(),
        ["engineers"]
    );
}

#[tokio::test]
async fn a_refresh_rotates_and_a_used_token_ends_them_all() {
    let issuer = start().await;
    let http = Http::new(issuer.url(), Trust::System).unwrap();
    let first = sign_in(&issuer, "rex").await.tokens.refresh_token.unwrap();
    let client = client(&issuer);
    let second = login::refresh(&client, &http, &first, "rex", now)
        .await
        .unwrap();
    let second = second.tokens.refresh_token.unwrap();
    let other = login::refresh(&client, &http, &second, "ada", now).await;
    assert!(matches!(other, Err(oidc::error::Error::OtherSubject)));
    let replayed = login::refresh(&client, &http, &first, "rex", now).await;
    assert!(
        matches!(replayed, Err(oidc::error::Error::Refused { error, .. }) if error == "invalid_grant")
    );
    let after = login::refresh(&client, &http, &second, "rex", now).await;
    assert!(matches!(after, Err(oidc::error::Error::Refused { .. })));
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing() {
    let issuer = start().await;
    let http = Http::new(issuer.url(), Trust::System).unwrap();
    let token = sign_in(&issuer, "ann").await.tokens.refresh_token.unwrap();
    login::revoke(&client(&issuer), &http, &token)
        .await
        .unwrap();
    let after = login::refresh(&client(&issuer), &http, &token, "ann", now).await;
    assert!(matches!(after, Err(oidc::error::Error::Refused { .. })));
}

#[tokio::test]
async fn a_minted_token_is_a_job_s() {
    let issuer = start().await;
    let id_token = issuer.mint(find("ci").unwrap(), Duration::from_secs(60));
    let credentials = Credentials {
        id_token,
        access_token: None,
        nonce: None,
    };
    let subject = trusted(&issuer)
        .identify(&credentials)
        .await
        .unwrap()
        .subject;
    assert_eq!(subject.kind, subject::Kind::Job);
    assert!(subject.groups.contains("ci"));
}

#[tokio::test]
async fn the_page_and_the_token_endpoint_refuse_what_is_not_the_code_flow() {
    let issuer = start().await;
    let http = Http::new(issuer.url(), Trust::System).unwrap();
    let sign_in = SignIn::begin(client(&issuer), http, None, &entropy::System)
        .await
        .unwrap();
    let good = sign_in.url().clone();
    let without = |name: &str, instead: Option<&str>| {
        let mut url = good.clone();
        let pairs: Vec<(String, String)> = good.query_pairs().into_owned().collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(pairs.iter().filter(|(key, _)| key != name));
        if let Some(value) = instead {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    };
    let bad = [
        without("client_id", Some("other")),
        without("redirect_uri", Some("https://evil.example/callback")),
        without(
            "redirect_uri",
            Some("http://127.0.0.1:80.evil.example/callback"),
        ),
        without("redirect_uri", Some("http://localhost:1234/callback")),
        without("redirect_uri", Some("http://127.0.0.1:1234/other")),
        without("response_type", Some("token")),
        without("scope", Some("email")),
        without("code_challenge", None),
        without("code_challenge_method", Some("plain")),
        without("code_challenge_method", None),
    ];
    for url in bad {
        let answer = browser().get(url.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{url}");
    }
    let back = press(&good, "ada").await;
    let pairs: HashMap<String, String> = back.query_pairs().into_owned().collect();
    let form = HashMap::from([
        ("grant_type", "authorization_code"),
        ("client_id", "dbgate"),
        ("code", &pairs["code"]),
        ("redirect_uri", "http://127.0.0.1:9/callback"),
        ("code_verifier", "wrong"),
    ]);
    let token = Url::parse(issuer.url()).unwrap().join("/token").unwrap();
    let answer = browser().post(token).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn it_is_seen_on_loopback_only() {
    let clock = Arc::new(clock::System::new());
    let address = ([0, 0, 0, 0], 0).into();
    let started = Issuer::start(address, clock, Arc::new(entropy::System)).await;
    assert!(matches!(started, Err(Error::NotLoopback(_))));
}

#[tokio::test]
async fn a_name_that_resolves_to_it_is_not_its_name() {
    let issuer = start().await;
    let url = format!("{}/jwks", issuer.url());
    let answer = browser()
        .get(url)
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
}
