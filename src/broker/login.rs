//! Sign-ins: an issuer's token becomes one of the broker's own, short and opaque, of which only a hash is kept.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity;
use crate::model::secret::Secret;
use crate::model::subject::Subject;
use crate::model::time::{Clock, Entropy, Timestamp};
use crate::oidc;
use crate::oidc::issuer::{Credentials, Identified, Issuers};
use crate::store;
use crate::store::Store;
use crate::store::token::{Digest, Token};

/// What every token of ours begins with, so that people and scanners know it when they see it.
const PREFIX: &str = "dbgate_";

/// Where sign-ins happen.
#[derive(Debug)]
pub struct Logins {
    issuers: Issuers,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    lifetime: Duration,
}

/// The surroundings of sign-ins.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where tokens are kept, by their hash.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What tokens are made of.
    pub entropy: Arc<dyn Entropy>,
}

/// A token of ours, told once.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Secret<String>,
    /// Whose it is, and until when.
    pub caller: Caller,
}

/// Somebody who holds a token of ours that is good at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub subject: Subject,
    /// The login it came from; a logout ends the whole family.
    pub family: String,
    /// Until when.
    pub expires: Timestamp,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer's token is refused, or the issuer can't be asked.
    #[error(transparent)]
    Identity(#[from] oidc::error::Error),
    /// The token is none of ours, or has ended.
    #[error("the sign-in has ended")]
    Ended,
    /// It can't be remembered or looked up.
    #[error("look up the sign-in: {0}")]
    Store(#[from] store::Error),
}

impl Error {
    /// A word a program can match.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Identity(oidc::error::Error::Token(error)) => error.code(),
            Self::Identity(oidc::error::Error::UnknownIssuer { .. }) => "unknown_issuer",
            Self::Identity(oidc::error::Error::UnknownKey { .. }) => "token_refused",
            Self::Identity(_) => "issuer_unavailable",
            Self::Ended => "login_needed",
            Self::Store(_) => "internal",
        }
    }

    /// What would help.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        use identity::error::Error as Token;
        match self {
            Self::Ended => Some("run `dbgate login`"),
            Self::Identity(oidc::error::Error::Token(Token::Expired { .. })) => {
                Some("run `dbgate login`, or fetch a new ID token for the job")
            }
            Self::Identity(oidc::error::Error::Token(Token::Audience { .. })) => {
                Some("ask the issuer for a token with the audience the broker expects")
            }
            Self::Identity(oidc::error::Error::UnknownIssuer { .. }) => {
                Some("the broker's configuration names the issuers it trusts, in `[[issuer]]`")
            }
            Self::Identity(error) if error.is_outage() => {
                Some("try again in a minute; open sessions go on")
            }
            Self::Identity(error) if error.is_fault() => Some(
                "an administrator has to mend it, at the issuer or in `[[issuer]]`; `dbgate broker check` asks it again",
            ),
            Self::Identity(oidc::error::Error::Token(
                Token::Required { .. } | Token::Mapped { .. },
            )) => Some("the broker's configuration says in `[[issuer]]` which claims it needs"),
            Self::Identity(
                oidc::error::Error::Token(_) | oidc::error::Error::UnknownKey { .. },
            ) => Some("fetch a new ID token from the issuer, or run `dbgate login`"),
            Self::Identity(_) | Self::Store(_) => None,
        }
    }
}

impl Logins {
    /// Sign-ins at these issuers, for tokens of ours that are good for `lifetime`.
    #[must_use]
    pub fn new(issuers: Issuers, surroundings: Surroundings, lifetime: Duration) -> Self {
        Self {
            issuers,
            store: surroundings.store,
            clock: surroundings.clock,
            entropy: surroundings.entropy,
            lifetime,
        }
    }

    /// Who brings these tokens. Nothing is given out yet: what happens is recorded first.
    ///
    /// # Errors
    /// When the token is refused or the issuer can't be asked.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Identified, Error> {
        Ok(self.issuers.identify(credentials).await?)
    }

    /// A token of ours for whoever was identified. With `prior`, an earlier token of the same subject, it belongs to the same
    /// login, also when that token has expired: sessions may be open that were asked for with it.
    ///
    /// # Errors
    /// When it can't be kept.
    pub async fn issue(
        &self,
        identified: Identified,
        prior: Option<&Secret<String>>,
    ) -> Result<Issued, Error> {
        let Identified {
            verified, subject, ..
        } = identified;
        let now = self.clock.now();
        let earlier = match prior {
            Some(token) => self.store.past_token(&digest(token)).await?,
            None => None,
        };
        let family = match earlier {
            Some(earlier) if earlier.subject.is(&subject) => earlier.family,
            Some(_) | None => family(&verified),
        };
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)));
        let expires = now.after(self.lifetime);
        let kept = Token {
            digest: digest(&token),
            subject,
            family,
            issued: now,
            expires,
        };
        self.store.add_token(&kept).await?;
        Ok(Issued {
            token,
            caller: Caller {
                subject: kept.subject,
                family: kept.family,
                expires,
            },
        })
    }

    /// Who calls with this token.
    ///
    /// # Errors
    /// When it is none of ours or has ended.
    pub async fn caller(&self, token: &Secret<String>) -> Result<Caller, Error> {
        if !is_ours(token) {
            return Err(Error::Ended);
        }
        let found = self.store.token(&digest(token), self.clock.now()).await?;
        found.map(Caller::from).ok_or(Error::Ended)
    }

    /// Who leaves with this token, which may have expired: it is good for ending what was begun with it, and for nothing else.
    ///
    /// # Errors
    /// When it is none of ours, or its login has ended.
    pub async fn leaver(&self, token: &Secret<String>) -> Result<Caller, Error> {
        if !is_ours(token) {
            return Err(Error::Ended);
        }
        let found = self.store.past_token(&digest(token)).await?;
        found.map(Caller::from).ok_or(Error::Ended)
    }

    /// Ends all tokens of a login; says how many there were.
    ///
    /// # Errors
    /// When that can't be kept.
    pub async fn end(&self, caller: &Caller) -> Result<u64, Error> {
        Ok(self.store.end_family(&caller.family).await?)
    }
}

impl From<Token> for Caller {
    fn from(token: Token) -> Self {
        Self {
            subject: token.subject,
            family: token.family,
            expires: token.expires,
        }
    }
}

/// Whether it looks like a token of ours.
fn is_ours(token: &Secret<String>) -> bool {
    token.expose().starts_with(PREFIX) && token.expose().len() <= 100
}

fn digest(token: &Secret<String>) -> Digest {
    Digest::of(token.expose().as_bytes())
}

/// A name for a login that is the same whenever the same ID token is presented, as scripts do with every command.
fn family(verified: &identity::Verified) -> String {
    let id = verified.id();
    let jti = verified
        .claims()
        .get("jti")
        .and_then(serde_json::Value::as_str);
    let text = serde_json::json!([id.issuer, id.sub, verified.issued().micros(), jti]);
    let Digest(hash) = Digest::of(text.to_string().as_bytes());
    let (half, _) = hash.split_at(16);
    format!("l{}", URL_SAFE_NO_PAD.encode(half))
}
