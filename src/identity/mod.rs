//! A token becomes a subject: signature, issuer, audience, times, claims.
//!
//! Reading order: `strict` reads JSON and refuses what has two readings → `token` takes a token apart → `keys` holds
//! what an issuer published → [`verify`] → `claims` maps what is proved to a subject.
//!
//! **Invariant:** nothing in a token causes a request: headers that point to keys are refused, not followed.

pub mod claims;
pub mod error;
pub mod keys;
pub mod strict;
pub mod token;

#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use openidconnect::core::CoreJsonWebKey;
use openidconnect::{AccessToken, AccessTokenHash};
use serde_json::{Map, Value};

use crate::identity::error::{Error, show};
use crate::identity::keys::Keys;
use crate::identity::token::{Algorithm, Token};
use crate::model::secret::Secret;
use crate::model::subject;
use crate::model::time::Timestamp;

/// How far an issuer's clock may be off.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// What a token must say to be taken.
#[derive(Debug, Clone)]
pub struct Expect {
    /// `iss`, byte by byte.
    pub issuer: String,
    /// One of `aud`.
    pub audience: String,
    /// The client people sign in as; `azp` may name it, or the audience.
    pub client: Option<String>,
    /// The nonce the sign-in was started with; none = there was no browser, or it is not known here.
    pub nonce: Option<String>,
    /// The access token that came along; where the token has an `at_hash` they must fit.
    pub access_token: Option<Secret<String>>,
}

/// A token whose signature, issuer, audience, times, nonce and purpose were checked.
///
/// Only [`verify`] makes one:
///
/// ```compile_fail
/// use dbgate::identity::Verified;
/// use dbgate::model::{subject::Id, time::Timestamp};
///
/// let id = subject::Id { issuer: "https://issuer.example".into(), sub: "root".into() };
/// let claims = serde_json::Map::new();
/// let verified = Verified { id, claims, issued: Timestamp::EPOCH, expires: Timestamp::EPOCH };
/// ```
#[derive(Debug, Clone)]
pub struct Verified {
    id: subject::Id,
    claims: Map<String, Value>,
    issued: Timestamp,
    expires: Timestamp,
}

impl Verified {
    /// Whom the token names.
    #[must_use]
    pub const fn id(&self) -> &subject::Id {
        &self.id
    }

    /// All it says.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// `iat`.
    #[must_use]
    pub const fn issued(&self) -> Timestamp {
        self.issued
    }

    /// `exp`.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// Checks a token against keys, expectations and the time.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(
    token: Token,
    keys: &Keys,
    expect: &Expect,
    now: Timestamp,
) -> Result<Verified, Error> {
    let key = keys.find(token.key_id(), token.algorithm())?;
    token.check_signature(key)?;
    let algorithm = token.algorithm();
    let claims = token.into_claims();
    check_issuer(&claims, expect)?;
    check_audience(&claims, expect)?;
    check_purpose(&claims)?;
    let (issued, expires) = check_times(&claims, now)?;
    check_nonce(&claims, expect)?;
    check_access_token(&claims, expect, key, algorithm)?;
    let sub = token::text(&claims, "sub")?;
    if sub.is_empty() || sub.len() > MAX_SUB || sub.chars().any(char::is_control) {
        return Err(Error::Claim {
            name: "sub",
            want: "1 to 1024 bytes without control characters",
        });
    }
    let id = subject::Id {
        issuer: expect.issuer.clone(),
        sub: sub.to_owned(),
    };
    Ok(Verified {
        id,
        claims,
        issued,
        expires,
    })
}

/// The specification says 255; composed names of CI jobs are longer.
const MAX_SUB: usize = 1024;

fn check_issuer(claims: &Map<String, Value>, expect: &Expect) -> Result<(), Error> {
    let issuer = token::text(claims, "iss")?;
    if issuer == expect.issuer {
        return Ok(());
    }
    Err(Error::Issuer {
        found: show(issuer),
        expected: expect.issuer.clone(),
    })
}

fn check_audience(claims: &Map<String, Value>, expect: &Expect) -> Result<(), Error> {
    let audiences = token::texts(claims, "aud")?;
    if !audiences.contains(&expect.audience.as_str()) {
        return Err(Error::Audience {
            found: show(&audiences.join(", ")),
            expected: expect.audience.clone(),
        });
    }
    let party = match claims.get("azp") {
        Some(_) => Some(token::text(claims, "azp")?),
        None => None,
    };
    match party {
        // Who else is in the audience holds the same token; only the party it was made for may present it.
        None if audiences.len() > 1 => Err(Error::PartyMissing),
        None => Ok(()),
        Some(party) if party == expect.audience || Some(party) == expect.client.as_deref() => {
            Ok(())
        }
        Some(party) => Err(Error::Party { found: show(party) }),
    }
}

/// Tokens that issuers sign with the same key for other uses.
fn check_purpose(claims: &Map<String, Value>) -> Result<(), Error> {
    let other = |found: &str| Err(Error::Purpose { found: show(found) });
    if claims.contains_key("events") {
        return other("logout");
    }
    for name in ["typ", "token_use"] {
        let Some(value) = claims.get(name) else {
            continue;
        };
        let value = value.as_str().ok_or(Error::Claim { name, want: "text" })?;
        let word = value.to_ascii_lowercase();
        let other_use = matches!(
            word.as_str(),
            "bearer" | "access" | "refresh" | "offline" | "logout" | "at+jwt" | "logout+jwt"
        );
        if other_use || name == "token_use" && word != "id" {
            return other(value);
        }
    }
    Ok(())
}

fn check_times(
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Error> {
    let expires = token::time(claims, "exp")?.ok_or(Error::Missing { name: "exp" })?;
    let issued = token::time(claims, "iat")?.ok_or(Error::Missing { name: "iat" })?;
    if now >= expires.after(LEEWAY) {
        return Err(Error::Expired { at: expires });
    }
    if let Some(from) = token::time(claims, "nbf")?
        && from > now.after(LEEWAY)
    {
        return Err(Error::NotYet { at: from });
    }
    if issued > now.after(LEEWAY) {
        return Err(Error::IssuedAhead { at: issued });
    }
    if expires <= issued {
        return Err(Error::Backwards);
    }
    Ok((issued, expires))
}

fn check_nonce(claims: &Map<String, Value>, expect: &Expect) -> Result<(), Error> {
    let Some(nonce) = &expect.nonce else {
        return Ok(());
    };
    if token::text(claims, "nonce")? == nonce {
        Ok(())
    } else {
        Err(Error::Nonce)
    }
}

fn check_access_token(
    claims: &Map<String, Value>,
    expect: &Expect,
    key: &CoreJsonWebKey,
    algorithm: Algorithm,
) -> Result<(), Error> {
    let (Some(access), true) = (&expect.access_token, claims.contains_key("at_hash")) else {
        return Ok(());
    };
    let hash = token::text(claims, "at_hash")?;
    let access = AccessToken::new(access.expose().clone());
    let right = AccessTokenHash::from_token(&access, &algorithm.signing(), key)
        .map_err(|_| Error::AccessToken)?;
    if right.as_str() == hash {
        Ok(())
    } else {
        Err(Error::AccessToken)
    }
}
