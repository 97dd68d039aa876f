//! Records are found by what auditors ask for.

#![expect(clippy::too_many_lines, reason = "a table of cases")]

use std::sync::Arc;

use super::world::{Memory, context, intended, open, statement};
use crate::audit::event::footprint::{Footprint, Touched};
use crate::audit::event::{Action, Context, Event, Masked, Outcome, Ran};
use crate::audit::log::Log;
use crate::audit::search::{Filter, search, session};
use crate::sql::footprint::Kind;

fn filled() -> Log {
    let (log, _) = open(&Arc::new(Memory::default()));
    for number in 0..40 {
        log.append_blocking(intended("ann", &format!("select {number} from Orders")))
            .unwrap();
    }
    let mut refused = statement("drop table users");
    let mut footprint = Footprint::of_kind(Kind::Drop);
    footprint
        .tables
        .insert("public.users".to_owned(), Touched::default());
    refused.footprint = Some(footprint);
    if let Some(decision) = &mut refused.decision {
        decision.outcome = Outcome::Deny;
    }
    let action = Action::StatementRefused {
        statement: refused,
        request: None,
        sqlstate: "42501".to_owned(),
        error: "dropping tables is not allowed".into(),
    };
    let mut who = context("bob");
    who.session = "s000000000000".parse().ok();
    who.database = "test".parse().ok();
    log.append_blocking(Event::new(who, action)).unwrap();
    log.append_blocking(Event::new(Context::default(), Action::BrokerStopped))
        .unwrap();
    log
}

#[test]
fn each_question_has_its_answer() {
    let log = filled();
    let find = |filter: Filter| -> Vec<u64> {
        let found = search(&log, &filter).unwrap();
        found.records.iter().map(|record| record.index).collect()
    };
    let any = Filter::default;
    let forty: Vec<u64> = (0..40).collect();
    assert_eq!(find(any()).len(), 42);
    assert_eq!(
        find(Filter {
            who: Some("ann".to_owned()),
            ..any()
        }),
        forty
    );
    assert_eq!(
        find(Filter {
            who: Some("BOB@exam".to_owned()),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            database: "test".parse().ok(),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            session: "s000000000000".parse().ok(),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            table: Some("users".to_owned()),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            table: Some("public.users".to_owned()),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            table: Some("user".to_owned()),
            ..any()
        }),
        Vec::<u64>::new()
    );
    assert_eq!(
        find(Filter {
            decision: Some(Outcome::Deny),
            ..any()
        }),
        [40]
    );
    assert_eq!(
        find(Filter {
            event: Some("broker_stopped".to_owned()),
            ..any()
        }),
        [41]
    );
    assert_eq!(
        find(Filter {
            text: Some("7 FROM orders".to_owned()),
            ..any()
        }),
        [7, 17, 27, 37]
    );
    assert_eq!(
        find(Filter {
            text: Some("not allowed".to_owned()),
            ..any()
        }),
        [40]
    );
    assert_eq!(find(Filter { limit: 2, ..any() }), [0, 1]);
    assert_eq!(
        find(Filter {
            limit: 2,
            newest: true,
            ..any()
        }),
        [40, 41]
    );
    let time = log.read(10).unwrap().advance().unwrap().unwrap().time;
    assert_eq!(
        find(Filter {
            until: Some(time),
            ..any()
        }),
        (0..10).collect::<Vec<u64>>()
    );
    assert_eq!(
        find(Filter {
            since: Some(time),
            limit: 1,
            ..any()
        }),
        [10]
    );
    let id = "s0123456789ab".parse().unwrap();
    assert_eq!(session(&log, &id).unwrap().len(), 40);
}

#[test]
fn pages_follow_each_other() {
    let log = filled();
    let mut filter = Filter {
        who: Some("ann".to_owned()),
        limit: 7,
        ..Filter::default()
    };
    let mut seen = Vec::new();
    loop {
        let found = search(&log, &filter).unwrap();
        seen.extend(found.records.iter().map(|record| record.index));
        match found.next {
            Some(next) => filter.from = next,
            None => break,
        }
    }
    assert_eq!(seen, (0..40).collect::<Vec<u64>>());
}

#[test]
fn what_finds_no_room_in_a_leaf_is_kept_apart_and_read_back() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    let mut wide = statement("select * from wide");
    let mut footprint = Footprint::of_kind(Kind::Select);
    for number in 0..2000 {
        let touched = Touched {
            read: true,
            reads: vec!["c".repeat(60)],
            ..Touched::default()
        };
        footprint
            .tables
            .insert(format!("public.table_{number}"), touched);
    }
    footprint.defines = Some("public.ann's diary\npublic.wide copy".into());
    wide.footprint = Some(footprint);
    let masked = (1..=1600)
        .map(|column| Masked {
            column,
            mask: "redact".to_owned(),
            from: vec![format!("public.wide.column_{column}")],
            values: None,
        })
        .collect();
    let action = Action::StatementIntended {
        statement: wide,
        masked,
        request: None,
        approvals: Vec::new(),
        max_rows: None,
    };
    let event = Event::new(context("ann"), action);
    log.append_blocking(event.clone()).unwrap();
    assert_eq!(
        log.read(0).unwrap().advance().unwrap().unwrap().event,
        event
    );
    let filter = Filter {
        table: Some("table_1999".to_owned()),
        ..Filter::default()
    };
    assert_eq!(search(&log, &filter).unwrap().records.len(), 1);
    // A name that the client made is found, and is not in the leaf.
    let filter = Filter {
        table: Some("ann's diary".to_owned()),
        ..Filter::default()
    };
    assert_eq!(search(&log, &filter).unwrap().records.len(), 1);
    log.close();
    let files = storage.files();
    let leaf = files
        .iter()
        .find(|(name, _)| name.starts_with("log/"))
        .unwrap()
        .1;
    assert!(!String::from_utf8_lossy(leaf).contains("diary"));
    let lines = files
        .iter()
        .filter(|(name, _)| name.starts_with("log/"))
        .flat_map(|(_, file)| file.split(|byte| *byte == b'\n').map(<[u8]>::len));
    assert!(lines.max().unwrap() <= 64 * 1024 + 65);
}

#[test]
fn passwords_reach_no_file() {
    let storage = Arc::new(Memory::default());
    let (log, _) = open(&storage);
    let mut given = statement("alter role bob password 'hunter2'");
    given.parameters = Some("[\"password=hunter2\", null]".into());
    let mut who = context("ann");
    who.reason = Some("so that postgres://bob:hunter2@db/prod works".into());
    let action = Action::StatementRefused {
        statement: given,
        request: None,
        sqlstate: "42501".to_owned(),
        error: "SQL statement \"ALTER ROLE bob PASSWORD 'hunter2'\"".into(),
    };
    log.append_blocking(Event::new(who, action)).unwrap();
    log.close();
    for (name, file) in storage.files() {
        assert!(!file.windows(7).any(|part| part == b"hunter2"), "{name}");
    }
}

#[test]
fn a_review_is_found_with_what_people_said_and_what_ran_by_it() {
    let (log, _) = open(&Arc::new(Memory::default()));
    log.append_blocking(intended("ann", "select 1")).unwrap();
    let request = "r0123456789ab".parse().unwrap();
    let approved = Action::RequestApproved {
        request,
        have: 1,
        needed: 1,
        max_rows: None,
        note: None,
    };
    log.append_blocking(Event::new(context("rex"), approved))
        .unwrap();
    let mut applied = intended("ann", "delete from orders where id = 7");
    if let Action::StatementIntended { request, .. } = &mut applied.action {
        *request = "r0123456789ab".parse().ok();
        assert!(request.is_some());
    }
    log.append_blocking(applied).unwrap();
    let filter = Filter {
        decision: Some(Outcome::Review),
        ..Filter::default()
    };
    let found = search(&log, &filter).unwrap();
    let indexes: Vec<u64> = found.records.iter().map(|record| record.index).collect();
    assert_eq!(indexes, [1, 2]);
}

#[test]
fn what_came_of_a_statement_is_found_with_it() {
    let (log, _) = open(&Arc::new(Memory::default()));
    let mut touching = intended("ann", "update orders set paid = true");
    if let Action::StatementIntended { statement, .. } = &mut touching.action {
        let mut footprint = Footprint::of_kind(Kind::Update);
        let touched = Touched::default();
        footprint.tables.insert("public.orders".to_owned(), touched);
        statement.footprint = Some(footprint);
    }
    let finished = |intent| {
        let ran = Ran {
            intent,
            ..Ran::default()
        };
        let tag = "UPDATE 1".to_owned();
        Event::new(context("ann"), Action::StatementFinished { ran, tag })
    };
    for event in [
        intended("ann", "select 1"),
        touching,
        finished(0),
        finished(1),
    ] {
        log.append_blocking(event).unwrap();
    }
    let table = Filter {
        table: Some("orders".to_owned()),
        ..Filter::default()
    };
    let text = Filter {
        text: Some("set paid".to_owned()),
        ..Filter::default()
    };
    let outcome = Filter {
        event: Some("statement_finished".to_owned()),
        ..table.clone()
    };
    // The intent lies on the page before.
    let later = Filter {
        from: 2,
        ..table.clone()
    };
    for (filter, expected) in [
        (table, vec![1, 3]),
        (text, vec![1, 3]),
        (outcome, vec![3]),
        (later, vec![3]),
    ] {
        let found = search(&log, &filter).unwrap();
        let indexes: Vec<u64> = found.records.iter().map(|record| record.index).collect();
        assert_eq!(indexes, expected, "{filter:?}");
    }
}
