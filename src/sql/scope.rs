//! What a connection's own state adds to the catalog: search path, prepared statements, temporary relations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::name::ObjectName;
use crate::sql::catalog::Relation;
use crate::sql::footprint::Facts;

/// The state of a connection, as far as it changes how a statement is read.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `search_path` as it is set, `$user` included.
    pub search_path: Vec<String>,
    /// The upstream role, for `$user`.
    pub user: String,
    /// Statements prepared with `PREPARE` or by the extended protocol.
    pub prepared: HashMap<String, Arc<Facts>>,
    /// Open cursors.
    pub cursors: HashMap<String, Arc<Facts>>,
    /// Temporary relations of this connection. After a rollback the ones from before the transaction.
    pub temporary: Temporaries,
    /// Relations whose rows this session has written: a join with them is a guess, not a join of stored facts.
    pub written: BTreeSet<u32>,
    /// Whether the session has told the planner which ways to take: rows may then come in the order of a column that is only
    /// grouped by, joined or tested for NULL.
    pub steered: bool,
    /// Functions that the policy vouches for, beyond those that the analysis proves harmless.
    pub trusted: BTreeSet<ObjectName>,
}

/// The temporary relations of a connection by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Temporaries(pub BTreeMap<String, Arc<Relation>>);

impl Scope {
    /// The state of a fresh connection with the server's default search path.
    #[must_use]
    pub fn new(user: &str) -> Self {
        Self {
            search_path: vec!["$user".to_owned(), "public".to_owned()],
            user: user.to_owned(),
            ..Self::default()
        }
    }
}
