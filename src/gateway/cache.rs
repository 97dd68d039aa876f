//! Analyses that were made before: the same text, read in the same way, is not read twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::name::DatabaseName;
use crate::sql::Scope;
use crate::sql::catalog::{self, Catalog};
use crate::sql::footprint::Analyzed;

/// Texts beyond this length are not kept.
const LONGEST: usize = 16 * 1024;
/// How many are kept; beyond, the half that was not used lately goes.
const MOST: usize = 4096;

/// Everything that an analysis depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    database: DatabaseName,
    catalog: catalog::Version,
    policy: Arc<str>,
    text: Arc<str>,
    types: Arc<[u32]>,
    path: String,
    written: Vec<u32>,
    steered: bool,
}

/// The analyses of all connections.
#[derive(Debug, Default)]
pub struct Cache {
    generations: Mutex<Generations>,
}

/// Those used lately, and those used before; whoever is not used for a generation is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Arc<[Analyzed]>>,
    old: HashMap<Key, Arc<[Analyzed]>>,
}

impl Key {
    /// The key of a text; `None` when the connection's own objects have a say in how it is read.
    #[must_use]
    pub fn new(
        place: (&DatabaseName, &Catalog, &str),
        text: &Arc<str>,
        types: &Arc<[u32]>,
        scope: &Scope,
    ) -> Option<Self> {
        let (database, catalog, policy) = place;
        let own_schema = catalog.schemas.contains(&scope.user);
        if text.len() > LONGEST || !scope.temporary.0.is_empty() || own_schema {
            return None;
        }
        Some(Self {
            database: database.clone(),
            catalog: catalog.version,
            // It names the functions that are vouched for.
            policy: policy.into(),
            text: Arc::clone(text),
            types: Arc::clone(types),
            path: scope.search_path.join("\0"),
            written: scope.written.iter().copied().collect(),
            steered: scope.steered,
        })
    }
}

impl Cache {
    /// What was found out before.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<Arc<[Analyzed]>> {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(key) {
            return Some(Arc::clone(found));
        }
        let (key, found) = generations.old.remove_entry(key)?;
        generations.young.insert(key, Arc::clone(&found));
        Some(found)
    }

    /// Keeps what was found out, unless prepared statements or cursors of the connection have a say in it.
    pub fn keep(&self, key: Key, found: &[Analyzed]) {
        let own = found
            .iter()
            .any(|one| one.facts().named || one.facts().opaque.is_some());
        if own {
            return;
        }
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= MOST / 2 {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, found.into());
    }
}
