//! `COPY`.

use std::rc::Rc;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::function::literal;
use crate::sql::analyze::expression::value::Field;
use crate::sql::analyze::query::names::{Env, column_id};
use crate::sql::analyze::statement::Outcome;
use crate::sql::analyze::statement::dml::all_columns;
use crate::sql::error::Error;
use crate::sql::footprint::{CopyFormat, CopyLayout, Hazard, Kind};
use crate::sql::lineage::Sink;
use crate::sql::parse::{Node, nodes};

impl Analyzer<'_> {
    pub(in crate::sql) fn copy(&mut self, copy: &nodes::CopyStmt) -> Result<Outcome, Error> {
        if copy.is_program {
            self.hazard(Hazard::CopyProgram);
        }
        let to_server = copy.is_program || copy.filename().is_some();
        if to_server {
            self.hazard(Hazard::ServerFile);
        }
        self.found.copy = Some(format(copy));
        if copy.is_from {
            self.copy_in(copy)?;
            return Ok(Outcome::rows(Kind::CopyIn, Vec::new()));
        }
        let fields = if matches!(copy.query(), Node::None) {
            self.copied_columns(copy)?
        } else {
            self.query(copy.query(), &Env::default())?
        };
        if to_server {
            for field in &fields {
                self.flow(&field.value.origin, Sink::Elsewhere, -1);
            }
            return Ok(Outcome::rows(Kind::CopyOut, Vec::new()));
        }
        Ok(Outcome::rows(Kind::CopyOut, fields))
    }

    /// The columns of `COPY t (…) TO`: generated ones only when they are named.
    fn copied_columns(&mut self, copy: &nodes::CopyStmt) -> Result<Vec<Field>, Error> {
        let Some(range) = copy.relation() else {
            self.opaque("COPY without a table", -1);
            return Ok(Vec::new());
        };
        let Some(relation) = self.resolve(range) else {
            return Ok(Vec::new());
        };
        self.read_relation(relation.oid);
        let item = self.stored_item(&relation)?;
        let mut fields = Vec::new();
        if copy.attlist().is_empty() {
            for (column, field) in relation.columns.iter().zip(item.fields.iter()) {
                if column.generated.is_none() {
                    self.read(&field.value.origin);
                    self.take(&field.value);
                    fields.push(field.clone());
                }
            }
            return Ok(fields);
        }
        for name in copy.attlist().iter().filter_map(Node::as_str) {
            match item.fields.iter().find(|field| field.name == name) {
                Some(field) => {
                    self.read(&field.value.origin);
                    self.take(&field.value);
                    fields.push(field.clone());
                }
                None => self.failure(
                    "42703",
                    format!(
                        "column \"{name}\" of relation \"{}\" does not exist",
                        relation.name.name
                    ),
                    -1,
                ),
            }
        }
        Ok(fields)
    }

    fn copy_in(&mut self, copy: &nodes::CopyStmt) -> Result<(), Error> {
        let Some(range) = copy.relation() else {
            self.opaque("COPY without a table", -1);
            return Ok(());
        };
        let Some(relation) = self.resolve(range) else {
            return Ok(());
        };
        self.found.footprint.relations_written.insert(relation.oid);
        if copy.attlist().is_empty() {
            for column in all_columns(&relation) {
                self.write(column);
                self.found.inserted.insert(column, 1);
            }
        }
        for name in copy.attlist().iter().filter_map(Node::as_str) {
            match relation.column(name) {
                Some(column) => {
                    let column = column_id(relation.oid, column.number);
                    self.write(column);
                    self.found.inserted.insert(column, 1);
                }
                None => self.failure(
                    "42703",
                    format!(
                        "column \"{name}\" of relation \"{}\" does not exist",
                        relation.name.name
                    ),
                    -1,
                ),
            }
        }
        let mut env = Env::default();
        env.items.push(Rc::new(self.stored_item(&relation)?));
        self.predicate(copy.where_clause(), &env)
    }
}

/// How the rows look, by the options of the statement.
fn format(copy: &nodes::CopyStmt) -> CopyFormat {
    let option = |wanted: &str| {
        copy.options()
            .iter()
            .rfind(|option| option.defname() == Some(wanted))
    };
    let text = |wanted: &str| {
        let node = option(wanted)?.arg();
        node.as_str().map(str::to_owned).or_else(|| literal(node))
    };
    let layout = match text("format").as_deref() {
        Some("csv") => CopyLayout::Csv,
        Some("binary") => CopyLayout::Binary,
        _ => CopyLayout::Text,
    };
    let csv = layout == CopyLayout::Csv;
    let letter = |wanted: &str, default: char| {
        let text = text(wanted);
        text.and_then(|text| text.chars().next()).unwrap_or(default)
    };
    let quote = letter("quote", '"');
    let header = match option("header").map(nodes::DefElem::arg) {
        None => false,
        Some(Node::None) => true,
        Some(_) => !matches!(
            text("header")
                .map(|text| text.to_ascii_lowercase())
                .as_deref(),
            Some("false" | "off" | "0")
        ),
    };
    CopyFormat {
        layout,
        delimiter: letter("delimiter", if csv { ',' } else { '\t' }),
        null: text("null").unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned()),
        quote,
        escape: letter("escape", quote),
        header,
    }
}
