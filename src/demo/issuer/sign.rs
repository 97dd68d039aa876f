//! The issuer's key, made at start and never written down, and the ID tokens it signs.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};

use crate::demo::issuer::CLIENT;
use crate::demo::issuer::people::Account;
use crate::model::secret::Secret;
use crate::model::time::{Entropy, Timestamp};

/// What ties an ID token to one sign-in.
#[derive(Debug, Default)]
pub struct Bound<'a> {
    /// The nonce that was asked for.
    pub nonce: Option<&'a str>,
    /// The access token that is handed out with it.
    pub access_token: Option<&'a str>,
}

/// Signs.
pub struct Signer {
    issuer: String,
    key_id: String,
    key: CoreEdDsaPrivateSigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl Signer {
    /// With a new Ed25519 key.
    ///
    /// # Errors
    /// When the key can't be made.
    pub fn new(issuer: String, entropy: &dyn Entropy) -> Result<Self, String> {
        let mut name = [0; 6];
        entropy.fill(&mut name);
        let key_id = format!("demo-{}", URL_SAFE_NO_PAD.encode(name));
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)
            .map_err(|error| error.to_string())?;
        let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(
            &pair.serialize_pem(),
            Some(JsonWebKeyId::new(key_id.clone())),
        )?;
        Ok(Self {
            issuer,
            key_id,
            key,
        })
    }

    /// The public half, as a JWK set.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let mut key =
            serde_json::to_value(self.key.as_verification_key()).unwrap_or_else(|_| json!({}));
        if let Some(members) = key.as_object_mut() {
            members.insert("alg".to_owned(), json!("EdDSA"));
        }
        json!({ "keys": [key] })
    }

    /// An ID token.
    #[must_use]
    pub fn id_token(
        &self,
        account: &Account,
        now: Timestamp,
        ttl: Duration,
        bound: &Bound<'_>,
    ) -> Secret<String> {
        let mut claims = claims(account);
        if let Some(members) = claims.as_object_mut() {
            members.insert("iss".to_owned(), json!(self.issuer));
            members.insert("aud".to_owned(), json!(CLIENT));
            members.insert("iat".to_owned(), json!(now.seconds()));
            members.insert("exp".to_owned(), json!(now.after(ttl).seconds()));
            if let Some(nonce) = bound.nonce {
                members.insert("nonce".to_owned(), json!(nonce));
            }
            if let Some(access) = bound.access_token {
                members.insert("at_hash".to_owned(), json!(self.hash(access)));
            }
        }
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": self.key_id });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        // Ed25519 signs whatever it is given; an empty signature, if it ever came to that, verifies nowhere.
        let signature = self
            .key
            .sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes())
            .unwrap_or_default();
        Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// `at_hash`: the left half of the access token's hash.
    fn hash(&self, access: &str) -> String {
        let key = self.key.as_verification_key();
        let hash = key.hash_bytes(access.as_bytes(), &CoreJwsSigningAlgorithm::EdDsa);
        let hash = hash.unwrap_or_default();
        let (half, _) = hash.split_at(hash.len() / 2);
        URL_SAFE_NO_PAD.encode(half)
    }
}

/// What the issuer says about somebody, in ID tokens and in `userinfo`.
#[must_use]
pub fn claims(account: &Account) -> Value {
    json!({
        "sub": account.sub,
        "name": account.name,
        "email": account.email,
        "groups": [account.group],
        "kind": account.kind,
    })
}
