//! A transcript shows what a client saw, in order, and where it ends.

use std::time::Duration;

use crate::audit::recording::{Limit, Recorder, Step, What, parse};
use crate::sql::catalog::{Catalog, Parts};
use crate::wire::row::{Builder, Field, Format, RowDescription};

fn field(name: &str, type_oid: u32, format: Format) -> Field {
    Field {
        name: name.to_owned(),
        table: 0,
        column: 0,
        type_oid,
        size: -1,
        modifier: -1,
        format,
    }
}

fn recorder(limit: Limit, fields: Vec<Field>) -> Recorder {
    let mut recorder = Recorder::new(limit);
    let catalog = Catalog::new(Parts::default());
    let columns = RowDescription { fields };
    recorder.columns(Duration::from_micros(5), &columns, &catalog);
    // Described twice, told once.
    recorder.columns(Duration::from_micros(6), &columns, &catalog);
    recorder
}

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = Builder::new(&mut bytes, values.len()).unwrap();
    for value in values {
        builder.push(*value).unwrap();
    }
    builder.finish().unwrap();
    bytes
}

fn line(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [b"d", &length.to_be_bytes()[..], body].concat()
}

fn finish(mut recorder: Recorder) -> Vec<Step> {
    let text = recorder.finish().unwrap();
    assert_eq!(recorder.finish(), None);
    parse(text.text().unwrap())
}

fn texts(values: &[Option<&str>]) -> What {
    What::Row(values.iter().map(|v| v.map(str::to_owned)).collect())
}

#[test]
fn steps_come_back_with_their_times() {
    let fields = vec![
        field("id", 23, Format::Binary),
        field("e", 25, Format::Text),
    ];
    let mut recorder = recorder(Limit::default(), fields);
    // A run of messages, as they are forwarded together.
    let run = [
        row(&[Some(&[0, 0, 1, 0]), Some(b"a***@x")]),
        row(&[None, Some(b"\x1b[31m\xff")]),
    ];
    recorder.sent(Duration::from_micros(9), &run.concat(), 2);
    recorder.notice(Duration::from_micros(20), "row limit reached");
    let steps = finish(recorder);
    let times: Vec<u64> = steps.iter().map(|step| step.t).collect();
    assert_eq!(times, [5, 9, 9, 20]);
    assert_eq!(steps[1].what, texts(&[Some("256"), Some("a***@x")]));
    let escaped = texts(&[None, Some("\u{1b}[31m\u{fffd}")]);
    assert_eq!(steps[2].what, escaped);
}

#[test]
fn values_in_binary_are_shown_as_text_or_as_hex() {
    for (type_oid, value, expected) in [
        (16, &[1][..], "t"),
        (20, &[0, 0, 0, 0, 0, 0, 0, 9], "9"),
        (1082, &[0, 0, 0, 1], "2000-01-02"),
        (2950, &[0x11; 16], "11111111-1111-1111-1111-111111111111"),
        (3802, b"\x01{}", "{}"),
        (25, b"abc", "abc"),
        (1007, &[0, 1], "\\x0001"),
        (23, &[1], "\\x01"),
    ] {
        let fields = vec![field("v", type_oid, Format::Binary)];
        let mut recorder = recorder(Limit::default(), fields);
        recorder.sent(Duration::ZERO, &row(&[Some(value)]), 1);
        let steps = finish(recorder);
        assert_eq!(steps[1].what, texts(&[Some(expected)]), "{type_oid}");
    }
}

#[test]
fn lines_of_copy_are_kept_without_their_end() {
    let mut recorder = Recorder::new(Limit::default());
    let run = [line(b"1\ta***\n"), line(b"PGCOPY\n\xff\r\n\0\0")].concat();
    recorder.sent(Duration::ZERO, &run, 2);
    let steps = finish(recorder);
    assert_eq!(steps[0].what, What::Line("1\ta***".to_owned()));
    let binary = What::Line("\\x5047434f50590aff0d0a0000".to_owned());
    assert_eq!(steps[1].what, binary);
}

#[test]
fn a_long_result_is_bounded_and_says_what_is_missing() {
    for (limit, cell) in [
        (
            Limit {
                bytes: 1000,
                rows: 1_000_000,
            },
            10,
        ),
        (
            Limit {
                bytes: 1_000_000,
                rows: 7,
            },
            10,
        ),
        (
            Limit {
                bytes: 20_000,
                rows: 1_000_000,
            },
            1_000_000,
        ),
        (Limit { bytes: 0, rows: 0 }, 10),
    ] {
        let mut recorder = recorder(limit, vec![field("a", 25, Format::Text)]);
        let value = vec![b'x'; cell];
        let row = row(&[Some(&value)]);
        for number in 0..500_u64 {
            recorder.sent(Duration::from_micros(number), &row, 1);
        }
        let text = recorder.finish().unwrap();
        let text = text.text().unwrap();
        assert!(text.len() < limit.bytes + 100, "{limit:?} {}", text.len());
        let steps = parse(text);
        let rows = steps.iter().filter(|s| matches!(s.what, What::Row(_)));
        let rows = rows.count() as u64;
        assert!(rows <= limit.rows, "{limit:?}: {rows}");
        assert_eq!(rows > 0, limit.rows > 0, "{limit:?}: {rows}");
        assert_eq!(steps.last().unwrap().what, What::Omitted(500 - rows));
    }
}

#[test]
fn a_message_cut_anywhere_is_kept_as_if_it_had_come_whole() {
    let fields = || {
        vec![
            field("a", 25, Format::Text),
            field("b", 25, Format::Binary),
            field("c", 17, Format::Binary),
            field("d", 23, Format::Binary),
        ]
    };
    let (long, short) = ("äö".repeat(3000), "ü".repeat(20));
    let rows = [
        row(&[Some(b"one"), Some(b"zwei"), None, Some(&[0, 0, 0, 7])]),
        row(&[
            Some(long.as_bytes()),
            Some(long.as_bytes()),
            Some(long.as_bytes()),
            None,
        ]),
        row(&[
            Some(b""),
            Some(short.as_bytes()),
            Some(&[1, 2]),
            Some(&[0, 0, 0, 8]),
        ]),
        line(format!("{short}\t{long}\n").as_bytes()),
        line(b"last\n"),
    ];
    let whole = {
        let mut recorder = recorder(Limit::default(), fields());
        recorder.sent(Duration::ZERO, &rows.concat(), 5);
        finish(recorder)
    };
    assert_eq!(whole.len(), 6, "{whole:?}");
    let all = rows.concat();
    let starts: Vec<usize> = (0..5).map(|n| rows[..n].concat().len()).collect();
    let begun = |from: usize, to: usize| starts.iter().filter(|s| from <= **s && **s < to).count();
    let mut cuts = 0;
    // A header is never cut: it is waited for.
    let is_header = |at: usize| {
        starts
            .iter()
            .any(|start| (start + 1..start + 5).contains(&at))
    };
    let is_near = |at: usize| starts.iter().any(|start| at.abs_diff(*start) < 60);
    let some = (0..all.len()).filter(|at| at % 331 == 0 || is_near(*at));
    for first in some.filter(|at| !is_header(*at)) {
        for second in [first + 1, first + 700, first + 9000, all.len()] {
            let second = second.min(all.len());
            if is_header(second) {
                continue;
            }
            let mut recorder = recorder(Limit::default(), fields());
            for (from, to) in [(0, first), (first, second), (second, all.len())] {
                recorder.sent(Duration::ZERO, &all[from..to], begun(from, to) as u64);
            }
            // Texts of many kilobytes: the place is told, not the texts.
            assert!(finish(recorder) == whole, "cut at {first} and {second}");
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn a_message_that_never_ends_is_told_as_missing() {
    let mut recorder = recorder(Limit::default(), vec![field("a", 25, Format::Text)]);
    let whole = row(&[Some(b"one")]);
    let cut = &whole[..whole.len() - 1];
    recorder.sent(Duration::ZERO, &[&whole, cut].concat(), 2);
    let steps = finish(recorder);
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert_eq!(steps[2].what, What::Omitted(1));
}

#[test]
fn a_message_that_says_less_than_it_is_long_is_not_shown() {
    for columns in [0, 2] {
        let mut wrong = row(&[Some(b"one")]);
        wrong[6] = columns;
        let mut recorder = recorder(Limit::default(), vec![field("a", 25, Format::Text)]);
        recorder.sent(Duration::ZERO, &wrong[..9], 1);
        recorder.sent(Duration::ZERO, &wrong[9..], 0);
        recorder.sent(Duration::ZERO, &row(&[Some(b"two")]), 1);
        let steps = finish(recorder);
        assert_eq!(steps.last().unwrap().what, What::Omitted(2), "{steps:?}");
    }
}

#[test]
fn a_huge_row_in_pieces_takes_no_more_room_than_a_transcript() {
    let value = vec![b'x'; 20_000];
    let values = vec![Some(value.as_slice()); 1000];
    let huge = row(&values);
    let fields = (0..1000).map(|n| field(&format!("c{n}"), 25, Format::Text));
    let mut recorder = recorder(
        Limit {
            bytes: 64 * 1024,
            rows: 9,
        },
        fields.collect(),
    );
    let mut most = 0;
    for (number, piece) in huge.chunks(65_536).enumerate() {
        recorder.sent(Duration::ZERO, piece, u64::from(number == 0));
        most = most.max(recorder.size());
    }
    assert!(most <= 64 * 1024, "{most}");
    assert_eq!(finish(recorder).last().unwrap().what, What::Omitted(1));
}

#[test]
fn a_long_value_is_cut_and_its_length_is_told() {
    let mut recorder = recorder(Limit::default(), vec![field("a", 25, Format::Text)]);
    let value = "ä".repeat(50_000);
    recorder.sent(Duration::ZERO, &row(&[Some(value.as_bytes())]), 1);
    let steps = finish(recorder);
    let What::Row(values) = &steps[1].what else {
        panic!("{steps:?}");
    };
    let shown = values[0].as_ref().unwrap();
    assert!(shown.ends_with("ä… (100000 bytes)"), "{shown}");
    assert!(shown.len() < 8300);
}

#[test]
fn nothing_seen_is_no_transcript() {
    assert_eq!(Recorder::new(Limit::default()).finish(), None);
}
