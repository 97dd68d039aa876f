//! A transcript shows what a client saw, in order, and where it ends.

use std::time::Duration;

use crate::audit::recording::{Format, Recorder, What, parse};

fn column(name: &str, type_oid: u32, binary: bool) -> (String, Format) {
    (name.to_owned(), Format { type_oid, binary })
}

#[test]
fn steps_come_back_with_their_times() {
    let mut recorder = Recorder::new(10_000);
    recorder.columns(
        Duration::from_micros(5),
        vec![column("id", 23, true), column("e", 25, false)],
    );
    recorder.row(
        Duration::from_micros(9),
        [Some(&[0, 0, 1, 0][..]), Some(b"a***@x")].into_iter(),
    );
    recorder.row(
        Duration::from_micros(12),
        [None, Some(&b"\x1b[31m\xff"[..])].into_iter(),
    );
    recorder.notice(Duration::from_micros(20), "row limit reached");
    let text = recorder.finish().unwrap();
    let steps = parse(text.text().unwrap());
    let times: Vec<u64> = steps.iter().map(|step| step.t).collect();
    assert_eq!(times, [5, 9, 12, 20]);
    let row = What::Row(vec![Some("256".to_owned()), Some("a***@x".to_owned())]);
    assert_eq!(steps[1].what, row);
    let row = What::Row(vec![None, Some("\u{1b}[31m\u{fffd}".to_owned())]);
    assert_eq!(steps[2].what, row);
}

#[test]
fn a_long_result_is_bounded_and_says_what_is_missing() {
    let mut recorder = Recorder::new(1000);
    recorder.columns(Duration::ZERO, vec![column("a", 25, false)]);
    for number in 0..500_u64 {
        let value = vec![b'x'; if number == 30 { 100_000 } else { 10 }];
        recorder.row(
            Duration::from_micros(number),
            [Some(&value[..])].into_iter(),
        );
    }
    let text = recorder.finish().unwrap();
    let text = text.text().unwrap();
    assert!(text.len() < 1100, "{}", text.len());
    let steps = parse(text);
    let rows = steps
        .iter()
        .filter(|step| matches!(step.what, What::Row(_)))
        .count();
    assert_eq!(steps.last().unwrap().what, What::Omitted(500 - rows as u64));
}

#[test]
fn nothing_seen_is_no_transcript() {
    assert_eq!(Recorder::new(10).finish(), None);
}
