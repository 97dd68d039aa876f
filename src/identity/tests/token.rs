//! Tokens that are taken, and those that are not: `bad_tokens.jsonl` has a line for each, run with every algorithm.

#![expect(clippy::too_many_lines, reason = "a table of cases")]

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::identity::error::Error;
use crate::identity::keys::Keys;
use crate::identity::tests::signer::{Signer, encode, half_hash};
use crate::identity::token::{Algorithm, Token};
use crate::identity::{self, Expect, Verified};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

const NOW: i64 = 1_800_000_000;
const ACCESS: &str = "access-token-1";

/// One line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Members put over the good header; `null` takes one out.
    #[serde(default)]
    header: Map<String, Value>,
    /// Members put over the good claims. Numbers in a text `now±n` are times.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Text put before the last brace of the header, or instead of it all.
    #[serde(default)]
    header_text: String,
    /// The same for the claims.
    #[serde(default)]
    claims_text: String,
    /// What is done to signature or text.
    #[serde(default)]
    how: String,
    /// Only with these algorithms.
    #[serde(default)]
    only: Vec<String>,
    /// Part of the reason.
    expect: String,
}

fn expectation() -> Expect {
    Expect {
        issuer: "https://issuer.example/realm".to_owned(),
        audience: "dbgate".to_owned(),
        client: Some("dbgate-cli".to_owned()),
        nonce: Some("nonce-1".to_owned()),
        access_token: Some(Secret::from(ACCESS)),
    }
}

fn good_claims(algorithm: Algorithm) -> Map<String, Value> {
    let claims = json!({
        "iss": "https://issuer.example/realm",
        "sub": "ada",
        "aud": "dbgate",
        "iat": NOW - 10,
        "exp": NOW + 300,
        "nonce": "nonce-1",
        "at_hash": half_hash(algorithm, ACCESS),
    });
    claims.as_object().unwrap().clone()
}

fn good_header(algorithm: Algorithm) -> Map<String, Value> {
    let header = json!({ "alg": algorithm.name(), "typ": "JWT", "kid": Signer::key_id(algorithm) });
    header.as_object().unwrap().clone()
}

fn check_token(text: &str) -> Result<Verified, Error> {
    let keys = Keys::parse(Signer::issuer().key_set().to_string().as_bytes()).unwrap();
    let token = Token::parse(text)?;
    identity::verify(token, &keys, &expectation(), Timestamp::from_seconds(NOW))
}

fn patch(mut members: Map<String, Value>, over: &Map<String, Value>) -> Map<String, Value> {
    for (name, value) in over {
        let time = value.as_str().and_then(|text| text.strip_prefix("now"));
        match (value, time.and_then(|offset| offset.parse::<i64>().ok())) {
            (Value::Null, _) => {
                members.shift_remove(name);
            }
            (_, Some(offset)) => {
                members.insert(name.clone(), json!(NOW + offset));
            }
            _ => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
    members
}

fn text(members: Map<String, Value>, with: &str) -> String {
    let text = Value::Object(members).to_string();
    match with.strip_prefix('=') {
        Some(instead) => instead.to_owned(),
        None => format!("{}{with}}}", text.strip_suffix('}').unwrap()),
    }
}

/// The token of a case, with one algorithm.
fn build(case: &Case, algorithm: Algorithm) -> Vec<String> {
    let header = patch(good_header(algorithm), &case.header);
    let claims = patch(good_claims(algorithm), &case.claims);
    let header = text(header, &case.header_text);
    let claims = text(claims, &case.claims_text);
    let issuer = Signer::issuer();
    let token = issuer.token(algorithm, &header, &claims);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bytes = issuer.sign(algorithm, signed.as_bytes());
    let with = |signature: &[u8]| vec![format!("{signed}.{}", encode(signature))];
    let half = bytes.len() / 2;
    match case.how.as_str() {
        "" => vec![token],
        "stranger" => vec![Signer::stranger().token(algorithm, &header, &claims)],
        "hmac" => issuer
            .public_forms(algorithm)
            .iter()
            .map(|form| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, form);
                with(hmac::sign(&key, signed.as_bytes()).as_ref()).remove(0)
            })
            .collect(),
        "no signature" => with(&[]),
        "zeros" => with(&vec![0; bytes.len()]),
        "ones" => with(&vec![0xff; bytes.len()]),
        "r is 0" => with(&[&vec![0; half], &bytes[half..]].concat()),
        "s is 0" => with(&[&bytes[..half], &vec![0; half]].concat()),
        "bit" => (0..bytes.len() * 8)
            .step_by(97)
            .map(|bit| {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                with(&bytes).remove(0)
            })
            .collect(),
        "cut" => with(&bytes[..bytes.len() - 1]),
        "longer" => with(&[bytes.as_slice(), &[0]].concat()),
        "twice" => with(&[bytes.as_slice(), &bytes].concat()),
        "other claims" => {
            let (header, _) = signed.split_once('.').unwrap();
            let claims = claims.replace("\"ada\"", "\"root\"");
            vec![format!("{header}.{}.{signature}", encode(claims))]
        }
        "der" => with(
            &[
                &[0x30, 0x44, 0x02, 0x20],
                &bytes[..half],
                &[0x02, 0x20],
                &bytes[half..],
            ]
            .concat(),
        ),
        "two parts" => vec![signed.to_owned()],
        "four parts" => vec![format!("{token}.e30")],
        "five parts" => vec![format!("{token}.e30.e30")],
        "no header" => vec![format!(".{}", token.split_once('.').unwrap().1)],
        "padded" => vec![
            format!("{signed}.{signature}="),
            format!("{signed}.{signature}=="),
        ],
        "standard alphabet" => vec![
            format!(
                "{}.{}.{signature}",
                STANDARD.encode(&header),
                encode(&claims)
            )
            .replace('.', "+."),
        ],
        "space before" => vec![format!(" {token}")],
        "space behind" => vec![
            format!("{token} "),
            format!("{token}\n"),
            format!("{token}\0"),
        ],
        "inner line" => vec![token.replace('.', "\n.")],
        "bearer" => vec![format!("Bearer {token}")],
        "quoted" => vec![format!("\"{token}\"")],
        "nothing" => vec![String::new(), "..".to_owned(), ".".to_owned()],
        "loose bits" => {
            // Two texts for the same bytes: the unused bits of the last letter are not zero.
            let last = signature.chars().last().unwrap();
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let next = alphabet
                .chars()
                .nth(alphabet.find(last).unwrap() + 1)
                .unwrap();
            vec![format!(
                "{signed}.{}{next}",
                signature.get(..signature.len() - 1).unwrap()
            )]
        }
        "nested" => vec![issuer.token(algorithm, &header, &json!(token).to_string())],
        "huge" => vec![issuer.token(
            algorithm,
            &header,
            &text(
                patch(good_claims(algorithm), &case.claims),
                &format!(",\"x\":\"{}\"", "x".repeat(1 << 20)),
            ),
        )],
        "deep" => vec![issuer.token(
            algorithm,
            &header,
            &text(
                patch(good_claims(algorithm), &case.claims),
                &format!(",\"x\":{}{}", "[".repeat(100), "]".repeat(100)),
            ),
        )],
        "latin 1" => {
            let mut bytes = claims.into_bytes();
            let at = bytes
                .windows(3)
                .position(|window| window == b"ada")
                .unwrap();
            bytes[at] = 0xe4;
            let signed = format!("{}.{}", encode(&header), encode(&bytes));
            let signature = issuer.sign(algorithm, signed.as_bytes());
            vec![format!("{signed}.{}", encode(signature))]
        }
        other => panic!("no such way to spoil a token: {other}"),
    }
}

#[test]
fn no_bad_token_is_taken_and_each_is_refused_for_its_own_reason() {
    let cases: Vec<Case> = include_str!("bad_tokens.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let (mut tokens, mut wrong) = (0, Vec::new());
    for case in &cases {
        for algorithm in Algorithm::ALL {
            if !case.only.is_empty() && !case.only.iter().any(|name| name == algorithm.name()) {
                continue;
            }
            for token in build(case, algorithm) {
                tokens += 1;
                match check_token(&token) {
                    Err(error) if error.to_string().contains(&case.expect) => {}
                    other => wrong.push(format!(
                        "{} ({}): {:?}, not `{}`",
                        case.name,
                        algorithm.name(),
                        other.map_err(|error| error.to_string()),
                        case.expect
                    )),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 150, "{} cases", cases.len());
    println!("{} cases, {tokens} tokens", cases.len());
}

#[test]
fn reasons_are_told_once_and_move_no_cursor() {
    for line in include_str!("bad_tokens.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        for token in build(&case, Algorithm::EdDsa) {
            let Err(error) = check_token(&token) else {
                continue;
            };
            let text = error.to_string();
            assert!(text.len() < 400, "{}: {text}", case.name);
            assert!(!text.contains(char::is_control), "{}: {text}", case.name);
            let clauses: Vec<&str> = text.split(": ").collect();
            let mut unique = clauses.clone();
            unique.dedup();
            assert_eq!(clauses, unique, "{}", case.name);
        }
    }
}

/// A good token with these changes is taken, whatever the algorithm.
fn taken(header: &Value, claims: &Value) -> Verified {
    let mut last = None;
    for algorithm in Algorithm::ALL {
        let header = patch(good_header(algorithm), header.as_object().unwrap());
        let claims = patch(good_claims(algorithm), claims.as_object().unwrap());
        let token = Signer::issuer().token(
            algorithm,
            &Value::Object(header).to_string(),
            &Value::Object(claims).to_string(),
        );
        match check_token(&token) {
            Ok(verified) => last = Some(verified),
            Err(error) => panic!("{}: {error}", algorithm.name()),
        }
    }
    last.unwrap()
}

#[test]
fn a_good_token_is_taken_with_every_algorithm() {
    let verified = taken(&json!({}), &json!({}));
    assert_eq!(verified.id().issuer, "https://issuer.example/realm");
    assert_eq!(verified.id().sub, "ada");
    assert_eq!(verified.expires(), Timestamp::from_seconds(NOW + 300));
    assert_eq!(verified.issued(), Timestamp::from_seconds(NOW - 10));
}

#[test]
fn what_issuers_do_differently_is_taken_too() {
    let variants = [
        (json!({ "typ": null }), json!({})),
        (json!({ "typ": "jwt" }), json!({})),
        (json!({ "typ": "application/jwt" }), json!({})),
        (json!({ "x5t": "abc", "unknown": [1] }), json!({})),
        (json!({}), json!({ "aud": ["dbgate"] })),
        (json!({}), json!({ "azp": "dbgate" })),
        (json!({}), json!({ "azp": "dbgate-cli" })),
        (
            json!({}),
            json!({ "aud": ["other", "dbgate"], "azp": "dbgate-cli" }),
        ),
        (json!({}), json!({ "exp": "now-59" , "iat": "now-300"})),
        (json!({}), json!({ "iat": "now+60" })),
        (json!({}), json!({ "nbf": "now+60" })),
        (json!({}), json!({ "exp": 1_800_000_300.75 })),
        (json!({}), json!({ "at_hash": null })),
        (json!({}), json!({ "typ": "ID" })),
        (json!({}), json!({ "token_use": "id" })),
        (
            json!({}),
            json!({ "email_verified": "true", "amr": "pwd", "updated_at": "yesterday", "name": null }),
        ),
        (
            json!({}),
            json!({ "sub": "repo:octo@1/app@2:environment:prod ü" }),
        ),
    ];
    for (header, claims) in variants {
        taken(&header, &claims);
    }
}

#[test]
fn what_is_not_expected_is_not_asked_for() {
    let claims = json!({ "iss": "https://ci.example", "sub": "job", "aud": "dbgate", "iat": NOW, "exp": NOW + 60 });
    let token = Signer::issuer().simple(Algorithm::Rs256, &claims);
    let keys = Keys::parse(Signer::issuer().key_set().to_string().as_bytes()).unwrap();
    let expect = Expect {
        issuer: "https://ci.example".to_owned(),
        audience: "dbgate".to_owned(),
        client: None,
        nonce: None,
        access_token: None,
    };
    let token = Token::parse(&token).unwrap();
    let verified = identity::verify(token, &keys, &expect, Timestamp::from_seconds(NOW)).unwrap();
    assert_eq!(verified.id().sub, "job");
}

#[test]
fn a_token_does_not_print() {
    let token = Signer::issuer().simple(Algorithm::EdDsa, &json!({ "sub": "secret-sub" }));
    let token = Token::parse(&token).unwrap();
    assert_eq!(format!("{token:?}"), "Token(EdDSA, key \"ed\")");
}
