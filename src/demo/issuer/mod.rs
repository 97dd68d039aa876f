//! The demo's own OpenID issuer: three people and a CI job, on loopback only, with a key that lives in memory.
//!
//! Reading order: `people` (who) → `sign` (the key, ID tokens) → `grants` (codes, access and refresh tokens) → `serve`
//! (HTTP) → [`Issuer`].
//!
//! **Invariant:** it binds nothing but a loopback address, and signs in whoever presses a button: it is for a machine
//! where everybody who can reach it may be everybody.

pub mod grants;
pub mod page;
pub mod people;
pub mod serve;
pub mod sign;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::demo::issuer::grants::Grants;
use crate::demo::issuer::people::{Account, PEOPLE};
use crate::demo::issuer::serve::State;
use crate::demo::issuer::sign::Signer;
use crate::model::secret::Secret;
use crate::model::time::{Clock, Entropy};

/// The one client, and the audience of all tokens.
pub const CLIENT: &str = "dbgate";

/// Why the demo's issuer does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be seen from outside.
    #[error("the demo's issuer binds loopback addresses only, not `{0}`")]
    NotLoopback(SocketAddr),
    /// The port can't be had.
    #[error("listen on `{address}` for the demo's issuer: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        why: io::Error,
    },
    /// No key could be made.
    #[error("make a key for the demo's issuer: {0}")]
    Key(String),
}

/// A running issuer; it ends when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Issuer {
    /// Binds `address` (port 0 takes a free one) and serves.
    ///
    /// # Errors
    /// When the address is not on loopback, is in use, or no key can be made.
    pub async fn start(
        address: SocketAddr,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        let listen = |why| Error::Listen { address, why };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let url = format!("http://{address}");
        let state = Arc::new(State {
            url: url.clone(),
            host: address.to_string(),
            signer: Signer::new(url.clone(), entropy.as_ref()).map_err(Error::Key)?,
            grants: Grants::new(entropy),
            clock,
        });
        let task = tokio::spawn(serve::run(listener, Arc::clone(&state)));
        Ok(Self { url, state, task })
    }

    /// Its URL, as its tokens name it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who can sign in: engineer, reviewer, auditor, job, in this order.
    #[must_use]
    pub const fn people(&self) -> &'static [Account] {
        PEOPLE
    }

    /// An ID token without a sign-in, good for `ttl`.
    #[must_use]
    pub fn mint(&self, account: &Account, ttl: Duration) -> Secret<String> {
        let now = self.state.clock.now();
        self.state
            .signer
            .id_token(account, now, ttl, &sign::Bound::default())
    }

    /// The `[[issuer]]` table a broker needs to trust it.
    #[must_use]
    pub fn config(&self) -> String {
        format!(
            "[[issuer]]\nurl = \"{}\"\naudience = \"{CLIENT}\"\nclient_id = \"{CLIENT}\"\n\
             scopes = [\"openid\", \"email\", \"groups\", \"offline_access\"]\n\
             kind_claim = \"kind\"\ngroups_claim = \"groups\"\ndisplay_claim = \"email\"\n",
            self.url
        )
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
