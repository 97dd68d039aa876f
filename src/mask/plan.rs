//! How the rows of one statement are masked, checked twice: by lineage, and by what the server says of each column.

use crate::mask::cell::{Cell, Scratch, type_of};
use crate::mask::key::Keys;
use crate::model::name::ColumnId;
use crate::model::subject::Subject;
use crate::policy::obligation::Mask;
use crate::policy::{Protection, Shown};
use crate::sql::catalog::Catalog;
use crate::sql::footprint::Facts;
use crate::sql::lineage::Origin;
use crate::wire::row::{Builder, DataRow, Field, RowDescription};

/// What masking depends on besides the statement.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What is protected.
    pub protection: &'a Protection,
    /// Who looks.
    pub subject: &'a Subject,
    /// Types that are not built in.
    pub catalog: &'a Catalog,
    /// Keys of tokens.
    pub keys: &'a Keys,
}

/// How the rows of one statement are masked.
///
/// **Invariant:** only [`Plan::new`] makes one, after every column was checked by lineage and by its table's OID.
///
/// ```compile_fail
/// fn clean() -> dbgate::mask::Plan {
///     dbgate::mask::Plan { columns: Vec::new(), scratch: Default::default() }
/// }
/// ```
#[derive(Debug)]
pub struct Plan {
    columns: Vec<Option<Column>>,
    scratch: Scratch,
    shown: Shown,
}

#[derive(Debug)]
struct Column {
    cell: Cell,
    /// The columns its values may come from, when masked values are to be remembered.
    remember: Vec<ColumnId>,
    count: u64,
}

/// A row in which every protected value is masked.
///
/// **Invariant:** only [`Plan::apply`] makes one.
///
/// ```compile_fail
/// fn forge(bytes: &[u8]) -> dbgate::mask::MaskedRow<'_> {
///     dbgate::mask::MaskedRow { bytes }
/// }
/// ```
#[derive(Debug)]
pub struct MaskedRow<'o> {
    bytes: &'o [u8],
}

impl MaskedRow<'_> {
    /// The whole `DataRow` message.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

/// Why rows cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The server describes another number of columns than the analysis found.
    #[error("the result has {came} columns where dbgate expected {expected}")]
    Columns {
        /// By the analysis.
        expected: usize,
        /// By the server.
        came: usize,
    },
    /// The server says that a column is a protected one, the analysis had found none of the kind.
    #[error(
        "column `{name}` of the result comes from a protected column that dbgate did not find in the statement"
    )]
    Unexpected {
        /// The column of the result.
        name: String,
    },
    /// A row has another number of values than was described.
    #[error("a row has {came} values where {expected} were described")]
    Row {
        /// Described.
        expected: usize,
        /// Came.
        came: usize,
    },
    /// A row grew too large, or its layout is broken.
    #[error("a row cannot be written")]
    Malformed,
}

impl Plan {
    /// A plan for rows of that description.
    ///
    /// # Errors
    /// When the server's description and the analysis do not agree on what is shown.
    pub fn new(
        masks: &[Option<Mask>],
        facts: &Facts,
        description: &RowDescription,
        terms: &Terms<'_>,
    ) -> Result<Self, Refusal> {
        let fields = &description.fields;
        if !terms.protection.concerns(terms.subject) {
            return Ok(Self::clean(fields.len()));
        }
        if masks.len() != fields.len() || facts.outputs.len() != fields.len() {
            return Err(Refusal::Columns {
                expected: masks.len(),
                came: fields.len(),
            });
        }
        let origins = facts.outputs.iter().map(|output| &output.origin);
        let columns = fields
            .iter()
            .zip(masks)
            .zip(origins)
            .map(|((field, mask), origin)| column(field, mask.as_ref(), origin, terms))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            ..Self::clean(0)
        })
    }

    /// Nothing is masked: rows may pass as they are.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.columns.iter().all(Option::is_none)
    }

    /// Writes the row, masked, behind what `out` holds. Nothing is allocated once the buffers have grown.
    ///
    /// # Errors
    /// When the row does not fit its description; `out` is then as it was.
    pub fn apply<'o>(
        &mut self,
        row: &DataRow<'_>,
        out: &'o mut Vec<u8>,
    ) -> Result<MaskedRow<'o>, Refusal> {
        if row.count() != self.columns.len() {
            return Err(Refusal::Row {
                expected: self.columns.len(),
                came: row.count(),
            });
        }
        let start = out.len();
        let mut builder = Builder::new(out, row.count()).map_err(|_| Refusal::Malformed)?;
        for (value, column) in row.values().zip(&mut self.columns) {
            let written = match (value, column) {
                (None, _) => builder.push(None),
                (Some(value), None) => builder.push(Some(value)),
                (Some(value), Some(column)) => {
                    column.count = column.count.saturating_add(1);
                    let masked = column.cell.apply(value, &mut self.scratch);
                    if let Some(masked) = masked {
                        for source in &column.remember {
                            self.shown.add(*source, masked.text);
                        }
                    }
                    builder.push(masked.map(|masked| masked.bytes))
                }
            };
            written.map_err(|_| Refusal::Malformed)?;
        }
        builder.finish().map_err(|_| Refusal::Malformed)?;
        let bytes = out.get(start..).ok_or(Refusal::Malformed)?;
        Ok(MaskedRow { bytes })
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

    fn clean(columns: usize) -> Self {
        Self {
            columns: std::iter::repeat_with(|| None).take(columns).collect(),
            scratch: Scratch::default(),
            shown: Shown::new(),
        }
    }
}

/// The second check: what the server says is as binding as what the analysis found.
fn column(
    field: &Field,
    mask: Option<&Mask>,
    origin: &Origin,
    terms: &Terms<'_>,
) -> Result<Option<Column>, Refusal> {
    let id = ColumnId {
        relation: field.table,
        number: field.column,
    };
    let guard = (field.table != 0)
        .then(|| terms.protection.guard_for(id, terms.subject))
        .flatten();
    let mask = match (mask, guard) {
        (None, None) => return Ok(None),
        (Some(mask), None) => mask.clone(),
        (Some(mask), Some(guard)) => mask.or(&guard.mask),
        (None, Some(_)) => {
            return Err(Refusal::Unexpected {
                name: field.name.clone(),
            });
        }
    };
    let kind = type_of(field.type_oid, terms.catalog);
    let cell = Cell::new(&mask, kind, field.format, terms.keys);
    let remember = if cell.looks_real() {
        sources(origin)
    } else {
        Vec::new()
    };
    Ok(Some(Column {
        cell,
        remember,
        count: 0,
    }))
}

fn sources(origin: &Origin) -> Vec<ColumnId> {
    match origin {
        Origin::Plain(columns) | Origin::Generated(columns) | Origin::Computed(columns) => {
            columns.iter().copied().collect()
        }
        Origin::Clean | Origin::Unknown => Vec::new(),
    }
}
