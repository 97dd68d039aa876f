//! What a session may be sent in all, over its connections and within an hour.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::budget::account::Account;
use crate::gateway::budget::{Budget, Sent};
use crate::policy::obligation::{Limits, Totals};

const MINUTE: Duration = Duration::from_secs(60);

fn limits(session: Totals, hour: Totals) -> Limits {
    Limits {
        session,
        hour,
        ..Limits::default()
    }
}

fn rows(rows: u64) -> Sent {
    Sent { rows, bytes: 1 }
}

#[test]
fn rows_that_would_pass_the_limit_of_an_hour_do_not_and_later_do() {
    let ten = Totals {
        rows: Some(10),
        ..Totals::default()
    };
    let limits = limits(Totals::default(), ten);
    let budget = Budget::default();
    let at = |minutes: u32| MINUTE * minutes;
    assert_eq!(budget.pass(&limits, rows(6), at(0)), Ok(()));
    let refused = budget.pass(&limits, rows(5), at(30)).unwrap_err();
    assert_eq!(
        refused.message,
        "dbgate: the limit of 10 rows in an hour is used up"
    );
    assert_eq!(budget.left(&limits, at(30)).0.rows, 4);
    assert_eq!(budget.pass(&limits, rows(4), at(30)), Ok(()));
    assert!(budget.spend(&limits, 1, 0, at(30)).is_err());
    assert_eq!(budget.spend(&limits, 1, 0, at(61)), Ok(()));
    assert_eq!(budget.left(&limits, at(61)).0.rows, 6);
}

#[test]
fn a_session_s_limit_is_not_renewed_and_is_told_when_it_is_the_tighter() {
    let most = |rows: u64, seconds: u64| Totals {
        rows: Some(rows),
        bytes: None,
        time: Some(Duration::from_secs(seconds)),
    };
    let limits = limits(most(10_000, 5), most(20_000, 9));
    let budget = Budget::default();
    assert_eq!(budget.pass(&limits, rows(10_000), MINUTE), Ok(()));
    let refused = budget.spend(&limits, 1, 0, MINUTE * 500).unwrap_err();
    assert_eq!(
        refused.message,
        "dbgate: the session's limit of 10 000 rows is used up"
    );
    let budget = Budget::default();
    budget.ran(Duration::from_secs(3), MINUTE);
    let left = budget.left(&limits, MINUTE).1;
    assert_eq!(left, Some(Duration::from_secs(2)));
    budget.ran(Duration::from_secs(3), MINUTE);
    let refused = budget.spend(&limits, 1, 0, MINUTE * 500).unwrap_err();
    assert_eq!(
        refused.message,
        "dbgate: the session's limit of 5s of running time is used up"
    );
}

#[test]
fn a_new_session_of_the_same_owner_does_not_begin_a_new_hour() {
    let totals = |rows: u64| Totals {
        rows: Some(rows),
        ..Totals::default()
    };
    let limits = Limits {
        statements_per_hour: Some(3),
        probes_per_hour: Some(2),
        ..limits(totals(8), totals(10))
    };
    let first = Budget::default();
    assert_eq!(first.pass(&limits, rows(8), MINUTE), Ok(()));
    let second = first.of_another_session();
    assert_eq!(second.left(&limits, MINUTE).0.rows, 2);
    assert_eq!(second.spend(&limits, 2, 2, MINUTE), Ok(()));
    let third = second.of_another_session();
    assert!(third.spend(&limits, 1, 1, MINUTE).is_err(), "guesses");
    assert!(third.spend(&limits, 2, 0, MINUTE).is_err(), "statements");
    assert_eq!(third.spend(&limits, 1, 0, MINUTE), Ok(()));
    // Somebody else's is another.
    assert_eq!(Budget::default().spend(&limits, 3, 2, MINUTE), Ok(()));
    assert_eq!(third.spend(&limits, 3, 2, MINUTE * 62), Ok(()));
}

#[test]
fn what_nothing_bounds_is_known_to_the_budget_when_the_statement_has_ended() {
    let budget = Arc::new(Budget::default());
    let free = Limits::default();
    let most = |rows: u64| {
        let rows = Some(rows);
        let totals = Totals {
            rows,
            ..Totals::default()
        };
        limits(totals, Totals::default())
    };
    let left = |most: &Limits| budget.left(most, MINUTE).0.rows;
    let mut account = Account::new(&budget, &free, MINUTE);
    for _ in 0..1500 {
        assert_eq!(account.pass(&free, rows(1), MINUTE), Ok(()));
    }
    account.settle(&free, MINUTE);
    account.settle(&free, MINUTE);
    assert_eq!(left(&most(2000)), 500);
    // Under a limit no row passes that the budget does not know at once.
    let limits = most(1502);
    let mut account = Account::new(&budget, &limits, MINUTE);
    let mut other = Account::new(&budget, &limits, MINUTE);
    assert_eq!(account.pass(&limits, rows(1), MINUTE), Ok(()));
    assert_eq!(other.pass(&limits, rows(1), MINUTE), Ok(()));
    assert!(account.pass(&limits, rows(1), MINUTE).is_err());
}
