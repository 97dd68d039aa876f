//! Tests of the module, through its own front door.

mod copy;
mod plan;
mod transform;
mod tuples;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::problem::Source;
use crate::mask::{Keys, Plan, Refusal, Terms};
use crate::model::name::{ColumnId, DatabaseName, ObjectName};
use crate::model::secret::Secret;
use crate::model::session::SessionId;
use crate::model::subject::{self, Subject};
use crate::policy::Protection;
use crate::policy::obligation::Mask;
use crate::sql::catalog::{Catalog, Column, Relation, RelationKind};
use crate::sql::footprint::{Effect, Facts, Footprint, Kind};
use crate::sql::lineage::{Origin, Output};
use crate::wire::row::{DataRow, Field, Format, RowDescription};

/// The table whose first column is protected.
const TABLE: u32 = 100;

fn database() -> DatabaseName {
    "prod".parse().unwrap()
}

fn keys() -> Keys {
    let session: SessionId = "s0123456789ab".parse().unwrap();
    Keys::new(&Secret::new([7; 32]), database(), session)
}

fn subject() -> Subject {
    Subject {
        id: subject::Id {
            issuer: "https://issuer.test".to_owned(),
            sub: "1".to_owned(),
        },
        kind: subject::Kind::Person,
        display: "test".to_owned(),
        groups: BTreeSet::new(),
        claims: BTreeMap::new(),
        behalf: None,
    }
}

fn catalog() -> Catalog {
    let column = |number, name: &str| Column {
        number,
        name: name.to_owned(),
        type_oid: 25,
        generated: None,
        not_null: false,
        comment: None,
    };
    let relation = Relation {
        oid: TABLE,
        name: ObjectName::new("public", "people"),
        kind: RelationKind::Table,
        columns: vec![column(1, "secret"), column(2, "open")],
        definition: None,
        parents: Vec::new(),
        children: Vec::new(),
        calls: Vec::new(),
        row_security: false,
        has_rules: false,
        triggers: Vec::new(),
        constraints: Vec::new(),
        hooks: None,
    };
    Catalog {
        relations: HashMap::from([(TABLE, Arc::new(relation))]),
        ..Catalog::default()
    }
}

fn protection() -> Protection {
    let text = "[[protect]]\ncolumns = [\"public.people.secret\"]\nmask = \"redact\"\n";
    let policy = crate::policy::compile(&[Source::new("p", text)]).unwrap();
    Protection::resolve(&policy, &database(), &catalog())
}

fn id(number: i16) -> ColumnId {
    ColumnId {
        relation: TABLE,
        number,
    }
}

fn facts(origins: Vec<Origin>) -> Facts {
    let output = |origin| Output {
        name: "x".to_owned(),
        origin,
        type_oid: 25,
    };
    Facts {
        kind: Kind::Select,
        footprint: Footprint::default(),
        outputs: origins.into_iter().map(output).collect(),
        copy: None,
        source: None,
        named: false,
        own_code: false,
        literals: Vec::new(),
        usages: Vec::new(),
        flows: Vec::new(),
        hazards: BTreeSet::new(),
        parts: BTreeSet::new(),
        writers: 0,
        assigned: Vec::new(),
        opaque: None,
        effect: Effect::None,
    }
}

fn field(type_oid: u32, format: Format, column: i16) -> Field {
    Field {
        name: "x".to_owned(),
        table: if column == 0 { 0 } else { TABLE },
        column,
        type_oid,
        size: -1,
        modifier: -1,
        format,
    }
}

fn plan(masks: &[Option<Mask>], origins: Vec<Origin>, fields: Vec<Field>) -> Result<Plan, Refusal> {
    let (protection, catalog, keys, subject) = (protection(), catalog(), keys(), subject());
    let terms = Terms {
        protection: &protection,
        subject: &subject,
        catalog: &catalog,
        keys: &keys,
    };
    Plan::new(masks, &facts(origins), &RowDescription { fields }, &terms)
}

/// The body of a `DataRow` message.
fn body(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            Some(bytes) => {
                body.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend(*bytes);
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body
}

/// The values of a row after the plan.
fn masked(plan: &mut Plan, values: &[Option<&[u8]>]) -> Vec<Option<Vec<u8>>> {
    let body = body(values);
    let row = DataRow::decode(&body).unwrap();
    let mut out = Vec::new();
    plan.apply(&row, &mut out).unwrap();
    let row = DataRow::decode(&out[5..]).unwrap();
    row.values().map(|v| v.map(<[u8]>::to_vec)).collect()
}

/// One value of that type under that mask, as the client gets it.
fn one(mask: &Mask, type_oid: u32, format: Format, value: &[u8]) -> Option<Vec<u8>> {
    let origin = Origin::Plain(BTreeSet::from([id(2)]));
    let mut plan = plan(
        &[Some(mask.clone())],
        vec![origin],
        vec![field(type_oid, format, 2)],
    )
    .unwrap();
    masked(&mut plan, &[Some(value)]).remove(0)
}
