//! Requests to issuers: no redirects, five seconds, one mebibyte.

use std::time::Duration;

use reqwest::header;
use url::{Host, Url};

use crate::identity::error::show;
use crate::model::secret::Secret;
use crate::oidc::error::Error;

/// A longer answer is no answer of an issuer.
pub const MAX_BODY: usize = 1024 * 1024;

/// From the first packet to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client for one issuer.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
}

/// A status and a body that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `content-type` without parameters, in lower case.
    pub kind: String,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Those the system trusts.
    System,
    /// These (PEM), and no others.
    Only(&'a [u8]),
    /// Those the system trusts, and these (PEM).
    Also(&'a [u8]),
}

impl Http {
    /// A client for the issuer at `issuer`.
    ///
    /// # Errors
    /// When the certificates can't be read.
    pub fn new(issuer: &str, trust: Trust<'_>) -> Result<Self, Error> {
        let client = |why: String| Error::Client { why };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .referer(false)
            .user_agent(concat!("dbgate/", env!("CARGO_PKG_VERSION")));
        if Url::parse(issuer).is_ok_and(|url| is_loopback(&url)) {
            builder = builder.no_proxy();
        }
        builder = match trust {
            Trust::System => builder,
            Trust::Only(pem) => builder.tls_certs_only(certificates(pem)?),
            Trust::Also(pem) => builder.tls_certs_merge(certificates(pem)?),
        };
        let client = builder.build().map_err(|error| client(chain(&error)))?;
        Ok(Self { client })
    }

    /// GETs what must be there.
    ///
    /// # Errors
    /// When it can't be reached, is too long, or the status is not 200.
    pub async fn get(
        &self,
        what: &'static str,
        url: &Url,
        bearer: Option<&Secret<String>>,
    ) -> Result<Answer, Error> {
        let mut request = self
            .client
            .get(url.clone())
            .header(header::ACCEPT, "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token.expose());
        }
        let answer = read(what, url, request).await?;
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(Error::Status {
            what,
            url: url.to_string(),
            status: answer.status,
        })
    }

    /// POSTs a form; the caller looks at the status.
    ///
    /// # Errors
    /// When it can't be reached or the answer is too long.
    pub async fn post(
        &self,
        what: &'static str,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let request = self
            .client
            .post(url.clone())
            .header(header::ACCEPT, "application/json")
            .form(form);
        read(what, url, request).await
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, Error> {
    let client = |why: String| Error::Client { why };
    let certificates =
        reqwest::Certificate::from_pem_bundle(pem).map_err(|error| client(chain(&error)))?;
    if certificates.is_empty() {
        return Err(client(
            "the CA file holds no certificate in PEM form".to_owned(),
        ));
    }
    Ok(certificates)
}

async fn read(
    what: &'static str,
    url: &Url,
    request: reqwest::RequestBuilder,
) -> Result<Answer, Error> {
    let unreachable = |error: reqwest::Error| Error::Unreachable {
        what,
        url: url.to_string(),
        why: chain(&error.without_url()),
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut answer = Answer {
        status: response.status().as_u16(),
        kind: kind.to_ascii_lowercase(),
        body: Vec::new(),
    };
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if answer.body.len() + chunk.len() > MAX_BODY {
            return Err(Error::Nonsense {
                what,
                url: url.to_string(),
                why: "it is longer than 1 MiB".to_owned(),
            });
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// Whether the host is a loopback address, written as a number.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// An error with its causes: the first line alone says too little ("error sending request").
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    show(&text)
}
