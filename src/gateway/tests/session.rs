//! The session machine, message by message.

use crate::gateway::session::Outbox;
use crate::gateway::tests::world::{World, client, server};

fn check(script: &str) -> World {
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
fn copy_data_passes_and_sync_within_it_is_ignored() {
    let world = check(
        "> P - copy notes from stdin
         > B - -
         > E - 0
         > S
         up P - copy notes from stdin
         up B - -
         up E - 0
         up H
         < 1
         < 2
         < G
         > d 1
         > H
         > c
         > S
         up d 1
         up c
         up S
         < C COPY 1
         < Z I
         down 1
         down 2
         down G 2
         down C COPY 1
         down Z I",
    );
    assert_eq!(world.finished, ["COPY 1"]);
}

#[test]
fn copy_in_a_query_passes_and_its_failure_drops_the_rest_of_the_data() {
    check(
        "> Q copy notes from stdin
         up Q copy notes from stdin
         < G
         down G 2
         > d bad
         up d bad
         < E 22P02 invalid input
         < Z I
         down E 22P02 invalid input
         down Z I
         > d more
         > c
         > Q select 1
         up Q select 1",
    );
}

#[test]
fn a_refused_copy_swallows_its_data_before_the_error() {
    let world = check(
        "> Q copy items from stdin
         down G 2
         > d DROP TABLE users;
         > d \\.
         > c
         down E 42501 `COPY … FROM` is denied on `prod`
         down Z I
         > Q select 1
         up Q select 1",
    );
    assert_eq!(world.intents(), 1);
}

#[test]
fn a_refused_copy_in_a_pipeline_seems_well_until_its_data_has_come() {
    let world = check(
        "> P - copy items from stdin
         > DS -
         > B - -
         > DP -
         > E - 0
         > S
         down 1
         down t
         down n
         down 2
         down n
         down G 2
         > d 1
         > c
         down E 42501 `COPY … FROM` is denied on `prod`
         > S
         up S
         < Z I
         down Z I",
    );
    assert_eq!(world.intents(), 0);
}

#[test]
fn a_refused_copy_behind_something_that_fails_never_begins() {
    check(
        "> P a select 1
         > B - a
         > E - 0
         > P b copy items from stdin
         > B - b
         > E - 0
         up P a select 1
         up B - a
         up DP -
         up E - 0
         up H
         < 1
         < 2
         < T a
         < E 22012 division by zero
         down 1
         down 2
         down E 22012 division by zero
         > d 1
         > c
         > S
         up S
         < Z I
         down Z I",
    );
}

#[test]
fn a_function_call_is_refused() {
    check(
        "> F
         down E 0A000 dbgate does not pass on function calls of the fast-path protocol
         down Z I",
    );
}

#[test]
fn names_that_do_not_exist_fail_as_on_the_server() {
    check(
        "> E nothing 0
         > S
         up S
         down E 34000 portal \"nothing\" does not exist
         < Z I
         down Z I
         > DS nothing
         > S
         up S
         down E 26000 prepared statement \"nothing\" does not exist
         < Z I
         down Z I",
    );
}

#[test]
fn portals_end_with_their_transaction() {
    check(
        "> P - select 1
         > B p -
         > S
         up P - select 1
         up B p -
         up S
         < 1
         < 2
         < Z I
         down 1
         down 2
         down Z I
         > E p 0
         > S
         up S
         down E 34000 portal \"p\" does not exist
         < Z I
         down Z I",
    );
}

#[test]
fn pinned_settings_that_change_end_the_connection() {
    let mut world = World::new();
    let mut out = Outbox::default();
    let quiet = server("Set application_name psql");
    world.session.upstream(&quiet, &mut out).unwrap();
    for line in [
        "Set standard_conforming_strings off",
        "Set client_encoding BIG5",
    ] {
        assert!(world.session.upstream(&server(line), &mut out).is_err());
    }
}

#[test]
fn unasked_messages_of_the_upstream_end_the_connection() {
    for line in [
        "1",
        "2",
        "3",
        "t",
        "n",
        "s",
        "I",
        "T a",
        "D 1",
        "C SELECT 1",
        "G",
        "O",
        "d x",
        "c",
        "V",
        "Z I",
        "E 42601 x",
    ] {
        let mut world = World::new();
        let mut out = Outbox::default();
        assert!(
            world.session.upstream(&server(line), &mut out).is_err(),
            "{line}"
        );
        assert!(out.client.is_empty(), "{line}");
    }
}

#[test]
fn an_unasked_copy_in_does_not_open_the_client() {
    let mut world = check("> Q select 1\nup Q select 1");
    let mut out = Outbox::default();
    assert!(world.session.upstream(&server("G"), &mut out).is_err());
}

#[test]
fn a_lost_connection_leaves_outcomes_unknown() {
    let mut world = check("> Q commit\nup Q commit");
    let mut out = Outbox::default();
    world.session.end(&mut out);
    assert!(format!("{:?}", out.acts).contains("Unknown"));
    assert!(
        world
            .session
            .client(client("Q select 1"), &mut out)
            .is_err()
    );
}

#[test]
fn notices_and_errors_about_protected_data_lose_their_text() {
    let world = check(
        "> Q select email from customers
         up Q select email from customers
         < N value is a@b.c
         < E 22P02 invalid input: a@b.c
         < Z I
         down N the database reported a notice: no error (SQLSTATE 01000)
         down E 22P02 the database reported an error: invalid data (SQLSTATE 22P02)
         down Z I",
    );
    assert_eq!(world.finished, ["failed 22P02"]);
}

#[test]
fn protected_columns_are_masked_and_counted_in_text() {
    let world = check(
        "> Q select email from customers
         up Q select email from customers
         < T email:20002:2
         < D a@b.c
         < D d@e.f
         < C SELECT 2
         < Z I
         down T email
         down D ***
         down D ***
         down C SELECT 2
         down Z I",
    );
    assert_eq!(world.finished, ["SELECT 2"]);
}

#[test]
fn a_column_that_the_server_says_is_protected_is_never_shown() {
    check(
        "> Q select id from customers
         up Q select id from customers
         < T id:20002:2
         up cancel
         < D a@b.c
         < E 57014 canceling statement
         < Z I
         down E 42501 column `id` of the result comes from a protected column that dbgate did not find in the statement
         down Z I",
    );
}

#[test]
fn copied_lines_are_masked() {
    check(
        "> Q copy customers (id, email) to stdout
         up Q copy customers (id, email) to stdout
         < O
         < d 1\\ta@b.c\\n
         < c
         < C COPY 1
         < Z I
         down O
         down d 1\\t***\\n
         down c
         down C COPY 1
         down Z I",
    );
}
