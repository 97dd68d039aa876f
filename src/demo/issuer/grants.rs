//! What the issuer has handed out: sign-in pages, codes, access and refresh tokens. Each has an end and a bound.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::demo::issuer::people::Account;
use crate::model::time::{Entropy, Timestamp};

/// More of a kind than a demo needs; the issuer refuses above.
const MOST: usize = 10_000;

/// A sign-in page is good for this long.
const PAGE: Duration = Duration::from_secs(600);

/// A code is good for this long.
const CODE: Duration = Duration::from_secs(60);

/// An access token is good for this long.
pub const ACCESS: Duration = Duration::from_secs(600);

/// A refresh token is good for this long.
const REFRESH: Duration = Duration::from_secs(86_400);

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where the answer goes.
    pub redirect: String,
    /// Sent back as it came.
    pub state: String,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// The PKCE challenge (S256).
    pub challenge: String,
}

/// A sign-in that led to tokens; all of them end together when one is used twice.
#[derive(Debug, Clone)]
struct Issued {
    account: &'static Account,
    family: u64,
    ends: Timestamp,
}

#[derive(Debug, Default)]
struct Held {
    pages: HashMap<String, (Asked, Timestamp)>,
    codes: HashMap<String, (Asked, Issued)>,
    spent: HashMap<String, Issued>,
    access: HashMap<String, Issued>,
    refresh: HashMap<String, Issued>,
    families: u64,
}

/// Everything that was handed out.
#[derive(Debug)]
pub struct Grants {
    held: Mutex<Held>,
    entropy: Arc<dyn Entropy>,
}

/// New tokens for somebody.
#[derive(Debug)]
pub struct Fresh {
    /// Whose.
    pub account: &'static Account,
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// The nonce of the sign-in; none for a refresh.
    pub nonce: Option<String>,
}

impl Grants {
    /// Nothing yet.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self {
            held: Mutex::default(),
            entropy,
        }
    }

    /// A sign-in page for a request; `None` when there are too many.
    pub fn page(&self, asked: Asked, now: Timestamp) -> Option<String> {
        let ticket = self.random();
        let mut held = self.lock(now);
        if held.pages.len() >= MOST {
            return None;
        }
        held.pages.insert(ticket.clone(), (asked, now.after(PAGE)));
        Some(ticket)
    }

    /// Somebody pressed a button on a page: what was asked for, and the code that answers it.
    pub fn code(
        &self,
        ticket: &str,
        account: &'static Account,
        now: Timestamp,
    ) -> Option<(Asked, String)> {
        let code = self.random();
        let mut held = self.lock(now);
        let (asked, _) = held.pages.remove(ticket)?;
        held.families += 1;
        let issued = Issued {
            account,
            family: held.families,
            ends: now.after(CODE),
        };
        held.codes.insert(code.clone(), (asked.clone(), issued));
        Some((asked, code))
    }

    /// Exchanges a code, once. A second time ends everything that came of it.
    pub fn exchange(
        &self,
        code: &str,
        redirect: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Option<Fresh> {
        let mut held = self.lock(now);
        let Some((asked, issued)) = held.codes.remove(code) else {
            if let Some(issued) = held.spent.remove(code) {
                held.end_family(issued.family);
            }
            return None;
        };
        let spent = Issued {
            ends: now.after(REFRESH),
            ..issued.clone()
        };
        held.spent.insert(code.to_owned(), spent);
        if asked.redirect != redirect || challenge(verifier) != asked.challenge {
            return None;
        }
        Some(self.fresh(&mut held, &issued, asked.nonce, now))
    }

    /// Exchanges a refresh token, once. A second time ends everything that came of it.
    pub fn refresh(&self, token: &str, now: Timestamp) -> Option<Fresh> {
        let mut held = self.lock(now);
        let Some(issued) = held.refresh.remove(token) else {
            if let Some(issued) = held.spent.remove(token) {
                held.end_family(issued.family);
            }
            return None;
        };
        held.spent.insert(token.to_owned(), issued.clone());
        Some(self.fresh(&mut held, &issued, None, now))
    }

    /// Whose access token it is.
    pub fn access(&self, token: &str, now: Timestamp) -> Option<&'static Account> {
        self.lock(now)
            .access
            .get(token)
            .map(|issued| issued.account)
    }

    /// Takes a token back, and what came of the same sign-in.
    pub fn revoke(&self, token: &str, now: Timestamp) {
        let mut held = self.lock(now);
        let issued = held
            .refresh
            .get(token)
            .or_else(|| held.access.get(token))
            .cloned();
        if let Some(issued) = issued {
            held.end_family(issued.family);
        }
    }

    fn fresh(
        &self,
        held: &mut Held,
        issued: &Issued,
        nonce: Option<String>,
        now: Timestamp,
    ) -> Fresh {
        let (access, refresh) = (self.random(), self.random());
        let ending = |ends| Issued {
            ends,
            ..issued.clone()
        };
        held.access
            .insert(access.clone(), ending(now.after(ACCESS)));
        held.refresh
            .insert(refresh.clone(), ending(now.after(REFRESH)));
        Fresh {
            account: issued.account,
            access,
            refresh,
            nonce,
        }
    }

    fn random(&self) -> String {
        let mut bytes = [0; 24];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Everything that has not ended.
    fn lock(&self, now: Timestamp) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.pages.retain(|_, (_, ends)| *ends > now);
        held.codes.retain(|_, (_, issued)| issued.ends > now);
        held.access.retain(|_, issued| issued.ends > now);
        held.refresh.retain(|_, issued| issued.ends > now);
        held.spent.retain(|_, issued| issued.ends > now);
        held
    }
}

impl Held {
    fn end_family(&mut self, family: u64) {
        self.codes.retain(|_, (_, issued)| issued.family != family);
        self.access.retain(|_, issued| issued.family != family);
        self.refresh.retain(|_, issued| issued.family != family);
    }
}

/// S256 of a verifier.
fn challenge(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}
