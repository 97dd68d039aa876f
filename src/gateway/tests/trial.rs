//! A maximum of rows that was agreed to, message by message: nothing is committed before it is known to be kept.

use crate::gateway::tests::world::{POLICY, World};

const OVER: &str = "down E 53400 dbgate: request r0123456789ab was approved for at most 2 rows, and this touches more";

/// Two rows at most are agreed to; the last line of a script that is `over` stands for the error.
fn check(script: &str) -> World {
    let rule = "[[rule]]\nname = \"held\"\neffect = \"review\"\nwrites = [\"public.items\"]\napprovers = [\"reviewers\"]\n";
    let mut world = World::with(&format!("{POLICY}\n{rule}").replace("[limits]\nrows = 3", ""));
    world.most = Some(2);
    world.play(&script.replace("over", OVER));
    world
}

#[test]
fn a_query_within_its_maximum_is_told_once_it_is_committed() {
    let world = check(
        "> Q delete from items
         up Q delete from items
         < C DELETE 2
         < Z T
         up Q COMMIT
         < C COMMIT
         down C DELETE 2
         < Z I
         down Z I
         > Q delete from items
         up Q delete from items",
    );
    assert_eq!(world.finished, ["DELETE 2"]);
}

#[test]
fn a_query_that_touches_more_is_rolled_back() {
    let world = check(
        "> Q delete from items
         up Q delete from items
         < C DELETE 3
         over
         < Z T
         up Q ROLLBACK
         < C ROLLBACK
         < Z I
         down Z I",
    );
    assert_eq!(world.finished, ["stopped 53400"]);
}

#[test]
fn a_query_that_fails_is_rolled_back() {
    check(
        "> Q delete from items
         up Q delete from items
         < E 23503 no
         down E 23503 no
         < Z E
         up Q ROLLBACK
         < C ROLLBACK
         < Z I
         down Z I",
    );
}

#[test]
fn a_query_that_cannot_be_committed_has_failed() {
    let world = check(
        "> Q delete from items
         up Q delete from items
         < C DELETE 1
         < Z T
         up Q COMMIT
         < E 23503 no
         down E 23503 no
         < Z I
         down Z I",
    );
    assert_eq!(world.finished, ["failed 23503"]);
}

#[test]
fn nothing_follows_an_execution_before_its_end_is_known() {
    check(
        "> P - delete from items
         > B - -
         > E - 0
         > S
         up P - delete from items
         up B - -
         up E - 0
         up H
         < 1
         < 2
         < C DELETE 3
         down 1
         down 2
         over
         up B - dbgate refused a statement
         up H
         < E 26000 no such statement
         up S
         < Z I
         down Z I",
    );
    check(
        "> P - delete from items
         > B - -
         > E - 0
         > S
         up P - delete from items
         up B - -
         up E - 0
         up H
         < 1
         < 2
         < C DELETE 2
         down 1
         down 2
         down C DELETE 2
         up S
         < Z I
         down Z I",
    );
}

#[test]
fn in_a_transaction_of_the_client_it_fails_that() {
    check(
        "> Q begin
         up Q begin
         < C BEGIN
         < Z T
         down C BEGIN
         down Z T
         > Q delete from items
         up Q delete from items
         < C DELETE 3
         over
         < Z T
         up Q dbgate refused a statement
         < E 42601 syntax error
         < Z E
         down Z E",
    );
}

/// A rule lets two rows be written; nobody is asked.
fn ruled(script: &str) -> World {
    let rule = "[[rule]]\nname = \"few\"\neffect = \"deny\"\nwrites = [\"public.items\"]\nrows_above = 2\n";
    let mut world = World::with(&format!("{POLICY}\n{rule}").replace("[limits]\nrows = 3", ""));
    world.play(script);
    world
}

#[test]
fn a_rule_s_maximum_is_kept_like_one_that_was_agreed_to() {
    let world = ruled(
        "> Q delete from items
         up Q delete from items
         < C DELETE 3
         down E 42501 dbgate: this writes more than 2 rows
         < Z T
         up Q ROLLBACK
         < C ROLLBACK
         < Z I
         down Z I
         > Q delete from items
         up Q delete from items
         < C DELETE 2
         < Z T
         up Q COMMIT
         < C COMMIT
         down C DELETE 2
         < Z I
         down Z I
         > Q insert into notes values (1)
         up Q insert into notes values (1)
         < C INSERT 0 9
         down C INSERT 0 9
         < Z I
         down Z I",
    );
    assert_eq!(world.finished, ["stopped 42501", "DELETE 2", "INSERT 0 9"]);
}

#[test]
fn nothing_follows_what_a_rule_bounds_before_its_end_is_known() {
    ruled(
        "> P - delete from items
         > B - -
         > E - 0
         > S
         up P - delete from items
         up B - -
         up E - 0
         up H
         < 1
         < 2
         < C DELETE 3
         down 1
         down 2
         down E 42501 dbgate: this writes more than 2 rows
         up B - dbgate refused a statement
         up H
         < E 26000 no such statement
         up S
         < Z I
         down Z I",
    );
}

#[test]
fn what_a_rule_bounds_is_sent_by_itself() {
    ruled(
        "> Q delete from items; commit
         down E 42501 a statement with a maximum of rows must be sent by itself
         down Z I",
    );
}
