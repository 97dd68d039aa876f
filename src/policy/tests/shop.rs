//! The shop of the demo as a catalog, and somebody who asks there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::access::Access;
use crate::model::name::{DatabaseName, ObjectName};
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::policy::binding::Parameter;
use crate::policy::decide::{Approval, Decision, Question, Session, Shown, decide};
use crate::policy::explain::{Explanation, explain};
use crate::policy::{Policy, Protection, Reason};
use crate::sql::Scope;
use crate::sql::catalog::{Catalog, Column, Function, Parts, Relation, RelationKind, Type};
use crate::sql::footprint::Analyzed;

const TABLES: &str = "
customers id name email phone card birth_date
products id sku name price stock
orders id customer_id status total note
order_items order_id product_id quantity price
payments id order_id amount method card
payments_2024 id order_id amount method card
support_notes id customer_id body
vault id secret
";

const TEXT: u32 = 25;

/// The shop's tables; `payments_2024` is a partition of `payments`, `vault.secret` has a tag.
pub(super) fn catalog() -> Catalog {
    let mut parts = Parts {
        server_version: 150_000,
        schemas: vec!["pg_catalog".to_owned(), "public".to_owned()],
        types: vec![scalar(16, "bool"), scalar(TEXT, "text")],
        functions: vec![
            function(900, "pg_catalog", "upper", 'i'),
            function(901, "pg_catalog", "pg_read_file", 'v'),
            function(902, "pg_catalog", "pg_sleep", 'v'),
            Function {
                arguments: Vec::new(),
                returns: 20,
                kind: 'a',
                ..function(903, "pg_catalog", "count", 'i')
            },
            function(20_000, "public", "full_name", 'v'),
        ],
        ..Parts::default()
    };
    for (oid, line) in (30_000..).zip(TABLES.trim().lines()) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        parts.relations.push(Relation {
            oid,
            name: ObjectName::new("public", name),
            kind: RelationKind::Table,
            columns: (1..).zip(words).map(column).collect(),
            definition: None,
            parents: Vec::new(),
            row_security: false,
            has_rules: false,
            triggers: Vec::new(),
            constraints: Vec::new(),
            hooks: None,
            children: Vec::new(),
            calls: Vec::new(),
        });
    }
    parts.relations[5].parents = vec![parts.relations[4].oid];
    parts.relations[4].children = vec![parts.relations[5].oid];
    Catalog::new(parts)
}

fn column((number, name): (i16, &str)) -> Column {
    Column {
        number,
        name: name.to_owned(),
        type_oid: TEXT,
        generated: None,
        not_null: false,
        comment: (name == "secret").then(|| "kept, @secret".to_owned()),
    }
}

fn scalar(oid: u32, name: &str) -> Type {
    Type {
        oid,
        name: ObjectName::new("pg_catalog", name),
        kind: 'b',
        base: 0,
        element: 0,
        relation: 0,
    }
}

fn function(oid: u32, schema: &str, name: &str, volatility: char) -> Function {
    Function {
        oid,
        name: ObjectName::new(schema, name),
        arguments: vec![TEXT],
        returns: TEXT,
        returns_set: false,
        volatility,
        leakproof: false,
        security_definer: false,
        language: if schema == "public" { "c" } else { "internal" }.to_owned(),
        kind: 'f',
        defaults: 0,
        variadic: false,
        origin: (schema == "pg_catalog").then(|| schema.to_owned()),
        body: None,
        argument_names: Vec::new(),
        columns: Vec::new(),
        has_settings: false,
        default_values: None,
    }
}

/// A person with these groups.
pub(super) fn person(groups: &[&str]) -> Subject {
    Subject {
        id: subject::Id {
            issuer: "https://issuer".to_owned(),
            sub: "grace".to_owned(),
        },
        kind: subject::Kind::Person,
        display: "grace".to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        claims: BTreeMap::new(),
        behalf: None,
    }
}

/// Somebody in a session of the shop.
pub(super) struct Shop {
    pub(super) policy: Policy,
    pub(super) catalog: Catalog,
    pub(super) protection: Protection,
    pub(super) subject: Subject,
    pub(super) database: DatabaseName,
    pub(super) access: Access,
    pub(super) reason: Option<&'static str>,
    pub(super) opened_with_approval: bool,
    pub(super) shown: Shown,
    pub(super) approved: Option<Approval>,
    pub(super) now: Timestamp,
}

impl Shop {
    /// An engineer who writes in `prod`.
    pub(super) fn new(policy: &str) -> Self {
        Self::at("prod", policy)
    }

    pub(super) fn at(database: &str, policy: &str) -> Self {
        let policy = super::policy(policy);
        let database: DatabaseName = database.parse().unwrap();
        let catalog = catalog();
        Self {
            protection: Protection::resolve(&policy, &database, &catalog),
            policy,
            catalog,
            subject: person(&["engineers"]),
            database,
            access: Access::Write,
            reason: None,
            opened_with_approval: false,
            shown: Shown::new(),
            approved: None,
            now: Timestamp::EPOCH,
        }
    }

    pub(super) fn analyze(&self, sql: &str) -> Analyzed {
        let scope = Scope {
            trusted: self.policy.trusted(&self.database).collect::<BTreeSet<_>>(),
            ..Scope::new("lease")
        };
        let mut all = crate::sql::analyze(&Arc::from(sql), &[], &self.catalog, &scope)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(all.len(), 1, "{sql}");
        all.remove(0)
    }

    fn question<'a>(&'a self, parameters: &'a [Parameter<'a>]) -> Question<'a> {
        Question {
            policy: &self.policy,
            protection: &self.protection,
            catalog: &self.catalog,
            subject: &self.subject,
            database: &self.database,
            session: Session {
                access: self.access,
                reason: self.reason,
                approved: self.opened_with_approval,
                shown: &self.shown,
            },
            parameters,
            approved: self.approved.as_ref(),
            wanted: false,
            now: self.now,
        }
    }

    /// As if an approval were asked for.
    pub(super) fn ask(&self, sql: &str) -> Decision {
        let question = Question {
            wanted: true,
            ..self.question(&[])
        };
        decide(&question, self.analyze(sql))
    }

    pub(super) fn decide(&self, sql: &str) -> Decision {
        self.decide_with(sql, &[])
    }

    pub(super) fn decide_with(&self, sql: &str, parameters: &[Parameter<'_>]) -> Decision {
        decide(&self.question(parameters), self.analyze(sql))
    }

    pub(super) fn explain(&self, sql: &str) -> Explanation {
        explain(&self.question(&[]), &self.analyze(sql))
    }

    /// `allow ENTRY`, `review RULE`, or `deny RULE`, where a denial without a rule gives its reason.
    pub(super) fn outcome(&self, sql: &str) -> String {
        match self.decide(sql) {
            Decision::Allow(permit) => format!("allow {}", permit.rule()),
            Decision::Review(held) => format!("review {}", held.demand().rule),
            Decision::Deny(denial) => {
                if let Reason::Rule { name, .. } = &denial.reason {
                    format!("deny {name}")
                } else {
                    format!("deny {}", denial.reason.name())
                }
            }
        }
    }

    /// Lines of `statement => outcome`; all that differ are shown at once.
    pub(super) fn check(&self, lines: &str) {
        let mut wrong = Vec::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (sql, expected) = line.rsplit_once(" => ").unwrap();
            let came = self.outcome(sql.trim());
            if came != expected {
                wrong.push(format!("{sql} => {came}, not {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
