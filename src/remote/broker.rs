//! The broker as a value: one method an operation, over `api::types`.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::api::types;
use crate::model::secret::Secret;

/// An answer longer than this is no answer of a broker.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// How long a broker may take to answer. Requests that wait for people poll.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the broker is and how to trust it.
#[derive(Debug, Clone)]
pub struct Address {
    /// `https://host[:port]`; `http://` on loopback only.
    pub url: Url,
    /// A file of PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// What can go wrong between here and the broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is no address of a broker.
    #[error("`{url}` is no broker address: {why}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file of certificates can't be used.
    #[error("read the CA file `{path}`: {why}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// Nobody answers.
    #[error("the broker at `{url}` does not answer: {why}")]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// Somebody answers whose certificate is not trusted.
    #[error("the certificate of the broker at `{url}` is not trusted: {why}")]
    Untrusted {
        /// The address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// The broker says no.
    #[error("{}", problem.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The broker's words.
        problem: types::Problem,
    },
    /// The answer makes no sense.
    #[error("the answer of `{url}` is not a broker's: {why}")]
    Nonsense {
        /// The address.
        url: String,
        /// What is odd about it.
        why: String,
    },
}

/// A broker we may talk to; with a token, as somebody.
#[derive(Debug, Clone)]
pub struct Broker {
    address: Address,
    http: reqwest::Client,
    token: Option<Secret<String>>,
}

impl Broker {
    /// Prepares to talk; sends nothing yet.
    ///
    /// # Errors
    /// When the address is not `https:` (or loopback `http:`), or the CA file can't be used.
    pub fn new(address: Address) -> Result<Self, Error> {
        check_url(&address.url)?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(TIMEOUT)
            .no_proxy()
            .user_agent(concat!("dbgate/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &address.ca_file {
            builder = builder.tls_certs_only(read_certificates(path)?);
        }
        let http = builder.build().map_err(|error| Error::Address {
            url: address.url.to_string(),
            why: chain(&error),
        })?;
        Ok(Self {
            address,
            http,
            token: None,
        })
    }

    /// The same broker, as whoever holds `token`.
    #[must_use]
    pub fn with_token(mut self, token: Secret<String>) -> Self {
        self.token = Some(token);
        self
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What a client needs before it has signed in.
    ///
    /// # Errors
    /// As every operation: see [`Error`].
    pub async fn info(&self) -> Result<types::Info, Error> {
        self.get("v1/info").await
    }

    /// Exchanges an issuer's tokens for one of the broker's own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn login(&self, login: &types::Login) -> Result<types::LoggedIn, Error> {
        self.call(Method::POST, "v1/login", Some(login)).await
    }

    /// Ends the token, and the subject's sessions unless they are kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn logout(&self, logout: &types::Logout) -> Result<types::LoggedOut, Error> {
        self.call(Method::POST, "v1/logout", Some(logout)).await
    }

    /// Who the broker takes us for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn me(&self) -> Result<types::Me, Error> {
        self.get("v1/me").await
    }

    /// The databases we may ask for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn databases(&self) -> Result<Vec<types::DatabaseView>, Error> {
        self.get("v1/databases").await
    }

    /// Asks for a session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open_session(&self, ask: &types::Ask) -> Result<types::Opened, Error> {
        self.call(Method::POST, "v1/sessions", Some(ask)).await
    }

    /// Sessions the caller may see; with `all`, ended ones, too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sessions(&self, all: bool) -> Result<Vec<types::SessionView>, Error> {
        let path = if all {
            "v1/sessions?all=true"
        } else {
            "v1/sessions"
        };
        self.get(path).await
    }

    /// One session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn session(&self, id: &str) -> Result<types::SessionView, Error> {
        self.get(&format!("v1/sessions/{}", segment(id))).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_session(&self, id: &str) -> Result<types::SessionView, Error> {
        self.call(
            Method::DELETE,
            &format!("v1/sessions/{}", segment(id)),
            None::<&()>,
        )
        .await
    }

    /// Moves a session's end.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn renew_session(
        &self,
        id: &str,
        renew: &types::Renew,
    ) -> Result<types::SessionView, Error> {
        self.call(
            Method::POST,
            &format!("v1/sessions/{}/renew", segment(id)),
            Some(renew),
        )
        .await
    }

    /// Asks for an approval ahead of time.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request(&self, ask: &types::RequestAsk) -> Result<types::RequestView, Error> {
        self.call(Method::POST, "v1/requests", Some(ask)).await
    }

    /// Requests the caller made or may decide.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn requests(&self, all: bool) -> Result<Vec<types::RequestView>, Error> {
        let path = if all {
            "v1/requests?all=true"
        } else {
            "v1/requests"
        };
        self.get(path).await
    }

    /// One request.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request_by_id(&self, id: &str) -> Result<types::RequestView, Error> {
        self.get(&format!("v1/requests/{}", segment(id))).await
    }

    /// Lets our request wait on, while we do not.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn keep(&self, id: &str) -> Result<types::RequestView, Error> {
        let path = format!("v1/requests/{}/keep", segment(id));
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// Takes our request back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn withdraw(&self, id: &str) -> Result<types::RequestView, Error> {
        let path = format!("v1/requests/{}", segment(id));
        self.call(Method::DELETE, &path, None::<&()>).await
    }

    /// Approves a request.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn approve(
        &self,
        id: &str,
        decide: &types::Decide,
    ) -> Result<types::RequestView, Error> {
        self.call(
            Method::POST,
            &format!("v1/requests/{}/approve", segment(id)),
            Some(decide),
        )
        .await
    }

    /// Denies a request.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn deny(
        &self,
        id: &str,
        decide: &types::Decide,
    ) -> Result<types::RequestView, Error> {
        self.call(
            Method::POST,
            &format!("v1/requests/{}/deny", segment(id)),
            Some(decide),
        )
        .await
    }

    /// What would happen to a statement.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn explain(&self, ask: &types::ExplainAsk) -> Result<serde_json::Value, Error> {
        self.call(Method::POST, "v1/explain", Some(ask)).await
    }

    /// Asks, and reads the JSON of the answer.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Any operation of the interface.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let bytes = self.body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| self.nonsense(&error.to_string()));
        }
        Err(self.refused(status, &bytes))
    }

    /// A response whose body the caller reads by itself, line by line.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream(&self, path: &str) -> Result<reqwest::Response, Error> {
        let response = self.send(Method::GET, path, None::<&()>).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let bytes = self.body(response).await?;
        Err(self.refused(status, &bytes))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<reqwest::Response, Error> {
        let url = self
            .address
            .url
            .join(path)
            .map_err(|error| self.nonsense(&error.to_string()))?;
        let mut request = self.http.request(method, url);
        if path.contains("/tail") {
            request = request.timeout(Duration::from_secs(24 * 3600));
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    async fn body(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failure(&error))?
        {
            if bytes.len() + chunk.len() > MAX_BODY {
                return Err(self.nonsense("it is longer than 16 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The broker's words, or the first of whoever else answered.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        const MOST: usize = 120;
        if let Ok(problem) = serde_json::from_slice(body) {
            let status = status.as_u16();
            return Error::Refused { status, problem };
        }
        let text = String::from_utf8_lossy(body);
        let line: String = text
            .lines()
            .next()
            .unwrap_or("")
            .chars()
            .take(MOST)
            .collect();
        match line.trim() {
            "" => self.nonsense(&format!("status {status}")),
            line => self.nonsense(&format!("status {status}: {line}")),
        }
    }

    fn nonsense(&self, why: &str) -> Error {
        Error::Nonsense {
            url: self.address.url.to_string(),
            why: why.to_owned(),
        }
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let url = self.address.url.to_string();
        // The first lines say only that a request was sent, and where.
        let why = root(error);
        if why.contains("certificate") {
            Error::Untrusted { url, why }
        } else {
            Error::Unreachable { url, why }
        }
    }
}

fn check_url(url: &Url) -> Result<(), Error> {
    let wrong = |why: &str| {
        Err(Error::Address {
            url: url.to_string(),
            why: why.to_owned(),
        })
    };
    if url.cannot_be_a_base() || url.host_str().is_none() {
        return wrong("write `https://host` or `https://host:port`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it must not carry a user or a password");
    }
    match (url.scheme(), url.host()) {
        ("https", _) => Ok(()),
        ("http", Some(url::Host::Ipv4(ip))) if ip.is_loopback() => Ok(()),
        ("http", Some(url::Host::Ipv6(ip))) if ip.is_loopback() => Ok(()),
        ("http", _) => wrong("plain `http:` is for loopback only; use `https:`"),
        _ => wrong("it must start with `https://`"),
    }
}

fn read_certificates(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, Error> {
    let wrong = |why: String| Error::CaFile {
        path: path.clone(),
        why,
    };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates =
        reqwest::Certificate::from_pem_bundle(&text).map_err(|error| wrong(chain(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

/// An id as one segment of a path, whatever was typed.
fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}

/// The last cause of an error, which is the one that says something.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// An error with all its causes: the first line alone says too little ("error sending request").
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
