//! Keys of tokens: one secret of the broker, one key for each name and scope.

use std::fmt;

use aws_lc_rs::hmac;

use crate::model::name::DatabaseName;
use crate::model::secret::Secret;
use crate::model::session::SessionId;
use crate::policy::obligation::Scope;

/// The keys of one session.
///
/// **Invariant:** keys never leave; tokens cannot be turned back without the broker's secret.
pub struct Keys {
    master: hmac::Key,
    database: DatabaseName,
    session: SessionId,
}

impl Keys {
    /// Keys by the broker's secret, for a session on a database.
    #[must_use]
    pub fn new(secret: &Secret<[u8; 32]>, database: DatabaseName, session: SessionId) -> Self {
        Self {
            master: hmac::Key::new(hmac::HMAC_SHA256, secret.expose()),
            database,
            session,
        }
    }

    /// The key of that name, within that scope.
    pub(super) fn derive(&self, name: &str, scope: Scope) -> hmac::Key {
        let (tag, within) = match scope {
            Scope::Everywhere => ("everywhere", ""),
            Scope::Database => ("database", self.database.as_str()),
            Scope::Session => ("session", self.session.as_str()),
        };
        let mut context = hmac::Context::with_key(&self.master);
        for part in ["dbgate token key 1", name, tag, within] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(_)")
    }
}
