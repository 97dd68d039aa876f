//! What names mean on this connection: prepared statements and portals, and how to take a meaning back.
//!
//! **Invariant:** a name never stands for another statement here than at the upstream. A meaning is noted when the message is sent and
//! taken back when the upstream fails or skips that message.

use std::collections::HashMap;
use std::sync::Arc;

use crate::gateway::session::run::RunId;
use crate::gateway::session::verdict::Refusal;
use crate::sql::footprint::Facts;

/// A prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its text; for one made by `PREPARE`, the text that runs it.
    pub text: Arc<str>,
    /// The parameter types the client declared.
    pub types: Arc<[u32]>,
    /// Refused, but the client will only be told when it has sent its data: the upstream never saw it.
    pub refused: Option<Arc<Refusal>>,
    /// What it touches, for statements that `EXECUTE` it.
    pub facts: Option<Arc<Facts>>,
}

/// A portal.
#[derive(Debug, Clone)]
pub enum Portal {
    /// A run with a permit.
    Run {
        /// Which.
        run: RunId,
        /// Whether the upstream was asked what its rows will be.
        described: bool,
    },
    /// Of a refused `COPY … FROM STDIN`, unknown to the upstream.
    Refused(Arc<Refusal>),
}

/// What a name meant before a message that may be skipped.
#[derive(Debug)]
pub enum Undo {
    /// A prepared statement.
    Statement(String, Option<Prepared>),
    /// A portal.
    Portal(String, Option<Portal>),
}

/// All names of a connection.
#[derive(Debug, Default)]
pub struct Names {
    statements: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
}

impl Names {
    /// A prepared statement.
    pub fn statement(&self, name: &str) -> Option<&Prepared> {
        self.statements.get(name)
    }

    /// A portal.
    pub fn portal(&self, name: &str) -> Option<&Portal> {
        self.portals.get(name)
    }

    /// A portal, to note that it was described.
    pub fn portal_mut(&mut self, name: &str) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    /// Gives a statement's name a meaning, or none.
    pub fn set_statement(&mut self, name: &str, to: Option<Prepared>) -> Undo {
        let before = match to {
            Some(prepared) => self.statements.insert(name.to_owned(), prepared),
            None => self.statements.remove(name),
        };
        Undo::Statement(name.to_owned(), before)
    }

    /// Gives a portal's name a meaning, or none.
    pub fn set_portal(&mut self, name: &str, to: Option<Portal>) -> Undo {
        let before = match to {
            Some(portal) => self.portals.insert(name.to_owned(), portal),
            None => self.portals.remove(name),
        };
        Undo::Portal(name.to_owned(), before)
    }

    /// Takes a meaning back. `failed`: the message itself failed, it was not skipped.
    pub fn undo(&mut self, undo: Undo, failed: bool) {
        match undo {
            // A `Parse` without a name drops the old unnamed statement before it can fail.
            Undo::Statement(name, _) if failed && name.is_empty() => {
                self.statements.remove(&name);
            }
            Undo::Statement(name, before) => {
                self.set_statement(&name, before);
            }
            Undo::Portal(name, before) => {
                self.set_portal(&name, before);
            }
        }
    }

    /// A simple query drops the unnamed statement and portal.
    pub fn drop_unnamed(&mut self) {
        self.statements.remove("");
        self.portals.remove("");
    }

    /// The transaction is over: portals do not outlive it.
    pub fn drop_portals(&mut self) {
        self.portals.clear();
    }

    /// `DEALLOCATE ALL`.
    pub fn drop_named(&mut self) {
        self.statements.retain(|name, _| name.is_empty());
    }

    /// `DISCARD ALL`.
    pub fn drop_all(&mut self) {
        self.statements.clear();
        self.portals.clear();
    }
}
