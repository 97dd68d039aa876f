//! What verified claims are mapped to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::broker::Issuer;
use crate::identity::claims::{self, UserInfo};
use crate::identity::error::Error;
use crate::identity::keys::Keys;
use crate::identity::tests::signer::Signer;
use crate::identity::token::{Algorithm, Token};
use crate::identity::{self, Expect, Verified};
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;

const ISSUER: &str = "https://issuer.example";

fn issuer() -> Issuer {
    Issuer {
        url: ISSUER.to_owned(),
        audience: "dbgate".to_owned(),
        client_id: None,
        scopes: Vec::new(),
        kind: subject::Kind::Person,
        kind_claim: None,
        groups_claim: Some("groups".to_owned()),
        groups: Vec::new(),
        display_claim: "email".to_owned(),
        required: BTreeMap::new(),
        keep_claims: Vec::new(),
        ca_file: None,
    }
}

fn verified(more: &Value) -> Verified {
    let mut claims =
        json!({ "iss": ISSUER, "sub": "ada", "aud": "dbgate", "iat": 1000, "exp": 2000 });
    let members: &mut Map<String, Value> = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let token = Signer::issuer().simple(Algorithm::EdDsa, &claims);
    let keys = Keys::parse(Signer::issuer().key_set().to_string().as_bytes()).unwrap();
    let expect = Expect {
        issuer: ISSUER.to_owned(),
        audience: "dbgate".to_owned(),
        client: None,
        nonce: None,
        access_token: None,
    };
    let token = Token::parse(&token).unwrap();
    identity::verify(token, &keys, &expect, Timestamp::from_seconds(1500)).unwrap()
}

fn subject(issuer: &Issuer, claims: &Value) -> Result<Subject, Error> {
    claims::subject(&verified(claims), issuer, None)
}

#[test]
fn groups_come_as_lists_or_single_texts_or_from_below() {
    let check = |claim: &str, claims: Value, expected: &[&str]| {
        let issuer = Issuer {
            groups_claim: Some(claim.to_owned()),
            groups: vec!["everybody".to_owned()],
            ..issuer()
        };
        let groups: Vec<String> = subject(&issuer, &claims)
            .unwrap()
            .groups
            .into_iter()
            .collect();
        assert_eq!(groups, expected, "{claims}");
    };
    check("groups", json!({}), &["everybody"]);
    check("groups", json!({ "groups": null }), &["everybody"]);
    check("groups", json!({ "groups": [] }), &["everybody"]);
    check(
        "groups",
        json!({ "groups": ["b", "a", "b"] }),
        &["a", "b", "everybody"],
    );
    check("groups", json!({ "groups": "a b" }), &["a b", "everybody"]);
    let roles = json!({ "realm_access": { "roles": ["dba"] } });
    check("realm_access.roles", roles, &["dba", "everybody"]);
    let spelled = json!({ "https://corp.example/groups": ["dba"] });
    check(
        "https://corp.example/groups",
        spelled,
        &["dba", "everybody"],
    );
}

#[test]
fn groups_that_cannot_be_read_refuse_the_subject() {
    let many: Vec<String> = (0..2001).map(|n| n.to_string()).collect();
    let bad = [
        json!(1),
        json!(true),
        json!({ "a": true }),
        json!([1]),
        json!([["a"]]),
        json!([""]),
        json!("\u{1b}[2J"),
        json!(["a\u{202e}b"]),
        json!("x".repeat(1025)),
        json!(many),
    ];
    for groups in bad {
        let refused = subject(&issuer(), &json!({ "groups": groups }));
        assert!(matches!(refused, Err(Error::Mapped { .. })));
    }
}

#[test]
fn the_kind_is_the_issuer_s_or_the_claim_s() {
    let issuer = Issuer {
        kind: subject::Kind::Job,
        kind_claim: Some("kind".to_owned()),
        ..issuer()
    };
    let kind = |claims: Value| subject(&issuer, &claims).map(|subject| subject.kind);
    assert_eq!(kind(json!({})), Ok(subject::Kind::Job));
    assert_eq!(kind(json!({ "kind": "person" })), Ok(subject::Kind::Person));
    assert_eq!(kind(json!({ "kind": "agent" })), Ok(subject::Kind::Agent));
    for odd in [
        json!("root"),
        json!("Person"),
        json!(["person"]),
        json!(1),
        json!(""),
    ] {
        assert!(kind(json!({ "kind": odd })).is_err());
    }
}

#[test]
fn required_claims_are_required() {
    let check = |want: &str, claims: Value| {
        let required = BTreeMap::from([("repository_id".to_owned(), want.to_owned())]);
        let issuer = Issuer {
            required,
            ..issuer()
        };
        subject(&issuer, &claims).map(drop)
    };
    assert_eq!(check("7", json!({ "repository_id": "7" })), Ok(()));
    assert_eq!(check("7", json!({ "repository_id": 7 })), Ok(()));
    assert_eq!(check("7", json!({ "repository_id": ["6", "7"] })), Ok(()));
    assert_eq!(check("*", json!({ "repository_id": "any" })), Ok(()));
    let refused = [
        ("7", json!({})),
        ("7", json!({ "repository_id": "77" })),
        ("7", json!({ "repository_id": null })),
        ("7", json!({ "repository_id": { "7": 7 } })),
        ("*", json!({})),
        ("*", json!({ "repository_id": [] })),
    ];
    for (want, claims) in refused {
        let error = check(want, claims.clone()).unwrap_err().to_string();
        assert!(error.contains("`repository_id` must be"), "{error}");
    }
}

#[test]
fn names_for_people_are_harmless_and_never_an_identity() {
    let display = |claims: Value| subject(&issuer(), &claims).unwrap().display;
    assert_eq!(
        display(json!({ "email": "ada@corp.example", "name": "Ada" })),
        "ada@corp.example"
    );
    assert_eq!(display(json!({ "name": "Ada" })), "Ada");
    assert_eq!(display(json!({})), "ada");
    assert_eq!(display(json!({ "email": "\u{1b}[31mx\u{202e}" })), "[31mx");
    assert_eq!(display(json!({ "email": 7, "name": "  " })), "ada");
    assert_eq!(display(json!({ "email": "é".repeat(200) })), "é".repeat(80));
    let subject = subject(&issuer(), &json!({ "email": "root@corp.example" })).unwrap();
    assert_eq!(subject.id.sub, "ada");
}

#[test]
fn both_names_are_kept_when_somebody_acts_for_somebody() {
    let delegated = subject(&issuer(), &json!({ "act": { "sub": "agent-7" } })).unwrap();
    assert_eq!(delegated.kind, subject::Kind::Agent);
    assert_eq!(delegated.id.sub, "agent-7");
    assert_eq!(delegated.id.issuer, ISSUER);
    assert_eq!(delegated.behalf.unwrap().sub, "ada");
    assert_eq!(delegated.display, "agent-7 for ada");
    for person in [json!("bob"), json!({ "sub": "bob" })] {
        let agent = subject(&issuer(), &json!({ "on_behalf_of": person })).unwrap();
        assert_eq!(agent.kind, subject::Kind::Agent);
        assert_eq!(agent.id.sub, "ada");
        assert_eq!(agent.behalf.unwrap().sub, "bob");
    }
    let elsewhere = json!({ "on_behalf_of": { "iss": "https://people.example", "sub": "bob" } });
    let elsewhere = subject(&issuer(), &elsewhere).unwrap();
    assert_eq!(elsewhere.behalf.unwrap().issuer, "https://people.example");
    let same = json!({ "act": { "iss": ISSUER, "sub": "agent-7" } });
    assert_eq!(subject(&issuer(), &same).unwrap().id.sub, "agent-7");
}

#[test]
fn an_actor_that_cannot_be_named_refuses_the_subject() {
    let bad = [
        json!({ "act": { "iss": "https://other.example", "sub": "root" } }),
        json!({ "act": { "iss": 1, "sub": "x" } }),
        json!({ "act": {} }),
        json!({ "act": { "sub": "" } }),
        json!({ "act": { "sub": "a\nb" } }),
        json!({ "act": 1 }),
        json!({ "act": null }),
        json!({ "on_behalf_of": [] }),
        json!({ "on_behalf_of": "" }),
        json!({ "act": { "sub": "a" }, "on_behalf_of": "b" }),
    ];
    for claims in bad {
        assert!(subject(&issuer(), &claims).is_err(), "{claims}");
    }
}

#[test]
fn userinfo_fills_in_what_a_thin_token_leaves_out() {
    let thin = verified(&json!({}));
    assert!(claims::is_thin(&thin, &issuer()));
    let info = json!({ "sub": "ada", "groups": ["dba"], "email": "ada@corp.example" });
    let info = UserInfo::parse(info.to_string().as_bytes(), &thin).unwrap();
    let subject = claims::subject(&thin, &issuer(), Some(&info)).unwrap();
    assert!(subject.groups.contains("dba"));
    assert_eq!(subject.display, "ada@corp.example");

    let thick = verified(&json!({ "groups": ["dev"], "email": "a@b" }));
    assert!(!claims::is_thin(&thick, &issuer()));
    let subject = claims::subject(&thick, &issuer(), Some(&info)).unwrap();
    assert_eq!(subject.groups.into_iter().collect::<Vec<_>>(), ["dev"]);

    let info = json!({ "sub": "ada", "groups": ["dba"], "act": { "sub": "agent-7" } });
    let info = UserInfo::parse(info.to_string().as_bytes(), &thin).unwrap();
    let agent = claims::subject(&thin, &issuer(), Some(&info)).unwrap();
    assert_eq!(agent.kind, subject::Kind::Agent);
    assert_eq!(agent.behalf.unwrap().sub, "ada");
}

#[test]
fn userinfo_about_somebody_else_is_refused() {
    let thin = verified(&json!({}));
    for other in [
        json!({ "sub": "root" }),
        json!({}),
        json!({ "sub": ["ada"] }),
        json!({ "sub": "Ada" }),
    ] {
        let parsed = UserInfo::parse(other.to_string().as_bytes(), &thin);
        assert!(matches!(parsed, Err(Error::OtherSubject)));
    }
    let twice = UserInfo::parse(br#"{"sub":"root","sub":"ada"}"#, &thin);
    assert!(matches!(twice, Err(Error::Json { .. })));
}

#[test]
fn it_is_told_which_claim_was_looked_for_and_which_came() {
    let subject = subject(&issuer(), &json!({ "roles": ["dba"] })).unwrap();
    assert_eq!(subject.claims[claims::LOOKED_FOR], "groups");
    assert_eq!(
        subject.claims[claims::CAME],
        "aud, exp, iat, iss, roles, sub"
    );
}

#[test]
fn kept_claims_are_texts() {
    let issuer = Issuer {
        keep_claims: vec!["ref".to_owned(), "n".to_owned(), "gone".to_owned()],
        ..issuer()
    };
    let kept = subject(&issuer, &json!({ "ref": "refs/heads/main", "n": [1, "b"] })).unwrap();
    assert_eq!(kept.claims["ref"], "refs/heads/main");
    assert_eq!(kept.claims["n"], "1,b");
    assert!(!kept.claims.contains_key("gone"));
    assert!(subject(&issuer, &json!({ "ref": { "a": 1 } })).is_err());
}
