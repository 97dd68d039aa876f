//! A statement as it came from the client: text and parameters, not yet trusted.

use std::sync::Arc;

/// One statement of a query string. The text is shared with its neighbours in the same string.
#[derive(Debug, Clone)]
pub struct Statement {
    text: Arc<str>,
    start: usize,
    end: usize,
    parameters: Vec<u32>,
}

impl Statement {
    /// A statement that spans bytes `start..end` of `text`; `None` when that is no slice of it.
    #[must_use]
    pub fn new(text: Arc<str>, start: usize, end: usize, parameters: Vec<u32>) -> Option<Self> {
        text.get(start..end)?;
        Some(Self {
            text,
            start,
            end,
            parameters,
        })
    }

    /// The statement's own text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The whole query string it came in.
    #[must_use]
    pub const fn whole(&self) -> &Arc<str> {
        &self.text
    }

    /// Where it starts in the whole string, in bytes.
    #[must_use]
    pub const fn start(&self) -> usize {
        self.start
    }

    /// The parameter types the client declared (`0` = left to the server).
    #[must_use]
    pub fn parameters(&self) -> &[u32] {
        &self.parameters
    }
}
