//! A person signs in: authorization code with PKCE (RFC 7636) on a loopback port, state, nonce, issuer (RFC 9207).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::identity;
use crate::identity::error::show;
use crate::identity::token::Token;
use crate::identity::{Expect, Verified};
use crate::model::secret::Secret;
use crate::model::time::{Entropy, Timestamp};
use crate::oidc::discovery::{Metadata, NamesItself, Pkce};
use crate::oidc::error::Error;
use crate::oidc::exchange::{self, Code, Tokens};
use crate::oidc::http::Http;
use crate::oidc::jwks::{self, Published};
use crate::oidc::loopback::{Callback, Loopback, Page};

/// Who signs people in, and as which client we ask.
#[derive(Debug, Clone)]
pub struct Client {
    /// The issuer's URL, exactly as its tokens name it.
    pub issuer: String,
    /// The client's name there; it has no secret.
    pub client_id: String,
    /// Scopes to ask for, `openid` among them or not.
    pub scopes: Vec<String>,
}

/// Tokens that were checked here, too, before anybody else gets them.
#[derive(Debug)]
pub struct SignedIn {
    /// What the issuer handed out.
    pub tokens: Tokens,
    /// The nonce the sign-in was started with; none after a refresh.
    pub nonce: Option<String>,
    /// What the ID token proves.
    pub verified: Verified,
}

/// A sign-in that has begun: the port is open, the URL is ready.
#[derive(Debug)]
pub struct SignIn {
    client: Client,
    http: Http,
    published: Published,
    loopback: Loopback,
    state: String,
    nonce: String,
    verifier: Secret<String>,
    url: Url,
}

impl SignIn {
    /// Looks the issuer up, opens a port and makes the URL to send the person to.
    ///
    /// # Errors
    /// When the issuer can't be asked or can't do it, or the port can't be had.
    pub async fn begin(
        client: Client,
        http: Http,
        port: Option<u16>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Error> {
        let published = jwks::fetch(&http, &client.issuer).await?;
        let loopback = Loopback::bind(port).await?;
        let (state, nonce) = (random(entropy), random(entropy));
        let verifier = Secret::new(random(entropy));
        let url = authorization_url(
            &published.metadata,
            &client,
            loopback.redirect(),
            &Asked {
                state: &state,
                nonce: &nonce,
                challenge: &challenge(verifier.expose()),
            },
        )?;
        Ok(Self {
            client,
            http,
            published,
            loopback,
            state,
            nonce,
            verifier,
            url,
        })
    }

    /// Where to send the person.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Waits until the person is back, and exchanges and checks what they bring. `now` is asked when that is so.
    ///
    /// # Errors
    /// When nobody comes, the answer is not the issuer's, or the issuer or the checks refuse.
    pub async fn finish(
        self,
        within: Duration,
        now: impl Fn() -> Timestamp,
    ) -> Result<SignedIn, Error> {
        let redirect = self.loopback.redirect().to_owned();
        let waiting = tokio::time::timeout(within, self.loopback.wait(&self.state));
        let Ok(Callback {
            mut parameters,
            visitor,
        }) = waiting.await
        else {
            return Err(Error::Late { within });
        };
        let outcome = async {
            let code = read_callback(&mut parameters, &self.published.metadata)?;
            let code = Code {
                code: &code,
                redirect: &redirect,
                verifier: &self.verifier,
            };
            let metadata = &self.published.metadata;
            let tokens =
                exchange::code(&self.http, metadata, &self.client.client_id, &code).await?;
            let verified = check(
                &tokens,
                &self.client,
                &self.published,
                Some(&self.nonce),
                now(),
            )?;
            Ok(SignedIn {
                tokens,
                nonce: Some(self.nonce),
                verified,
            })
        }
        .await;
        match &outcome {
            Ok(_) => visitor.tell(&Page::Done).await,
            Err(error) => {
                let text = format!(
                    "{}. You can close this window and go back to the terminal.",
                    show_error(error)
                );
                visitor.tell(&Page::Failed(&text)).await;
            }
        }
        outcome
    }
}

/// Exchanges a refresh token for a new ID token of the same subject.
///
/// # Errors
/// When the issuer can't be asked or refuses, or the new token is somebody else's or fails its checks.
pub async fn refresh(
    client: &Client,
    http: &Http,
    token: &Secret<String>,
    sub: &str,
    now: impl Fn() -> Timestamp,
) -> Result<SignedIn, Error> {
    let published = jwks::fetch(http, &client.issuer).await?;
    let tokens = exchange::refresh(http, &published.metadata, &client.client_id, token).await?;
    let verified = check(&tokens, client, &published, None, now())?;
    if verified.id().sub != sub {
        return Err(Error::OtherSubject);
    }
    Ok(SignedIn {
        tokens,
        nonce: None,
        verified,
    })
}

/// Gives a refresh token back.
///
/// # Errors
/// When the issuer can't be asked or refuses.
pub async fn revoke(client: &Client, http: &Http, token: &Secret<String>) -> Result<(), Error> {
    let metadata = crate::oidc::discovery::discover(http, &client.issuer).await?;
    exchange::revoke(http, &metadata, &client.client_id, token).await
}

/// What is different in each sign-in.
struct Asked<'a> {
    state: &'a str,
    nonce: &'a str,
    challenge: &'a str,
}

fn authorization_url(
    metadata: &Arc<Metadata>,
    client: &Client,
    redirect: &str,
    asked: &Asked<'_>,
) -> Result<Url, Error> {
    let lacks = |what| Error::Unsupported {
        issuer: metadata.issuer.clone(),
        what,
    };
    if metadata.pkce == Pkce::Missing {
        return Err(lacks("PKCE with S256"));
    }
    let endpoint = metadata.authorization.as_ref();
    let mut url = endpoint
        .ok_or_else(|| lacks("`authorization_endpoint`"))?
        .clone();
    let mut scopes = vec!["openid"];
    for scope in &client.scopes {
        if !scopes.contains(&scope.as_str()) {
            scopes.push(scope);
        }
    }
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &client.client_id)
        .append_pair("redirect_uri", redirect)
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", asked.state)
        .append_pair("nonce", asked.nonce)
        .append_pair("code_challenge", asked.challenge)
        .append_pair("code_challenge_method", "S256");
    if scopes.contains(&"offline_access") {
        // OpenID Connect Core, section 11: without it the scope is to be ignored, and some issuers do.
        url.query_pairs_mut().append_pair("prompt", "consent");
    }
    Ok(url)
}

/// The code, when the answer is the issuer's and says yes.
fn read_callback(
    parameters: &mut std::collections::BTreeMap<String, String>,
    metadata: &Metadata,
) -> Result<Secret<String>, Error> {
    match parameters.get("iss") {
        Some(issuer) if *issuer != metadata.issuer => {
            return Err(Error::Callback {
                why: "it comes from another issuer",
            });
        }
        None if metadata.names_itself == NamesItself::Always => {
            return Err(Error::Callback {
                why: "it does not name its issuer",
            });
        }
        Some(_) | None => {}
    }
    if let Some(error) = parameters.get("error") {
        return Err(Error::Refused {
            error: show(error),
            description: parameters.get("error_description").map(|text| show(text)),
        });
    }
    match parameters.remove("code") {
        Some(code) if !code.is_empty() => Ok(Secret::new(code)),
        _ => Err(Error::Callback {
            why: "it brings no code",
        }),
    }
}

fn check(
    tokens: &Tokens,
    client: &Client,
    published: &Published,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Verified, Error> {
    let token = Token::parse(tokens.id_token.expose())?;
    let expect = Expect {
        issuer: client.issuer.clone(),
        audience: client.client_id.clone(),
        client: Some(client.client_id.clone()),
        nonce: nonce.map(str::to_owned),
        access_token: tokens.access_token.clone(),
    };
    Ok(identity::verify(token, &published.keys, &expect, now)?)
}

/// 256 bits nobody can guess, as text.
fn random(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn challenge(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

/// A sentence for the page: an upper-case beginning.
fn show_error(error: &Error) -> String {
    let text = error.to_string();
    let mut rest = text.chars();
    match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => text,
    }
}
