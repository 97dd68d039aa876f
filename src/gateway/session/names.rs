//! What names mean on this connection: prepared statements, portals and cursors, and how to take a meaning back.
//!
//! Portals of the extended protocol and cursors share one namespace, as do `PREPARE` and `Parse`.
//!
//! **Invariant:** a name never stands for another statement here than at the upstream. A meaning is noted when the message is sent and
//! taken back when the upstream fails or skips that message.

use std::collections::HashMap;
use std::sync::Arc;

use crate::gateway::reply;
use crate::gateway::session::run;
use crate::gateway::session::verdict::Refusal;
use crate::sql::footprint::{Effect, Facts, Source};
use crate::wire::error::Fields;

/// Prepared statements that a connection may keep, and bytes of their texts: the broker has many connections.
const MOST_PREPARED: usize = 20_000;
const MOST_TEXT: usize = 32 * 1024 * 1024;
/// Portals and cursors that a connection may keep.
const MOST_PORTALS: usize = 10_000;

/// A prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its text; for one made by `PREPARE`, the text that runs it.
    pub text: Arc<str>,
    /// The parameter types the client declared.
    pub types: Arc<[u32]>,
    /// Refused, but the client will only be told when it has sent its data: the upstream never saw it.
    pub refused: Option<Arc<Refusal>>,
    /// What it touches, as the upstream read it.
    pub facts: Option<Arc<Facts>>,
}

impl Prepared {
    /// How many bytes of text are kept for it.
    fn weight(&self) -> usize {
        let source = self.facts.as_ref().and_then(|facts| facts.source.as_ref());
        match source {
            Some(Source::Prepare(text) | Source::Parse(text, _)) => text.len(),
            None => self.text.len(),
        }
    }
}

/// A portal.
#[derive(Debug, Clone)]
pub enum Portal {
    /// A run with a permit.
    Run {
        /// Which.
        run: run::Id,
        /// Whether the upstream was asked what its rows will be.
        described: bool,
    },
    /// Of a refused `COPY … FROM STDIN`, unknown to the upstream.
    Refused(Arc<Refusal>),
    /// A cursor made by `DECLARE`: the same namespace, but only SQL takes rows from it.
    Cursor,
}

/// A portal with what is to be known of it.
#[derive(Debug, Clone)]
pub struct Slot {
    portal: Portal,
    /// What `FETCH` takes from it; `None` when it may not.
    facts: Option<Arc<Facts>>,
    life: Life,
}

impl Slot {
    /// Its run.
    pub const fn run(&self) -> Option<run::Id> {
        match &self.portal {
            Portal::Run { run, .. } => Some(*run),
            Portal::Refused(_) | Portal::Cursor => None,
        }
    }
}

/// How long a portal lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// The upstream has not said yet that there is one.
    Sent,
    /// Until the transaction of that number ends, or goes back to before that many savepoints.
    Open {
        transaction: u64,
        savepoints: usize,
        hold: Hold,
    },
    /// `WITH HOLD`, after the transaction has been committed.
    Held,
}

/// Whether a cursor outlives its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What it did stays.
    Committed,
    /// It never happened.
    RolledBack,
}

/// What a name meant before a message that may be skipped.
#[derive(Debug)]
pub enum Undo {
    /// A prepared statement.
    Statement(String, Option<Prepared>),
    /// A prepared statement that we had dropped and prepare again.
    Again(String, Option<Prepared>),
    /// A portal.
    Portal(String, Option<Slot>),
}

impl Undo {
    /// Whether a statement of that name is meant.
    pub fn is_statement(&self, of: &str) -> bool {
        match self {
            Self::Statement(name, _) | Self::Again(name, _) => name == of,
            Self::Portal(..) => false,
        }
    }

    /// Whether a portal of that name is meant.
    pub fn is_portal(&self, of: &str) -> bool {
        match self {
            Self::Portal(name, _) => name == of,
            Self::Statement(..) | Self::Again(..) => false,
        }
    }

    /// The same name was given a meaning later: if that is taken back, it means what is to be restored here.
    pub fn rebase(&mut self, earlier: Self) {
        match (self, earlier) {
            (
                Self::Statement(_, before) | Self::Again(_, before),
                Self::Statement(_, earlier) | Self::Again(_, earlier),
            ) => *before = earlier,
            (Self::Portal(_, before), Self::Portal(_, earlier)) => *before = earlier,
            _ => {}
        }
    }

    /// The message itself failed, it was not skipped: what did it leave behind?
    pub fn failed(self) -> Self {
        match self {
            // A `Parse` without a name drops the old unnamed statement before it can fail.
            Self::Statement(name, _) if name.is_empty() => Self::Statement(name, None),
            Self::Again(name, _) => Self::Again(name, None),
            kept @ (Self::Statement(..) | Self::Portal(..)) => kept,
        }
    }
}

/// All names of a connection.
#[derive(Debug, Default)]
pub struct Names {
    statements: HashMap<String, Prepared>,
    /// Bytes of their texts.
    text: usize,
    portals: HashMap<String, Slot>,
    savepoints: Vec<String>,
    transaction: u64,
}

impl Names {
    /// A prepared statement.
    pub fn statement(&self, name: &str) -> Option<&Prepared> {
        self.statements.get(name)
    }

    /// Whether no more statements can be prepared by that name.
    pub fn is_full(&self, name: &str) -> bool {
        !self.statements.contains_key(name)
            && (self.statements.len() >= MOST_PREPARED || self.text >= MOST_TEXT)
    }

    /// Why a statement with this effect can't be run: it would make a name more than the connection may have.
    pub fn no_room(&self, effect: &Effect) -> Option<Fields> {
        match effect {
            Effect::Prepare { name, .. } if self.is_full(name) => Some(reply::too_much_prepared()),
            Effect::Declare { name, .. } if self.is_crowded(name) => {
                Some(reply::too_many_portals())
            }
            Effect::Prepare { .. }
            | Effect::Declare { .. }
            | Effect::None
            | Effect::Begin
            | Effect::Commit
            | Effect::Rollback
            | Effect::Savepoint(_)
            | Effect::Release(_)
            | Effect::RollbackTo(_)
            | Effect::Deallocate(_)
            | Effect::Close(_)
            | Effect::Settings
            | Effect::Planner
            | Effect::SearchPath { .. }
            | Effect::TimeLimit { .. }
            | Effect::Temporary(_)
            | Effect::Catalog
            | Effect::Discard => None,
        }
    }

    /// Whether no more portals or cursors can be opened by that name.
    pub fn is_crowded(&self, name: &str) -> bool {
        !self.portals.contains_key(name) && self.portals.len() >= MOST_PORTALS
    }

    /// A portal.
    pub fn portal(&self, name: &str) -> Option<&Portal> {
        self.portals.get(name).map(|slot| &slot.portal)
    }

    /// A portal, to note that it was described.
    pub fn portal_mut(&mut self, name: &str) -> Option<&mut Portal> {
        self.portals.get_mut(name).map(|slot| &mut slot.portal)
    }

    /// Gives a statement's name a meaning, or none.
    pub fn set_statement(&mut self, name: &str, to: Option<Prepared>) -> Undo {
        let before = match to {
            Some(prepared) => {
                self.text = self.text.saturating_add(prepared.weight());
                self.statements.insert(name.to_owned(), prepared)
            }
            None => self.statements.remove(name),
        };
        let freed = before.as_ref().map_or(0, Prepared::weight);
        self.text = self.text.saturating_sub(freed);
        Undo::Statement(name.to_owned(), before)
    }

    /// A `Bind` is sent: `facts` are what `FETCH` may take from its portal.
    pub fn bind(&mut self, name: &str, portal: Portal, facts: Option<Arc<Facts>>) -> Undo {
        let slot = Slot {
            portal,
            facts,
            life: Life::Sent,
        };
        Undo::Portal(name.to_owned(), self.portals.insert(name.to_owned(), slot))
    }

    /// There is a portal: it belongs to the transaction of this moment.
    pub fn bound(&mut self, name: &str) {
        let life = self.life(Hold::No);
        if let Some(slot) = self.portals.get_mut(name)
            && slot.life == Life::Sent
        {
            slot.life = life;
        }
    }

    /// A cursor was declared.
    pub fn declare(&mut self, name: &str, facts: Arc<Facts>, hold: Hold) {
        let slot = Slot {
            portal: Portal::Cursor,
            facts: Some(facts),
            life: self.life(hold),
        };
        self.portals.insert(name.to_owned(), slot);
    }

    /// A portal is closed.
    pub fn close(&mut self, name: &str) -> Undo {
        Undo::Portal(name.to_owned(), self.portals.remove(name))
    }

    /// Takes a meaning back.
    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Statement(name, before) | Undo::Again(name, before) => {
                self.set_statement(&name, before);
            }
            Undo::Portal(name, before) => {
                let now = self.transaction;
                let lives = |slot: &Slot| match slot.life {
                    Life::Open { transaction, .. } => transaction == now,
                    Life::Sent => false,
                    Life::Held => true,
                };
                match before.filter(lives) {
                    Some(slot) => self.portals.insert(name, slot),
                    None => self.portals.remove(&name),
                };
            }
        }
    }

    /// What `FETCH` takes from the cursor or portal of that name.
    pub fn cursor(&self, name: &str) -> Option<&Arc<Facts>> {
        self.portals.get(name)?.facts.as_ref()
    }

    /// Everything that `FETCH` can take from.
    pub fn cursors(&self) -> HashMap<String, Arc<Facts>> {
        let known = self.portals.iter().filter(|(name, _)| !name.is_empty());
        known
            .filter_map(|(name, slot)| Some((name.clone(), Arc::clone(slot.facts.as_ref()?))))
            .collect()
    }

    /// Whether the end of a transaction, or of a part of it, takes portals along whose names may be used again.
    pub fn has_named_portals(&self) -> bool {
        self.portals.keys().any(|name| !name.is_empty())
    }

    /// `SAVEPOINT`.
    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push(name.to_owned());
    }

    /// `RELEASE`: what was made since belongs to the part before.
    pub fn release(&mut self, name: &str) {
        let Some(depth) = self.savepoints.iter().rposition(|known| known == name) else {
            return;
        };
        self.savepoints.truncate(depth);
        for slot in self.portals.values_mut() {
            if let Life::Open { savepoints, .. } = &mut slot.life {
                *savepoints = depth.min(*savepoints);
            }
        }
    }

    /// `ROLLBACK TO`: what was made since is gone. The savepoint itself stays.
    pub fn rollback_to(&mut self, name: &str) {
        let depth = self.savepoints.iter().rposition(|known| known == name);
        let depth = depth.unwrap_or(0);
        self.savepoints.truncate(depth.saturating_add(1));
        self.portals.retain(|_, slot| match slot.life {
            Life::Open { savepoints, .. } => savepoints <= depth,
            Life::Sent | Life::Held => true,
        });
    }

    /// The transaction is over, and with it its portals.
    pub fn end(&mut self, ended: Ended) {
        self.savepoints.clear();
        self.transaction = self.transaction.wrapping_add(1);
        self.portals.retain(|_, slot| match slot.life {
            Life::Sent | Life::Held => true,
            Life::Open { hold, .. } => {
                slot.life = Life::Held;
                (ended, hold) == (Ended::Committed, Hold::Yes)
            }
        });
    }

    /// Whether a run can still be executed.
    pub fn is_bound(&self, id: run::Id) -> bool {
        self.portals
            .values()
            .any(|slot| matches!(slot.portal, Portal::Run { run, .. } if run == id))
    }

    /// A simple query drops the unnamed statement and portal.
    pub fn drop_unnamed(&mut self) {
        self.set_statement("", None);
        self.portals.remove("");
    }

    /// `CLOSE ALL`.
    pub fn drop_portals(&mut self) {
        self.portals.clear();
    }

    /// `DEALLOCATE ALL`.
    pub fn drop_named(&mut self) {
        self.statements.retain(|name, _| name.is_empty());
        self.text = self.statements.values().map(Prepared::weight).sum();
    }

    /// `DISCARD ALL`.
    pub fn drop_all(&mut self) {
        self.statements.clear();
        self.text = 0;
        self.portals.clear();
    }

    const fn life(&self, hold: Hold) -> Life {
        Life::Open {
            transaction: self.transaction,
            savepoints: self.savepoints.len(),
            hold,
        }
    }
}
