//! What goes wrong between us and an issuer.

use std::time::Duration;

use crate::identity;
use crate::model::time::show_span;

/// A failure of the network half of identity. Text from outside is shortened and escaped before it gets here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or not in time.
    #[error("{what} at `{url}` can't be reached: {why}")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// It answers with another status than it should.
    #[error("{what} at `{url}` answers with status {status}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer makes no sense.
    #[error("{what} at `{url}` is refused: {why}")]
    Nonsense {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A URL that is never requested and never opened.
    #[error("the issuer's `{name}` is refused: {why}")]
    Endpoint {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The discovery document is another issuer's.
    #[error("the issuer at `{expected}` calls itself `{found}`")]
    IssuerMismatch {
        /// What the configuration says.
        expected: String,
        /// What the document says.
        found: String,
    },
    /// The issuer lacks something we need.
    #[error("the issuer `{issuer}` has no {what}")]
    Unsupported {
        /// Which issuer.
        issuer: String,
        /// What is missing.
        what: &'static str,
    },
    /// A token of an issuer that is not trusted.
    #[error("the issuer `{found}` is not trusted here")]
    UnknownIssuer {
        /// `iss`.
        found: String,
    },
    /// The token names a key we don't know, and the issuer was asked a moment ago.
    #[error("the issuer had no key `{kid}` a moment ago and is asked again in {}", show_span(*.again))]
    UnknownKey {
        /// The key's name.
        kid: String,
        /// When it will be asked.
        again: Duration,
    },
    /// The certificates to trust can't be read, or the HTTP client can't be made.
    #[error("prepare requests to the issuer: {why}")]
    Client {
        /// What went wrong.
        why: String,
    },
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] identity::error::Error),
    /// The issuer refuses the sign-in, the refresh or the revocation.
    #[error("the issuer refuses: {error}{}", .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// OAuth's word, such as `invalid_grant`.
        error: String,
        /// What the issuer adds.
        description: Option<String>,
    },
    /// No local port can be had.
    #[error("listen on a local port for the browser: {why}")]
    Port {
        /// What went wrong.
        why: String,
    },
    /// The answer that came through the browser is not the issuer's.
    #[error("the answer that came through the browser is refused: {why}")]
    Callback {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody signed in in time.
    #[error("nobody signed in within {}", show_span(*.within))]
    Late {
        /// How long it was waited for.
        within: Duration,
    },
    /// The issuer gave no ID token.
    #[error("the issuer gave no ID token; does the client ask for the scope `openid`?")]
    NoIdToken,
    /// After a refresh the token is somebody else's.
    #[error("the refreshed token is about another subject")]
    OtherSubject,
}

impl Error {
    /// Whether trying again later may help, since the issuer could not be asked.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Whether the issuer is at fault, or the configuration that names it: signing in again does not help.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Nonsense { .. }
            | Self::Endpoint { .. }
            | Self::IssuerMismatch { .. }
            | Self::Unsupported { .. }
            | Self::NoIdToken => true,
            // An access token that is not good for `userinfo` is the caller's own.
            Self::Status { status, .. } => !matches!(*status, 401 | 403 | 500..),
            _ => false,
        }
    }
}
