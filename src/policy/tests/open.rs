//! Who may open a database, with which roles, for how long.

use std::time::Duration;

use crate::identity::claims::{CAME, LOOKED_FOR};
use crate::model::access::Access;
use crate::model::subject::{self, Subject};
use crate::model::time::Timestamp;
use crate::policy::document::allow::Power;
use crate::policy::open::{Ask, Grant, Opening, databases, may, open};
use crate::policy::tests::shop::person;
use crate::policy::tests::{STARTER, policy};

const HOUR: Duration = Duration::from_secs(3600);

struct Visit {
    policy: String,
    subject: Subject,
    database: &'static str,
    access: Access,
    duration: Option<Duration>,
    reason: Option<&'static str>,
    approved: bool,
    now: Timestamp,
}

fn visit(policy: &str) -> Visit {
    Visit {
        policy: policy.to_owned(),
        subject: person(&["engineers"]),
        database: "prod",
        access: Access::Write,
        duration: None,
        reason: None,
        approved: false,
        now: Timestamp::EPOCH,
    }
}

impl Visit {
    fn open(&self) -> Opening {
        open(
            &policy(&self.policy),
            &Ask {
                subject: &self.subject,
                database: &self.database.parse().unwrap(),
                access: self.access,
                duration: self.duration,
                reason: self.reason,
                approved: self.approved,
                now: self.now,
            },
        )
    }

    fn granted(&self) -> Grant {
        let opening = self.open();
        let Opening::Granted(grant) = opening else {
            panic!("{opening:?}")
        };
        grant
    }

    fn refused(&self) -> &'static str {
        let opening = self.open();
        let Opening::Refused(denial) = opening else {
            panic!("{opening:?}")
        };
        denial.reason.name()
    }
}

#[test]
fn who_writes_gets_the_roles_that_write_and_who_reads_those_that_only_read() {
    let mut visit = visit(STARTER);
    let grant = visit.granted();
    assert_eq!(grant.roles, ["dbgate_write"]);
    assert_eq!(grant.owner.as_deref(), Some("dbgate_owner"));
    visit.access = Access::Read;
    let grant = visit.granted();
    assert_eq!(grant.rules, ["engineers-read"]);
    assert_eq!(grant.roles, ["dbgate_read"]);
    assert_eq!(grant.owner, None);
}

#[test]
fn nobody_opens_what_no_entry_names() {
    let mut visit = visit(STARTER);
    visit.database = "other";
    assert_eq!(visit.refused(), "no-role-matched");
    visit.database = "prod";
    for groups in [&["auditors"][..], &["strangers"], &[]] {
        visit.subject = person(groups);
        assert_eq!(visit.refused(), "no-role-matched", "{groups:?}");
    }
    visit.policy = String::new();
    assert_eq!(visit.refused(), "no-role-matched");
}

#[test]
fn a_refusal_says_which_groups_were_looked_for_and_which_came() {
    let mut visit = visit(STARTER);
    visit.subject = person(&["strangers"]);
    let Opening::Refused(denial) = visit.open() else {
        panic!("it must be refused");
    };
    let detail = denial.detail.unwrap();
    assert!(detail.contains("group `engineers`"), "{detail}");
    assert!(detail.contains("`strangers` came"), "{detail}");
}

#[test]
fn a_refusal_says_which_claim_was_looked_for_and_which_came() {
    let mut visit = visit(STARTER);
    for (groups, expected) in [
        (
            &["strangers"][..],
            "groups `strangers` came, by the claim `roles`",
        ),
        (
            &[],
            "the token has no group in the claim `roles`; its claims are email, groups, sub",
        ),
    ] {
        visit.subject = person(groups);
        let claims = &mut visit.subject.claims;
        claims.insert(LOOKED_FOR.to_owned(), "roles".to_owned());
        claims.insert(CAME.to_owned(), "email, groups, sub".to_owned());
        let Opening::Refused(denial) = visit.open() else {
            panic!("it must be refused");
        };
        let detail = denial.detail.unwrap();
        assert!(detail.contains(expected), "{detail}");
    }
}

#[test]
fn who_may_read_may_not_write_and_a_kind_is_a_condition() {
    let mut visit = visit(STARTER);
    visit.subject = person(&["reviewers"]);
    assert_eq!(visit.refused(), "not-allowed");
    visit.subject = person(&["ci"]);
    visit.access = Access::Read;
    assert_eq!(visit.refused(), "no-role-matched");
    visit.subject.kind = subject::Kind::Job;
    assert_eq!(visit.granted().rules, ["jobs"]);
}

#[test]
fn a_session_lasts_an_hour_unless_asked_and_never_longer_than_its_entry() {
    let mut visit = visit(STARTER);
    assert_eq!(visit.granted().duration, HOUR);
    visit.duration = Some(2 * HOUR);
    assert_eq!(visit.granted().duration, 2 * HOUR);
    visit.duration = Some(100 * HOUR);
    let grant = visit.granted();
    assert_eq!((grant.duration, grant.longest), (8 * HOUR, 8 * HOUR));
}

const TWO: &str = r#"
[[allow]]
name = "long"
everyone = true
databases = ["prod"]
do = ["write"]
roles = ["small"]
max_duration = "8h"

[[allow]]
name = "short"
everyone = true
databases = ["prod"]
do = ["write"]
roles = ["great"]
owner = "owner"
max_duration = "30m"
"#;

#[test]
fn an_entry_gives_its_roles_only_to_sessions_as_short_as_it_says() {
    let mut visit = visit(TWO);
    let grant = visit.granted();
    assert_eq!((grant.roles, grant.owner), (vec!["small".to_owned()], None));
    visit.duration = Some(HOUR / 2);
    assert_eq!(visit.granted().roles, ["small", "great"]);
}

#[test]
fn a_reason_is_more_than_white_space() {
    let mut visit = visit(&TWO.replace("do =", "require_reason = true\ndo ="));
    assert_eq!(visit.refused(), "condition");
    visit.reason = Some(" \t");
    assert_eq!(visit.refused(), "condition");
    visit.reason = Some("INC-7");
    assert_eq!(visit.granted().rules, ["long"]);
}

#[test]
fn a_ticket_is_a_word_of_the_reason() {
    let mut visit = visit(&TWO.replace("do =", "ticket = \"INC-?*\"\ndo ="));
    for reason in [None, Some("look at it"), Some("INC-"), Some("XINC-7")] {
        visit.reason = reason;
        assert_eq!(visit.refused(), "condition");
    }
    for reason in ["INC-7", "look at it (INC-7)", "for INC-7."] {
        visit.reason = Some(reason);
        assert_eq!(visit.granted().rules, ["long"]);
    }
}

#[test]
fn hours_are_those_of_their_zone_and_reach_past_midnight() {
    let night =
        "hours = { days = \"thu\", from = \"22:00\", to = \"02:00\", zone = \"UTC\" }\ndo =";
    let mut visit = visit(&TWO.replace("do =", night));
    // 1970 began on a Thursday.
    for (hour, opens) in [
        (1, false),
        (21, false),
        (22, true),
        (25, true),
        (26, false),
        (46, false),
    ] {
        visit.now = Timestamp::from_seconds(hour * 3600);
        assert_eq!(matches!(visit.open(), Opening::Granted(_)), opens, "{hour}");
    }
    visit.policy = visit.policy.replace("UTC", "Etc/GMT-2");
    visit.now = Timestamp::from_seconds(20 * 3600);
    assert!(matches!(visit.open(), Opening::Granted(_)));
}

#[test]
fn roles_that_need_an_approval_wait_for_it_and_the_others_do_not() {
    let all = TWO.replace("do =", "approvers = [\"leads\"]\nneeded = 2\ndo =");
    let mut asks = visit(&all);
    let Opening::Review(demand) = asks.open() else {
        panic!("it must wait");
    };
    assert_eq!((demand.rule.as_str(), demand.needed), ("long", 2));
    assert!(demand.approvers.contains("leads"));
    asks.approved = true;
    assert_eq!(asks.granted().roles, ["small"]);
    let one = TWO.replacen("do =", "approvers = [\"leads\"]\ndo =", 1);
    assert_eq!(visit(&one).granted().roles, ["great"]);
}

#[test]
fn being_an_approver_approves_nothing() {
    let mut visit = visit(&TWO.replace("do =", "approvers = [\"leads\"]\ndo ="));
    visit.subject = person(&["leads"]);
    assert!(matches!(visit.open(), Opening::Review(_)));
}

#[test]
fn powers_over_the_broker_open_no_database_and_the_other_way_round() {
    let policy = policy(STARTER);
    let offered = ["prod".parse().unwrap()];
    let (auditor, engineer) = (person(&["auditors"]), person(&["engineers"]));
    for power in [Power::Audit, Power::Sessions] {
        assert!(may(&policy, &auditor, power, Timestamp::EPOCH));
        assert!(!may(&policy, &engineer, power, Timestamp::EPOCH));
    }
    assert!(databases(&policy, &auditor, &offered).is_empty());
    let offers = databases(&policy, &engineer, &offered);
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].powers, ["read", "write", "define"]);
    assert_eq!(offers[0].access, Access::Write);
}
