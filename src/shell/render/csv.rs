//! Comma-separated values (RFC 4180), as `COPY … CSV` writes them: `NULL` is nothing, an empty string is `""`.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::model::escape;
use crate::remote::pg::Row;
use crate::shell::render::{Class, Column};

/// What makes a spreadsheet take a cell for a formula.
const FORMULA: [u8; 6] = [b'=', b'+', b'-', b'@', b'\t', b'\r'];

/// A result as CSV.
pub(in crate::shell::render) struct Csv {
    columns: Vec<Column>,
    guard: Guard,
    line: Vec<u8>,
}

/// Whom the output must not harm.
#[expect(clippy::struct_excessive_bools, reason = "each may read it or not")]
struct Guard {
    spreadsheet: bool,
    terminal: bool,
}

impl Csv {
    pub(super) fn begin(
        out: &mut impl Write,
        columns: Vec<Column>,
        safe: bool,
        terminal: bool,
    ) -> io::Result<Self> {
        let guard = Guard {
            spreadsheet: safe,
            terminal,
        };
        let mut line = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            separate(&mut line, index);
            guard.write(&mut line, column.name.as_bytes(), Class::Text);
        }
        line.push(b'\n');
        out.write_all(&line)?;
        Ok(Self {
            columns,
            guard,
            line,
        })
    }

    pub(super) fn row(&mut self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        self.line.clear();
        for (index, (value, column)) in row.values().zip(&self.columns).enumerate() {
            separate(&mut self.line, index);
            if let Some(value) = value {
                self.guard.write(&mut self.line, value, column.class);
            }
        }
        self.line.push(b'\n');
        out.write_all(&self.line)
    }
}

fn separate(line: &mut Vec<u8>, index: usize) {
    if index > 0 {
        line.push(b',');
    }
}

impl Guard {
    fn write(&self, line: &mut Vec<u8>, value: &[u8], class: Class) {
        let mut value = Cow::Borrowed(value);
        if self.spreadsheet
            && class != Class::Number
            && value.first().is_some_and(|first| FORMULA.contains(first))
        {
            value = Cow::Owned([b"'", &*value].concat());
        }
        if self.terminal {
            let text = String::from_utf8_lossy(&value);
            value = Cow::Owned(escape::block(&text).into_owned().into_bytes());
        }
        let quoted = value.is_empty()
            || &*value == b"\\."
            || value
                .iter()
                .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
            || value.first() == Some(&b' ')
            || value.last() == Some(&b' ');
        if !quoted {
            line.extend_from_slice(&value);
            return;
        }
        line.push(b'"');
        for byte in &*value {
            if *byte == b'"' {
                line.push(b'"');
            }
            line.push(*byte);
        }
        line.push(b'"');
    }
}
