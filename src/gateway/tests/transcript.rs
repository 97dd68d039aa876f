//! What the log keeps of results is what the client was sent.

use crate::gateway::session::Outbox;
use crate::gateway::tests::session::check;
use crate::gateway::tests::world::{World, server};
use crate::wire::frame::Run;

#[test]
fn masked_rows_are_kept_as_the_client_saw_them() {
    let world = check(
        "> Q select email from customers
         up Q select email from customers
         < T email:20002:2
         < D somebody@example.com
         < N looked up
         < C SELECT 1
         < Z I
         down T email
         down D ***
         down N the database reported a notice: no error (SQLSTATE 01000)
         down C SELECT 1
         down Z I",
    );
    let seen = &world.transcripts[0];
    assert!(
        seen.starts_with(r#"{"columns":["email"]} {"row":["***"]} {"notice":""#),
        "{seen}"
    );
    assert!(
        !seen.contains("somebody") && !seen.contains("looked up"),
        "{seen}"
    );
}

#[test]
fn lines_of_copy_are_kept_masked_too() {
    let world = check(
        "> Q copy customers to stdout
         up Q copy customers to stdout
         < O
         < d 1\\tsomebody@example.com\\n
         < c
         < C COPY 1
         < Z I
         down O
         down d 1\\t***\\n
         down c
         down C COPY 1
         down Z I",
    );
    assert_eq!(world.transcripts, [r#"{"line":"1\t***"}"#]);
}

#[test]
fn what_a_limit_kept_from_the_client_is_not_kept() {
    let world = check(
        "> Q select 1
         up Q select 1
         < T a
         < D 1
         < D 2
         < D 3
         < D 4
         up cancel
         < E 57014 canceled
         < Z I
         down T a
         down D 1
         down D 2
         down D 3
         down E 53400 dbgate: row limit of 3 reached
         down Z I",
    );
    let rows = r#"{"columns":["a"]} {"row":["1"]} {"row":["2"]} {"row":["3"]}"#;
    assert_eq!(world.transcripts, [rows]);
}

#[test]
fn a_portal_fetched_in_parts_has_one_transcript() {
    let world = check(
        "> P - select 1
         > B - -
         > DP -
         > E - 1
         > E - 1
         > S
         up P - select 1
         up B - -
         up DP -
         up E - 1
         up E - 1
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
         down T a
         down D 1
         down s
         down D 2
         down C SELECT 1
         down Z I",
    );
    assert_eq!(
        world.transcripts,
        [r#"{"columns":["a"]} {"row":["1"]} {"row":["2"]}"#]
    );
}

#[test]
fn rows_forwarded_in_bulk_are_kept_also_when_one_comes_in_pieces() {
    let mut world =
        World::with(&crate::gateway::tests::world::POLICY.replace("rows = 3", "rows = 1000"));
    world.play(
        "> Q select 1
         up Q select 1
         < T a
         down T a",
    );
    let row = server("D 17").bytes().clone();
    let mut out = Outbox::default();
    assert!(
        world.session.room().is_some(),
        "clean rows are forwarded in bulk"
    );
    let run = Run {
        bytes: [&row[..], &row[..]].concat().into(),
        frames: 2,
    };
    world.session.forwarded(&run, &mut out);
    let cut = Run {
        bytes: [&row[..], &row[..12]].concat().into(),
        frames: 2,
    };
    world.session.forwarded(&cut, &mut out);
    let rest = Run {
        bytes: [&row[12..], &row[..], &row[..]].concat().into(),
        frames: 2,
    };
    world.session.forwarded(&rest, &mut out);
    world.play(
        "< C SELECT 6
         < Z I
         down C SELECT 6
         down Z I",
    );
    let kept = format!(r#"{{"columns":["a"]}}{}"#, r#" {"row":["17"]}"#.repeat(6));
    assert_eq!(world.transcripts, [kept]);
}

#[test]
fn open_portals_of_one_connection_do_not_keep_too_much() {
    let policy = crate::gateway::tests::world::POLICY.replace("rows = 3", "rows = 1000");
    let mut world = World::with(&policy);
    let value = "x".repeat(7_000);
    for number in 0..60 {
        world.play(&format!(
            "> P s{number} select 1
             > B p{number} s{number}
             > DP p{number}
             > E p{number} 30
             > H
             up P s{number} select 1
             up B p{number} s{number}
             up DP p{number}
             up E p{number} 30
             up H
             < 1
             < 2
             < T a
             down 1
             down 2
             down T a"
        ));
        let row = server(&format!("D {value}")).bytes().clone();
        let run = Run {
            bytes: row.repeat(30).into(),
            frames: 30,
        };
        world.session.forwarded(&run, &mut Outbox::default());
        world.play("< s\ndown s");
    }
    world.play("> S\nup S\n< Z I\ndown Z I");
    let kept: usize = world.transcripts.iter().map(String::len).sum();
    assert_eq!(world.transcripts.len(), 60);
    assert!((3_500_000..5_000_000).contains(&kept), "{kept}");
    assert!(world.transcripts.iter().any(|t| t.contains("omitted")));
}
