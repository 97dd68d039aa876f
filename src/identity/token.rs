//! A token taken apart: header, claims, signature. Nothing in it is believed yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKey;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use serde_json::{Map, Value};

use crate::identity::error::{Error, show};
use crate::identity::strict;
use crate::model::time::Timestamp;

/// Longer tokens are not looked at; the longest in use (hundreds of groups) have some 20 KiB.
pub const MAX_LENGTH: usize = 64 * 1024;

/// The algorithms that are accepted. There is no way to accept others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The same in openidconnect's words.
    #[must_use]
    pub const fn signing(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| Error::Algorithm { found: show(text) })
    }
}

/// A token in readable form. It proves nothing: [`crate::identity::verify`] does.
#[derive(Clone)]
pub struct Token {
    algorithm: Algorithm,
    key_id: String,
    claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}, key {:?})", self.algorithm.name(), self.key_id)
    }
}

impl Token {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is too long, is no signed token, has two readings, or a header that is not accepted.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Error::TooLong {
                length: text.len(),
                limit: MAX_LENGTH,
            });
        }
        let parts = text.split('.').count();
        let (Some((signed, signature)), 3) = (text.rsplit_once('.'), parts) else {
            return Err(if parts == 5 {
                Error::Encrypted
            } else {
                Error::Parts { parts }
            });
        };
        let (header, payload) = signed.split_once('.').ok_or(Error::Parts { parts })?;
        let (algorithm, key_id) = read_header(&json("header", header)?)?;
        Ok(Self {
            algorithm,
            key_id,
            claims: json("payload", payload)?,
            signed: signed.to_owned(),
            signature: decode("signature", signature)?,
        })
    }

    /// Whose it claims to be. Good for choosing the keys to try, for nothing else.
    ///
    /// # Errors
    /// When it does not say.
    pub fn claimed_issuer(&self) -> Result<&str, Error> {
        text(&self.claims, "iss")
    }

    /// Whom it claims to be for. Good for choosing the configuration to try, for nothing else.
    #[must_use]
    pub fn claimed_audience(&self) -> Vec<&str> {
        texts(&self.claims, "aud").unwrap_or_default()
    }

    /// The key it claims to be signed with.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The algorithm it claims to be signed with, one of the accepted ones.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `key` signed it.
    pub(crate) fn check_signature(&self, key: &CoreJsonWebKey) -> Result<(), Error> {
        key.verify_signature(
            &self.algorithm.signing(),
            self.signed.as_bytes(),
            &self.signature,
        )
        .map_err(|_| Error::Signature)
    }

    pub(crate) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

/// Parameters that may be in a header. Others are ignored, as RFC 7515 demands, unless they are on the list below.
fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, String), Error> {
    // Where a key comes from, what must be understood, what the payload is or how it is packed: never from the token.
    const REFUSED: [&str; 10] = [
        "crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty", "url",
    ];
    if let Some(name) = REFUSED.iter().find(|name| header.contains_key(**name)) {
        return Err(Error::Header {
            name: (*name).to_owned(),
        });
    }
    let parameter = |name: &'static str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Error::HeaderText { name }),
    };
    let algorithm = parameter("alg")?.ok_or_else(|| Error::Algorithm {
        found: String::new(),
    })?;
    let algorithm = Algorithm::parse(algorithm)?;
    if let Some(kind) = parameter("typ")?
        && !kind.eq_ignore_ascii_case("JWT")
        && !kind.eq_ignore_ascii_case("application/jwt")
    {
        return Err(Error::Type { found: show(kind) });
    }
    match parameter("kid")? {
        Some(key_id) if !key_id.is_empty() => Ok((algorithm, key_id.to_owned())),
        _ => Err(Error::NoKeyId),
    }
}

fn json(part: &'static str, text: &str) -> Result<Map<String, Value>, Error> {
    strict::object(&decode(part, text)?).map_err(|why| Error::Json { part, why })
}

fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::Encoding { part })
}

/// A claim that must be text.
pub(crate) fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, Error> {
    match claims.get(name) {
        None => Err(Error::Missing { name }),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Error::Claim { name, want: "text" }),
    }
}

/// A claim that is one text or a list of texts.
pub(crate) fn texts<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Vec<&'a str>, Error> {
    let wrong = Error::Claim {
        name,
        want: "text or a list of texts",
    };
    match claims.get(name) {
        None => Err(Error::Missing { name }),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|value| value.as_str().ok_or_else(|| wrong.clone()))
            .collect(),
        Some(_) => Err(wrong),
    }
}

/// A claim that is a time in seconds, when it is there.
pub(crate) fn time(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, Error> {
    /// The end of the year 9999.
    const LATEST: i64 = 253_402_300_799;
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        _ => None,
    };
    match seconds {
        Some(seconds @ 0..=LATEST) => Ok(Some(Timestamp::from_seconds(seconds))),
        _ => Err(Error::Claim {
            name,
            want: "a time in seconds since 1970",
        }),
    }
}

/// Some issuers write seconds with a fraction.
fn whole(seconds: f64) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting off the fraction is meant; the range is checked"
    )]
    (0.0..1e12).contains(&seconds).then_some(seconds as i64)
}
