//! Results as JSON: one document with all of them, or an object a row. Numbers, booleans and JSON stay what they are.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::model::escape;
use crate::remote::pg::Row;
use crate::shell::render::{Class, Column, type_name};

/// A result as JSON.
pub(in crate::shell::render) struct Json {
    columns: Vec<Column>,
    /// Each column's name as a JSON string; a name that came before gets `_2`, for objects have each but once.
    keys: Vec<String>,
    layout: Layout,
    first: bool,
}

#[derive(PartialEq, Eq)]
enum Layout {
    /// Part of one document.
    Document,
    /// An object a line.
    Lines,
}

impl Json {
    /// Begins result `index` of the document.
    pub(super) fn begin(
        out: &mut impl Write,
        columns: Vec<Column>,
        index: usize,
    ) -> io::Result<Self> {
        open(out, index)?;
        write!(out, "{{\"columns\":[")?;
        for (index, column) in columns.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let kind = type_name(column.type_oid)
                .map_or_else(|| column.type_oid.to_string(), |name| format!("\"{name}\""));
            write!(
                out,
                "{comma}{{\"name\":{},\"type\":{kind},\"masked\":{}}}",
                string(&column.name),
                column.masked
            )?;
        }
        write!(out, "],\"rows\":[")?;
        Ok(Self::new(columns, Layout::Document))
    }

    pub(super) fn lines(columns: Vec<Column>) -> Self {
        Self::new(columns, Layout::Lines)
    }

    fn new(columns: Vec<Column>, layout: Layout) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(columns.len());
        for column in &columns {
            let mut name = column.name.clone();
            let mut count = 1;
            while names.contains(&name) {
                count += 1;
                name = format!("{}_{count}", column.name);
            }
            names.push(name);
        }
        Self {
            keys: names.iter().map(|name| string(name)).collect(),
            columns,
            layout,
            first: true,
        }
    }

    pub(super) fn row(&mut self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        if self.layout == Layout::Document {
            out.write_all(if self.first { b"\n" } else { b",\n" })?;
        }
        self.first = false;
        let mut text = String::from("{");
        for ((value, column), key) in row.values().zip(&self.columns).zip(&self.keys) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(key);
            text.push(':');
            text.push_str(&cell(value, column.class));
        }
        text.push('}');
        if self.layout == Layout::Lines {
            text.push('\n');
        }
        out.write_all(text.as_bytes())
    }

    pub(super) fn end(self, out: &mut impl Write, tag: &str) -> io::Result<()> {
        match self.layout {
            Layout::Document => {
                write!(
                    out,
                    "{}],\"command\":{}}}",
                    if self.first { "" } else { "\n" },
                    string(tag)
                )
            }
            Layout::Lines => Ok(()),
        }
    }
}

/// A statement without rows.
pub(super) fn command(out: &mut impl Write, tag: &str, index: usize) -> io::Result<()> {
    open(out, index)?;
    write!(out, "{{\"command\":{}}}", string(tag))
}

/// Ends the document, which has `results` results.
pub(super) fn close(out: &mut impl Write, results: usize) -> io::Result<()> {
    if results == 0 {
        write!(out, "{{\"schema\":\"dbgate.exec/1\",\"results\":[")?;
    }
    writeln!(out, "]}}")
}

fn open(out: &mut impl Write, index: usize) -> io::Result<()> {
    if index == 0 {
        write!(out, "{{\"schema\":\"dbgate.exec/1\",\"results\":[")
    } else {
        writeln!(out, ",")
    }
}

/// A string of JSON, printable as a whole.
fn string(text: &str) -> String {
    let text = serde_json::Value::from(text).to_string();
    escape::json(&text).into_owned()
}

fn cell(value: Option<&[u8]>, class: Class) -> Cow<'_, str> {
    let Some(value) = value else {
        return Cow::Borrowed("null");
    };
    // The client asked for UTF-8; a server that sends anything else is shown, not trusted.
    let text = String::from_utf8_lossy(value);
    match class {
        Class::Bool if text == "t" => Cow::Borrowed("true"),
        Class::Bool if text == "f" => Cow::Borrowed("false"),
        // `NaN` and `Infinity` are numbers to PostgreSQL only, and a mask may have made text of a number.
        Class::Number if is_json(&text) => text,
        Class::Json if is_json(&text) => Cow::Owned(escape::json(&compact(&text)).into_owned()),
        Class::Bool | Class::Number | Class::Json | Class::Text => Cow::Owned(string(&text)),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// JSON without the blanks between its tokens: type `json` keeps them as they were written, line ends included.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut within = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => within = !within,
            '\\' if within => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            ' ' | '\n' | '\r' | '\t' if !within => continue,
            _ => {}
        }
        out.push(c);
    }
    out
}
