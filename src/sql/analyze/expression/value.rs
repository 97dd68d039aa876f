//! What an expression stands for: where its value comes from, and how many values it could hand to a comparison.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::model::name::ColumnId;
use crate::sql::lineage::{How, Origin};

/// The value of an expression.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "two facts that have nothing to do with each other"
)]
pub(in crate::sql) struct Value {
    /// Where it comes from.
    pub(in crate::sql) origin: Origin,
    /// What it could be compared with.
    pub(in crate::sql) supply: Supply,
    /// Its type, `0` when not known.
    pub(in crate::sql) type_oid: u32,
    /// Its fields, when it is a row whose fields are known.
    pub(in crate::sql) row: Option<Rc<Vec<Field>>>,
    /// It is the truth of a comparison whose columns are noted already as what was compared.
    pub(in crate::sql) test: bool,
    /// How stored columns are used to compute it, where a definition does.
    pub(in crate::sql) uses: Option<Rc<BTreeSet<(ColumnId, How)>>>,
    /// Which values count as equal to it is the session's to say: it has a collation or a type that is not the server's.
    pub(in crate::sql) odd: bool,
}

/// A named value: a column of something in `FROM`, or an output.
#[derive(Debug, Clone)]
pub(in crate::sql) struct Field {
    pub(in crate::sql) name: String,
    pub(in crate::sql) value: Value,
}

/// How many values of its own, not from stored columns, it may take in one run of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) enum Supply {
    /// One: a literal, a parameter, what is computed from them. Or none: a stored column.
    One,
    /// As many as the session likes: `VALUES`, `generate_series`, a volatile function.
    Rows,
}

impl Value {
    /// The same value for the whole statement, from no stored column.
    pub(in crate::sql) const fn constant(type_oid: u32) -> Self {
        Self {
            origin: Origin::Clean,
            supply: Supply::One,
            type_oid,
            row: None,
            test: false,
            uses: None,
            odd: false,
        }
    }

    /// A value per row that the session supplies.
    pub(in crate::sql) fn supplied(type_oid: u32) -> Self {
        Self {
            supply: Supply::Rows,
            ..Self::constant(type_oid)
        }
    }

    /// Nothing is known about it.
    pub(in crate::sql) const fn unknown() -> Self {
        Self {
            origin: Origin::Unknown,
            supply: Supply::Rows,
            type_oid: 0,
            row: None,
            test: false,
            uses: None,
            odd: false,
        }
    }

    /// A value with that origin.
    pub(in crate::sql) const fn from(origin: Origin, type_oid: u32) -> Self {
        Self {
            origin,
            supply: Supply::One,
            type_oid,
            row: None,
            test: false,
            uses: None,
            odd: false,
        }
    }

    /// A row of these fields: as a whole it is computed from all of them.
    pub(in crate::sql) fn of_row(fields: Rc<Vec<Field>>, type_oid: u32) -> Self {
        let mut whole = Self::computed(fields.iter().map(|field| &field.value), type_oid);
        whole.row = Some(fields);
        whole
    }

    /// What is computed from these values.
    pub(in crate::sql) fn computed<'v>(
        parts: impl IntoIterator<Item = &'v Self>,
        type_oid: u32,
    ) -> Self {
        let mut whole = Self::constant(type_oid);
        for part in parts {
            whole.origin = whole.origin.or(part.origin.clone());
            whole.supply = whole.supply.max(part.supply);
            whole.odd |= part.odd;
        }
        whole.origin = whole.origin.computed();
        whole
    }

    /// Either of the two.
    pub(in crate::sql) fn or(self, other: Self) -> Self {
        // A constant beside stored values is one of many values from then on.
        let mixed = (self.origin == Origin::Clean) != (other.origin == Origin::Clean);
        let supply = if mixed {
            Supply::Rows
        } else {
            self.supply.max(other.supply)
        };
        Self {
            origin: self.origin.or(other.origin),
            supply,
            type_oid: if self.type_oid == other.type_oid {
                self.type_oid
            } else {
                0
            },
            row: None,
            test: self.test && other.test,
            uses: both(self.uses, other.uses),
            odd: self.odd || other.odd,
        }
    }

    /// Seen through `FROM`: what is clean there may be any number of values.
    pub(in crate::sql) fn through_from(mut self) -> Self {
        if self.origin == Origin::Clean {
            self.supply = Supply::Rows;
        }
        self
    }

    /// Marks it as the truth of a comparison that is noted.
    pub(in crate::sql) const fn tested(mut self) -> Self {
        self.test = true;
        self
    }
}

impl Field {
    pub(in crate::sql) fn new(name: impl Into<String>, value: Value) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// What either of two values takes.
fn both(
    one: Option<Rc<BTreeSet<(ColumnId, How)>>>,
    other: Option<Rc<BTreeSet<(ColumnId, How)>>>,
) -> Option<Rc<BTreeSet<(ColumnId, How)>>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Rc::new(&*one | &*other)),
        (one, other) => one.or(other),
    }
}
