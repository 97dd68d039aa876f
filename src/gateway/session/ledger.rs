//! What the upstream still owes an answer to, in order, and what must be taken back when it skips it.

use std::collections::VecDeque;

use crate::gateway::session::names::Undo;
use crate::gateway::session::run;
use crate::wire::error::Fields;

/// Answers that may be owed; each takes up memory until it comes.
const LONG: usize = 8 * 1024;

/// One answer that is awaited.
#[derive(Debug)]
pub enum Owed {
    /// `ParseComplete`.
    Parse,
    /// `CloseComplete` of a prepared statement whose names have changed their meaning; then [`Owed::ParseAgain`]. The client asked for neither.
    CloseStale,
    /// `ParseComplete` of the same statement, read again.
    ParseAgain,
    /// `BindComplete`.
    Bind(run::Id),
    /// `ParameterDescription` and what the rows will be.
    DescribeStatement,
    /// What the rows of a cursor made by `DECLARE` will be.
    DescribeCursor,
    /// What the rows of a portal will be.
    DescribePortal(run::Id, Asker),
    /// Rows and the end of an execution.
    Execute(run::Id),
    /// `CloseComplete`.
    Close(Option<run::Id>),
    /// `ReadyForQuery` after a pipeline.
    Sync,
    /// The results of a query string, one run a statement, and `ReadyForQuery`.
    Query(VecDeque<run::Id>),
    /// The error that we provoke in a pipeline, so that the upstream fails where we refused; the client is told this instead.
    PoisonPipeline(Option<Fields>),
    /// The same as a query of its own; after it `ReadyForQuery`.
    PoisonQuery(Option<Fields>),
    /// The end of a transaction of ours, and `ReadyForQuery`.
    Trial,
    /// Nothing: these bytes of ours go to the client when their turn comes.
    Local(Vec<u8>),
}

impl Owed {
    /// The runs that are executed by it, in order.
    pub fn runs(&self) -> impl Iterator<Item = run::Id> + '_ {
        let (one, several) = match self {
            Self::Execute(run) => (Some(*run), None),
            Self::Query(runs) => (None, Some(runs)),
            Self::Parse
            | Self::CloseStale
            | Self::ParseAgain
            | Self::Bind(_)
            | Self::DescribeStatement
            | Self::DescribeCursor
            | Self::DescribePortal(..)
            | Self::Close(_)
            | Self::Sync
            | Self::PoisonPipeline(_)
            | Self::PoisonQuery(_)
            | Self::Trial
            | Self::Local(_) => (None, None),
        };
        one.into_iter()
            .chain(several.into_iter().flatten().copied())
    }
}

/// Who wants to know what the rows will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The client.
    Client,
    /// We do, to build the masks; the client did not ask.
    Gateway,
}

/// An awaited answer with what to take back if it never comes.
#[derive(Debug)]
pub struct Entry {
    /// What is owed.
    pub owed: Owed,
    /// What was assumed when it was asked for.
    pub undo: Option<Undo>,
}

/// All awaited answers.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: VecDeque<Entry>,
}

impl Ledger {
    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether so much is owed that a client that asks for more has to wait.
    pub fn is_long(&self) -> bool {
        self.entries.len() >= LONG
    }

    /// Notes a new debt.
    pub fn push(&mut self, owed: Owed) {
        self.push_with(owed, None);
    }

    /// Notes a new debt and what to take back if it is skipped.
    pub fn push_with(&mut self, owed: Owed, undo: Option<Undo>) {
        self.entries.push_back(Entry { owed, undo });
    }

    /// What is owed next.
    pub fn front(&self) -> Option<&Owed> {
        self.entries.front().map(|entry| &entry.owed)
    }

    /// What is owed next, to be changed.
    pub fn front_mut(&mut self) -> Option<&mut Owed> {
        self.entries.front_mut().map(|entry| &mut entry.owed)
    }

    /// The next debt is paid.
    pub fn pop(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }

    /// Whether the upstream may hold back the answers to the last messages until a `Flush`.
    pub fn needs_flush(&self) -> bool {
        for entry in self.entries.iter().rev() {
            match entry.owed {
                Owed::Parse
                | Owed::CloseStale
                | Owed::ParseAgain
                | Owed::Bind(_)
                | Owed::DescribeStatement
                | Owed::DescribeCursor
                | Owed::DescribePortal(..)
                | Owed::Execute(_)
                | Owed::Close(_) => return true,
                // These end with a message that the upstream sends at once.
                Owed::Sync
                | Owed::Query(_)
                | Owed::Trial
                | Owed::PoisonPipeline(_)
                | Owed::PoisonQuery(_) => return false,
                Owed::Local(_) => {}
            }
        }
        false
    }

    /// The upstream failed: it skips everything up to the next `Sync`. Returns what it skips, the newest first, beginning with what
    /// failed as the last element, and whether a `Sync` is on its way.
    pub fn skip_to_sync(&mut self) -> (Vec<Entry>, bool) {
        let sync = self
            .entries
            .iter()
            .position(|entry| matches!(entry.owed, Owed::Sync));
        let count = sync.unwrap_or(self.entries.len());
        let skipped: Vec<Entry> = self.entries.drain(..count).rev().collect();
        (skipped, sync.is_some())
    }

    /// Whether what a name means depends on an answer that is still awaited, and could change without the message at hand being skipped,
    /// too: the name was given its meaning before a `Sync` that is on its way.
    pub fn is_uncertain(&self, mut of: impl FnMut(&Undo) -> bool) -> bool {
        let mut synced = false;
        for entry in self.entries.iter().rev() {
            synced |= matches!(entry.owed, Owed::Sync);
            if entry.undo.as_ref().is_some_and(&mut of) {
                return synced;
            }
        }
        false
    }

    /// What a skipped message assumed is to be taken back. If the same name was given another meaning since, there is nothing to do but to
    /// remember what was before that.
    pub fn rebase(&mut self, undo: Undo) -> Option<Undo> {
        let later = self.entries.iter_mut().find_map(|entry| {
            entry.undo.as_mut().filter(|later| match &undo {
                Undo::Statement(name, _) | Undo::Again(name, _) => later.is_statement(name),
                Undo::Portal(name, _) => later.is_portal(name),
            })
        });
        match later {
            Some(later) => {
                later.rebase(undo);
                None
            }
            None => Some(undo),
        }
    }

    /// Everything that is owed, when the connection ends.
    pub fn drain(&mut self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.drain(..)
    }

    /// Whether such a run is being executed.
    pub fn executes(&self, such: impl Fn(run::Id) -> bool) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.owed.runs().any(&such))
    }

    /// The first run that is being executed.
    pub fn running(&self) -> Option<run::Id> {
        let mut entries = self.entries.iter();
        entries.find_map(|entry| entry.owed.runs().next())
    }

    /// Whether a `Sync` is on its way.
    pub fn has_sync(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry.owed, Owed::Sync))
    }
}
