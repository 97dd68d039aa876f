//! Where result columns come from and how stored columns are used.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::name::ColumnId;

/// A result column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its name as the server will say it.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The OID of its type; 0 when it is not known for sure.
    #[serde(skip)]
    pub type_oid: u32,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// From no stored column.
    Clean,
    /// One of these stored columns, unchanged (several: set operations, `USING`, `COALESCE`-free merges).
    Plain(BTreeSet<ColumnId>),
    /// Stored after it was computed from these stored columns: a generated column, a column of a materialized
    /// view. Reading it cannot fail, so it may be redacted whole instead of being refused.
    Generated(BTreeSet<ColumnId>),
    /// Computed from these stored columns as the statement runs.
    Computed(BTreeSet<ColumnId>),
    /// Not known: may be anything.
    Unknown,
}

impl Origin {
    /// The stored columns it names; none when it is clean or unknown.
    pub fn columns(&self) -> impl Iterator<Item = ColumnId> + '_ {
        match self {
            Self::Clean | Self::Unknown => None,
            Self::Plain(columns) | Self::Generated(columns) | Self::Computed(columns) => {
                Some(columns.iter().copied())
            }
        }
        .into_iter()
        .flatten()
    }

    /// One stored column, as it is.
    #[must_use]
    pub fn plain(column: ColumnId) -> Self {
        Self::Plain(BTreeSet::from([column]))
    }

    /// Either of the two: what a column of a set operation, a merged column or a recursive query is.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Clean, other) => other,
            (this, Self::Clean) => this,
            (
                Self::Computed(mut all),
                Self::Plain(more) | Self::Generated(more) | Self::Computed(more),
            )
            | (Self::Plain(more) | Self::Generated(more), Self::Computed(mut all)) => {
                all.extend(more);
                Self::Computed(all)
            }
            (Self::Generated(mut all), Self::Plain(more) | Self::Generated(more))
            | (Self::Plain(more), Self::Generated(mut all)) => {
                all.extend(more);
                Self::Generated(all)
            }
            (Self::Plain(mut all), Self::Plain(more)) => {
                all.extend(more);
                Self::Plain(all)
            }
        }
    }

    /// What is computed from it as the statement runs.
    #[must_use]
    pub fn computed(self) -> Self {
        match self {
            Self::Plain(columns) | Self::Generated(columns) | Self::Computed(columns) => {
                Self::Computed(columns)
            }
            Self::Clean | Self::Unknown => self,
        }
    }

    /// What was computed from it before and is stored.
    #[must_use]
    pub fn stored(self) -> Self {
        match self {
            Self::Computed(columns) => Self::Generated(columns),
            other => other,
        }
    }
}

/// A use of a stored column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Usage {
    /// The column.
    pub column: ColumnId,
    /// How it is used.
    pub how: How,
    /// Where, in bytes from the start of the query string; `None` inside views and the like.
    pub position: Option<usize>,
    /// With how many values that are written out.
    pub values: u32,
}

/// How a stored column is used, other than by being output as it is; serialized in kebab-case for policy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Compared for equality with a constant or parameter (`=`, `<>`, `IN (list)`, `= ANY (array constant)`).
    Equality,
    /// `IS NULL`, `IS NOT NULL`, `count(column)`.
    NullTest,
    /// `GROUP BY`, `DISTINCT`, `UNION` without `ALL`, `count(DISTINCT column)`.
    Grouping,
    /// Compared for equality with another stored column.
    Join,
    /// Compared with rows the session supplies (`VALUES`, `unnest`, `generate_series`, temporary tables, recursion).
    SuppliedJoin,
    /// Ordering comparisons and `BETWEEN`.
    Range,
    /// `LIKE`, regular expressions, text search.
    Pattern,
    /// `ORDER BY`, window order, `min`, `max`, `DISTINCT ON`.
    Ordering,
    /// An argument of a function or an operator, in `CASE`, a cast: its value is computed with.
    Computation,
    /// Through a table's statistics, `EXPLAIN`, sizes, triggers, row security, indexes being built or the like.
    Indirect,
}

/// A path from stored columns into a place that is stored or sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// What flows.
    pub from: Origin,
    /// Where to.
    pub to: Sink,
    /// Where, in bytes from the start of the query string.
    pub position: Option<usize>,
}

/// Where values flow to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sink {
    /// A stored column.
    Column(ColumnId),
    /// A new relation (`CREATE TABLE AS`, `SELECT INTO`, a view, a temporary table).
    NewRelation,
    /// A setting, notification, sequence, large object, message, or anything else outside tables.
    Elsewhere,
}
