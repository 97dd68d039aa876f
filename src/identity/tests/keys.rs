//! Key sets as issuers publish them.

use serde_json::{Value, json};

use crate::identity::error::Error;
use crate::identity::keys::Keys;
use crate::identity::tests::signer::{Signer, encode};
use crate::identity::token::Algorithm;

fn set(keys: &[Value]) -> Result<Keys, Error> {
    Keys::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn changed(kid: &str, name: &str, value: Value) -> Value {
    let mut jwk = Signer::issuer().jwk(kid);
    jwk[name] = value;
    jwk
}

#[test]
fn keys_that_cannot_verify_are_left_out() {
    let rsa = Signer::issuer().jwk("rsa");
    let n = rsa["n"].as_str().unwrap();
    let useless = [
        changed("rsa", "use", json!("enc")),
        changed("rsa", "use", json!(null)),
        changed("rsa", "key_ops", json!(["encrypt"])),
        changed("rsa", "key_ops", json!("verify")),
        changed("rsa", "kid", json!(null)),
        changed("rsa", "kid", json!("")),
        changed("rsa", "kty", json!("oct")),
        changed("rsa", "kty", json!("EC")),
        changed("rsa", "alg", json!(["RS256"])),
        changed("rsa", "n", json!(n.get(..n.len() / 2).unwrap())),
        changed("rsa", "n", json!(format!("{n}{n}{n}"))),
        changed(
            "rsa",
            "n",
            json!(format!("{}A", n.get(..n.len() - 1).unwrap())),
        ),
        changed("rsa", "n", json!("not base64!")),
        changed("rsa", "e", json!("AQ")),
        changed("rsa", "e", json!("Ag")),
        changed("rsa", "e", json!("AQAAAAAB")),
        changed("rsa", "e", json!(65537)),
        changed("p256", "crv", json!("secp256k1")),
        changed("p256", "crv", json!("P-521")),
        changed("p256", "crv", json!(null)),
        changed("ed", "crv", json!("X25519")),
        changed("ed", "crv", json!("Ed448")),
        json!({ "kty": "oct", "kid": "h", "k": encode("secret") }),
        json!("rsa"),
        json!(null),
    ];
    for jwk in useless {
        let alone = set(std::slice::from_ref(&jwk));
        assert!(matches!(alone, Err(Error::Keys { .. })), "{jwk}: {alone:?}");
        let beside = set(&[jwk, Signer::issuer().jwk("ed")]).unwrap();
        assert!(beside.find("ed", Algorithm::EdDsa).is_ok());
    }
}

#[test]
fn a_key_set_is_a_bounded_list_of_keys() {
    let bad: [&[u8]; 7] = [
        b"",
        b"[]",
        b"{}",
        b"{\"keys\":{}}",
        b"{\"keys\":[]}",
        b"{\"keys\":[],\"keys\":[]}",
        b"<html>",
    ];
    for bytes in bad {
        let text = String::from_utf8_lossy(bytes);
        assert!(
            matches!(Keys::parse(bytes), Err(Error::Keys { .. })),
            "{text}"
        );
    }
    assert!(set(&vec![Signer::issuer().jwk("ed"); 201]).is_err());
}

#[test]
fn a_key_is_used_for_its_own_algorithm_only() {
    let keys = set(&[changed("rsa", "alg", json!("RS256"))]).unwrap();
    assert!(keys.find("rsa", Algorithm::Rs256).is_ok());
    assert!(matches!(
        keys.find("rsa", Algorithm::Ps256),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(
        keys.find("rsa", Algorithm::Es256),
        Err(Error::KeyMismatch { .. })
    ));
    assert!(matches!(
        keys.find("RSA", Algorithm::Rs256),
        Err(Error::UnknownKey { .. })
    ));
}

#[test]
fn keys_of_one_name_are_told_apart_by_kind_or_not_at_all() {
    let mut renamed = Signer::issuer().jwk("p256");
    renamed["kid"] = json!("ed");
    let both = set(&[renamed, Signer::issuer().jwk("ed")]).unwrap();
    assert!(both.find("ed", Algorithm::EdDsa).is_ok());
    assert!(both.find("ed", Algorithm::Es256).is_ok());
    let twice = set(&[Signer::stranger().jwk("ed"), Signer::issuer().jwk("ed")]).unwrap();
    assert!(matches!(
        twice.find("ed", Algorithm::EdDsa),
        Err(Error::AmbiguousKey { .. })
    ));
}
