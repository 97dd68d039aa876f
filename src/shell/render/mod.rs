//! Rows as people and programs want them: table, one below the other, CSV, JSON. Rows are written as they come.

mod csv;
mod json;
mod table;

use std::io::{self, Write};

use crate::remote::pg::Row;
use crate::shell::screen::Screen;
use crate::wire::row::Field;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Columns side by side.
    Table,
    /// Columns one below the other.
    Expanded,
    /// Side by side if that fits the terminal, else one below the other.
    Fitting,
    /// Comma-separated values with a header.
    Csv,
    /// Comma-separated values that no spreadsheet takes for formulas.
    CsvSafe,
    /// One JSON document for everything.
    Json,
    /// One JSON object a row.
    Ndjson,
}

/// How rows look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// The form.
    pub form: Form,
    /// The terminal's width, if the output is a terminal.
    pub width: Option<usize>,
    /// Whether there is color.
    pub color: bool,
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(in crate::shell) struct Column {
    name: String,
    class: Class,
    type_oid: u32,
    masked: bool,
}

/// What matters of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Number,
    Bool,
    Json,
    Text,
}

/// Writes results, one after the other.
pub struct Book<W> {
    out: W,
    style: Style,
    sheet: Sheet,
    marked: Vec<usize>,
    results: usize,
    rows: u64,
}

/// The result that is being written.
enum Sheet {
    None,
    Table(table::Table),
    Csv(csv::Csv),
    Json(json::Json),
}

impl Book<Screen> {
    /// Asks the terminal for its width again: it may have changed.
    pub fn set_width(&mut self) {
        self.style.width = self.out.width();
    }
}

impl<W: Write> Book<W> {
    /// An empty one.
    pub const fn new(out: W, style: Style) -> Self {
        Self {
            out,
            style,
            sheet: Sheet::None,
            marked: Vec::new(),
            results: 0,
            rows: 0,
        }
    }

    /// The columns of the next result that are masked, by number from 1.
    pub fn mark(&mut self, columns: Vec<usize>) {
        self.marked = columns;
    }

    /// The form of the results to come.
    pub const fn form(&self) -> Form {
        self.style.form
    }

    /// Changes the form of the results to come.
    pub const fn set_form(&mut self, form: Form) {
        self.style.form = form;
    }

    /// How many rows this result has so far.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// What is written to, for what is no result.
    pub const fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Begins a result.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn begin(&mut self, fields: &[Field]) -> io::Result<()> {
        let marked = std::mem::take(&mut self.marked);
        let columns: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| Column::new(field, marked.contains(&(index + 1))))
            .collect();
        self.rows = 0;
        self.sheet = match self.style.form {
            Form::Table | Form::Expanded | Form::Fitting => {
                Sheet::Table(table::Table::new(columns, self.style))
            }
            Form::Csv | Form::CsvSafe => {
                let safe = self.style.form == Form::CsvSafe;
                Sheet::Csv(csv::Csv::begin(
                    &mut self.out,
                    columns,
                    safe,
                    self.style.width.is_some(),
                )?)
            }
            Form::Json => Sheet::Json(json::Json::begin(&mut self.out, columns, self.results)?),
            Form::Ndjson => Sheet::Json(json::Json::lines(columns)),
        };
        self.results += 1;
        Ok(())
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.rows += 1;
        match &mut self.sheet {
            Sheet::None => Ok(()),
            Sheet::Table(table) => table.row(&mut self.out, row),
            Sheet::Csv(csv) => csv.row(&mut self.out, row),
            Sheet::Json(json) => json.row(&mut self.out, row),
        }
    }

    /// Ends a result, or tells of a statement that has none. Says how many rows there were.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn end(&mut self, tag: &str) -> io::Result<Option<u64>> {
        let sheet = std::mem::replace(&mut self.sheet, Sheet::None);
        let rows = std::mem::take(&mut self.rows);
        let rows = (!matches!(sheet, Sheet::None)).then_some(rows);
        match sheet {
            Sheet::None if self.style.form == Form::Json => {
                json::command(&mut self.out, tag, self.results)?;
                self.results += 1;
            }
            Sheet::None => {}
            Sheet::Table(mut table) => table.end(&mut self.out)?,
            Sheet::Csv(_) => {}
            Sheet::Json(json) => json.end(&mut self.out, tag)?,
        }
        self.out.flush()?;
        Ok(rows)
    }

    /// Ends a result that a failure cut short. A table without a row is not worth a header.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn cut(&mut self) -> io::Result<()> {
        match &self.sheet {
            Sheet::None => {}
            Sheet::Table(_) if self.rows == 0 => self.sheet = Sheet::None,
            Sheet::Table(_) | Sheet::Csv(_) | Sheet::Json(_) => {
                self.end("")?;
            }
        }
        self.marked.clear();
        Ok(())
    }

    /// Ends the whole book; after a failure, what is open is closed so that JSON stays JSON.
    ///
    /// # Errors
    /// When the output can't be written.
    pub fn close(&mut self) -> io::Result<()> {
        self.cut()?;
        if self.style.form == Form::Json {
            json::close(&mut self.out, self.results)?;
        }
        self.out.flush()
    }
}

impl Column {
    fn new(field: &Field, masked: bool) -> Self {
        Self {
            name: field.name.clone(),
            class: Class::of(field.type_oid),
            type_oid: field.type_oid,
            masked,
        }
    }
}

impl Class {
    const fn of(type_oid: u32) -> Self {
        match type_oid {
            // int8, int2, int4, oid, float4, float8, numeric, as the catalog of every PostgreSQL numbers them.
            20 | 21 | 23 | 26 | 700 | 701 | 1700 => Self::Number,
            16 => Self::Bool,
            114 | 3802 => Self::Json,
            _ => Self::Text,
        }
    }
}

/// The usual name of a built-in type, for people and programs.
const fn type_name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "boolean",
        17 => "bytea",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        26 => "oid",
        114 => "json",
        700 => "real",
        701 => "double precision",
        1042 => "character",
        1043 => "character varying",
        1082 => "date",
        1083 => "time",
        1114 => "timestamp",
        1184 => "timestamp with time zone",
        1186 => "interval",
        1266 => "time with time zone",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        1000 => "boolean[]",
        1001 => "bytea[]",
        1003 => "name[]",
        1005 => "smallint[]",
        1007 => "integer[]",
        1009 => "text[]",
        1015 => "character varying[]",
        1016 => "bigint[]",
        1021 => "real[]",
        1022 => "double precision[]",
        199 => "json[]",
        1115 => "timestamp[]",
        1182 => "date[]",
        1185 => "timestamp with time zone[]",
        1231 => "numeric[]",
        2951 => "uuid[]",
        3807 => "jsonb[]",
        _ => return None,
    })
}
