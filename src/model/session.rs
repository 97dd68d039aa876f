//! Identifiers of sessions and requests, and why a session ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::time::Entropy;

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that an id can be read out.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 12 characters of base 32 (60 bits) behind a letter that tells the kind.
fn random_id(prefix: char, entropy: &dyn Entropy) -> String {
    let mut bytes = [0_u8; 12];
    entropy.fill(&mut bytes);
    let letters = bytes
        .iter()
        .filter_map(|b| ALPHABET.get(usize::from(b & 31)))
        .map(|b| char::from(*b));
    std::iter::once(prefix).chain(letters).collect()
}

fn parse_id(prefix: char, text: &str) -> Result<String, IdError> {
    let rest = text
        .strip_prefix(prefix)
        .ok_or_else(|| IdError(text.to_owned()))?;
    if rest.len() == 12 && rest.bytes().all(|b| ALPHABET.contains(&b)) {
        Ok(text.to_owned())
    } else {
        Err(IdError(text.to_owned()))
    }
}

/// Text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id: a letter and 12 characters of 0-9 and a-z")]
pub struct IdError(String);

macro_rules! id {
    ($name:ident, $prefix:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// A new one.
            #[must_use]
            pub fn random(entropy: &dyn Entropy) -> Self {
                Self(random_id($prefix, entropy))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_id($prefix, text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    SessionId,
    's',
    "One person, job or agent, one database, one purpose, one end: `s` and 12 characters."
);
id!(
    RequestId,
    'r',
    "Something that waits for an approval: `r` and 12 characters."
);

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum CloseReason {
    /// Its time was up.
    Expired,
    /// The subject ended it.
    Ended,
    /// The subject logged out.
    LoggedOut,
    /// Somebody ended it for the subject.
    Killed {
        /// Who, for people to read.
        by: String,
    },
    /// The policy of this moment no longer allows it.
    PolicyChanged,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its time was up"),
            Self::Ended => f.write_str("it was ended"),
            Self::LoggedOut => f.write_str("its subject logged out"),
            Self::Killed { by } => write!(f, "it was ended by {by}"),
            Self::PolicyChanged => f.write_str("the policy no longer allows it"),
        }
    }
}
