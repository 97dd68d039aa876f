//! What `COPY … TO STDOUT` sends, masked: lines in text and CSV format here, rows in binary format by `tuples`.
//!
//! The server sends one row in each `CopyData` message. A line that is not UTF-8, or has another number of values
//! than expected, is refused: other encodings can hide a delimiter inside a letter.

use crate::mask::cell::{Cell, Scratch, type_of};
use crate::mask::plan::{Refusal, Terms};
use crate::mask::tuples::Tuples;
use crate::model::name::ColumnId;
use crate::policy::Shown;
use crate::policy::obligation::Mask;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::{CopyFormat, CopyLayout, Facts};
use crate::sql::lineage::{Origin, Output};
use crate::wire::row::Format;
use crate::wire::value::Type;

/// How the lines of one `COPY` are masked.
///
/// **Invariant:** only [`Lines::new`] makes one, after the analysis had an origin for every column.
///
/// ```compile_fail
/// fn clean(format: dbgate::sql::footprint::CopyFormat) -> dbgate::mask::copy::Lines {
///     dbgate::mask::copy::Lines { format, columns: Vec::new() }
/// }
/// ```
#[derive(Debug)]
pub struct Lines {
    format: CopyFormat,
    columns: Vec<Option<Column>>,
    header: Header,
    tuples: Tuples,
    scratch: Scratch,
    value: String,
    shown: Shown,
}

/// One masked column.
#[derive(Debug)]
pub(super) struct Column {
    cell: Cell,
    remember: Vec<ColumnId>,
    count: u64,
}

impl Column {
    /// The masked value in the column's format; `None` is NULL.
    pub(super) fn apply<'s>(
        &'s mut self,
        value: &[u8],
        scratch: &'s mut Scratch,
        shown: &mut Shown,
    ) -> Option<&'s [u8]> {
        self.count = self.count.saturating_add(1);
        let masked = self.cell.apply(value, scratch)?;
        for source in &self.remember {
            shown.add(*source, masked.text);
        }
        Some(masked.bytes)
    }
}

/// Whether the first line, the names of the columns, is still to come.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    Expected,
    Past,
}

impl Lines {
    /// A plan for the lines of that `COPY`. `None`: nothing is masked, and lines may pass as they are.
    ///
    /// # Errors
    /// When something is masked and the lines cannot be.
    pub fn new(
        masks: &[Option<Mask>],
        facts: &Facts,
        terms: &Terms<'_>,
    ) -> Result<Option<Self>, Refusal> {
        if !terms.protection.concerns(terms.subject) {
            return Ok(None);
        }
        if masks.len() != facts.outputs.len() {
            return Err(Refusal::Columns {
                expected: masks.len(),
                came: facts.outputs.len(),
            });
        }
        if masks.iter().all(Option::is_none) {
            return Ok(None);
        }
        let format = facts.copy.clone().ok_or(Refusal::Malformed)?;
        let columns = masks
            .iter()
            .zip(&facts.outputs)
            .map(|(mask, output)| Some(column(mask.as_ref()?, output, format.layout, terms)))
            .collect();
        let header = if format.header {
            Header::Expected
        } else {
            Header::Past
        };
        Ok(Some(Self {
            format,
            columns,
            header,
            tuples: Tuples::default(),
            scratch: Scratch::default(),
            value: String::new(),
            shown: Shown::new(),
        }))
    }

    /// Writes the line, or what of binary data is there as a whole, masked, behind what `out` holds. Says how many rows that were.
    ///
    /// # Errors
    /// When the line cannot be told apart into the values that were expected; `out` is then as it was.
    pub fn apply(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<u64, Refusal> {
        let start = out.len();
        let written = match self.format.layout {
            CopyLayout::Binary => self
                .tuples
                .apply(line, &mut self.columns, &mut self.shown, out),
            CopyLayout::Text | CopyLayout::Csv if self.header == Header::Expected => {
                self.header = Header::Past;
                out.extend_from_slice(line);
                Ok(0)
            }
            CopyLayout::Text | CopyLayout::Csv => self.write(line, out).map(|()| 1),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// How many values were masked, by column from 0.
    pub fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        self.columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| Some((index, column.as_ref()?.count)))
    }

    /// The masked values that could be taken for real ones, to be remembered with the session.
    #[must_use]
    pub fn take_shown(&mut self) -> Shown {
        std::mem::take(&mut self.shown)
    }

    fn write(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let text = str::from_utf8(line).map_err(|_| Refusal::Malformed)?;
        let mut rest = text.strip_suffix('\n').ok_or(Refusal::Malformed)?;
        rest = rest.strip_suffix('\r').unwrap_or(rest);
        let expected = self.columns.len();
        for index in 0..expected {
            let (raw, after) = split(rest, &self.format)?;
            let is_last = index + 1 == expected;
            match after {
                Some(after) if !is_last => rest = after,
                None if is_last => {}
                Some(_) | None => {
                    return Err(Refusal::Row {
                        expected,
                        came: index + 1,
                    });
                }
            }
            self.value(index, raw, out)?;
            if !is_last {
                push(out, self.format.delimiter);
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn value(&mut self, index: usize, raw: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let column = self.columns.get_mut(index).and_then(Option::as_mut);
        let Some(column) = column.filter(|_| raw != self.format.null) else {
            out.extend_from_slice(raw.as_bytes());
            return Ok(());
        };
        self.value.clear();
        unescape(raw, &self.format, &mut self.value).ok_or(Refusal::Malformed)?;
        let value = self.value.as_bytes();
        match column.apply(value, &mut self.scratch, &mut self.shown) {
            None => out.extend_from_slice(self.format.null.as_bytes()),
            Some(masked) => {
                let masked = str::from_utf8(masked).map_err(|_| Refusal::Malformed)?;
                escape(masked, &self.format, out);
            }
        }
        Ok(())
    }
}

fn column(mask: &Mask, output: &Output, layout: CopyLayout, terms: &Terms<'_>) -> Column {
    let (sources, kind) = match &output.origin {
        Origin::Plain(columns) => {
            let sources: Vec<ColumnId> = columns.iter().copied().collect();
            let kind = common_type(&sources, terms.catalog);
            (sources, kind)
        }
        // Of what type the result is, only the server knows: every value becomes NULL.
        Origin::Generated(_) | Origin::Computed(_) | Origin::Clean | Origin::Unknown => {
            (Vec::new(), None)
        }
    };
    let (kind, format) = match layout {
        CopyLayout::Text | CopyLayout::Csv => (kind, Format::Text),
        // Bytes of another type could be taken for a value of this one: `UNION` may have made a float of an integer. Only text says of itself
        // what it is not.
        CopyLayout::Binary => {
            let known = type_of(output.type_oid, terms.catalog);
            (kind.filter(|kind| known == Some(*kind)), Format::Binary)
        }
    };
    let cell = Cell::new(mask, kind, format, terms.keys);
    let remember = if cell.looks_real() {
        sources
    } else {
        Vec::new()
    };
    Column {
        cell,
        remember,
        count: 0,
    }
}

/// The type of all these columns, when it is one.
fn common_type(columns: &[ColumnId], catalog: &Catalog) -> Option<Type> {
    let mut kinds = columns.iter().map(|id| {
        let relation = catalog.relations.get(&id.relation)?;
        let column = relation.columns.iter().find(|c| c.number == id.number)?;
        type_of(column.type_oid, catalog)
    });
    let first = kinds.next()??;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}

/// The next value as it stands in the line, and what follows its delimiter.
fn split<'l>(line: &'l str, format: &CopyFormat) -> Result<(&'l str, Option<&'l str>), Refusal> {
    let end = match format.layout {
        CopyLayout::Text => text_end(line, format.delimiter),
        CopyLayout::Csv | CopyLayout::Binary => csv_end(line, format),
    };
    let (raw, after) = line.split_at_checked(end).ok_or(Refusal::Malformed)?;
    Ok((raw, after.strip_prefix(format.delimiter)))
}

/// In text format a backslash takes the next character with it.
fn text_end(line: &str, delimiter: char) -> usize {
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == delimiter {
            return at;
        }
    }
    line.len()
}

/// In CSV a value may be quoted as a whole or in parts; inside quotes the escape takes a quote or itself with it.
fn csv_end(line: &str, format: &CopyFormat) -> usize {
    let mut quoted = false;
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        let escapes = quoted
            && letter == format.escape
            && next.is_some_and(|next| next == format.quote || next == format.escape);
        if escapes {
            letters.next();
        } else if letter == format.quote {
            quoted = !quoted;
        } else if letter == format.delimiter && !quoted {
            return at;
        }
    }
    line.len()
}

fn unescape(raw: &str, format: &CopyFormat, out: &mut String) -> Option<()> {
    match format.layout {
        CopyLayout::Text => unescape_text(raw, out),
        CopyLayout::Csv | CopyLayout::Binary => {
            let Some(quoted) = raw.strip_prefix(format.quote) else {
                out.push_str(raw);
                return Some(());
            };
            let inner = quoted.strip_suffix(format.quote)?;
            let mut letters = inner.chars().peekable();
            while let Some(letter) = letters.next() {
                let next = letters.peek().copied();
                let escapes = letter == format.escape
                    && next.is_some_and(|next| next == format.quote || next == format.escape);
                if escapes {
                    out.extend(letters.next());
                } else {
                    out.push(letter);
                }
            }
            Some(())
        }
    }
}

fn unescape_text(raw: &str, out: &mut String) -> Option<()> {
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        out.push(match letters.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        });
    }
    Some(())
}

fn escape(text: &str, format: &CopyFormat, out: &mut Vec<u8>) {
    match format.layout {
        CopyLayout::Text => {
            for letter in text.chars() {
                let short = match letter {
                    '\\' => Some('\\'),
                    '\u{8}' => Some('b'),
                    '\u{c}' => Some('f'),
                    '\n' => Some('n'),
                    '\r' => Some('r'),
                    '\t' => Some('t'),
                    '\u{b}' => Some('v'),
                    other => (other == format.delimiter).then_some(other),
                };
                if short.is_some() {
                    out.push(b'\\');
                }
                push(out, short.unwrap_or(letter));
            }
        }
        CopyLayout::Csv | CopyLayout::Binary => {
            let special = |c| c == format.delimiter || c == format.quote || c == '\n' || c == '\r';
            if text != format.null && text != "\\." && !text.contains(special) {
                out.extend_from_slice(text.as_bytes());
                return;
            }
            push(out, format.quote);
            for letter in text.chars() {
                if letter == format.quote || letter == format.escape {
                    push(out, format.escape);
                }
                push(out, letter);
            }
            push(out, format.quote);
        }
    }
}

fn push(out: &mut Vec<u8>, letter: char) {
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}
