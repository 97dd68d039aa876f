//! Who acts: a person, a CI job or an agent, named by issuer and `sub`.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity everything is tied to: (`iss`, `sub`). E-mail addresses and names are for display only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// The issuer's URL, exactly as the token has it.
    pub issuer: String,
    /// The token's `sub`.
    pub sub: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.issuer, self.sub)
    }
}

/// What kind of subject a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A human being.
    Person,
    /// A CI job or service.
    Job,
    /// An AI agent.
    Agent,
}

/// Who asks, as far as a verified token tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Who.
    pub id: Id,
    /// What kind.
    pub kind: Kind,
    /// A short name for people to read; never compared.
    pub display: String,
    /// Groups, as the issuer's mapping gives them.
    pub groups: BTreeSet<String>,
    /// Further claims the mapping keeps for policy conditions (`repository_id`, …), as text.
    pub claims: std::collections::BTreeMap<String, String>,
    /// On whose behalf (`act`, `on_behalf_of`): an agent's person.
    pub behalf: Option<Id>,
}

impl Subject {
    /// Whether it is the same one, acting for the same one: an agent that serves several people is another one for each of them,
    /// or one of them could use through it what another was given.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.behalf == other.behalf
    }
}
