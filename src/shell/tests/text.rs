//! Scripts cut into statements and lines of the shell.

use proptest::prelude::*;

use crate::shell::text::{self, End, Kind, Part, Script};

/// Statements of a script, one a line as `line: text`, an open one with `…`.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let parts: Vec<_> = Script::new(script)
        .map(|part| match part {
            Part::Statement { text, line, end } => {
                let mark = match end {
                    End::Semicolon => "",
                    End::Go => " \\g",
                    End::GoExpanded => " \\gx",
                    End::Text => " …",
                };
                format!("{line}: {text}{mark}")
            }
            Part::Command { text, line } => format!("{line}: !{text}"),
            Part::Stray { text, line } => format!("{line}: stray {text}"),
        })
        .collect();
    assert_eq!(parts, expected, "{script:?}");
}

#[test]
fn statements_end_at_semicolons() {
    check("select 1; select 2", &["1: select 1", "1: select 2 …"]);
    check("  ;; ;\n", &[]);
    check(
        "\n\nselect\n1\n;\nselect 2;",
        &["3: select\n1", "6: select 2"],
    );
    check("-- only; a comment\n", &[]);
    check("-- first;\nselect 1;", &["2: select 1"]);
    check("select 1 -- no; end\n;", &["1: select 1 -- no; end"]);
}

#[test]
fn quotes_hide_semicolons() {
    check("select ';'; x", &["1: select ';'", "1: x …"]);
    check("select 'it''s;' ;", &["1: select 'it''s;'"]);
    check("select '\\';", &["1: select '\\'"]);
    check("select E'\\';' ;", &["1: select E'\\';'"]);
    check(
        "select E'\\q;\\u12;' ; a;",
        &["1: select E'\\q;\\u12;'", "1: a"],
    );
    check("select U&'\\;' ; a;", &["1: select U&'\\;'", "1: a"]);
    check("select \"a;b\"\"c;\";", &["1: select \"a;b\"\"c;\""]);
    check("do $$ begin; end $$;", &["1: do $$ begin; end $$"]);
    check("do $a$ $$;$b$; $a$;", &["1: do $a$ $$;$b$; $a$"]);
    check(
        "select /* a /* ; */ ; */ 1;",
        &["1: select /* a /* ; */ ; */ 1"],
    );
    check(
        "select $1; select a$b$c;",
        &["1: select $1", "1: select a$b$c"],
    );
}

#[test]
fn comments_end_operators() {
    check("select 1 +-- a; b\n2;", &["1: select 1 +-- a; b\n2"]);
    check("select 1 */* a; b */2;", &["1: select 1 */* a; b */2"]);
}

#[test]
fn brackets_and_bodies_hide_semicolons() {
    check(
        "create rule r as on insert to t do (a; b); c;",
        &["1: create rule r as on insert to t do (a; b)", "1: c"],
    );
    check(
        "create or replace function f() returns int begin atomic select case when a then 1 end; select 2; end; c;",
        &[
            "1: create or replace function f() returns int begin atomic select case when a then 1 end; select 2; end",
            "1: c",
        ],
    );
    check("begin; commit;", &["1: begin", "1: commit"]);
}

#[test]
fn backslash_commands_are_parts() {
    check(
        "\\d users; x\nselect 1;",
        &["1: !\\d users; x", "2: select 1"],
    );
    check(
        "select 1 \\gx\nselect 2 \\g\n",
        &["1: select 1 \\gx", "2: select 2 \\g"],
    );
    check("\\d it's\nselect 1;", &["1: !\\d it's", "2: select 1"]);
}

#[test]
fn a_statement_before_another_command_is_not_run() {
    check("delete from t\n\\r\n", &["2: stray \\r"]);
    check("select 1 \\d t; select 2", &["1: stray \\d t; select 2"]);
    check(
        "select 1 \\gset\nselect 2;",
        &["1: stray \\gset", "2: select 2"],
    );
    check("select 1 \\g file\n", &["1: stray \\g file"]);
    check("select 1 \\g  \nx;", &["1: select 1 \\g", "2: x"]);
    assert!(!Script::new("delete from t\n\\r").is_open());
}

#[test]
fn what_is_not_closed_is_open() {
    for open in [
        "select 1",
        "select 'a;",
        "select \"a;",
        "/* a;",
        "$$ ;",
        "select (1;",
        "a; b",
    ] {
        assert!(Script::new(open).is_open(), "{open}");
    }
    for closed in [
        "",
        "  ",
        "select 1;",
        "\\d",
        "a; -- b",
        "select ';' \\g",
        "do $$;$$;",
    ] {
        assert!(!Script::new(closed).is_open(), "{closed}");
    }
}

#[test]
fn copy_data_follows_its_statement() {
    let mut script = Script::new("copy t from stdin;\n1;\t2\n\\N\n\\.\nselect 1;");
    let Some(Part::Statement { text, .. }) = script.next() else {
        panic!("a statement")
    };
    assert!(text::is_copy_in(text));
    assert_eq!(script.data(), "1;\t2\n\\N\n");
    assert_eq!(
        script.next(),
        Some(Part::Statement {
            text: "select 1",
            line: 5,
            end: End::Semicolon
        })
    );
    assert!(text::is_copy_in(
        "COPY public.t (a, \"b\") FROM STDIN WITH (format csv)"
    ));
    assert!(!text::is_copy_in("copy t to stdout"));
}

#[test]
fn a_long_statement_is_read_as_a_whole() {
    let row = "('a;b', $$;$$),\n";
    let script = format!(
        "insert into t values\n{}(1);\nselect 1;",
        row.repeat(20_000)
    );
    let parts: Vec<_> = Script::new(&script).collect();
    assert_eq!(parts.len(), 2);
    assert!(matches!(
        parts[1],
        Part::Statement {
            text: "select 1",
            line: 20_003,
            ..
        }
    ));
}

#[test]
fn many_statements_are_read_in_no_time() {
    let script = "select 'a;b';\n".repeat(200_000);
    assert_eq!(Script::new(&script).count(), 200_000);
}

#[test]
fn pieces_have_kinds() {
    let sql = "select \"A\".b, 1.5 from t -- x";
    let kinds: Vec<_> = text::pieces(sql)
        .iter()
        .map(|piece| piece.kind)
        .filter(|kind| *kind != Kind::Space)
        .collect();
    assert_eq!(
        kinds,
        [
            Kind::Keyword,
            Kind::Quoted,
            Kind::Dot,
            Kind::Name,
            Kind::Symbol,
            Kind::Number,
            Kind::Keyword,
            Kind::Name,
            Kind::Comment,
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pieces_cover_any_text(text in "([a-z]|[ ;'\"$\\\\\n/*+()-]|E'|U&'|\\$a\\$|\\PC){0,60}") {
        let mut at = 0;
        for piece in text::pieces(&text) {
            prop_assert_eq!(piece.range.start, at);
            prop_assert!(piece.range.end > at);
            at = piece.range.end;
        }
        prop_assert_eq!(at, text.len());
        let _ends = Script::new(&text).count();
    }
}
