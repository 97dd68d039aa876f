//! Being signed in at a broker: from the browser to a kept login, from a kept login to a token that is good now.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::api::types;
use crate::model::secret::Secret;
use crate::model::time::{Clock, Entropy, Timestamp};
use crate::oidc;
use crate::oidc::http::{Http, Trust};
use crate::oidc::login::{Client, SignIn, SignedIn};
use crate::remote::broker::{self, Broker};
use crate::remote::credentials::{self, Login, Store};

/// A token that ends sooner than this is renewed before it is used.
const SPARE: Duration = Duration::from_secs(60);

/// How long a person may take in the browser.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is kept, or what is kept has ended and can't be renewed.
    #[error("{why}")]
    Needed {
        /// What is the case.
        why: String,
    },
    /// The issuer can't be asked, or refuses.
    #[error(transparent)]
    Issuer(#[from] oidc::error::Error),
    /// The broker can't be asked, or refuses.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] credentials::Error),
    /// The broker's answer makes no sense.
    #[error("the broker's answer to the sign-in is refused: {why}")]
    Answer {
        /// What is wrong with it.
        why: String,
    },
}

/// Somebody's account at one broker, as far as this machine knows it.
#[derive(Debug)]
pub struct Account {
    broker: Broker,
    store: Store,
    ca: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What signing in led to.
#[derive(Debug)]
pub struct Outcome {
    /// Who the broker takes us for.
    pub subject: types::SubjectView,
    /// Until when its token is good.
    pub expires: Timestamp,
    /// Whether it will be renewed without a browser.
    pub renewal: Renewal,
}

/// What happens when the broker's token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is renewed silently.
    Silent,
    /// The issuer gave nothing to renew it with.
    ByHand,
}

/// A sign-in that waits for the person in the browser.
#[derive(Debug)]
pub struct Pending {
    sign_in: SignIn,
    client: Client,
}

impl Pending {
    /// Where to send the person.
    #[must_use]
    pub const fn url(&self) -> &Url {
        self.sign_in.url()
    }
}

impl Account {
    /// The account at `broker`, kept in `store`. `ca` (PEM) is trusted beside the system's certificates.
    #[must_use]
    pub fn new(
        broker: Broker,
        store: Store,
        ca: Option<Vec<u8>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            broker,
            store,
            ca,
            clock,
            entropy,
        }
    }

    /// Where the sign-in is kept, for people to read.
    #[must_use]
    pub fn place(&self) -> String {
        self.store.place()
    }

    /// Begins a sign-in at an issuer the broker named; `port` is the local one to come back to.
    ///
    /// # Errors
    /// When the issuer can't be asked or the port can't be had.
    pub async fn begin(
        &self,
        issuer: &types::IssuerInfo,
        port: Option<u16>,
    ) -> Result<Pending, Error> {
        let client = Client {
            issuer: issuer.issuer.clone(),
            client_id: issuer.client_id.clone(),
            scopes: issuer.scopes.clone(),
        };
        let http = self.http(&client.issuer)?;
        let sign_in = SignIn::begin(client.clone(), http, port, self.entropy.as_ref()).await?;
        Ok(Pending { sign_in, client })
    }

    /// Waits for the person, shows the broker what they bring, and keeps what it gives.
    ///
    /// # Errors
    /// When nobody comes, or the issuer, the broker or the store refuse.
    pub async fn finish(&self, pending: Pending) -> Result<Outcome, Error> {
        let Pending { sign_in, client } = pending;
        let signed_in = sign_in.finish(PATIENCE, || self.clock.now()).await?;
        let _lock = self.store.lock().await?;
        let (login, answer) = self.present(&client, signed_in, None, &self.broker).await?;
        self.store.save(&self.broker.address().url, &login).await?;
        Ok(Outcome {
            subject: answer.subject,
            expires: login.expires,
            renewal: if login.refresh_token.is_some() {
                Renewal::Silent
            } else {
                Renewal::ByHand
            },
        })
    }

    /// A token of the broker's that is good now: the kept one, or one renewed at the issuer.
    ///
    /// # Errors
    /// When nobody is signed in any more, or the issuer, the broker or the store can't be asked.
    pub async fn token(&self) -> Result<Secret<String>, Error> {
        let url = &self.broker.address().url;
        if let Some(login) = self.store.load(url).await?
            && self.is_good(&login)
        {
            return Ok(login.token);
        }
        let _lock = self.store.lock().await?;
        // Another command may have renewed it while we waited for the lock.
        let Some(login) = self.store.load(url).await? else {
            return Err(Error::Needed {
                why: "you are not signed in".to_owned(),
            });
        };
        if self.is_good(&login) {
            return Ok(login.token);
        }
        self.renew(login).await
    }

    /// The kept token of the broker's, good or not: for leaving with it.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn kept(&self) -> Result<Option<Secret<String>>, Error> {
        let login = self.store.load(&self.broker.address().url).await?;
        Ok(login.map(|login| login.token))
    }

    /// Gives the refresh token back to the issuer and forgets the sign-in; says whether there was one.
    ///
    /// # Errors
    /// When the store can't be used, or, after it has forgotten, the issuer could not be told.
    pub async fn forget(&self) -> Result<bool, Error> {
        let _lock = self.store.lock().await?;
        let url = &self.broker.address().url;
        // What can't be read is forgotten, too.
        let login = self.store.load(url).await.unwrap_or_default();
        let was_there = self.store.forget(url).await?;
        if let Some(login) = login
            && let Some(token) = &login.refresh_token
        {
            let client = client_of(&login);
            oidc::login::revoke(&client, &self.http(&client.issuer)?, token).await?;
        }
        Ok(was_there)
    }

    fn is_good(&self, login: &Login) -> bool {
        self.clock.now().after(SPARE) < login.expires
    }

    async fn renew(&self, login: Login) -> Result<Secret<String>, Error> {
        let Some(refresh_token) = &login.refresh_token else {
            return Err(Error::Needed {
                why: "your sign-in has ended, and the issuer gave nothing to renew it with"
                    .to_owned(),
            });
        };
        let client = client_of(&login);
        let http = self.http(&client.issuer)?;
        let now = || self.clock.now();
        let refreshed = oidc::login::refresh(&client, &http, refresh_token, &login.sub, now).await;
        let signed_in = match refreshed {
            Ok(signed_in) => signed_in,
            Err(oidc::error::Error::Refused { error, .. }) => {
                return Err(Error::Needed {
                    why: format!("your sign-in has ended (`{error}`)"),
                });
            }
            Err(error) => return Err(error.into()),
        };
        // The old refresh token may be used up: what came instead is kept before anything else can fail.
        let url = &self.broker.address().url;
        let rotated = Login {
            refresh_token: signed_in
                .tokens
                .refresh_token
                .clone()
                .or_else(|| login.refresh_token.clone()),
            ..login
        };
        self.store.save(url, &rotated).await?;
        let prior = self.broker.clone().with_token(rotated.token.clone());
        let kept = rotated.refresh_token.clone();
        let (login, _) = self.present(&client, signed_in, kept, &prior).await?;
        self.store.save(url, &login).await?;
        Ok(login.token)
    }

    /// Shows the broker what the issuer gave.
    async fn present(
        &self,
        client: &Client,
        signed_in: SignedIn,
        refresh_token: Option<Secret<String>>,
        broker: &Broker,
    ) -> Result<(Login, types::LoggedIn), Error> {
        let tokens = signed_in.tokens;
        let exposed = |secret: &Secret<String>| secret.expose().clone();
        let answer = broker
            .login(&types::Login {
                id_token: exposed(&tokens.id_token),
                access_token: tokens.access_token.as_ref().map(exposed),
                nonce: signed_in.nonce,
            })
            .await?;
        let expires = answer.expires.parse().map_err(|_| Error::Answer {
            why: "its end is no time".to_owned(),
        })?;
        let login = Login {
            issuer: client.issuer.clone(),
            client_id: client.client_id.clone(),
            sub: signed_in.verified.id().sub.clone(),
            refresh_token: refresh_token.or(tokens.refresh_token),
            token: Secret::from(answer.token.as_str()),
            expires,
        };
        Ok((login, answer))
    }

    fn http(&self, issuer: &str) -> Result<Http, Error> {
        let trust = match &self.ca {
            Some(pem) => Trust::Also(pem),
            None => Trust::System,
        };
        Ok(Http::new(issuer, trust)?)
    }
}

fn client_of(login: &Login) -> Client {
    Client {
        issuer: login.issuer.clone(),
        client_id: login.client_id.clone(),
        scopes: Vec::new(),
    }
}
