//! What earlier statements did to the connection, as far as it changes how later ones are read.
//!
//! What cannot be followed from here (a function may set the search path, a rollback sets it back) makes the state *stale*: the driver
//! asks the upstream before the next decision.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::model::name::ObjectName;
use crate::sql::Scope;
use crate::sql::catalog::FIRST_NORMAL;
use crate::sql::footprint::{Effect, Facts, Kind};
use crate::sql::scope::Temporaries;
use crate::wire::backend::TransactionStatus;

/// The connection's own state.
#[derive(Debug)]
pub struct State {
    scope: Scope,
    freshness: Freshness,
    /// Whether the open transaction has changed settings or temporary objects.
    transaction: Touched,
    definitions: Definitions,
    flight: Flight,
    guarded: Guard,
    hearing: Hearing,
    /// Goes up whenever names may mean something else.
    generation: u64,
}

/// Whether search path and temporary objects are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Fresh,
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    No,
    Yes,
}

/// Whether what is under way may change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flight {
    Harmless,
    Changing,
}

/// Whether the open transaction has come near protected data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Clear,
    Near,
}

/// Whether notifications may be heard as they are.
#[derive(Debug)]
enum Hearing {
    /// Nothing is protected, or nothing listened to.
    Free,
    /// They may carry protected values: only what was said here lately is passed on as it is.
    Careful(VecDeque<Box<[u8]>>),
}

/// As much of what was said on a connection is remembered.
const MOST_SAID: usize = 32;

/// Whether the catalog that everybody sees is what this connection sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definitions {
    /// It is.
    Known,
    /// This connection has changed definitions in a transaction that is still open: nobody else sees them.
    Uncommitted,
    /// It has, and has been asked for them since.
    Own,
    /// Definitions were changed: the catalog must be read again.
    Outdated,
    /// The upstream did not know a name that the catalog knows: it is looked at again, in its time.
    Doubted,
}

impl State {
    pub(super) fn new(user: &str) -> Self {
        Self {
            scope: Scope::new(user),
            freshness: Freshness::Stale,
            transaction: Touched::No,
            definitions: Definitions::Known,
            flight: Flight::Harmless,
            guarded: Guard::Clear,
            hearing: Hearing::Free,
            generation: 0,
        }
    }

    /// For the analysis.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether search path and temporary objects must be asked for before the next decision.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self.freshness, Freshness::Stale)
    }

    /// Whether the catalog must be read again, or cannot tell.
    #[must_use]
    pub const fn definitions(&self) -> Definitions {
        self.definitions
    }

    /// The upstream has told role, search path and temporary relations.
    pub fn renew(
        &mut self,
        user: String,
        search_path: Vec<String>,
        temporary: Temporaries,
        steered: bool,
    ) {
        let scope = &mut self.scope;
        if scope.steered != steered {
            self.generation += 1;
        }
        scope.steered = steered;
        if scope.user != user || scope.search_path != search_path || scope.temporary != temporary {
            self.generation += 1;
        }
        scope.user = user;
        scope.search_path = search_path;
        scope.temporary = temporary;
        self.freshness = Freshness::Fresh;
    }

    /// Another number means that names may stand for something else than they did.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Relations that the session has written to, over all its connections.
    pub fn wrote(&mut self, relations: impl IntoIterator<Item = u32>) {
        self.scope.written.extend(relations);
    }

    /// The upstream knows names that the catalog does not, or the other way round.
    pub(super) fn contradicted(&mut self) {
        if self.definitions == Definitions::Known {
            self.definitions = Definitions::Doubted;
        }
    }

    /// The catalog was read again.
    pub fn refreshed(&mut self) {
        match self.definitions {
            Definitions::Outdated | Definitions::Doubted => self.definitions = Definitions::Known,
            Definitions::Known | Definitions::Uncommitted | Definitions::Own => {}
        }
    }

    /// The connection was asked for the definitions of its open transaction.
    pub fn told(&mut self) {
        if self.definitions == Definitions::Uncommitted {
            self.definitions = Definitions::Own;
        }
    }

    /// What the connection told of its definitions counts no more; it can be asked again.
    pub fn untold(&mut self) {
        if self.definitions == Definitions::Own {
            self.definitions = Definitions::Uncommitted;
        }
    }

    /// The functions the policy of this moment vouches for.
    pub fn trust(&mut self, trusted: &BTreeSet<ObjectName>) {
        if self.scope.trusted != *trusted {
            self.scope.trusted.clone_from(trusted);
        }
    }

    /// Whether something under way may change the state, so that the next decision has to wait for it.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        matches!(self.flight, Flight::Changing)
    }

    /// Whether the open transaction has come near protected data.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        matches!(self.guarded, Guard::Near)
    }

    pub(super) fn guard(&mut self) {
        self.guarded = Guard::Near;
    }

    /// Somebody from whom something is protected listens to notifications.
    pub(super) fn listens(&mut self) {
        if matches!(self.hearing, Hearing::Free) {
            self.hearing = Hearing::Careful(VecDeque::new());
        }
    }

    /// A statement that notifies is about to be sent.
    pub(super) fn says(&mut self, bytes: Vec<u8>) {
        self.listens();
        if let Hearing::Careful(said) = &mut self.hearing {
            if said.len() >= MOST_SAID {
                said.pop_front();
            }
            said.push_back(bytes.into());
        }
    }

    /// Whether a payload may be passed on as it is: each time that it was said, once.
    pub(super) fn may_hear(&mut self, payload: &str) -> bool {
        let Hearing::Careful(said) = &mut self.hearing else {
            return true;
        };
        if payload.is_empty() {
            return true;
        }
        let payload = payload.as_bytes();
        let contains = |bytes: &[u8]| bytes.windows(payload.len()).any(|part| part == payload);
        let at = said.iter().position(|bytes| contains(bytes));
        at.is_some_and(|at| said.remove(at).is_some())
    }

    /// A statement is about to be executed. `portals`: whether there are any with a name, which the end of the transaction takes along.
    pub(super) fn sending(&mut self, facts: &Facts, portals: bool) {
        self.scope
            .written
            .extend(facts.footprint.relations_written.iter().copied());
        if self.matters(facts, portals) {
            self.flight = Flight::Changing;
        }
    }

    fn matters(&self, facts: &Facts, portals: bool) -> bool {
        if may_run_anything(facts) {
            return true;
        }
        match &facts.effect {
            Effect::None | Effect::Begin | Effect::Savepoint(_) | Effect::Release(_) => false,
            // They take back what the transaction did, or show it to everybody.
            Effect::Commit | Effect::Rollback | Effect::RollbackTo(_) => {
                portals
                    || self.transaction == Touched::Yes
                    || self.definitions != Definitions::Known
            }
            Effect::Prepare { .. }
            | Effect::Deallocate(_)
            | Effect::Declare { .. }
            | Effect::Close(_)
            | Effect::Settings
            | Effect::Planner
            | Effect::SearchPath { .. }
            | Effect::TimeLimit { .. }
            | Effect::Temporary(_)
            | Effect::Catalog
            | Effect::Discard => true,
        }
    }

    /// A statement has succeeded.
    pub(super) fn completed(&mut self, facts: &Facts) {
        if may_run_anything(facts) {
            self.touch();
            self.untold();
        }
        match &facts.effect {
            Effect::None
            | Effect::Begin
            | Effect::Savepoint(_)
            | Effect::Release(_)
            | Effect::Prepare { .. }
            | Effect::Deallocate(_)
            | Effect::Declare { .. }
            | Effect::Close(_) => {}
            Effect::Commit | Effect::Rollback | Effect::RollbackTo(_) => self.rewind(),
            Effect::Settings
            | Effect::Planner
            | Effect::SearchPath { .. }
            | Effect::Temporary(_)
            | Effect::Discard => self.touch(),
            Effect::TimeLimit { .. } => self.unlimited(),
            Effect::Catalog => {
                self.touch();
                self.definitions = Definitions::Uncommitted;
            }
        }
    }

    /// Something has failed: what the transaction did may be undone.
    pub(super) fn failed(&mut self) {
        self.rewind();
    }

    /// What the name of a prepared statement means to `EXECUTE`.
    pub(super) fn prepared(&mut self, name: &str, facts: Option<Arc<Facts>>) {
        if name.is_empty() {
            return;
        }
        self.generation += 1;
        match facts {
            Some(facts) => self.scope.prepared.insert(name.to_owned(), facts),
            None => self.scope.prepared.remove(name),
        };
    }

    /// No prepared statement is left.
    pub(super) fn forget_prepared(&mut self) {
        self.generation += 1;
        self.scope.prepared.clear();
    }

    /// What the name of a portal or cursor means to `FETCH`.
    pub(super) fn cursor(&mut self, name: &str, facts: Option<Arc<Facts>>) {
        if name.is_empty() {
            return;
        }
        self.generation += 1;
        match facts {
            Some(facts) => self.scope.cursors.insert(name.to_owned(), facts),
            None => self.scope.cursors.remove(name),
        };
    }

    /// What the names of all portals and cursors mean.
    pub(super) fn cursors(&mut self, all: HashMap<String, Arc<Facts>>) {
        if self.scope.cursors != all {
            self.generation += 1;
            self.scope.cursors = all;
        }
    }

    /// The upstream owes nothing more.
    pub(super) fn settle(&mut self) {
        self.flight = Flight::Harmless;
    }

    /// The upstream is ready.
    pub(super) fn ready(&mut self, status: TransactionStatus) {
        if status != TransactionStatus::Idle {
            return;
        }
        self.rewind();
        self.transaction = Touched::No;
        self.guarded = Guard::Clear;
        match self.definitions {
            Definitions::Uncommitted | Definitions::Own => self.definitions = Definitions::Outdated,
            Definitions::Known | Definitions::Outdated | Definitions::Doubted => {}
        }
    }

    fn touch(&mut self) {
        self.generation += 1;
        self.freshness = Freshness::Stale;
        self.transaction = Touched::Yes;
    }

    /// A time limit may be another than it was, now or when the transaction ends.
    pub const fn unlimited(&mut self) {
        self.freshness = Freshness::Stale;
        self.transaction = Touched::Yes;
    }

    /// A time limit was tightened for the open transaction: what holds behind it is to be looked at again.
    pub const fn limited(&mut self) {
        self.transaction = Touched::Yes;
    }

    fn rewind(&mut self) {
        self.untold();
        if self.transaction == Touched::Yes {
            self.freshness = Freshness::Stale;
        }
    }
}

/// Whether a statement may do things that its facts do not list: set settings, create temporary objects.
fn may_run_anything(facts: &Facts) -> bool {
    matches!(facts.kind, Kind::Do | Kind::Call)
        || facts.opaque.is_some()
        || facts.footprint.calls.iter().any(|oid| *oid >= FIRST_NORMAL)
}
