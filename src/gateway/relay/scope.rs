//! Asks the upstream what its connection looks like: role, search path, temporary relations, time limits.
//!
//! Everything in the question is qualified, so that nothing the session has defined can stand in for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::broker::limit::LIMITED;
use crate::model::name::ObjectName;
use crate::sql::catalog::{Column, Relation, RelationKind};
use crate::sql::scope::Temporaries;
use crate::wire::frontend::{Message, Target};
use crate::wire::row::DataRow;

/// The name of our own statement and portal; they are closed at once.
const OURS: &str = "dbgate: scope";

/// What the connection looks like.
#[derive(Debug)]
pub(crate) struct Look {
    /// The role.
    pub(crate) user: String,
    /// `search_path`, one schema a piece.
    pub(crate) search_path: Vec<String>,
    /// Its temporary relations.
    pub(crate) temporary: Temporaries,
    /// Whether the session has set what the planner goes by.
    pub(crate) steered: bool,
    /// Its time limits, as the server shows them.
    pub(crate) limits: Vec<(&'static str, String)>,
}

/// How the question ends: with the pipeline it is part of, or by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A pipeline is open and stays so.
    Flush,
    /// Nothing is open.
    Sync,
}

pub(crate) const QUESTION: &str = "SELECT pg_catalog.current_setting('role'), pg_catalog.current_setting('search_path'), \
session_user::pg_catalog.text, \
COALESCE((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(\
'oid', c.oid::pg_catalog.int8, 'name', c.relname, 'kind', c.relkind, \
'definition', CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'v' THEN pg_catalog.pg_get_viewdef(c.oid) END, \
'row_security', c.relrowsecurity, \
'parents', (SELECT pg_catalog.json_agg(i.inhparent::pg_catalog.int8) FROM pg_catalog.pg_inherits i \
WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid), \
'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(\
'number', a.attnum, 'name', a.attname, 'type_oid', a.atttypid::pg_catalog.int8, 'not_null', a.attnotnull, \
'generated', CASE WHEN a.attgenerated OPERATOR(pg_catalog.<>) '' THEN \
(SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d \
WHERE d.adrelid OPERATOR(pg_catalog.=) a.attrelid AND d.adnum OPERATOR(pg_catalog.=) a.attnum) END)) \
FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid \
AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped))) \
FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f','S','c']::pg_catalog.\"char\"[])), \
'[]'::pg_catalog.json)::pg_catalog.text, \
EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.source OPERATOR(pg_catalog.=) ANY (ARRAY['client', 'session']::pg_catalog.text[]) \
AND (s.category OPERATOR(pg_catalog.~) '^Query Tuning' \
OR s.name OPERATOR(pg_catalog.=) ANY (ARRAY['work_mem', 'hash_mem_multiplier']::pg_catalog.text[]))), \
pg_catalog.current_setting('statement_timeout', true), pg_catalog.current_setting('lock_timeout', true), \
pg_catalog.current_setting('idle_in_transaction_session_timeout', true), \
pg_catalog.current_setting('idle_session_timeout', true)";

/// Writes questions; each is run by itself.
pub(crate) fn ask(questions: &[&str], end: End, out: &mut Vec<u8>) {
    let asked = questions.iter().flat_map(|question| {
        [
            Message::Parse {
                name: OURS,
                sql: question,
                types: Vec::new(),
            },
            Message::Bind {
                portal: OURS,
                statement: OURS,
                formats: Vec::new(),
                parameters: Vec::new(),
                results: Vec::new(),
            },
            Message::Execute {
                portal: OURS,
                limit: 0,
            },
            Message::Close(Target::Portal(OURS)),
            Message::Close(Target::Statement(OURS)),
        ]
    });
    let last = match end {
        End::Flush => Message::Flush,
        End::Sync => Message::Sync,
    };
    for message in asked.chain([last]) {
        // It fits into messages; were it not so, the answer would not come and the connection end.
        message.encode(out).ok();
    }
}

/// Reads the one row of the answer; `None` when it is not what was asked for.
pub(crate) fn read(row: &DataRow<'_>) -> Option<Look> {
    let mut values = row
        .values()
        .map(|value| value.and_then(|bytes| std::str::from_utf8(bytes).ok()));
    let role = values.next()??;
    let search_path = split(values.next()??)?;
    let session_user = values.next()??;
    let relations: Vec<Row> = serde_json::from_str(values.next()??).ok()?;
    let steered = values.next()?? == "t";
    let limits = LIMITED.into_iter().zip(values);
    let limits = limits.filter_map(|(name, value)| Some((name, value?.to_owned())));
    let limits = limits.collect();
    let user = if role == "none" { session_user } else { role };
    let relations = relations
        .into_iter()
        .map(|row| (row.name.clone(), Arc::new(row.relation())));
    Some(Look {
        user: user.to_owned(),
        search_path,
        temporary: Temporaries(relations.collect::<BTreeMap<_, _>>()),
        steered,
        limits,
    })
}

/// Splits a list of names as `SplitIdentifierString` does; `None` when it is none.
pub(crate) fn split(list: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = list.trim();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name;
        (name, rest) = first(rest)?;
        names.push(name);
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn first(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == ',' || c.is_ascii_whitespace())
            .unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (name.to_lowercase(), rest));
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[derive(Deserialize)]
struct Row {
    oid: u32,
    name: String,
    kind: char,
    definition: Option<String>,
    row_security: bool,
    parents: Option<Vec<u32>>,
    columns: Option<Vec<Attribute>>,
}

#[derive(Deserialize)]
struct Attribute {
    number: i16,
    name: String,
    type_oid: u32,
    not_null: bool,
    generated: Option<String>,
}

impl Row {
    fn relation(self) -> Relation {
        let columns = self.columns.unwrap_or_default().into_iter();
        Relation {
            oid: self.oid,
            name: ObjectName::new("pg_temp", self.name),
            kind: RelationKind::of(self.kind),
            columns: columns
                .map(|column| Column {
                    number: column.number,
                    name: column.name,
                    type_oid: column.type_oid,
                    generated: column.generated,
                    not_null: column.not_null,
                    comment: None,
                })
                .collect(),
            definition: self.definition,
            parents: self.parents.unwrap_or_default(),
            children: Vec::new(),
            calls: Vec::new(),
            row_security: self.row_security,
            has_rules: false,
            triggers: Vec::new(),
            constraints: Vec::new(),
            hooks: None,
        }
    }
}
