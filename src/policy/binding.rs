//! What an approval is bound to: statement, parameters, subject, database, reason and footprint with its definitions, by SHA-256.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::model::access::Access;
use crate::model::name::DatabaseName;
use crate::model::subject::Subject;
use crate::policy::document::hex;
use crate::sql::catalog::Catalog;
use crate::sql::footprint::Facts;
use crate::wire::row::Format;

/// A parameter as the client bound it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Its type, `0` = left to the server.
    pub type_oid: u32,
    /// How it is written.
    pub format: Format,
    /// Its value; `None` is NULL.
    pub value: Option<&'a [u8]>,
}

/// A hash over everything an approver agreed to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Binding([u8; 32]);

/// What is bound.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The statement's own text.
    pub statement: &'a str,
    /// Its parameters.
    pub parameters: &'a [Parameter<'a>],
    /// Who asks, and on whose behalf.
    pub subject: &'a Subject,
    /// Where.
    pub database: &'a DatabaseName,
    /// In what kind of session.
    pub access: Access,
    /// What for.
    pub reason: Option<&'a str>,
    /// What it touches: the relations by identity, so that a table put in another's place is noticed.
    pub facts: &'a Facts,
    /// What that looks like: columns, definitions of views, bodies of functions.
    pub catalog: &'a Catalog,
}

impl Binding {
    /// Hashes every part with its length, so that no two lists of parts read the same.
    #[must_use]
    pub fn of(bound: &Bound<'_>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(bytes);
        };
        part(b"dbgate approval 2");
        part(bound.statement.as_bytes());
        part(bound.subject.id.issuer.as_bytes());
        part(bound.subject.id.sub.as_bytes());
        match &bound.subject.behalf {
            Some(person) => {
                part(person.issuer.as_bytes());
                part(person.sub.as_bytes());
            }
            None => part(b""),
        }
        part(bound.database.as_str().as_bytes());
        part(bound.access.to_string().as_bytes());
        part(bound.reason.unwrap_or_default().as_bytes());
        part(&footprint(bound.facts));
        part(&looks(bound.facts, bound.catalog));
        for parameter in bound.parameters {
            part(&parameter.type_oid.to_be_bytes());
            part(&parameter.format.code().to_be_bytes());
            part(&[u8::from(parameter.value.is_some())]);
            part(parameter.value.unwrap_or_default());
        }
        let mut hash = [0; 32];
        hash.iter_mut()
            .zip(context.finish().as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(hash)
    }
}

/// The sets in it are ordered, so equal footprints have equal bytes.
fn footprint(facts: &Facts) -> Vec<u8> {
    let parts = (
        facts.kind,
        &facts.footprint,
        &facts.outputs,
        &facts.hazards,
        &facts.assigned,
    );
    // Serializing plain data into memory cannot fail; if it did, the hash would bind the debug form instead.
    serde_json::to_vec(&parts).unwrap_or_else(|_| format!("{parts:?}").into_bytes())
}

/// The definitions of everything that is touched: what was altered since is not what was approved.
fn looks(facts: &Facts, catalog: &Catalog) -> Vec<u8> {
    let footprint = &facts.footprint;
    let columns = footprint.reads.iter().chain(&footprint.writes);
    let relations: BTreeSet<u32> = columns
        .map(|column| column.relation)
        .chain(footprint.relations_read.iter().copied())
        .chain(footprint.relations_written.iter().copied())
        .collect();
    let relations: Vec<_> = relations
        .iter()
        .map(|oid| catalog.relations.get(oid).map(Arc::as_ref))
        .collect();
    let functions: Vec<_> = footprint
        .calls
        .iter()
        .map(|oid| catalog.functions.get(oid).map(Arc::as_ref))
        .collect();
    let parts = (relations, functions);
    // As above: plain data.
    serde_json::to_vec(&parts).unwrap_or_else(|_| format!("{parts:?}").into_bytes())
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({self})")
    }
}

impl FromStr for Binding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 32];
        let is_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(Error);
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = text
                .get(at * 2..at * 2 + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or(Error)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for Binding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Binding {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Text that is no binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a binding is 64 hexadecimal digits")]
pub struct Error;
