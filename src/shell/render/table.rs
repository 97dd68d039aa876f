//! Results as tables for people: fitted to the terminal, masked cells marked, nothing from a cell reaches the terminal as
//! a command. The first rows decide how wide the columns are; from then on rows are written as they come.

use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::model::escape;
use crate::remote::pg::Row;
use crate::shell::render::{Class, Column, Form, Style};

/// How many rows, and how many of their bytes, are looked at before the first is written.
const SAMPLE_ROWS: usize = 200;
const SAMPLE_BYTES: usize = 1 << 20;

/// No column is made narrower than this.
const NARROW: usize = 6;

/// What stands before a masked value, and behind the name of a masked column.
const MARK: &str = "~";

/// What `NULL` looks like.
const NULL: &str = "(null)";

/// A result as a table.
pub(in crate::shell::render) struct Table {
    columns: Vec<Column>,
    titles: Vec<String>,
    style: Style,
    phase: Phase,
    count: u64,
}

enum Phase {
    /// The first rows, not written yet.
    Sampling { rows: Vec<Vec<Cell>>, bytes: usize },
    /// Side by side, each column this wide.
    Side(Vec<usize>),
    /// One below the other; names are this wide.
    Below(usize),
}

/// A value as it is shown.
struct Cell {
    text: String,
    kind: CellKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CellKind {
    Value,
    Masked,
    Null,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>, style: Style) -> Self {
        let titles = columns
            .iter()
            .map(|column| {
                let name = escape::line(&column.name);
                if column.masked {
                    format!("{name} {MARK}")
                } else {
                    name.into_owned()
                }
            })
            .collect();
        Self {
            columns,
            titles,
            style,
            phase: Phase::Sampling {
                rows: Vec::new(),
                bytes: 0,
            },
            count: 0,
        }
    }

    pub(super) fn row(&mut self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        let cells: Vec<_> = row
            .values()
            .zip(&self.columns)
            .map(|(value, column)| Cell::new(value, column))
            .collect();
        if let Phase::Sampling { rows, bytes } = &mut self.phase {
            rows.push(cells);
            *bytes += row.size();
            if rows.len() < SAMPLE_ROWS && *bytes < SAMPLE_BYTES {
                return Ok(());
            }
            return self.settle(out);
        }
        self.write(out, &cells)
    }

    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        if matches!(self.phase, Phase::Sampling { .. }) {
            self.settle(out)?;
        }
        if self.columns.iter().any(|column| column.masked) {
            let names: Vec<_> = self
                .columns
                .iter()
                .filter(|column| column.masked)
                .map(|column| escape::line(&column.name))
                .collect();
            writeln!(out, "{MARK} masked: {}", names.join(", "))?;
        }
        Ok(())
    }

    /// Decides how wide columns are, and writes what was held back.
    fn settle(&mut self, out: &mut impl Write) -> io::Result<()> {
        let placeholder = Phase::Below(0);
        let Phase::Sampling { rows, .. } = std::mem::replace(&mut self.phase, placeholder) else {
            return Ok(());
        };
        let mut widths: Vec<_> = self.titles.iter().map(|title| title.width()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let fits = self.fit(&mut widths);
        self.phase = match self.style.form {
            Form::Expanded => self.below(),
            Form::Fitting if !fits => self.below(),
            _ => Phase::Side(widths),
        };
        if let Phase::Side(widths) = &self.phase {
            self.header(out, widths)?;
        }
        rows.iter().try_for_each(|row| self.write(out, row))
    }

    fn below(&self) -> Phase {
        Phase::Below(
            self.titles
                .iter()
                .map(|title| title.width())
                .max()
                .unwrap_or(0),
        )
    }

    /// Makes the widest columns narrower until all fit the terminal; says whether they do without losing much.
    fn fit(&self, widths: &mut [usize]) -> bool {
        let Some(terminal) = self.style.width else {
            return true;
        };
        let wanted: usize = widths.iter().sum();
        let lines = widths.len() * 3;
        let room = terminal.saturating_sub(lines).max(widths.len() * NARROW);
        while widths.iter().sum::<usize>() > room {
            let Some(widest) = widths.iter_mut().max() else {
                break;
            };
            if *widest <= NARROW {
                break;
            }
            *widest -= 1;
        }
        wanted <= room.saturating_mul(2) && widths.iter().sum::<usize>() + lines <= terminal
    }

    fn header(&self, out: &mut impl Write, widths: &[usize]) -> io::Result<()> {
        let cells: Vec<_> = self
            .titles
            .iter()
            .zip(widths)
            .map(|(title, width)| {
                let title = cut(title, *width);
                let blanks = width.saturating_sub(title.width());
                let (left, right) = (blanks / 2, blanks - blanks / 2);
                let title = self.paint("1", &title);
                format!("{:left$}{title}{:right$}", "", "")
            })
            .collect();
        writeln!(out, " {}", cells.join(" | ").trim_end())?;
        let lines: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(out, "{}", lines.join("+"))
    }

    fn write(&mut self, out: &mut impl Write, cells: &[Cell]) -> io::Result<()> {
        self.count += 1;
        self.widen(cells);
        match &self.phase {
            Phase::Sampling { .. } => Ok(()),
            Phase::Side(widths) => self.side(out, cells, widths),
            Phase::Below(names) => self.record(out, cells, *names),
        }
    }

    /// Makes room for a row wider than those before, as far as the terminal has some: what is cut off is lost to whoever reads.
    fn widen(&mut self, cells: &[Cell]) {
        let (Phase::Side(widths), Some(terminal)) = (&mut self.phase, self.style.width) else {
            return;
        };
        let taken = widths.iter().sum::<usize>() + widths.len() * 3;
        let mut room = terminal.saturating_sub(taken);
        for (width, cell) in widths.iter_mut().zip(cells) {
            let more = cell.width().saturating_sub(*width).min(room);
            *width += more;
            room -= more;
        }
    }

    fn side(&self, out: &mut impl Write, cells: &[Cell], widths: &[usize]) -> io::Result<()> {
        let mut line = String::new();
        let last = cells.len().saturating_sub(1);
        for (index, ((cell, column), width)) in
            cells.iter().zip(&self.columns).zip(widths).enumerate()
        {
            let text = cell.shown();
            let text = if self.style.width.is_some() {
                cut(&text, *width)
            } else {
                text
            };
            let blanks = " ".repeat(width.saturating_sub(text.width()));
            let text = self.painted(cell, &text);
            line.push_str(if index == 0 { " " } else { " | " });
            match column.class {
                Class::Number => line.extend([blanks, text]),
                _ if index == last => line.push_str(&text),
                _ => line.extend([text, blanks]),
            }
        }
        writeln!(out, "{}", line.trim_end())
    }

    fn record(&self, out: &mut impl Write, cells: &[Cell], names: usize) -> io::Result<()> {
        let head = format!("-[ {} ]", self.count);
        let rule = "-".repeat((names + 3).saturating_sub(head.len()));
        writeln!(out, "{}", self.paint("1", &format!("{head}{rule}")))?;
        for (title, cell) in self.titles.iter().zip(cells) {
            let blanks = " ".repeat(names.saturating_sub(title.width()));
            let text = cell.shown();
            writeln!(out, "{title}{blanks} | {}", self.painted(cell, &text))?;
        }
        Ok(())
    }

    fn painted(&self, cell: &Cell, text: &str) -> String {
        match cell.kind {
            CellKind::Value => text.to_owned(),
            CellKind::Masked => self.paint("35", text),
            CellKind::Null => self.paint("2", text),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Cell {
    fn new(value: Option<&[u8]>, column: &Column) -> Self {
        let (text, kind) = match value {
            None => (NULL.to_owned(), CellKind::Null),
            Some(value) => (escape::bytes(value).into_owned(), CellKind::Value),
        };
        let kind = if column.masked {
            CellKind::Masked
        } else {
            kind
        };
        Self { text, kind }
    }

    /// With the mark, where it is masked.
    fn shown(&self) -> String {
        match self.kind {
            CellKind::Masked => format!("{MARK}{}", self.text),
            CellKind::Value | CellKind::Null => self.text.clone(),
        }
    }

    fn width(&self) -> usize {
        let mark = if self.kind == CellKind::Masked {
            MARK.width()
        } else {
            0
        };
        self.text.width() + mark
    }
}

/// As much of `text` as fits, with `…` where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}
