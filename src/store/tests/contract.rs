//! What every store must do.

use super::{Counter, approval, at, denial, open, person, request, session};
use crate::model::secret::Secret;
use crate::model::session::CloseReason;
use crate::model::subject::Subject;
use crate::store::Error;
use crate::store::lease::{self, Lease};
use crate::store::request::{Settled, Spend};
use crate::store::session::{Credential, Phase};
use crate::store::token::{Digest, Token};

fn state_of(settled: &Settled) -> (&'static str, Option<request::State>) {
    match settled {
        Settled::Done(request) => ("done", Some(request.state)),
        Settled::Already(request) => ("already", Some(request.state)),
        Settled::Twice(request) => ("twice", Some(request.state)),
        Settled::Own(request) => ("own", Some(request.state)),
        Settled::Late(request) => ("late", Some(request.state)),
        Settled::Different(request) => ("different", Some(request.state)),
        Settled::Missing => ("missing", None),
    }
}

#[test]
fn a_session_comes_back_as_it_went_in_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let one = session(&Counter::default(), "ann");
    open(directory.path()).add_session(&one).wait().unwrap();
    let store = open(directory.path());
    let found = store.session(&one.id).wait().unwrap().unwrap();
    assert_eq!(
        format!("{one:?}{:?}", one.credential.verifier.expose()),
        format!("{found:?}{:?}", found.credential.verifier.expose())
    );
    assert!(found.credential.digest.matches(&Digest::of(b"secret")));
}

#[test]
fn a_session_goes_its_way_once_and_only_forwards() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let one = session(&Counter::default(), "ann");
    let id = &one.id;
    let killed = CloseReason::Killed {
        by: "bob".to_owned(),
    };
    assert!(!store.open_session(id).wait().unwrap());
    store.add_session(&one).wait().unwrap();
    assert!(store.add_session(&one).wait().is_err());
    assert!(!store.renew_session(id, one.ends, at(9)).wait().unwrap());
    assert!(!store.finish_close(id, at(1)).wait().unwrap());
    assert!(store.open_session(id).wait().unwrap());
    assert!(!store.open_session(id).wait().unwrap());
    assert!(store.renew_session(id, one.ends, at(4000)).wait().unwrap());
    assert!(!store.renew_session(id, one.ends, at(5000)).wait().unwrap());
    assert!(store.replace_role(id, None, Some("r1")).wait().unwrap());
    assert!(!store.replace_role(id, None, Some("r2")).wait().unwrap());
    let credential = Credential {
        verifier: Secret::from("new"),
        digest: Digest::of(b"new"),
    };
    assert!(store.replace_credential(id, &credential).wait().unwrap());
    assert!(store.begin_close(id, &killed, at(5)).wait().unwrap());
    assert!(
        !store
            .begin_close(id, &CloseReason::Expired, at(6))
            .wait()
            .unwrap()
    );
    assert!(!store.replace_credential(id, &credential).wait().unwrap());
    assert!(!store.replace_role(id, Some("r1"), None).wait().unwrap());
    assert!(!store.renew_session(id, at(4000), at(5000)).wait().unwrap());
    assert!(store.finish_close(id, at(7)).wait().unwrap());
    assert!(
        !store
            .begin_close(id, &CloseReason::Expired, at(8))
            .wait()
            .unwrap()
    );
    let found = store.session(id).wait().unwrap().unwrap();
    assert_eq!(
        found.state,
        session::State::Closed {
            why: killed,
            at: at(7)
        }
    );
    assert_eq!((found.ends, found.role), (at(4000), None));
}

#[test]
fn sessions_are_listed_by_subject_database_and_phase() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    for (who, database) in [("ann", "prod"), ("ann", "test"), ("bob", "prod")] {
        let mut one = session(&entropy, who);
        one.database = database.parse().unwrap();
        store.add_session(&one).wait().unwrap();
        if database == "test" {
            let ended = CloseReason::Ended;
            assert!(store.begin_close(&one.id, &ended, at(1)).wait().unwrap());
        }
    }
    let count = |filter: session::Filter| store.sessions(&filter).wait().unwrap().len();
    let ann = Some(person("ann").id);
    let any = session::Filter::default();
    assert_eq!(count(any.clone()), 3);
    assert_eq!(
        count(session::Filter {
            limit: 2,
            ..any.clone()
        }),
        2
    );
    assert_eq!(
        count(session::Filter {
            subject: ann.clone(),
            ..any.clone()
        }),
        2
    );
    assert_eq!(
        count(session::Filter {
            subject: ann,
            phase: Phase::Live,
            ..any.clone()
        }),
        1
    );
    assert_eq!(
        count(session::Filter {
            database: "prod".parse().ok(),
            ..any.clone()
        }),
        2
    );
    assert_eq!(
        count(session::Filter {
            phase: Phase::Unfinished,
            ..any.clone()
        }),
        3
    );
    assert_eq!(
        count(session::Filter {
            phase: Phase::Closed,
            ..any
        }),
        0
    );
    assert_eq!(
        store
            .sessions_of_family("login of ann")
            .wait()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_lease_is_kept_from_intent_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let lease = Lease {
        role: "dbgate_ann_1".to_owned(),
        session: session(&Counter::default(), "ann").id,
        database: "prod".parse().unwrap(),
        state: lease::State::Intent,
        created: at(0),
        ends: at(60),
        tries: 0,
        error: None,
        next: None,
        detail: "{}".to_owned(),
    };
    let role = lease.role.as_str();
    let store = open(directory.path());
    store.add_lease(&lease).wait().unwrap();
    assert!(store.add_lease(&lease).wait().is_err());
    assert_eq!(store.lease(role).wait().unwrap(), Some(lease.clone()));
    let go = |from, to| store.move_lease(role, from, to).wait().unwrap();
    assert!(!go(lease::State::Created, lease::State::Closing));
    assert!(go(lease::State::Intent, lease::State::Created));
    assert!(go(lease::State::Created, lease::State::Closing));
    assert!(
        store
            .stick_lease(role, "owns things", at(5))
            .wait()
            .unwrap()
    );
    assert!(store.stick_lease(role, "owns more", at(6)).wait().unwrap());
    drop(store);
    let store = open(directory.path());
    let [found] = store.leases().wait().unwrap().try_into().unwrap();
    assert_eq!(
        (found.state, found.tries, found.next),
        (lease::State::Stuck, 2, Some(at(6)))
    );
    assert_eq!(found.error.as_deref(), Some("owns more"));
    assert!(store.end_lease(role).wait().unwrap());
    assert!(!store.end_lease(role).wait().unwrap());
    assert_eq!(store.lease(role).wait().unwrap(), None);
}

#[test]
fn a_request_needs_as_many_different_approvers_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let asked = request(&Counter::default(), "ann", 2);
    store.add_request(&asked).wait().unwrap();
    assert_eq!(
        store.request(&asked.id).wait().unwrap(),
        Some(asked.clone())
    );
    let approve = |who: &str| {
        let settled = store.approve(&asked.id, &approval(who)).wait().unwrap();
        state_of(&settled)
    };
    assert_eq!(approve("ann"), ("own", Some(request::State::Pending)));
    assert_eq!(approve("bob"), ("done", Some(request::State::Pending)));
    assert_eq!(approve("bob"), ("twice", Some(request::State::Pending)));
    assert_eq!(approve("eve"), ("done", Some(request::State::Approved)));
    assert_eq!(approve("joe"), ("already", Some(request::State::Approved)));
    let found = store.request(&asked.id).wait().unwrap().unwrap();
    assert_eq!(found.approvals, [approval("bob"), approval("eve")]);
}

#[test]
fn nobody_approves_for_themselves_through_an_agent() {
    let agent_of = |name: &str, person_name: &str| Subject {
        behalf: Some(person(person_name).id),
        ..person(name)
    };
    let cases = [
        (person("ann"), agent_of("bot", "ann")),
        (agent_of("bot", "ann"), person("ann")),
        (agent_of("bot", "ann"), agent_of("bot2", "ann")),
        (agent_of("bot", "ann"), agent_of("bot", "joe")),
    ];
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    for (asker, approver) in cases {
        let mut asked = request(&entropy, "ann", 1);
        asked.subject = asker;
        store.add_request(&asked).wait().unwrap();
        let mut yes = approval("ann");
        yes.approver = approver;
        let settled = store.approve(&asked.id, &yes).wait().unwrap();
        assert_eq!(state_of(&settled), ("own", Some(request::State::Pending)));
    }
}

#[test]
fn an_approval_is_used_once_and_for_what_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let asked = request(&Counter::default(), "ann", 1);
    store.add_request(&asked).wait().unwrap();
    let spend = |who: &str, binding: &str, now| {
        let spend = Spend {
            subject: person(who).id,
            binding: binding.to_owned(),
            now: at(now),
        };
        state_of(&store.spend(&asked.id, &spend).wait().unwrap())
    };
    assert_eq!(
        spend("ann", "abc", 1),
        ("already", Some(request::State::Pending))
    );
    store.approve(&asked.id, &approval("bob")).wait().unwrap();
    assert_eq!(
        spend("bob", "abc", 1),
        ("different", Some(request::State::Approved))
    );
    assert_eq!(
        spend("ann", "abd", 1),
        ("different", Some(request::State::Approved))
    );
    assert_eq!(
        spend("ann", "abc", 600),
        ("late", Some(request::State::Approved))
    );
    assert_eq!(spend("ann", "abc", 1), ("done", Some(request::State::Used)));
    assert_eq!(
        spend("ann", "abc", 1),
        ("already", Some(request::State::Used))
    );
}

#[test]
fn a_request_that_is_kept_waits_on_with_what_it_is_by_then() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let asked = request(&Counter::default(), "ann", 1);
    store.add_request(&asked).wait().unwrap();
    let kept = store.keep_request(&asked.id, "{\"held\":false}", at(900));
    assert_eq!(
        state_of(&kept.wait().unwrap()),
        ("done", Some(request::State::Pending))
    );
    assert!(store.expire_requests(at(600)).wait().unwrap().is_empty());
    let found = store.request(&asked.id).wait().unwrap().unwrap();
    assert_eq!(
        (found.what.as_str(), found.expires),
        ("{\"held\":false}", at(900))
    );
    assert_eq!(found.binding, asked.binding);
}

#[test]
fn what_is_settled_stays_settled() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    let [denied, withdrawn, expired] = [(); 3].map(|()| request(&entropy, "ann", 1));
    for asked in [&denied, &withdrawn, &expired] {
        store.add_request(asked).wait().unwrap();
    }
    store.deny(&denied.id, &denial("bob")).wait().unwrap();
    store.withdraw(&withdrawn.id).wait().unwrap();
    let late = denial("bob");
    let late = request::Denial {
        at: at(600),
        ..late
    };
    assert_eq!(
        state_of(&store.deny(&expired.id, &late).wait().unwrap()).0,
        "late"
    );
    let [gone] = store
        .expire_requests(at(600))
        .wait()
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(
        (gone.id, gone.state),
        (expired.id.clone(), request::State::Expired)
    );
    for asked in [&denied, &withdrawn, &expired] {
        let id = &asked.id;
        assert_eq!(
            state_of(&store.approve(id, &approval("bob")).wait().unwrap()).0,
            "already"
        );
        assert_eq!(
            state_of(&store.deny(id, &denial("bob")).wait().unwrap()).0,
            "already"
        );
        assert_eq!(state_of(&store.withdraw(id).wait().unwrap()).0, "already");
        let kept = store.keep_request(id, "{}", at(900)).wait().unwrap();
        assert_eq!(state_of(&kept).0, "already");
    }
    let filter = request::Filter {
        states: vec![request::State::Denied, request::State::Expired],
        ..request::Filter::default()
    };
    assert_eq!(store.requests(&filter).wait().unwrap().len(), 2);
    let found = store.request(&denied.id).wait().unwrap().unwrap();
    assert_eq!(found.denial, Some(denial("bob")));
}

#[test]
fn a_token_is_found_by_its_hash_until_it_expires_or_its_family_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let token = |text: &str, family: &str| Token {
        digest: Digest::of(text.as_bytes()),
        subject: person("ann"),
        family: family.to_owned(),
        issued: at(0),
        expires: at(60),
    };
    for (text, family) in [("a", "f"), ("b", "f"), ("c", "g")] {
        store.add_token(&token(text, family)).wait().unwrap();
    }
    let find = |text: &str, now| {
        let digest = Digest::of(text.as_bytes());
        store.token(&digest, at(now)).wait().unwrap()
    };
    assert_eq!(find("a", 59), Some(token("a", "f")));
    assert_eq!(find("a", 60), None);
    assert_eq!(find("x", 1), None);
    let past = |text: &str| {
        let digest = Digest::of(text.as_bytes());
        store.past_token(&digest).wait().unwrap()
    };
    assert_eq!(past("a"), Some(token("a", "f")), "expired or not");
    assert_eq!(store.has_family("f").wait(), Ok(true));
    assert_eq!(store.end_family("f").wait(), Ok(2));
    assert_eq!((find("b", 1), past("b")), (None, None));
    assert_eq!(store.has_family("f").wait(), Ok(false));
    assert_eq!(store.end_subject(&person("ann").id).wait(), Ok(1));
    assert_eq!(find("c", 1), None);
}

#[test]
fn a_token_is_kept_while_its_login_has_a_session() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let held = session(&Counter::default(), "ann");
    let family = held.family.clone().unwrap();
    for (text, family) in [("a", family.as_str()), ("b", "another login")] {
        let token = Token {
            digest: Digest::of(text.as_bytes()),
            subject: person("ann"),
            family: family.to_owned(),
            issued: at(0),
            expires: at(60),
        };
        store.add_token(&token).wait().unwrap();
    }
    store.add_session(&held).wait().unwrap();
    assert_eq!(store.forget(at(61), at(0)).wait(), Ok(1));
    assert_eq!(store.has_family(&family).wait(), Ok(true));
    assert_eq!(store.has_family("another login").wait(), Ok(false));
    store
        .begin_close(&held.id, &CloseReason::Expired, at(70))
        .wait()
        .unwrap();
    store.finish_close(&held.id, at(71)).wait().unwrap();
    assert_eq!(store.forget(at(72), at(0)).wait(), Ok(1));
    assert_eq!(store.has_family(&family).wait(), Ok(false));
}

#[test]
fn what_may_be_used_once_is_used_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    assert_eq!(store.use_once("iss jti", at(60)).wait(), Ok(true));
    assert_eq!(store.use_once("iss jti", at(60)).wait(), Ok(false));
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.use_once("iss jti", at(60)).wait(), Ok(false));
    assert_eq!(store.forget(at(60), at(0)).wait(), Ok(1));
    assert_eq!(store.use_once("iss jti", at(90)).wait(), Ok(true));
}

#[test]
fn only_what_is_over_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let entropy = Counter::default();
    let (open_one, closed) = (session(&entropy, "ann"), session(&entropy, "ann"));
    let (waiting, denied) = (request(&entropy, "ann", 1), request(&entropy, "ann", 1));
    for one in [&open_one, &closed] {
        store.add_session(one).wait().unwrap();
    }
    for asked in [&waiting, &denied] {
        store.add_request(asked).wait().unwrap();
    }
    store
        .begin_close(&closed.id, &CloseReason::Ended, at(1))
        .wait()
        .unwrap();
    store.finish_close(&closed.id, at(2)).wait().unwrap();
    store.deny(&denied.id, &denial("bob")).wait().unwrap();
    assert_eq!(store.forgettable(at(1)).wait(), Ok(0));
    assert_eq!(store.forgettable(at(9000)).wait(), Ok(2));
    assert_eq!(store.forget(at(9000), at(9000)).wait(), Ok(2));
    assert_eq!(store.forgettable(at(9000)).wait(), Ok(0));
    assert!(store.session(&open_one.id).wait().unwrap().is_some());
    assert!(store.session(&closed.id).wait().unwrap().is_none());
    assert!(store.request(&waiting.id).wait().unwrap().is_some());
}

#[test]
fn a_second_broker_on_one_directory_is_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let error = crate::store::sqlite::Sqlite::open(directory.path()).unwrap_err();
    assert_eq!(
        error,
        Error::Locked {
            directory: directory.path().display().to_string(),
            pid: std::process::id().to_string(),
        }
    );
    drop(first);
    open(directory.path());
}
