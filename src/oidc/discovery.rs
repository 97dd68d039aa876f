//! Where an issuer's endpoints are: its discovery document, read and distrusted.

use serde_json::{Map, Value};
use url::Url;

use crate::identity::error::show;
use crate::identity::strict;
use crate::oidc::error::Error;
use crate::oidc::http::{Http, is_loopback};

const WHAT: &str = "the issuer's discovery document";

/// What we use of an issuer's metadata. Every URL in it was checked with [`safe`].
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Its keys.
    pub jwks: Url,
    /// Where people sign in.
    pub authorization: Option<Url>,
    /// Where codes and refresh tokens are exchanged.
    pub token: Option<Url>,
    /// What it says about a subject.
    pub userinfo: Option<Url>,
    /// Where tokens are given back.
    pub revocation: Option<Url>,
    /// How it proves itself in the answer through the browser.
    pub names_itself: NamesItself,
    /// Whether it says that it can't do PKCE with S256.
    pub pkce: Pkce,
}

/// RFC 9207: whether the answer through the browser carries `iss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesItself {
    /// Always; an answer without it is not the issuer's.
    Always,
    /// It does not promise to.
    Perhaps,
}

/// PKCE with S256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkce {
    /// The metadata list it, or list nothing.
    Possible,
    /// The metadata list other methods only.
    Missing,
}

/// Fetches an issuer's metadata.
///
/// # Errors
/// When they can't be fetched or read, are another issuer's, or name an endpoint that is not [`safe`].
pub async fn discover(http: &Http, issuer: &str) -> Result<Metadata, Error> {
    let url = document_url(issuer)?;
    let answer = http.get(WHAT, &url, None).await?;
    let document = strict::object(&answer.body).map_err(|why| Error::Nonsense {
        what: WHAT,
        url: url.to_string(),
        why,
    })?;
    read(&document, issuer)
}

fn document_url(issuer: &str) -> Result<Url, Error> {
    let base = safe("issuer", issuer, issuer)?;
    let base = base.as_str().trim_end_matches('/');
    safe(
        "issuer",
        &format!("{base}/.well-known/openid-configuration"),
        issuer,
    )
}

/// Reads a discovery document.
///
/// # Errors
/// As [`discover`].
pub fn read(document: &Map<String, Value>, issuer: &str) -> Result<Metadata, Error> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let found = text("issuer").unwrap_or_default();
    if found != issuer {
        return Err(Error::IssuerMismatch {
            expected: issuer.to_owned(),
            found: show(found),
        });
    }
    let endpoint = |name: &'static str| -> Result<Option<Url>, Error> {
        text(name).map(|url| safe(name, url, issuer)).transpose()
    };
    let methods = document
        .get("code_challenge_methods_supported")
        .and_then(Value::as_array);
    let s256 =
        methods.is_none_or(|methods| methods.iter().any(|method| method.as_str() == Some("S256")));
    let named = document.get("authorization_response_iss_parameter_supported");
    Ok(Metadata {
        issuer: issuer.to_owned(),
        jwks: endpoint("jwks_uri")?.ok_or_else(|| Error::Unsupported {
            issuer: issuer.to_owned(),
            what: "`jwks_uri`",
        })?,
        authorization: endpoint("authorization_endpoint")?,
        token: endpoint("token_endpoint")?,
        userinfo: endpoint("userinfo_endpoint")?,
        revocation: endpoint("revocation_endpoint")?,
        names_itself: if named == Some(&Value::Bool(true)) {
            NamesItself::Always
        } else {
            NamesItself::Perhaps
        },
        pkce: if s256 { Pkce::Possible } else { Pkce::Missing },
    })
}

/// A URL that may be requested, and opened in a browser: `https:`, or `http:` on a loopback address where the issuer
/// is on one, too; no user, no fragment, nothing that a shell or a command line could take for its own.
///
/// # Errors
/// When it is anything else.
pub fn safe(name: &'static str, text: &str, issuer: &str) -> Result<Url, Error> {
    let wrong = |why| Err(Error::Endpoint { name, why });
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@&+,=%".contains(&b);
    if text.len() > 2000 {
        return wrong("it is longer than 2000 bytes");
    }
    if !text.bytes().all(harmless) {
        return wrong("it has characters that are not allowed in an endpoint");
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("it is no URL");
    };
    if url.cannot_be_a_base() || url.host_str().is_none_or(str::is_empty) {
        return wrong("it has no host");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return wrong("it carries a user");
    }
    let local = Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) && local => Ok(url),
        "http" => wrong("plain `http:` is for issuers on loopback only"),
        _ => wrong("it is not `https:`"),
    }
}
