//! Comparisons: what the truth of one tells about a stored column.

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::expression::row_fields;
use crate::sql::analyze::expression::value::{Supply, Value};
use crate::sql::lineage::{How, Origin};

/// Kinds of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Comparison {
    /// `=`, `<>`, `IS DISTINCT FROM`, `IN`
    Equal,
    /// `<`, `BETWEEN`
    Order,
    /// `LIKE`, `~`, `@@`
    Pattern,
}

/// The comparison that an operator of that name makes; `None` for operators that compute.
pub(in crate::sql) fn comparison(operator: &str) -> Option<Comparison> {
    match operator {
        "=" | "<>" | "!=" => Some(Comparison::Equal),
        "<" | "<=" | ">" | ">=" => Some(Comparison::Order),
        "~~" | "!~~" | "~~*" | "!~~*" | "~" | "!~" | "~*" | "!~*" | "@@" | "@@@" | "^@" => {
            Some(Comparison::Pattern)
        }
        _ => None,
    }
}

impl Analyzer<'_> {
    /// Notes what comparing two values tells about the stored columns on both sides.
    pub(in crate::sql) fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value,
        right: &Value,
        location: i32,
    ) {
        let comparison = match comparison {
            // What is equal by a collation or operator of the session's own may be anything.
            Comparison::Equal if left.odd || right.odd => Comparison::Pattern,
            other => other,
        };
        if let (Some(one), Some(other)) = (row_fields(left), row_fields(right)) {
            if one.len() == other.len() {
                for (one, other) in one.iter().zip(other) {
                    self.compare(comparison, &one.value, &other.value, location);
                }
                return;
            }
            self.consume(left, location);
            self.consume(right, location);
            return;
        }
        self.side(comparison, left, right, location);
        self.side(comparison, right, left, location);
    }

    /// Notes an equality.
    pub(in crate::sql) fn compare_equal(&mut self, left: &Value, right: &Value, location: i32) {
        let comparison = if self.is_defined_here(None, "=") {
            Comparison::Pattern
        } else {
            Comparison::Equal
        };
        self.compare(comparison, left, right, location);
    }

    fn side(&mut self, comparison: Comparison, side: &Value, other: &Value, location: i32) {
        match &side.origin {
            Origin::Clean | Origin::Unknown => {}
            Origin::Plain(_) if side.row.is_none() => {
                let how = match comparison {
                    Comparison::Equal => self.equality(side, other),
                    Comparison::Order => How::Range,
                    Comparison::Pattern => How::Pattern,
                };
                self.usage(&side.origin, how, location);
            }
            // A truth compared with a truth tells no more than the comparison behind it.
            _ if side.test && comparison == Comparison::Equal && other.origin == Origin::Clean => {}
            _ => self.consume(side, location),
        }
    }

    fn equality(&self, side: &Value, other: &Value) -> How {
        if side.supply == Supply::Rows {
            return How::SuppliedJoin;
        }
        match &other.origin {
            Origin::Clean if other.supply == Supply::One => How::Equality,
            Origin::Clean => How::SuppliedJoin,
            Origin::Plain(columns) => {
                let supplied = other.supply == Supply::Rows
                    || columns
                        .iter()
                        .any(|column| self.is_supplied(column.relation));
                if supplied {
                    How::SuppliedJoin
                } else {
                    How::Join
                }
            }
            Origin::Generated(_) | Origin::Computed(_) | Origin::Unknown => How::Computation,
        }
    }
}
