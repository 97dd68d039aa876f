//! Queries: names become columns, columns get their lineage.

pub(in crate::sql) mod from;
pub(in crate::sql) mod group;
pub(in crate::sql) mod names;
pub(in crate::sql) mod relation;
pub(in crate::sql) mod select;
pub(in crate::sql) mod target;
pub(in crate::sql) mod with;
