//! Which refused attempts to get in are recorded one by one, and which are only counted: who reaches a port must not be able to fill the
//! disk with them, because then nothing runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Attempts from one address that are recorded one by one within a turn.
pub const EACH: u32 = 10;
/// The same from all addresses together.
pub const ALL: u32 = 30;
/// Addresses that are told apart within a turn.
pub const SOURCES: usize = 32;

/// Where somebody wanted to get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrance {
    /// A connection to the gateway.
    Connection,
    /// A sign-in.
    Login,
}

/// Attempts that were only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Where.
    pub at: Entrance,
    /// From which address; none: from several that are not told apart, or from this machine.
    pub from: Option<String>,
    /// How many.
    pub count: u64,
}

/// What was refused in the turn at hand.
#[derive(Debug, Default)]
pub struct Tally {
    named: u32,
    sources: BTreeMap<Source, Count>,
    counted: u64,
}

type Source = (Entrance, Option<String>);

#[derive(Debug, Default)]
struct Count {
    named: u32,
    more: u64,
}

impl Tally {
    /// Somebody was refused. Whether that is to be recorded by itself; otherwise it has been counted.
    pub fn note(&mut self, at: Entrance, from: Option<&str>) -> bool {
        let all = self.named;
        let count = self.count(at, from);
        if all < ALL && count.named < EACH {
            count.named = count.named.saturating_add(1);
            self.named = all.saturating_add(1);
            return true;
        }
        count.more = count.more.saturating_add(1);
        self.counted = self.counted.saturating_add(1);
        false
    }

    /// What was counted; a new turn begins.
    pub fn take(&mut self) -> Vec<Sum> {
        self.named = 0;
        let sources = std::mem::take(&mut self.sources).into_iter();
        sources
            .filter(|(_, count)| count.more > 0)
            .map(|((at, from), count)| Sum {
                at,
                from,
                count: count.more,
            })
            .collect()
    }

    /// A sum could not be recorded: it counts toward the turn at hand.
    pub fn put_back(&mut self, sum: &Sum) {
        let count = self.count(sum.at, sum.from.as_deref());
        count.more = count.more.saturating_add(sum.count);
    }

    /// How many were only counted since the beginning.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.counted
    }

    fn count(&mut self, at: Entrance, from: Option<&str>) -> &mut Count {
        let mut source = (at, from.map(str::to_owned));
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            source.1 = None;
        }
        self.sources.entry(source).or_default()
    }
}
