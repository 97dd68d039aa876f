//! Why a token was not taken: one cause, said once.

use crate::model::escape;
use crate::model::time::Timestamp;

/// What is wrong with a token. Text from the token is shortened and escaped before it gets here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too long to look at.
    #[error("the token has {length} bytes, more than the {limit} that are read")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is read.
        limit: usize,
    },
    /// It is not three parts.
    #[error("this is no ID token: it has {parts} parts between dots, not 3")]
    Parts {
        /// How many there are.
        parts: usize,
    },
    /// It is encrypted.
    #[error("the token is encrypted (JWE); only signed tokens are taken")]
    Encrypted,
    /// A part is not base64url without padding.
    #[error("the token's {part} is not base64url")]
    Encoding {
        /// Which part.
        part: &'static str,
    },
    /// A part is not a JSON object, or one with two readings.
    #[error("the token's {part} is refused: {why}")]
    Json {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A header parameter we don't follow or understand.
    #[error("the token's header has `{name}`, which is never accepted")]
    Header {
        /// The parameter.
        name: String,
    },
    /// A header parameter of the wrong kind.
    #[error("the header parameter `{name}` must be text")]
    HeaderText {
        /// The parameter.
        name: &'static str,
    },
    /// The token says that it is something else.
    #[error("the token's type is `{found}`, not `JWT`")]
    Type {
        /// Its `typ`.
        found: String,
    },
    /// An algorithm that is not on the list.
    #[error(
        "the token is signed with `{found}`; accepted are RS256, PS256, ES256, ES384 and EdDSA"
    )]
    Algorithm {
        /// Its `alg`.
        found: String,
    },
    /// It doesn't say which key signed it.
    #[error("the token does not name its key (`kid`)")]
    NoKeyId,
    /// The issuer has published no such key.
    #[error("the issuer has no key `{kid}`")]
    UnknownKey {
        /// The key's name.
        kid: String,
    },
    /// The issuer's key is of another kind than the algorithm needs.
    #[error("the issuer's key `{kid}` can't be used with {algorithm}")]
    KeyMismatch {
        /// The key's name.
        kid: String,
        /// The token's algorithm.
        algorithm: &'static str,
    },
    /// Several keys of that name fit.
    #[error("the issuer has several keys `{kid}` that fit")]
    AmbiguousKey {
        /// The keys' name.
        kid: String,
    },
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that must be there is not.
    #[error("the token has no `{name}`")]
    Missing {
        /// The claim.
        name: &'static str,
    },
    /// A claim has a value of the wrong kind.
    #[error("the token's `{name}` must be {want}")]
    Claim {
        /// The claim.
        name: &'static str,
        /// What it must be.
        want: &'static str,
    },
    /// It is of another issuer.
    #[error("the token's issuer is `{found}`, not `{expected}`")]
    Issuer {
        /// `iss`.
        found: String,
        /// The issuer whose keys were used.
        expected: String,
    },
    /// It is meant for somebody else.
    #[error("the token is meant for `{found}`, not for `{expected}`")]
    Audience {
        /// `aud`.
        found: String,
        /// The audience of the configuration.
        expected: String,
    },
    /// It is meant for several and doesn't say who may present it.
    #[error("the token has several audiences and no `azp`")]
    PartyMissing,
    /// It was made for another client.
    #[error("the token was made for the client `{found}` (`azp`)")]
    Party {
        /// `azp`.
        found: String,
    },
    /// It was made for another use.
    #[error("the token was made for another use: `{found}`")]
    Purpose {
        /// Which one.
        found: String,
    },
    /// Its time is over.
    #[error("the token expired at {at}")]
    Expired {
        /// `exp`.
        at: Timestamp,
    },
    /// Its time has not come.
    #[error("the token is not valid before {at}")]
    NotYet {
        /// `nbf`.
        at: Timestamp,
    },
    /// It comes from the future.
    #[error("the token was issued at {at}, which is still to come; compare the clocks")]
    IssuedAhead {
        /// `iat`.
        at: Timestamp,
    },
    /// It ends before it begins.
    #[error("the token expires before it was issued")]
    Backwards,
    /// It belongs to another sign-in.
    #[error("the token belongs to another sign-in (`nonce`)")]
    Nonce,
    /// The access token is not the one it was issued with.
    #[error("the access token does not belong to the token (`at_hash`)")]
    AccessToken,
    /// The issuer's key set can't be read.
    #[error("the issuer's keys can't be read: {why}")]
    Keys {
        /// What is wrong.
        why: String,
    },
    /// A claim the configuration requires is absent or different.
    #[error("the claim `{name}` must be {want}; {came}")]
    Required {
        /// The claim.
        name: String,
        /// What it must be.
        want: String,
        /// What came instead.
        came: String,
    },
    /// A mapped claim has a value that can't be mapped.
    #[error("the claim `{name}` must be {want}")]
    Mapped {
        /// The claim.
        name: String,
        /// What it must be.
        want: &'static str,
    },
    /// `userinfo` speaks of somebody else.
    #[error("the issuer's userinfo is about another subject than the token")]
    OtherSubject,
}

impl Error {
    /// A word a program can match.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "token_expired",
            Self::Issuer { .. } => "unknown_issuer",
            Self::Audience { .. } | Self::PartyMissing | Self::Party { .. } => "wrong_audience",
            Self::Required { .. } | Self::Mapped { .. } => "claims_refused",
            _ => "token_refused",
        }
    }
}

/// Text from outside for people to read: at most 120 characters, none of which moves a cursor.
#[must_use]
pub fn show(text: &str) -> String {
    const MOST: usize = 120;
    let end = text.char_indices().nth(MOST).map(|(end, _)| end);
    match end.and_then(|end| text.get(..end)) {
        Some(beginning) => format!("{}…", escape::line(beginning)),
        None => escape::line(text).into_owned(),
    }
}
