//! The session machine, message by message: the longer conversations.

use crate::gateway::session::{Act, Outbox, Session};
use crate::gateway::startup::Tells;
use crate::gateway::tests::session::check;
use crate::gateway::tests::world::{POLICY, World, client, server};
use crate::wire::frame::Frame;

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
fn a_function_call_is_refused_and_recorded() {
    let mut world = World::new();
    world.play(
        "> F
         down E 0A000 dbgate does not pass on function calls of the fast-path protocol
         down Z I",
    );
    assert_eq!(world.refused, [" 0A000"]);
}

#[test]
fn a_statement_that_is_no_text_is_refused_and_recorded() {
    let mut frames = Vec::new();
    for (kind, body) in [
        (b'Q', &b"select 'caf\xe9'\0"[..]),
        (b'P', b"name\0select 'caf\xe9'\0\0\0"),
        (b'B', b"\xff\0\0\0\0\0\0\0\0"),
    ] {
        frames.push(Frame::new(kind, body).unwrap());
    }
    let mut refused = Vec::new();
    for frame in frames {
        let mut session = Session::new("lease", Tells::Nothing);
        let mut out = Outbox::default();
        assert!(session.client(&frame, &mut out).is_err());
        assert!(out.upstream.is_empty());
        for act in out.acts {
            let Act::Refused(unasked) = act else {
                panic!("{act:?}");
            };
            refused.push(format!("{} {}", unasked.text, unasked.fields.code));
        }
    }
    let text = "select 'caf\u{fffd}' 22021";
    assert_eq!(refused, [text, text, " 22021"]);
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
            .client(&client("Q select 1"), &mut out)
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
fn who_asks_for_it_is_told_which_columns_are_masked() {
    let mut world = World::new().telling(Tells::Masks);
    let script = "> Q select email from customers
         up Q select email from customers
         < T email:20002:2
         < D a@b.c
         < C SELECT 1
         < Z I
         down N dbgate: columns of this result are masked
         down T email
         down D ***
         down C SELECT 1
         down Z I
         > Q select 1
         up Q select 1
         < T a
         down T a";
    world.play(script);
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

#[test]
fn a_query_may_take_its_time_however_long_the_connection_was_idle() {
    let limited = format!("{POLICY}\nstatement_time = \"5m\"\n");
    let mut world = World::with(&limited);
    let minute = std::time::Duration::from_secs(60);
    world.session.tick(60 * minute);
    world.play("> Q select 1; select 2\nup Q select 1; select 2");
    assert_eq!(world.session.deadline(), Some(65 * minute));
    world.session.tick(62 * minute);
    world.play("< T a\n< D 1\n< C SELECT 1\ndown T a\ndown D 1\ndown C SELECT 1");
    assert_eq!(world.session.deadline(), Some(67 * minute));
}

#[test]
fn a_cursor_can_be_described_but_not_executed() {
    check(
        "> Q begin; declare c cursor for select id from items
         up Q begin; declare c cursor for select id from items
         < C BEGIN
         < C DECLARE CURSOR
         < Z T
         down C BEGIN
         down C DECLARE CURSOR
         down Z T
         > DP c
         > S
         up DP c
         up S
         < T id
         < Z T
         down T id
         down Z T
         > E c 0
         > S
         up B - dbgate refused a statement
         up H
         < E 26000 no such statement
         down E 0A000 \"c\" is a cursor made by DECLARE
         up S
         < Z E
         down Z E",
    );
}

#[test]
fn what_was_sent_before_a_good_bye_is_still_carried_out() {
    check(
        "> Q select 1
         up Q select 1
         > X
         < C SELECT 1
         < Z I
         down C SELECT 1
         down Z I",
    );
    check(
        "> P - select 1
         > X
         up P - select 1
         up H
         < 1
         down 1",
    );
}
