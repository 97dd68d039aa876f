//! The issuers a broker trusts: a token of one of them becomes a subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::broker::Issuer;
use crate::identity;
use crate::identity::claims::{self, UserInfo};
use crate::identity::error::show;
use crate::identity::token::Token;
use crate::identity::{Expect, Verified};
use crate::model::secret::Secret;
use crate::model::subject::Subject;
use crate::model::time::Clock;
use crate::oidc::error::Error;
use crate::oidc::http::{Http, Trust};
use crate::oidc::jwks::{self, Cache, Published};

/// What somebody brings to sign in with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The ID token.
    pub id_token: Secret<String>,
    /// The access token that came with it, for `userinfo`.
    pub access_token: Option<Secret<String>>,
    /// The nonce the sign-in was started with.
    pub nonce: Option<String>,
}

/// A verified token and the subject it speaks for.
#[derive(Debug)]
pub struct Identified {
    /// The proof.
    pub verified: Verified,
    /// Who.
    pub subject: Subject,
}

/// All issuers a broker trusts, with what is kept of each.
#[derive(Debug)]
pub struct Issuers {
    trusted: Vec<Issuer>,
    caches: BTreeMap<String, Cache>,
    clock: Arc<dyn Clock>,
}

impl Issuers {
    /// Prepares to ask them; nothing is fetched yet. Entries of one URL share what is kept.
    ///
    /// # Errors
    /// When a CA file can't be read.
    pub fn new(trusted: Vec<Issuer>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut caches = BTreeMap::new();
        for issuer in &trusted {
            let ca = issuer.ca_file.as_ref().map(|path| {
                std::fs::read(path).map_err(|error| Error::Client {
                    why: format!("read `{}`: {error}", path.display()),
                })
            });
            let ca = ca.transpose()?;
            let trust = ca.as_deref().map_or(Trust::System, Trust::Only);
            let http = Http::new(&issuer.url, trust)?;
            let cache = Cache::new(issuer.url.clone(), http, Arc::clone(&clock));
            caches.entry(issuer.url.clone()).or_insert(cache);
        }
        Ok(Self {
            trusted,
            caches,
            clock,
        })
    }

    /// Verifies a token and maps it to a subject, with the help of `userinfo` where the token is thin.
    ///
    /// # Errors
    /// When the token is refused, its issuer is not trusted, or the issuer is needed and can't be asked.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Identified, Error> {
        let token = Token::parse(credentials.id_token.expose())?;
        let issuer = self.choose(&token)?;
        let cache = self
            .caches
            .get(&issuer.url)
            .ok_or_else(|| Error::UnknownIssuer {
                found: issuer.url.clone(),
            })?;
        let published = cache.with_key(token.key_id()).await?;
        let expect = Expect {
            issuer: issuer.url.clone(),
            audience: issuer.audience.clone(),
            client: issuer.client_id.clone(),
            nonce: credentials.nonce.clone(),
            access_token: credentials.access_token.clone(),
        };
        let verified = identity::verify(token, &published.keys, &expect, self.clock.now())?;
        let userinfo = match &credentials.access_token {
            Some(access) if claims::is_thin(&verified, issuer) => {
                userinfo(cache.http(), &published, access, &verified).await?
            }
            _ => None,
        };
        let subject = claims::subject(&verified, issuer, userinfo.as_ref())?;
        Ok(Identified { verified, subject })
    }

    /// Asks each issuer for its metadata and keys: its URL, and what is wrong, if anything.
    pub async fn reach(&self) -> Vec<(String, Result<(), Error>)> {
        let mut reached = Vec::new();
        for (url, cache) in &self.caches {
            let published = jwks::fetch(cache.http(), url).await;
            reached.push((url.clone(), published.map(drop)));
        }
        reached
    }

    /// The configuration a token falls under: of its issuer and, where there are several, of its audience.
    fn choose(&self, token: &Token) -> Result<&Issuer, Error> {
        let claimed = token.claimed_issuer()?;
        let mut same = self.trusted.iter().filter(|issuer| issuer.url == claimed);
        let first = same.next().ok_or_else(|| Error::UnknownIssuer {
            found: show(claimed),
        })?;
        let audience = token.claimed_audience();
        Ok(std::iter::once(first)
            .chain(same)
            .find(|issuer| audience.contains(&issuer.audience.as_str()))
            .unwrap_or(first))
    }
}

/// What the issuer says about the subject, when it says anything.
async fn userinfo(
    http: &Http,
    published: &Published,
    access: &Secret<String>,
    verified: &Verified,
) -> Result<Option<UserInfo>, Error> {
    const WHAT: &str = "the issuer's userinfo";
    let Some(url) = &published.metadata.userinfo else {
        return Ok(None);
    };
    let answer = http.get(WHAT, url, Some(access)).await?;
    if answer.kind != "application/json" {
        return Err(Error::Nonsense {
            what: WHAT,
            url: url.to_string(),
            why: format!(
                "it is `{}`, not `application/json` (signed userinfo is not read)",
                show(&answer.kind)
            ),
        });
    }
    Ok(Some(UserInfo::parse(&answer.body, verified)?))
}
