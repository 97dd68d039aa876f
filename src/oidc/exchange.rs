//! The token endpoint: codes and refresh tokens become ID tokens; tokens are given back.

use serde_json::{Map, Value};
use url::Url;

use crate::identity::error::show;
use crate::identity::strict;
use crate::model::secret::Secret;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error;
use crate::oidc::http::{Answer, Http};

const WHAT: &str = "the issuer's token endpoint";

/// What an issuer hands out.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Who signed in.
    pub id_token: Secret<String>,
    /// For `userinfo`.
    pub access_token: Option<Secret<String>>,
    /// For the next ID token without a browser.
    pub refresh_token: Option<Secret<String>>,
}

/// A code that came through the browser, and what proves that it is ours.
#[derive(Debug)]
pub struct Code<'a> {
    /// The code.
    pub code: &'a Secret<String>,
    /// Where it came to, exactly as it was asked for.
    pub redirect: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a Secret<String>,
}

/// Exchanges a code.
///
/// # Errors
/// When the issuer can't be asked or refuses, or gives no ID token.
pub async fn code(
    http: &Http,
    metadata: &Metadata,
    client_id: &str,
    code: &Code<'_>,
) -> Result<Tokens, Error> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.code.expose().as_str()),
        ("redirect_uri", code.redirect),
        ("client_id", client_id),
        ("code_verifier", code.verifier.expose().as_str()),
    ];
    let url = token_endpoint(metadata)?;
    read(url, &http.post(WHAT, url, &form).await?)
}

/// Exchanges a refresh token; where the answer has a new one, the old one is worth nothing any more.
///
/// # Errors
/// When the issuer can't be asked or refuses, or gives no ID token.
pub async fn refresh(
    http: &Http,
    metadata: &Metadata,
    client_id: &str,
    token: &Secret<String>,
) -> Result<Tokens, Error> {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.expose().as_str()),
        ("client_id", client_id),
    ];
    let url = token_endpoint(metadata)?;
    read(url, &http.post(WHAT, url, &form).await?)
}

/// Gives a refresh token back (RFC 7009). An issuer without that endpoint keeps it until it expires.
///
/// # Errors
/// When the issuer can't be asked or refuses.
pub async fn revoke(
    http: &Http,
    metadata: &Metadata,
    client_id: &str,
    token: &Secret<String>,
) -> Result<(), Error> {
    const WHAT: &str = "the issuer's revocation endpoint";
    let Some(url) = &metadata.revocation else {
        return Ok(());
    };
    let form = [
        ("token", token.expose().as_str()),
        ("token_type_hint", "refresh_token"),
        ("client_id", client_id),
    ];
    let answer = http.post(WHAT, url, &form).await?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(refusal(WHAT, url, &answer))
}

fn token_endpoint(metadata: &Metadata) -> Result<&Url, Error> {
    metadata.token.as_ref().ok_or_else(|| Error::Unsupported {
        issuer: metadata.issuer.clone(),
        what: "`token_endpoint`",
    })
}

fn read(url: &Url, answer: &Answer) -> Result<Tokens, Error> {
    if answer.status != 200 {
        return Err(refusal(WHAT, url, answer));
    }
    let members = strict::object(&answer.body).map_err(|why| Error::Nonsense {
        what: WHAT,
        url: url.to_string(),
        why,
    })?;
    Ok(Tokens {
        id_token: secret(&members, "id_token").ok_or(Error::NoIdToken)?,
        access_token: secret(&members, "access_token"),
        refresh_token: secret(&members, "refresh_token"),
    })
}

fn secret(members: &Map<String, Value>, name: &str) -> Option<Secret<String>> {
    members.get(name).and_then(Value::as_str).map(Secret::from)
}

fn refusal(what: &'static str, url: &Url, answer: &Answer) -> Error {
    let members = strict::object(&answer.body).unwrap_or_default();
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(show);
    match text("error") {
        Some(error) => Error::Refused {
            error,
            description: text("error_description"),
        },
        None => Error::Status {
            what,
            url: url.to_string(),
            status: answer.status,
        },
    }
}
