//! The keys an issuer has published, as a value.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::CoreJsonWebKey;
use serde_json::{Map, Value};

use crate::identity::error::{Error, show};
use crate::identity::strict;
use crate::identity::token::Algorithm;

/// More keys than any issuer has.
const MAX_KEYS: usize = 200;

/// RSA keys below this are broken with money, those above are not computed with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A set of public keys. Keys that can't verify signatures (encryption, unknown kinds, short) are left out.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: String,
    family: Family,
    only: Option<String>,
    jwk: CoreJsonWebKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Family {
    const fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => Self::Rsa,
            Algorithm::Es256 => Self::P256,
            Algorithm::Es384 => Self::P384,
            Algorithm::EdDsa => Self::Ed25519,
        }
    }
}

impl Keys {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// When it is no JWK set, has too many keys, or none that can be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Keys {
            why: why.to_owned(),
        };
        let document = strict::object(bytes).map_err(|why| wrong(&why))?;
        let Some(Value::Array(list)) = document.get("keys") else {
            return Err(wrong("there is no list `keys`"));
        };
        if list.len() > MAX_KEYS {
            return Err(wrong("there are more than 200 keys"));
        }
        let keys: Vec<Key> = list.iter().filter_map(read_key).collect();
        if keys.is_empty() {
            return Err(wrong(
                "none of them can verify RS256, PS256, ES256, ES384 or EdDSA by a `kid`",
            ));
        }
        Ok(Self(keys))
    }

    /// Whether there is a key of that name.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// The one key of that name that fits the algorithm.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, id: &str, algorithm: Algorithm) -> Result<&CoreJsonWebKey, Error> {
        let kid = || show(id);
        if !self.has(id) {
            return Err(Error::UnknownKey { kid: kid() });
        }
        let mut fitting = self.0.iter().filter(|key| {
            key.id == id
                && key.family == Family::of(algorithm)
                && key
                    .only
                    .as_deref()
                    .is_none_or(|only| only == algorithm.name())
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(&key.jwk),
            (None, _) => Err(Error::KeyMismatch {
                kid: kid(),
                algorithm: algorithm.name(),
            }),
            (Some(_), Some(_)) => Err(Error::AmbiguousKey { kid: kid() }),
        }
    }
}

/// A key that can verify signatures, else nothing: issuers publish others beside them.
fn read_key(value: &Value) -> Option<Key> {
    let members = value.as_object()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let id = text("kid").filter(|id| !id.is_empty())?.to_owned();
    if members.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = members.get("key_ops") {
        let verify = |value: &Value| value.as_str() == Some("verify");
        if !operations.as_array()?.iter().any(verify) {
            return None;
        }
    }
    let only = match members.get("alg") {
        None => None,
        Some(alg) => Some(alg.as_str()?.to_owned()),
    };
    let (family, names) = match (text("kty")?, text("crv")) {
        ("RSA", _) => (Family::Rsa, ["kty", "n", "e", ""]),
        ("EC", Some("P-256")) => (Family::P256, ["kty", "crv", "x", "y"]),
        ("EC", Some("P-384")) => (Family::P384, ["kty", "crv", "x", "y"]),
        ("OKP", Some("Ed25519")) => (Family::Ed25519, ["kty", "crv", "x", ""]),
        _ => return None,
    };
    if family == Family::Rsa && !sound_rsa(text("n")?, text("e")?) {
        return None;
    }
    // Only what makes the key goes on: its use, name and algorithm were read here.
    let material: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let jwk = serde_json::from_value(Value::Object(material)).ok()?;
    Some(Key {
        id,
        family,
        only,
        jwk,
    })
}

fn sound_rsa(modulus: &str, exponent: &str) -> bool {
    let (Ok(modulus), Ok(exponent)) = (
        URL_SAFE_NO_PAD.decode(modulus),
        URL_SAFE_NO_PAD.decode(exponent),
    ) else {
        return false;
    };
    let modulus: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
    let exponent: Vec<u8> = exponent.into_iter().skip_while(|byte| *byte == 0).collect();
    let bits = modulus.first().map_or(0, |first| {
        modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0)
    });
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    RSA_BITS.contains(&bits)
        && odd(&modulus)
        && odd(&exponent)
        && exponent.len() <= 4
        && exponent != [1]
}
