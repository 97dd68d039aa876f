//! Cutting a stream: the same in one piece and byte by byte, and never more memory than was fed.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::wire::error::Error;
use crate::wire::frame::{
    Deframer, Frame, MAX_AUTHENTICATION, MAX_EARLY_REPORT, MAX_LENGTH, MAX_SMALL,
    MAX_SMALL_BACKEND, MAX_STATEMENT,
};
use crate::wire::tests::{client_in, server_in};

/// All messages, and the error that ended them.
fn drain(deframer: &mut Deframer) -> (Vec<Frame>, Option<Error>) {
    let mut frames = Vec::new();
    loop {
        match deframer.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"QPBDECHSdcfFXKZ".to_vec());
    let body = vec(any::<u8>(), 0..60);
    vec((kind, body), 0..8).prop_map(|messages| {
        let frames = messages
            .iter()
            .map(|(kind, body)| Frame::new(*kind, body).unwrap());
        frames.flat_map(|frame| frame.bytes().to_vec()).collect()
    })
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (
        stream(),
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    )
        .prop_map(|(mut wire, edits)| {
            for (at, byte) in edits {
                if !wire.is_empty() {
                    let at = at.index(wire.len());
                    wire[at] = byte;
                }
            }
            wire
        })
}

proptest! {
    #[test]
    fn bytes_one_by_one_equal_bytes_at_once(wire in mutated(), server in any::<bool>()) {
        let start = || if server { server_in() } else { client_in() };
        let mut at_once = start();
        at_once.feed(&wire);
        let expected = drain(&mut at_once);

        let mut one_by_one = start();
        let mut frames = Vec::new();
        let mut failed = None;
        for byte in &wire {
            one_by_one.feed(&[*byte]);
            let (more, error) = drain(&mut one_by_one);
            frames.extend(more);
            failed = error;
            if failed.is_some() {
                break;
            }
        }
        prop_assert_eq!((frames, failed), expected);
    }

    #[test]
    fn runs_lose_and_add_nothing(wire in stream(), cuts in vec(1_usize..50, 1..20)) {
        // The same bytes, fed in pieces and taken out by runs and single messages in turn.
        let mut deframer = client_in();
        let mut out = Vec::new();
        let mut rest = wire.as_slice();
        let mut failed = None;
        for size in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            deframer.feed(now);
            rest = later;
            while let Ok(Some(run)) = deframer.next_run(|kind| kind != b'S') {
                out.extend_from_slice(&run.bytes);
            }
            if !deframer.is_within_message() {
                match deframer.next_frame() {
                    Ok(Some(frame)) => out.extend_from_slice(frame.bytes()),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            if failed.is_some() || (rest.is_empty() && matches!(deframer.next_kind(), Ok(None))) {
                break;
            }
        }
        prop_assert!(wire.starts_with(&out));
        if failed.is_none() {
            prop_assert_eq!(out, wire);
        }
    }

    #[test]
    fn nothing_is_reserved_by_a_length(kind in any::<u8>(), length in any::<u32>(), phase in 0..4_u8) {
        let mut deframer = match phase {
            0 => Deframer::frontend(),
            1 => Deframer::backend(),
            2 => client_in(),
            _ => server_in(),
        };
        let before = deframer.buffer().capacity();
        deframer.feed(&[kind]);
        deframer.feed(&length.to_be_bytes());
        deframer.next_frame().ok();
        deframer.next_initial().ok();
        deframer.next_run(|_| true).ok();
        prop_assert!(deframer.buffer().capacity() <= before.max(64));
    }
}

#[test]
fn lengths_are_judged_as_soon_as_the_header_is_there() {
    let too_long = |kind, length, limit| {
        Err(Error::FrameTooLong {
            kind,
            length,
            limit,
        })
    };
    let large = [
        0x3fff_ffff,
        0x4000_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ];
    for length in large {
        for (kind, limit) in [
            (b'Q', MAX_STATEMENT),
            (b'P', MAX_STATEMENT),
            (b'F', MAX_STATEMENT),
            (b'B', MAX_LENGTH),
            (b'd', MAX_LENGTH),
        ] {
            assert_eq!(
                header(client_in(), kind, length),
                too_long(kind, length, limit)
            );
        }
        for kind in *b"DTENd" {
            assert_eq!(
                header(server_in(), kind, length),
                too_long(kind, length, MAX_LENGTH)
            );
        }
    }
    for length in [MAX_SMALL + 1, MAX_LENGTH, u32::MAX] {
        for kind in *b"CDEHSXcf" {
            assert_eq!(
                header(client_in(), kind, length),
                too_long(kind, length, MAX_SMALL)
            );
        }
    }
    assert_eq!(
        header(server_in(), b'Z', MAX_SMALL_BACKEND + 1),
        too_long(b'Z', MAX_SMALL_BACKEND + 1, MAX_SMALL_BACKEND)
    );
    for length in 0..4 {
        assert_eq!(
            header(client_in(), b'Q', length),
            Err(Error::Length(length))
        );
    }
    // At the limit, and waiting for a gibibyte that never comes.
    assert_eq!(header(client_in(), b'B', MAX_LENGTH), Ok(None));
    assert_eq!(header(client_in(), b'Q', MAX_STATEMENT), Ok(None));
}

#[test]
fn before_a_client_is_in_only_its_password_is_read() {
    let arriving = || {
        let mut deframer = Deframer::frontend();
        deframer.feed(b"\0\0\0\x10\0\x03\0\0user\0a\0\0");
        deframer.next_initial().unwrap().unwrap();
        deframer
    };
    for kind in 0..=u8::MAX {
        let expected = match kind {
            b'p' | b'X' => Ok(None),
            _ => Err(Error::UnexpectedKind(kind)),
        };
        assert_eq!(header(arriving(), kind, 100), expected, "{kind}");
    }
    let length = MAX_AUTHENTICATION + 1;
    let limit = MAX_AUTHENTICATION;
    let kind = b'p';
    assert_eq!(
        header(arriving(), kind, length),
        Err(Error::FrameTooLong {
            kind,
            length,
            limit
        })
    );
    // A second startup packet is not heard (CVE-2026-107350).
    assert_eq!(arriving().next_initial(), Err(Error::Unfinished));
    let mut inside = arriving();
    inside.authenticated();
    assert_eq!(inside.next_initial(), Err(Error::Unfinished));
}

#[test]
fn before_a_server_lets_us_in_it_can_only_ask_or_refuse() {
    for kind in 0..=u8::MAX {
        let expected = match kind {
            b'R' | b'v' | b'E' | b'N' => Ok(None),
            _ => Err(Error::UnexpectedKind(kind)),
        };
        assert_eq!(header(Deframer::backend(), kind, 100), expected, "{kind}");
    }
    let length = MAX_EARLY_REPORT + 1;
    assert!(header(Deframer::backend(), b'E', length).is_err());
    assert!(header(Deframer::backend(), b'R', MAX_AUTHENTICATION + 1).is_err());
}

#[test]
fn nobody_is_in_who_has_not_said_who_he_is() {
    let mut deframer = Deframer::frontend();
    deframer.authenticated();
    assert_eq!(
        header(deframer, b'Q', 100),
        Err(Error::UnexpectedKind(b'Q'))
    );
}

#[test]
fn a_large_message_is_forwarded_as_it_comes() {
    let large = Frame::new(b'D', &vec![7; 200_000]).unwrap();
    let small = Frame::new(b'C', b"SELECT 1\0").unwrap();
    let mut deframer = server_in();
    deframer.feed(&large.bytes()[..1000]);
    let run = deframer.next_run(|kind| kind == b'D').unwrap().unwrap();
    assert_eq!((run.bytes.len(), run.frames), (1000, 1));
    assert!(deframer.is_within_message());
    // Nothing else can be read in between.
    assert_eq!(deframer.next_frame(), Err(Error::Unfinished));
    assert_eq!(deframer.next_kind(), Err(Error::Unfinished));
    assert_eq!(deframer.next_run(|_| true), Ok(None));
    deframer.feed(&large.bytes()[1000..]);
    deframer.feed(small.bytes());
    let run = deframer.next_run(|kind| kind == b'D').unwrap().unwrap();
    assert_eq!(
        (run.bytes.len(), run.frames),
        (large.bytes().len() - 1000, 0)
    );
    assert_eq!(deframer.next_frame(), Ok(Some(small)));
}

#[test]
fn a_run_stops_at_what_must_be_read_and_before_what_is_not_whole() {
    let row = Frame::new(b'D', b"\0\0").unwrap();
    let done = Frame::new(b'C', b"SELECT 2\0").unwrap();
    let mut deframer = server_in();
    for frame in [&row, &row, &done, &row] {
        deframer.feed(frame.bytes());
    }
    deframer.feed(b"D\0\0");
    let rows = |kind| kind == b'D';
    assert_eq!(
        deframer.next_run(rows).unwrap().map(|run| run.frames),
        Some(2)
    );
    assert_eq!(deframer.next_run(rows), Ok(None));
    assert_eq!(deframer.next_frame(), Ok(Some(done)));
    assert_eq!(
        deframer.next_run(rows).unwrap().map(|run| run.frames),
        Some(1)
    );
    assert_eq!(deframer.next_run(rows), Ok(None));
    assert_eq!(deframer.buffered(), 3);
}

#[test]
fn an_error_in_a_run_comes_after_the_messages_before_it() {
    let row = Frame::new(b'D', b"\0\0").unwrap();
    let mut deframer = server_in();
    deframer.feed(row.bytes());
    deframer.feed(b"?\0\0\0\x04");
    assert_eq!(
        deframer.next_run(|_| true).unwrap().map(|run| run.frames),
        Some(1)
    );
    assert_eq!(
        deframer.next_run(|_| true),
        Err(Error::UnexpectedKind(b'?'))
    );
}

fn header(mut deframer: Deframer, kind: u8, length: u32) -> Result<Option<Frame>, Error> {
    deframer.feed(&[kind]);
    deframer.feed(&length.to_be_bytes());
    deframer.next_frame()
}

#[test]
fn a_message_that_is_thrown_away_takes_up_no_memory_and_the_next_one_is_read() {
    let large = Frame::new(b'B', &[7; 100_000]).unwrap();
    let next = Frame::new(b'S', &[]).unwrap();
    let all = [&large.bytes()[..], next.bytes()].concat();
    for step in [1, 999, 70_000, all.len()] {
        let mut deframer = client_in();
        let (mut skipped, mut most) = (false, 0);
        let mut found = Vec::new();
        for part in all.chunks(step) {
            deframer.feed(part);
            while let Some(frame) = deframer.next_frame().unwrap() {
                found.push(frame);
            }
            if !skipped && let Some((kind, size)) = deframer.incomplete() {
                assert_eq!((kind, size), (b'B', large.bytes().len()));
                deframer.skip();
                skipped = true;
                assert!(deframer.is_within_message());
                assert_eq!(deframer.incomplete(), None);
            }
            most = most.max(deframer.buffered());
        }
        // It comes as a whole only where nobody had to wait for its end.
        let expected = if skipped {
            vec![next.clone()]
        } else {
            vec![large.clone(), next.clone()]
        };
        assert_eq!(found, expected, "by {step}");
        assert_eq!(skipped, step < all.len());
        assert_eq!(deframer.buffered(), 0);
        assert!(!deframer.is_within_message());
    }
}
