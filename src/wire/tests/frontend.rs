//! What clients send: decode ∘ encode is identity, and hostile content is an error.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::error::Error;
use crate::wire::frame::Frame;
use crate::wire::frontend::{Message, SaslInitial, Target};
use crate::wire::tests::{bytes, client_in, cut, format, text};

/// Encodes, cuts, decodes and compares.
fn check(message: &Message<'_>) {
    let mut wire = Vec::new();
    message.encode(&mut wire).unwrap();
    let frame = match message {
        // Only comes before a client is in.
        Message::Password(body) => Frame::new(b'p', body).unwrap(),
        _ => cut(client_in(), &wire),
    };
    assert_eq!(Message::decode(&frame).as_ref(), Ok(message));
}

proptest! {
    #[test]
    fn messages_read_back(
        a in text(),
        b in text(),
        types in vec(any::<u32>(), 0..5),
        formats in vec(format(), 0..4),
        parameters in vec(option::of(bytes()), 0..5),
        limit in any::<i32>(),
        data in bytes(),
    ) {
        let parameters: Vec<_> = parameters.iter().map(Option::as_deref).collect();
        let messages = [
            Message::Query { sql: &a },
            Message::Parse { name: &a, sql: &b, types },
            Message::Bind {
                portal: &a,
                statement: &b,
                formats: formats.clone(),
                parameters,
                results: formats,
            },
            Message::Describe(Target::Statement(&a)),
            Message::Describe(Target::Portal(&a)),
            Message::Close(Target::Statement(&a)),
            Message::Close(Target::Portal(&b)),
            Message::Execute { portal: &a, limit },
            Message::Flush,
            Message::Sync,
            Message::CopyData(&data),
            Message::CopyDone,
            Message::CopyFail { reason: &a },
            Message::FunctionCall(&data),
            Message::Password(&data),
            Message::Terminate,
        ];
        for message in messages {
            check(&message);
        }
    }

    #[test]
    fn any_body_of_any_kind_is_a_message_or_an_error(kind in any::<u8>(), body in vec(any::<u8>(), 0..200)) {
        let frame = Frame::new(kind, &body).unwrap();
        if let Ok(message) = Message::decode(&frame) {
            let mut wire = Vec::new();
            message.encode(&mut wire).unwrap();
            // What could be read is written the same, but for what follows a good-bye.
            if message != Message::Terminate {
                prop_assert_eq!(&wire, frame.bytes().as_ref());
            }
        }
    }

    #[test]
    fn a_sasl_choice_reads_back(mechanism in text(), data in option::of(bytes())) {
        let initial = SaslInitial { mechanism: &mechanism, data: data.as_deref() };
        let mut wire = Vec::new();
        initial.encode(&mut wire).unwrap();
        prop_assert_eq!(SaslInitial::decode(&wire), Ok(initial));
    }
}

#[test]
fn a_zero_byte_does_not_end_a_text_early() {
    let mut wire = b"before".to_vec();
    let message = Message::Query {
        sql: "select 1\0drop",
    };
    assert_eq!(message.encode(&mut wire), Err(Error::EmbeddedZero));
    assert_eq!(wire, b"before");
}

#[test]
fn malformed_bodies_are_errors() {
    let cases: &[(u8, &[u8], Error)] = &[
        (b'Q', b"select 1", Error::Unterminated),
        (b'Q', b"", Error::Unterminated),
        (b'Q', b"select\0 1\0", Error::TrailingBytes),
        (b'Q', b"\xff\0", Error::NotUtf8),
        (b'S', b"x", Error::TrailingBytes),
        (b'H', b"\0", Error::TrailingBytes),
        (b'c', b"\0", Error::TrailingBytes),
        (b'P', b"\0\0\xff\xff", Error::Truncated),
        (b'P', b"\0\0\0\x02\0\0\0\x01", Error::Truncated),
        (
            b'B',
            b"\0\0\0\x01\0\x02",
            Error::Meaningless {
                what: "a format code",
                value: 2,
            },
        ),
        (b'B', b"\0\0\0\0\xff\xff\0\0\0\0", Error::Truncated),
        (
            b'B',
            b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0",
            Error::Truncated,
        ),
        (
            b'B',
            b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
            Error::Meaningless {
                what: "a value's length",
                value: -2,
            },
        ),
        (
            b'D',
            b"X\0",
            Error::Meaningless {
                what: "the subtype of Describe or Close",
                value: 88,
            },
        ),
        (b'D', b"", Error::Truncated),
        (b'E', b"\0\0\0", Error::Truncated),
        (b'Z', b"I", Error::UnexpectedKind(b'Z')),
        (0, b"", Error::UnexpectedKind(0)),
    ];
    for (kind, body, expected) in cases {
        let frame = Frame::new(*kind, body).unwrap();
        assert_eq!(
            Message::decode(&frame).as_ref(),
            Err(expected),
            "{kind} {body:?}"
        );
    }
}
