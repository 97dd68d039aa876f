//! What is known about PostgreSQL's own functions, relations and settings, beyond what its catalog says.

pub(in crate::sql) mod function;
pub(in crate::sql) mod relation;
pub(in crate::sql) mod setting;
