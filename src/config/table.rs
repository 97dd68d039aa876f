//! Reading TOML tables by hand, so that every mistake is found at once and shown where it is.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use crate::config::problem::{Problem, Problems, Source, nearest};

/// A table of a document, with the keys that were asked for so far.
#[derive(Debug)]
pub struct Table<'a> {
    source: &'a Source,
    content: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

/// Parses the whole text; its syntax errors go to `problems`.
pub fn parse<'a>(source: &'a Source, problems: &mut Problems) -> DeTable<'a> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        problems.push(Problem::at(
            source,
            error.span().unwrap_or(0..0),
            error.message(),
        ));
    }
    document.into_inner()
}

impl<'a> Table<'a> {
    /// The top of a document.
    #[must_use]
    pub const fn top(source: &'a Source, content: &'a DeTable<'a>) -> Self {
        Self {
            source,
            content,
            span: 0..0,
            asked: Vec::new(),
        }
    }

    /// Where it stands in the text.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// A mistake in this table, shown at `span`.
    pub fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::at(self.source, span, message)
    }

    /// Where the value of `key` stands, or the table when it has none.
    #[must_use]
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.content
            .get(key)
            .map_or_else(|| self.span(), |value| value.span())
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.content.contains_key(key)
    }

    /// A text, when there is one.
    pub fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<String> {
        let value = self.value(key)?;
        let text = value.1.as_str();
        if text.is_none() {
            problems.push(self.problem(
                value.0,
                format!("`{key}` must be a text, not {}", article(value.1)),
            ));
        }
        text.map(str::to_owned)
    }

    /// A text read as something else, when there is one.
    pub fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(key, problems)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                problems.push(self.problem(self.span_of(key), error.to_string()));
                None
            }
        }
    }

    /// A text read by a function, when there is one.
    pub fn read<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(key, problems)?;
        read(&text)
            .map_err(|error| problems.push(self.problem(self.span_of(key), error.to_string())))
            .ok()
    }

    /// A whole number within `range`, when there is one.
    pub fn number(
        &mut self,
        key: &'static str,
        range: Range<u64>,
        problems: &mut Problems,
    ) -> Option<u64> {
        let (span, value) = self.value(key)?;
        let number = value
            .as_integer()
            .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let message = format!(
                    "`{key}` must be a whole number from {} to {}",
                    range.start,
                    range.end.saturating_sub(1)
                );
                problems.push(self.problem(span, message));
                None
            }
        }
    }

    /// `true` or `false`, when it is there.
    pub fn flag(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let (span, value) = self.value(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            problems.push(self.problem(
                span,
                format!("`{key}` must be `true` or `false`, not {}", article(value)),
            ));
        }
        flag
    }

    /// A list of texts; none = empty.
    pub fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<String> {
        let Some((span, value)) = self.value(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            problems.push(self.problem(
                span,
                format!("`{key}` must be a list of texts, not {}", article(value)),
            ));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for entry in list.iter() {
            match entry.get_ref().as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    problems.push(self.problem(entry.span(), format!("`{key}` holds texts only")));
                }
            }
        }
        texts
    }

    /// A list of texts, each read by a function; none = empty. One text alone counts as a list of one.
    pub fn each<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Vec<T> {
        let Some((span, value)) = self.value(key) else {
            return Vec::new();
        };
        let entries: Vec<_> = match (value.as_array(), value.as_str()) {
            (Some(list), _) => list
                .iter()
                .map(|entry| (entry.span(), entry.get_ref().as_str()))
                .collect(),
            (None, text) => vec![(span, text)],
        };
        let mut all = Vec::new();
        for (span, text) in entries {
            let read = text
                .ok_or_else(|| format!("`{key}` holds texts only"))
                .and_then(|text| read(text).map_err(|error| error.to_string()));
            match read {
                Ok(value) => all.push(value),
                Err(message) => problems.push(self.problem(span, message)),
            }
        }
        all
    }

    /// All keys of a table with their texts; none = empty.
    pub fn map(&mut self, key: &'static str, problems: &mut Problems) -> Vec<(String, String)> {
        let Some((span, value)) = self.value(key) else {
            return Vec::new();
        };
        let Some(table) = value.as_table() else {
            problems.push(self.problem(
                span,
                format!("`{key}` must be a table, not {}", article(value)),
            ));
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, entry) in table.iter() {
            match entry.get_ref().as_str() {
                Some(text) => pairs.push((name.get_ref().to_string(), text.to_owned())),
                None => {
                    problems.push(self.problem(entry.span(), format!("`{key}` holds texts only")));
                }
            }
        }
        pairs
    }

    /// A table inside this one (`[key]`), when there is one.
    pub fn table(&mut self, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let (span, value) = self.value(key)?;
        let Some(content) = value.as_table() else {
            problems
                .push(self.problem(span, format!("`{key}` must be a table, written `[{key}]`")));
            return None;
        };
        Some(Self {
            source: self.source,
            content,
            span,
            asked: Vec::new(),
        })
    }

    /// The tables of a list (`[[key]]`); none = empty.
    pub fn tables(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Self> {
        let Some((span, value)) = self.value(key) else {
            return Vec::new();
        };
        let list: Vec<_> = value
            .as_array()
            .into_iter()
            .flat_map(|list| list.iter())
            .collect();
        let tables: Vec<_> = list
            .iter()
            .filter_map(|entry| {
                let content = entry.get_ref().as_table()?;
                Some(Self {
                    source: self.source,
                    content,
                    span: entry.span(),
                    asked: Vec::new(),
                })
            })
            .collect();
        if value.as_array().is_none() || tables.len() != list.len() {
            problems.push(self.problem(
                span,
                format!("`{key}` must be a list of tables, each written `[[{key}]]`"),
            ));
        }
        tables
    }

    /// `value`, or a problem that says that `key` is missing.
    pub fn require<T>(&self, key: &str, value: Option<T>, problems: &mut Problems) -> Option<T> {
        if value.is_none() && !self.has(key) {
            problems.push(self.problem(self.span(), format!("`{key}` is missing")));
        }
        value
    }

    /// Reports the keys nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (key, _) in self.content.iter() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let problem = self.problem(key.span(), format!("there is no setting `{name}` here"));
            problems.push(match nearest(name, self.asked.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("known here: {}", self.asked.join(", "))),
            });
        }
    }

    fn value(&mut self, key: &'static str) -> Option<(Range<usize>, &'a DeValue<'a>)> {
        self.asked.push(key);
        let value = self.content.get(key)?;
        Some((value.span(), value.get_ref()))
    }
}

fn article(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    match kind {
        "integer" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
