//! Many who want the same thing at once: exactly one outcome.

use std::sync::{Arc, Barrier};
use std::thread;

use super::{Counter, approval, at, denial, open, person, request, session};
use crate::model::session::CloseReason;
use crate::store::Store;
use crate::store::request::{Settled, Spend};

/// Runs each `(who)` on a thread of its own, all at once.
fn race<T: Send + 'static>(
    store: &Arc<dyn Store>,
    runners: usize,
    run: impl Fn(&dyn Store, usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let start = Arc::new(Barrier::new(runners));
    let run = Arc::new(run);
    let threads: Vec<_> = (0..runners)
        .map(|number| {
            let (store, start, run) = (Arc::clone(store), Arc::clone(&start), Arc::clone(&run));
            thread::spawn(move || {
                start.wait();
                run(store.as_ref(), number)
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

#[test]
fn approve_deny_withdraw_expire_and_use_at_once_have_one_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    for round in 0..100 {
        let asked = request(&entropy, "ann", 1);
        store.add_request(&asked).wait().unwrap();
        let id = asked.id.clone();
        let outcomes = race(&store, 20, move |store, number| match number % 5 {
            0 | 1 => store
                .approve(&id, &approval(&format!("bob{number}")))
                .wait(),
            2 => store.deny(&id, &denial("eve")).wait(),
            3 => store.withdraw(&id).wait(),
            _ => {
                let spend = Spend {
                    subject: person("ann").id,
                    binding: "abc".to_owned(),
                    now: at(1),
                };
                store.spend(&id, &spend).wait()
            }
        });
        let done = |state| {
            outcomes
                .iter()
                .filter(|outcome| matches!(outcome, Ok(Settled::Done(now)) if now.state == state))
                .count()
        };
        let [approved, denied, withdrawn, used] = [
            request::State::Approved,
            request::State::Denied,
            request::State::Withdrawn,
            request::State::Used,
        ]
        .map(done);
        let found = store.request(&asked.id).wait().unwrap().unwrap();
        assert!(approved + denied <= 1, "round {round}: {outcomes:?}");
        assert!(
            denied + withdrawn + used <= 1,
            "round {round}: {outcomes:?}"
        );
        assert!(
            approved + denied + withdrawn >= 1,
            "round {round}: {outcomes:?}"
        );
        assert!(used <= approved, "round {round}: {outcomes:?}");
        assert_eq!(found.approvals.len(), approved, "round {round}");
    }
}

#[test]
fn of_a_hundred_approvers_exactly_the_needed_ones_count() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let asked = request(&Counter::default(), "ann", 3);
    store.add_request(&asked).wait().unwrap();
    let id = asked.id.clone();
    let outcomes = race(&store, 100, move |store, number| {
        store
            .approve(&id, &approval(&format!("bob{number}")))
            .wait()
    });
    let counted = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(Settled::Done(_))))
        .count();
    let last = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(Settled::Done(now)) if now.state == request::State::Approved))
        .count();
    assert_eq!((counted, last), (3, 1));
}

#[test]
fn of_many_who_close_a_session_one_gives_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let one = session(&Counter::default(), "ann");
    store.add_session(&one).wait().unwrap();
    let id = one.id.clone();
    let outcomes = race(&store, 50, move |store, number| {
        let by = number.to_string();
        store
            .begin_close(&id, &CloseReason::Killed { by }, at(1))
            .wait()
    });
    assert_eq!(outcomes.iter().filter(|won| **won == Ok(true)).count(), 1);
}
