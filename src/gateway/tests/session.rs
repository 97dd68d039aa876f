//! The session machine, message by message.

use crate::gateway::session::Outbox;
use crate::gateway::tests::world::{World, server};

pub(super) fn check(script: &str) -> World {
    let mut world = World::new();
    world.play(script);
    world
}

#[test]
fn a_query_passes_and_is_recorded_before_and_after() {
    let world = check(
        "> Q select 1
         up Q select 1
         < T a
         < D 1
         < C SELECT 1
         < Z I
         down T a
         down D 1
         down C SELECT 1
         down Z I",
    );
    assert_eq!(world.intents(), 1);
    assert_eq!(world.finished, ["SELECT 1"]);
}

#[test]
fn a_refused_query_never_reaches_an_idle_upstream() {
    let world = check(
        "> Q drop table items
         down E 42501 `DROP` is denied on `prod`
         down Z I
         > Q select 1
         up Q select 1",
    );
    assert_eq!(world.intents(), 1);
}

#[test]
fn a_refused_query_aborts_the_open_transaction() {
    check(
        "> Q begin
         up Q begin
         < C BEGIN
         < Z T
         down C BEGIN
         down Z T
         > Q drop table items
         up Q dbgate refused a statement
         < E 42601 syntax error
         < Z E
         down E 42501 `DROP` is denied on `prod`
         down Z E
         > Q drop table items
         down E 25P02 current transaction is aborted, commands ignored until end of transaction block
         down Z E
         > Q rollback
         up Q rollback
         < C ROLLBACK
         < Z I
         down C ROLLBACK
         down Z I",
    );
}

#[test]
fn one_refused_statement_refuses_the_whole_string() {
    let world = check(
        "> Q select 1; drop table items; select 2
         down E 42501 `DROP` is denied on `prod`
         down Z I",
    );
    assert_eq!(world.intents(), 0);
}

#[test]
fn the_results_of_a_string_belong_to_its_statements_in_order() {
    let world = check(
        "> Q select 1; select 2
         up Q select 1; select 2
         < T a
         < D 1
         < C SELECT 1
         < T b
         < D 2
         < E 22012 division by zero
         < Z I
         down T a
         down D 1
         down C SELECT 1
         down T b
         down D 2
         down E 22012 division by zero
         down Z I",
    );
    assert_eq!(world.finished, ["SELECT 1", "failed 22012"]);
}

#[test]
fn more_results_than_statements_end_the_connection() {
    let mut world = check("> Q select 1\nup Q select 1");
    let mut out = Outbox::default();
    for line in ["T a", "D 1", "C SELECT 1"] {
        world.session.upstream(&server(line), &mut out).unwrap();
    }
    assert!(world.session.upstream(&server("T a"), &mut out).is_err());
}

#[test]
fn a_pipeline_passes_with_a_description_of_our_own() {
    let world = check(
        "> P - select 1
         > B - -
         > E - 0
         > S
         up P - select 1
         up B - -
         up DP -
         up E - 0
         up S
         < 1
         < 2
         < T a
         < D 1
         < C SELECT 1
         < Z I
         down 1
         down 2
         down D 1
         down C SELECT 1
         down Z I",
    );
    assert_eq!(world.finished, ["SELECT 1"]);
}

#[test]
fn a_refused_statement_in_the_middle_of_a_pipeline_fails_it_there() {
    let world = check(
        "> P a insert into notes values (1, 'x')
         > B - a
         > E - 0
         > P b drop table items
         > B - b
         > E - 0
         > P c select 1
         > S
         up P a insert into notes values (1, 'x')
         up B - a
         up E - 0
         up B - dbgate refused a statement
         up H
         up S
         < 1
         < 2
         < C INSERT 0 1
         < E 26000 no such statement
         < Z I
         down 1
         down 2
         down C INSERT 0 1
         down E 42501 `DROP` is denied on `prod`
         down Z I
         > Q select 2
         up Q select 2",
    );
    assert_eq!(world.intents(), 2);
}

#[test]
fn a_refusal_at_the_start_of_a_pipeline_needs_nothing_from_the_upstream_but_ready() {
    check(
        "> P - drop table items
         > B - -
         > E - 0
         > S
         up S
         down E 42501 `DROP` is denied on `prod`
         < Z I
         down Z I",
    );
}

#[test]
fn an_error_of_the_upstream_skips_to_sync_and_takes_names_back() {
    let world = check(
        "> P s select 1
         > B p s
         > E p 0
         > P t select 2
         > B q t
         > S
         up P s select 1
         up B p s
         up DP p
         up E p 0
         up P t select 2
         up B q t
         up S
         < 1
         < 2
         < T a
         < E 22012 division by zero
         < Z I
         down 1
         down 2
         down E 22012 division by zero
         down Z I
         > B - t
         > S
         up S
         down E 26000 prepared statement \"t\" does not exist
         < Z I
         down Z I
         > B - s
         up B - s",
    );
    assert_eq!(world.finished, ["failed 22012", "skipped"]);
}

#[test]
fn an_error_before_sync_is_sent_makes_the_client_skip() {
    check(
        "> P s selec
         > S
         up S
         down E 42601 syntax error at or near \"selec\"
         < Z I
         down Z I
         > P s select 1
         > H
         up P s select 1
         up H
         < E 42P05 prepared statement \"s\" already exists
         down E 42P05 prepared statement \"s\" already exists
         > B - s
         > E - 0
         > S
         up S
         < Z I
         down Z I",
    );
}

#[test]
fn a_failed_parse_leaves_the_old_named_statement_and_drops_the_unnamed_one() {
    check(
        "> P s select 1
         > P - select 2
         > S
         up P s select 1
         up P - select 2
         up S
         < 1
         < 1
         < Z I
         down 1
         down 1
         down Z I
         > P s select 3
         > S
         up P s select 3
         up S
         < E 42P05 exists
         < Z I
         down E 42P05 exists
         down Z I
         > P - select 4
         > S
         up P - select 4
         up S
         < E 42P01 nothing there
         < Z I
         down E 42P01 nothing there
         down Z I
         > B - s
         > B - -
         > S
         up B - s
         up B - dbgate refused a statement
         up H
         up S
         < 2
         < E 26000 no such statement
         < Z I
         down 2
         down E 26000 unnamed prepared statement does not exist
         down Z I",
    );
}

#[test]
fn a_portal_goes_on_where_it_was_suspended() {
    let world = check(
        "> P - select 1
         > B p -
         > E p 1
         > E p 1
         > S
         up P - select 1
         up B p -
         up DP p
         up E p 1
         up E p 1
         up S
         < 1
         < 2
         < T a
         < D 1
         < s
         < D 2
         < C SELECT 1
         < Z I
         down 1
         down 2
         down D 1
         down s
         down D 2
         down C SELECT 1
         down Z I",
    );
    assert_eq!(world.finished, ["SELECT 1"]);
}

#[test]
fn two_hundred_executions_of_one_statement_are_two_hundred_intents() {
    let mut world =
        check("> P s select 1\n> S\nup P s select 1\nup S\n< 1\n< Z I\ndown 1\ndown Z I");
    for _ in 0..200 {
        world.play(
            "> B - s
             > E - 0
             > S
             up B - s
             up DP -
             up E - 0
             up S
             < 2
             < T a
             < D 1
             < C SELECT 1
             < Z I
             down 2
             down D 1
             down C SELECT 1
             down Z I",
        );
    }
    assert_eq!(world.intents(), 200);
    assert_eq!(world.finished.len(), 200);
}

#[test]
fn a_row_limit_ends_with_an_error_after_the_rows() {
    let world = check(
        "> Q select 1
         up Q select 1
         < T a
         < D 1
         < D 2
         < D 3
         < D 4
         < D 5
         up cancel
         < E 57014 canceling statement
         < Z I
         down T a
         down D 1
         down D 2
         down D 3
         down E 53400 dbgate: row limit of 3 reached
         down Z I",
    );
    assert_eq!(world.finished, ["stopped 53400"]);
}

#[test]
fn a_row_limit_that_the_upstream_outran_still_fails_the_transaction() {
    check(
        "> Q begin
         < C BEGIN
         < Z T
         up Q begin
         down C BEGIN
         down Z T
         > Q select 1
         up Q select 1
         < T a
         < D 1
         < D 2
         < D 3
         < D 4
         up cancel
         < C SELECT 4
         < Z T
         up Q dbgate refused a statement
         < E 42601 syntax error
         < Z E
         down T a
         down D 1
         down D 2
         down D 3
         down E 53400 dbgate: row limit of 3 reached
         down Z E",
    );
}

#[test]
fn a_row_limit_in_a_pipeline_fails_the_pipeline() {
    check(
        "> P - select 1
         > B - -
         > E - 0
         > H
         up P - select 1
         up B - -
         up DP -
         up E - 0
         up H
         < 1
         < 2
         < T a
         < D 1
         < D 2
         < D 3
         < D 4
         up cancel
         < C SELECT 4
         up B - dbgate refused a statement
         up H
         down 1
         down 2
         down D 1
         down D 2
         down D 3
         down E 53400 dbgate: row limit of 3 reached
         > P - select 2
         > S
         up S
         < E 26000 no such statement
         < Z I
         down Z I",
    );
}

#[test]
fn a_connection_keeps_so_many_names_and_no_more() {
    use std::sync::Arc;

    use crate::gateway::session::names::{Names, Portal, Prepared};
    let prepared = |text: &str| Prepared {
        text: text.into(),
        types: Arc::from([]),
        refused: None,
        facts: None,
    };
    let mut names = Names::default();
    let fits = |names: &mut Names, text: &str| {
        (0..).find(|number| {
            let name = format!("s{number}");
            let full = names.is_full(&name);
            if !full {
                names.set_statement(&name, Some(prepared(text)));
            }
            full
        })
    };
    assert_eq!(fits(&mut names, "select 1"), Some(20_000));
    // A name that is there can be given another meaning.
    assert!(!names.is_full("s7") && names.is_full("new"));
    names.set_statement("s7", None);
    assert!(!names.is_full("new"));
    names.drop_named();
    let long = "x".repeat(1024 * 1024);
    assert_eq!(fits(&mut names, &long), Some(32));
    // What is taken back is not counted any more.
    let undo = names.set_statement("s0", Some(prepared("short")));
    assert!(!names.is_full("new"));
    names.undo(undo);
    assert!(names.is_full("new"));
    names.drop_all();
    assert!(!names.is_full("new"));
    for number in 0..10_000 {
        let name = format!("c{number}");
        assert!(!names.is_crowded(&name));
        names.bind(&name, Portal::Cursor, None);
    }
    assert!(names.is_crowded("new") && !names.is_crowded("c1"));
    names.drop_portals();
    assert!(!names.is_crowded("new"));
}
