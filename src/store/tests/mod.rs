//! Tests of the store, through its contract.

mod contract;
mod race;
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::access::Access;
use crate::model::secret::Secret;
use crate::model::session::{RequestId, SessionId};
use crate::model::subject::{self, Subject};
use crate::model::time::{Entropy, Timestamp};
use crate::store::Store;
use crate::store::request::{self, Approval, Denial, Request};
use crate::store::session::{self, Credential, Session};
use crate::store::sqlite::Sqlite;
use crate::store::token::Digest;

/// Different bytes each time, the same in each run.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self
            .0
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
    }
}

fn open(directory: &Path) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(directory).unwrap())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn person(name: &str) -> Subject {
    Subject {
        id: subject::Id {
            issuer: "https://id.example".to_owned(),
            sub: name.to_owned(),
        },
        kind: subject::Kind::Person,
        display: format!("{name}@example.com"),
        groups: ["dev".to_owned()].into(),
        claims: [("team".to_owned(), "shop".to_owned())].into(),
        behalf: None,
    }
}

fn session(entropy: &Counter, who: &str) -> Session {
    Session {
        id: SessionId::random(entropy),
        subject: person(who),
        family: Some(format!("login of {who}")),
        database: "prod".parse().unwrap(),
        access: Access::Write,
        reason: "ticket 7: it's \"broken\"".to_owned(),
        opened: at(0),
        ends: at(3600),
        state: session::State::Opening,
        role: None,
        credential: Credential {
            verifier: Secret::from("SCRAM-SHA-256$4096:c2FsdA==$a:b"),
            digest: Digest::of(b"secret"),
        },
        request: None,
        grant: "{\"roles\":[\"shop\"]}".to_owned(),
    }
}

fn request(entropy: &Counter, who: &str, needed: u32) -> Request {
    Request {
        id: RequestId::random(entropy),
        kind: request::Kind::Statement,
        subject: person(who),
        database: "prod".parse().unwrap(),
        session: Some(SessionId::random(entropy)),
        reason: "ticket 7".to_owned(),
        what: "{}".to_owned(),
        binding: "abc".to_owned(),
        state: request::State::Pending,
        needed,
        approvers: vec!["dba".to_owned()],
        approvals: Vec::new(),
        denial: None,
        created: at(0),
        expires: at(600),
    }
}

fn approval(who: &str) -> Approval {
    Approval {
        approver: person(who),
        reason: None,
        max_rows: Some(10),
        at: at(1),
    }
}

fn denial(who: &str) -> Denial {
    Denial {
        by: person(who),
        reason: "not today".to_owned(),
        at: at(1),
    }
}
