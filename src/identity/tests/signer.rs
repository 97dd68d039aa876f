//! An issuer for tests: a key of each kind, made at start, and tokens as good or bad as they are asked for.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::identity::token::Algorithm;

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of each kind.
pub(crate) struct Signer {
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Signer {
    /// The issuer's keys; made once, since RSA keys take their time.
    pub(crate) fn issuer() -> &'static Self {
        static KEYS: OnceLock<Signer> = OnceLock::new();
        KEYS.get_or_init(Self::new)
    }

    /// Somebody else's keys.
    pub(crate) fn stranger() -> &'static Self {
        static KEYS: OnceLock<Signer> = OnceLock::new();
        KEYS.get_or_init(Self::new)
    }

    fn new() -> Self {
        Self {
            rsa: rsa::KeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn key_id(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => "rsa",
            Algorithm::Es256 => "p256",
            Algorithm::Es384 => "p384",
            Algorithm::EdDsa => "ed",
        }
    }

    /// All public keys, as an issuer publishes them.
    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": [self.jwk("rsa"), self.jwk("p256"), self.jwk("p384"), self.jwk("ed")] })
    }

    pub(crate) fn jwk(&self, key_id: &str) -> Value {
        let curve = |name: &str, pair: &EcdsaKeyPair| {
            let point = pair.public_key().as_ref();
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({ "kty": "EC", "crv": name, "x": encode(x), "y": encode(y) })
        };
        let mut jwk = match key_id {
            "rsa" => {
                let (n, e) = rsa_numbers(self.rsa.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            "p256" => curve("P-256", &self.p256),
            "p384" => curve("P-384", &self.p384),
            _ => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(self.ed25519.public_key()) }),
        };
        jwk["kid"] = key_id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Forms in which a public key might be mistaken for the secret of an HMAC.
    pub(crate) fn public_forms(&self, algorithm: Algorithm) -> Vec<Vec<u8>> {
        let jwk = self.jwk(Self::key_id(algorithm));
        let mut forms = vec![jwk.to_string().into_bytes()];
        for name in ["n", "x"] {
            if let Some(text) = jwk[name].as_str() {
                forms.push(text.as_bytes().to_vec());
                forms.push(URL_SAFE_NO_PAD.decode(text).unwrap());
            }
        }
        let der = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(self.rsa.public_key())
                    .unwrap()
                    .as_ref()
                    .to_vec()
            }
            Algorithm::Es256 => self.p256.public_key().as_ref().to_vec(),
            Algorithm::Es384 => self.p384.public_key().as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.public_key().as_ref().to_vec(),
        };
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        forms.extend([der, pem.into_bytes()]);
        forms
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn signature::RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa
                .sign(padding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Es256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::Es384 => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
        }
    }

    /// A signed token of this header and these claims, whatever they are.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// A token with the header that fits and these claims.
    pub(crate) fn simple(&self, algorithm: Algorithm, claims: &Value) -> String {
        let header = json!({ "alg": algorithm.name(), "kid": Self::key_id(algorithm) });
        self.token(algorithm, &header.to_string(), &claims.to_string())
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017): a sequence of two integers.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = der_value(der);
    let (n, rest) = der_value(sequence);
    let (e, _) = der_value(rest);
    (&n[usize::from(n[0] == 0)..], e)
}

/// The content of the first DER value, and what is behind it.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let length = der[2..2 + count]
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (2 + count, length)
        }
    };
    (&der[start..start + length], &der[start + length..])
}

/// `at_hash` of an access token.
pub(crate) fn half_hash(algorithm: Algorithm, access_token: &str) -> String {
    let kind = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &aws_lc_rs::digest::SHA256,
        Algorithm::Es384 => &aws_lc_rs::digest::SHA384,
        Algorithm::EdDsa => &aws_lc_rs::digest::SHA512,
    };
    let digest = aws_lc_rs::digest::digest(kind, access_token.as_bytes());
    encode(&digest.as_ref()[..digest.as_ref().len() / 2])
}
