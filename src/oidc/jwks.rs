//! An issuer's keys and metadata, kept and looked up again: rarely, with a bound, and by one at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::identity::error::show;
use crate::identity::keys::Keys;
use crate::model::time::Clock;
use crate::oidc::discovery::{self, Metadata};
use crate::oidc::error::Error;
use crate::oidc::http::Http;

/// At most one look-up in this time, whatever is asked and however it ended.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// Keys older than this are looked up again when they are next used.
pub const FRESH: Duration = Duration::from_secs(600);

/// Keys older than this are used no more: an issuer that is gone for so long may have lost them.
pub const USABLE: Duration = Duration::from_secs(3600);

/// What an issuer has published.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its keys.
    pub keys: Arc<Keys>,
    /// Its endpoints.
    pub metadata: Arc<Metadata>,
}

/// Fetches an issuer's metadata and keys, once.
///
/// # Errors
/// When either can't be fetched or read.
pub async fn fetch(http: &Http, issuer: &str) -> Result<Published, Error> {
    const WHAT: &str = "the issuer's key set";
    let metadata = discovery::discover(http, issuer).await?;
    let answer = http.get(WHAT, &metadata.jwks, None).await?;
    let keys = Keys::parse(&answer.body).map_err(|error| Error::Nonsense {
        what: WHAT,
        url: metadata.jwks.to_string(),
        why: error.to_string(),
    })?;
    Ok(Published {
        keys: Arc::new(keys),
        metadata: Arc::new(metadata),
    })
}

/// What is kept of one issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    issuer: String,
    http: Http,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<(Published, Duration)>,
    tried: Option<Duration>,
    failure: Option<Error>,
    flight: Option<watch::Receiver<()>>,
}

/// What to do about a look-up.
enum Turn {
    /// It is ours: begin it, and tell the others by dropping the sender.
    Begin(watch::Sender<()>),
    /// Somebody is at it.
    Wait(watch::Receiver<()>),
    /// It was done a moment ago; the next may begin after this time.
    Later(Duration),
}

impl Cache {
    /// Nothing is fetched before it is needed.
    #[must_use]
    pub fn new(issuer: String, http: Http, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            issuer,
            http,
            clock,
            state: Mutex::default(),
        }))
    }

    /// The HTTP client that reaches the issuer.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.0.http
    }

    /// What the issuer has published, looked up again when it has no key `kid`, or when it is old.
    ///
    /// # Errors
    /// When the issuer has no such key, or nothing usable is held and it can't be asked.
    pub async fn with_key(&self, kid: &str) -> Result<Published, Error> {
        let again = match self.held(FRESH) {
            Some(published) if published.keys.has(kid) => return Ok(published),
            _ => self.refresh(self.known(kid)).await,
        };
        // After a failure the older keys go on, for a while.
        match (self.held(USABLE), again) {
            (Some(published), _) if published.keys.has(kid) => Ok(published),
            (Some(_), Some(again)) => Err(Error::UnknownKey {
                kid: show(kid),
                again,
            }),
            (Some(_), None) => match self.failure() {
                Some(failure) => Err(failure),
                None => Err(crate::identity::error::Error::UnknownKey { kid: show(kid) }.into()),
            },
            (None, _) => Err(self.failed()),
        }
    }

    /// Whether `kid` is held and usable, so that nobody needs to wait for a look-up that is under way.
    fn known(&self, kid: &str) -> bool {
        self.held(USABLE)
            .is_some_and(|published| published.keys.has(kid))
    }

    fn held(&self, age: Duration) -> Option<Published> {
        let now = self.0.clock.monotonic();
        let state = self.0.lock();
        let (published, at) = state.held.as_ref()?;
        (now.saturating_sub(*at) < age).then(|| published.clone())
    }

    fn failure(&self) -> Option<Error> {
        self.0.lock().failure.clone()
    }

    fn failed(&self) -> Error {
        self.failure().unwrap_or_else(|| Error::Unreachable {
            what: "the issuer",
            url: self.0.issuer.clone(),
            why: "it was not asked yet".to_owned(),
        })
    }

    /// Looks the keys up, or waits for whoever does. When it is too early it says for how long.
    async fn refresh(&self, known: bool) -> Option<Duration> {
        match self.turn() {
            Turn::Later(again) => Some(again),
            Turn::Wait(_) if known => None,
            Turn::Wait(mut flight) => {
                // An error means that the look-up is over: nothing is ever sent.
                let _over = flight.changed().await;
                None
            }
            Turn::Begin(over) => {
                // A task of its own: a caller that hangs up must not use up the turn without a look-up.
                // It ends by itself, by the time limits of its two requests.
                let shared = Arc::clone(&self.0);
                let task = tokio::spawn(async move {
                    shared.look_up().await;
                    drop(over);
                });
                if !known {
                    let _ended = task.await;
                }
                None
            }
        }
    }

    fn turn(&self) -> Turn {
        let now = self.0.clock.monotonic();
        let mut state = self.0.lock();
        if let Some(flight) = &state.flight {
            return Turn::Wait(flight.clone());
        }
        if let Some(tried) = state.tried {
            let since = now.saturating_sub(tried);
            if since < INTERVAL {
                return Turn::Later(INTERVAL.saturating_sub(since));
            }
        }
        let (over, flight) = watch::channel(());
        state.tried = Some(now);
        state.flight = Some(flight);
        Turn::Begin(over)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if something did, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self) {
        let fetched = fetch(&self.http, &self.issuer).await;
        let now = self.clock.monotonic();
        let mut state = self.lock();
        state.flight = None;
        match fetched {
            Ok(published) => {
                state.held = Some((published, now));
                state.failure = None;
            }
            Err(error) => state.failure = Some(error),
        }
    }
}
