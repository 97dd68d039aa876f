//! The first bytes of a connection, more than 200 bad ones among them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::wire::error::Error;
use crate::wire::frame::{Deframer, MAX_STARTUP};
use crate::wire::startup::{Cancel, Initial, Startup, Version, options};

/// What a deframer makes of the bytes, and how much memory it held at most.
fn read(wire: &[u8]) -> (Result<Option<Initial>, Error>, usize) {
    let mut deframer = Deframer::frontend();
    deframer.feed(wire);
    let held = deframer.buffer().capacity();
    (deframer.next_initial(), held)
}

/// A packet with its length around `body`.
fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes(), body].concat()
}

/// A packet of protocol 3.0 with these bytes behind the version.
fn startup(rest: &[u8]) -> Vec<u8> {
    packet(&[&[0, 3, 0, 0], rest].concat())
}

/// `user=a` and what comes behind it.
fn with_user(rest: &[u8]) -> Vec<u8> {
    startup(&[b"user\0a\0", rest].concat())
}

/// A bad packet has a name and the error it ends in.
struct Bad {
    name: String,
    wire: Vec<u8>,
    expected: Error,
}

fn bad(name: impl Into<String>, wire: Vec<u8>, expected: Error) -> Bad {
    let name = name.into();
    Bad {
        name,
        wire,
        expected,
    }
}

fn bad_lengths() -> Vec<Bad> {
    let mut cases = Vec::new();
    for length in 0..8_u32 {
        for version in [196_608_u32, 80_877_103, 80_877_104, 80_877_102, 0] {
            let wire = [length.to_be_bytes(), version.to_be_bytes()].concat();
            cases.push(bad(
                format!("length {length} of {version}"),
                wire,
                Error::Length(length),
            ));
        }
    }
    let limit = MAX_STARTUP;
    let huge = [
        10_001,
        16_384,
        65_536,
        0x00ff_ffff,
        0x0100_0000,
        0x7fff_fffe,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fffe,
        u32::MAX,
    ];
    for length in huge {
        for version in [196_608_u32, 80_877_103, 80_877_102] {
            let wire = [length.to_be_bytes(), version.to_be_bytes()].concat();
            let kind = 0;
            cases.push(bad(
                format!("length {length} of {version}"),
                wire,
                Error::FrameTooLong {
                    kind,
                    length,
                    limit,
                },
            ));
        }
    }
    cases
}

fn bad_versions() -> Vec<Bad> {
    let majors = [
        0_u16, 1, 2, 4, 5, 255, 256, 1233, 1235, 0x1603, 0x4745, 65_535,
    ];
    let pairs = majors
        .into_iter()
        .flat_map(|major| [0_u16, 1, 5678].map(|minor| (major, minor)));
    pairs
        .map(|(major, minor)| {
            let body = [
                &major.to_be_bytes()[..],
                &minor.to_be_bytes(),
                b"user\0a\0\0",
            ]
            .concat();
            bad(
                format!("version {major}.{minor}"),
                packet(&body),
                Error::Version { major, minor },
            )
        })
        .collect()
}

fn bad_requests() -> Vec<Bad> {
    let mut cases = Vec::new();
    for (name, code) in [
        ("SSLRequest", 80_877_103_u32),
        ("GSSENCRequest", 80_877_104),
    ] {
        for extra in 1..6 {
            let body = [&code.to_be_bytes()[..], &vec![0; extra]].concat();
            cases.push(bad(
                format!("{name} with {extra} more"),
                packet(&body),
                Error::TrailingBytes,
            ));
        }
    }
    for length in 0..4_usize {
        let body = [&80_877_102_u32.to_be_bytes()[..], &vec![1; length]].concat();
        cases.push(bad(
            format!("cancel of {length}"),
            packet(&body),
            Error::Truncated,
        ));
    }
    for key in [0_usize, 1, 2, 3, 257, 300, 9000] {
        let body = [
            &80_877_102_u32.to_be_bytes()[..],
            &[0, 0, 0, 1],
            &vec![1; key],
        ]
        .concat();
        let expected = Error::Startup("invalid length of cancel key");
        cases.push(bad(format!("cancel key of {key}"), packet(&body), expected));
    }
    cases
}

fn bad_parameters() -> Vec<Bad> {
    let nobody = || Error::Startup("no PostgreSQL user name specified");
    let end = || Error::Startup("expected terminator as last byte");
    vec![
        bad("nothing", startup(b""), Error::Unterminated),
        bad("only the end", startup(b"\0"), nobody()),
        bad("two ends", startup(b"\0\0"), end()),
        bad("no end", startup(b"user\0a\0"), Error::Unterminated),
        bad("no value", startup(b"user\0"), Error::Unterminated),
        bad("a name cut", startup(b"us"), Error::Unterminated),
        bad("a value cut", startup(b"user\0al"), Error::Unterminated),
        bad("an empty user", startup(b"user\0\0\0"), nobody()),
        bad(
            "a database without a user",
            startup(b"database\0a\0\0"),
            nobody(),
        ),
        bad("User is not user", startup(b"User\0a\0\0"), nobody()),
        bad("an empty name", startup(b"\0value\0user\0a\0\0"), end()),
        bad("an empty name in between", with_user(b"\0value\0\0"), end()),
        bad("an empty name and value", with_user(b"\0\0\0"), end()),
        bad("bytes after the end", with_user(b"\0x"), end()),
        bad(
            "a query after the end",
            with_user(b"\0Q\0\0\0\x0dselect 1\0"),
            end(),
        ),
        bad(
            "an odd number of texts",
            with_user(b"database\0\0"),
            Error::Unterminated,
        ),
    ]
}

fn doubled_parameters() -> Vec<Bad> {
    let twice = || Error::Startup("a parameter comes twice");
    let mut cases = Vec::new();
    for name in [
        "user",
        "database",
        "options",
        "replication",
        "application_name",
        "client_encoding",
        "x",
        "_pq_.x",
    ] {
        for (first, second) in [("a", "a"), ("a", "b"), ("", "a"), ("a", "")] {
            let pairs = format!("{name}\0{first}\0{name}\0{second}\0\0");
            let wire = startup(format!("x-user\0\0{pairs}").as_bytes());
            cases.push(bad(
                format!("{name} twice: `{first}`, `{second}`"),
                wire,
                twice(),
            ));
        }
    }
    cases
}

fn parameters_that_are_no_text() -> Vec<Bad> {
    let mut cases = Vec::new();
    for not_text in [
        &b"\xff"[..],
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"a\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x92",
        b"\xfe\xff",
    ] {
        let name = format!("{not_text:?}");
        cases.push(bad(
            format!("user {name}"),
            startup(&[b"user\0", not_text, b"\0\0"].concat()),
            Error::NotUtf8,
        ));
        cases.push(bad(
            format!("database {name}"),
            with_user(&[b"database\0", not_text, b"\0\0"].concat()),
            Error::NotUtf8,
        ));
        cases.push(bad(
            format!("a name {name}"),
            with_user(&[not_text, b"\0x\0\0"].concat()),
            Error::NotUtf8,
        ));
        cases.push(bad(
            format!("options {name}"),
            with_user(&[b"options\0", not_text, b"\0\0"].concat()),
            Error::NotUtf8,
        ));
    }
    cases
}

fn too_many_parameters() -> Vec<Bad> {
    let many = || Error::Startup("too many parameters");
    let mut cases = Vec::new();
    for count in [128_usize, 129, 500, 1000] {
        let pairs: String = (0..count).map(|n| format!("{n}\0v\0")).collect();
        cases.push(bad(
            format!("{count} more parameters"),
            with_user(format!("{pairs}\0").as_bytes()),
            many(),
        ));
    }
    cases
}

#[test]
fn two_hundred_bad_packets_are_errors_and_cost_no_memory() {
    let cases: Vec<Bad> = [
        bad_lengths(),
        bad_versions(),
        bad_requests(),
        bad_parameters(),
        doubled_parameters(),
        parameters_that_are_no_text(),
        too_many_parameters(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(cases.len() >= 200, "only {} cases", cases.len());
    for Bad {
        name,
        wire,
        expected,
    } in cases
    {
        let (outcome, held) = read(&wire);
        assert_eq!(outcome, Err(expected), "{name}");
        assert!(held <= 16 * 1024, "{name} held {held}");
    }
}

#[test]
fn five_thousand_parameters_do_not_fit_and_are_refused_at_the_length() {
    let pairs: String = (0..5000).map(|n| format!("{n}\0v\0")).collect();
    let (outcome, _) = read(&with_user(format!("{pairs}\0").as_bytes()));
    assert!(matches!(outcome, Err(Error::FrameTooLong { .. })));
}

#[test]
fn a_packet_that_is_cut_waits_for_more() {
    let wire = with_user(b"database\0b\0\0");
    for length in 0..wire.len() {
        assert_eq!(read(&wire[..length]).0, Ok(None), "{length}");
    }
    assert!(matches!(read(&wire).0, Ok(Some(Initial::Startup(_)))));
}

#[test]
fn ten_thousand_bytes_are_the_most() {
    let room = 10_000 - startup(b"user\0a\0x\0\0\0").len();
    let wire = startup(&[b"user\0a\0x\0", "v".repeat(room).as_bytes(), b"\0\0"].concat());
    assert_eq!(wire.len(), 10_000);
    assert!(matches!(read(&wire).0, Ok(Some(Initial::Startup(_)))));
}

#[test]
fn the_database_defaults_to_the_user() {
    let cases: &[(&[u8], &str)] = &[
        (b"\0", "a"),
        (b"database\0\0\0", "a"),
        (b"database\0b\0\0", "b"),
    ];
    for (rest, expected) in cases {
        let Ok(Some(Initial::Startup(startup))) = read(&with_user(rest)).0 else {
            panic!("{rest:?}")
        };
        assert_eq!(startup.database(), *expected);
        assert_eq!(startup.user(), "a");
    }
}

#[test]
fn settings_leave_out_who_and_where() {
    let wire = with_user(
        b"database\0b\0options\0-c x=1\0replication\0true\0_pq_.new\x001\0DateStyle\0ISO\0\0",
    );
    let Ok(Some(Initial::Startup(startup))) = read(&wire).0 else {
        panic!("no startup packet")
    };
    assert_eq!(
        startup.settings().collect::<Vec<_>>(),
        [("DateStyle", "ISO")]
    );
    assert_eq!(startup.extensions(), ["_pq_.new"]);
    assert_eq!(startup.negotiate(), (Version::V3_0, true));
    assert!(!startup.wants_masks());
}

#[test]
fn an_option_of_ours_is_known_and_is_no_setting() {
    let Ok(Some(Initial::Startup(startup))) = read(&with_user(b"_pq_.dbgate_masks\0on\0\0")).0
    else {
        panic!("no startup packet")
    };
    assert!(startup.wants_masks());
    assert_eq!(startup.settings().count(), 0);
    assert_eq!(startup.negotiate(), (Version::V3_0, false));
}

#[test]
fn newer_protocols_are_talked_down() {
    let cases = [
        (0, 0, false),
        (1, 1, false),
        (2, 2, false),
        (3, 2, true),
        (9999, 2, true),
    ];
    for (asked, agreed, told) in cases {
        let startup = Startup {
            version: Version {
                major: 3,
                minor: asked,
            },
            parameters: Vec::new(),
        };
        let version = Version {
            major: 3,
            minor: agreed,
        };
        assert_eq!(startup.negotiate(), (version, told), "3.{asked}");
    }
}

#[test]
fn options_are_settings_and_nothing_else() {
    let good: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("  \t ", &[]),
        ("-c a=b", &[("a", "b")]),
        ("-ca=b", &[("a", "b")]),
        ("--a=b", &[("a", "b")]),
        ("--statement-timeout=5", &[("statement_timeout", "5")]),
        ("-c a=b  --c=d", &[("a", "b"), ("c", "d")]),
        (r"-c a=b\ c", &[("a", "b c")]),
        (r"-c a=b\\c", &[("a", r"b\c")]),
        ("-c a=", &[("a", "")]),
        ("-c a=b=c", &[("a", "b=c")]),
    ];
    for (text, expected) in good {
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(options(text), Ok(expected), "{text}");
    }
    // `-c=` went round for ever elsewhere (CVE-2026-107349).
    for text in [
        "-c=", "-c =x", "--=x", "-c", "-c a", "--a", "-", "--", "a=b", "-d 5", "-B 10", "-e",
        "-c a=b x", r"\",
    ] {
        assert!(options(text).is_err(), "{text}");
    }
    assert!(options(&"-c a=b ".repeat(5000)).is_err());
}

proptest! {
    #[test]
    fn packets_read_back(
        minor in 0_u16..5,
        others in btree_map("[a-z_.]{1,9}", "[^\u{0}]{0,9}", 0..9),
        pid in any::<i32>(),
        key in vec(any::<u8>(), 4..=256),
    ) {
        let mut parameters = vec![("user".to_owned(), "a".to_owned())];
        parameters.extend(others.into_iter().filter(|(name, _)| name != "user"));
        let version = Version { major: 3, minor };
        let initials = [
            Initial::Ssl,
            Initial::Gss,
            Initial::Cancel(Cancel { pid, key }),
            Initial::Startup(Startup { version, parameters }),
        ];
        for initial in initials {
            let mut wire = Vec::new();
            initial.encode(&mut wire).unwrap();
            prop_assert_eq!(read(&wire).0, Ok(Some(initial)));
        }
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(body in vec(any::<u8>(), 0..200), text in ".{0,60}") {
        read(&body).0.ok();
        Initial::decode(&body).ok();
        read(&packet(&[&[0, 3, 0, 0], body.as_slice()].concat())).0.ok();
        options(&text).ok();
    }
}
