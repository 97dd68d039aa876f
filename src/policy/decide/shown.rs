//! The masked values a session was shown, so that they are noticed when they come back in a write.

use std::collections::{HashMap, HashSet};

use crate::model::name::ColumnId;

/// Distinct masked values by column. Only those of masks whose values could also be real ones are kept here.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    columns: HashMap<ColumnId, Values>,
}

#[derive(Debug, Clone)]
enum Values {
    /// These.
    Known(HashSet<Box<str>>),
    /// More than are kept: any value may have been shown.
    Any,
}

/// How many distinct values of one column are kept.
const MOST: usize = 20_000;

impl Shown {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a masked value, in text form.
    pub fn add(&mut self, column: ColumnId, value: &str) {
        let value = normal(value);
        let values = self
            .columns
            .entry(column)
            .or_insert_with(|| Values::Known(HashSet::new()));
        if let Values::Known(known) = values {
            if known.contains(value) {
                return;
            }
            if known.len() >= MOST {
                *values = Values::Any;
                return;
            }
            known.insert(value.into());
        }
    }

    /// Takes over what another connection of the session was shown.
    pub fn merge(&mut self, other: &Self) {
        for (column, values) in &other.columns {
            match values {
                Values::Known(known) => known.iter().for_each(|value| self.add(*column, value)),
                Values::Any => {
                    self.columns.insert(*column, Values::Any);
                }
            }
        }
    }

    /// Whether the value may have been shown for that column.
    #[must_use]
    pub fn contains(&self, column: ColumnId, value: &str) -> bool {
        match self.columns.get(&column) {
            Some(Values::Known(known)) => known.contains(normal(value)),
            Some(Values::Any) => true,
            None => false,
        }
    }
}

/// Numbers without what does not change them, so that `1.50` and `1.5` are one.
fn normal(text: &str) -> &str {
    let text = text.trim();
    let is_number = |b: u8| b.is_ascii_digit() || b == b'.' || b == b'-';
    if text.contains('.') && text.bytes().all(is_number) {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
