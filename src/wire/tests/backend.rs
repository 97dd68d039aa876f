//! What servers send: decode ∘ encode is identity, and hostile content is an error.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::backend::{Authentication, CopyFormat, Message, TransactionStatus, rows};
use crate::wire::error::{Error, Fields, Severity, SqlState};
use crate::wire::frame::Frame;
use crate::wire::row::{DataRow, Field, RowDescription};
use crate::wire::startup::Version;
use crate::wire::tests::{bytes, cut, format, server_in, text};

fn check(message: &Message<'_>) {
    let mut wire = Vec::new();
    message.encode(&mut wire).unwrap();
    let frame = match message {
        // These only come before the server lets us in.
        Message::Authentication(_) | Message::NegotiateProtocolVersion { .. } => {
            Frame::new(wire[0], &wire[5..]).unwrap()
        }
        _ => cut(server_in(), &wire),
    };
    assert_eq!(Message::decode(&frame).as_ref(), Ok(message));
}

proptest! {
    #[test]
    fn messages_read_back(
        a in text(),
        b in text(),
        data in bytes(),
        types in vec(any::<u32>(), 0..5),
        columns in vec(format(), 0..4),
        overall in format(),
        names in vec("[a-z_.]{1,9}", 0..4),
        value in option::of(bytes()),
        pid in any::<i32>(),
        code in any::<u32>(),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let copy = CopyFormat { overall, columns };
        let fields = Fields::new(Severity::Warning, SqlState::WARNING, a.clone()).with_hint(b.clone());
        let messages = [
            Message::Authentication(Authentication::Ok),
            Message::Authentication(Authentication::CleartextPassword),
            Message::Authentication(Authentication::Md5Password { salt: code.to_be_bytes() }),
            Message::Authentication(Authentication::Sasl { mechanisms: names.clone() }),
            Message::Authentication(Authentication::SaslContinue(&data)),
            Message::Authentication(Authentication::SaslFinal(&data)),
            Message::Authentication(Authentication::Other(7, &data)),
            Message::BackendKeyData { pid, key: &data },
            Message::BindComplete,
            Message::CloseComplete,
            Message::CommandComplete { tag: &a },
            Message::CopyBothResponse(copy.clone()),
            Message::CopyInResponse(copy.clone()),
            Message::CopyOutResponse(copy),
            Message::CopyData(&data),
            Message::CopyDone,
            Message::EmptyQueryResponse,
            Message::ErrorResponse(fields.clone()),
            Message::NoticeResponse(fields),
            Message::FunctionCallResponse(value.as_deref()),
            Message::NegotiateProtocolVersion { newest: Version::from_code(code), unknown: names },
            Message::NoData,
            Message::NotificationResponse { pid, channel: &a, payload: &b },
            Message::ParameterDescription { types },
            Message::ParameterStatus { name: &a, value: &b },
            Message::ParseComplete,
            Message::PortalSuspended,
            Message::ReadyForQuery(TransactionStatus::Idle),
            Message::ReadyForQuery(TransactionStatus::Open),
            Message::ReadyForQuery(TransactionStatus::Failed),
        ];
        for message in messages {
            check(&message);
        }
    }

    #[test]
    fn descriptions_and_rows_read_back(
        names in vec(text(), 0..5),
        values in vec(option::of(bytes()), 0..6),
        numbers in any::<(u32, i16, u32, i16, i32)>(),
        format in format(),
    ) {
        let (table, column, type_oid, size, modifier) = numbers;
        let field = |name| Field { name, table, column, type_oid, size, modifier, format };
        let fields = names.into_iter().map(field).collect();
        check(&Message::RowDescription(RowDescription { fields }));

        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in &values {
            crate::wire::writer::value(&mut body, value.as_deref()).unwrap();
        }
        check(&Message::DataRow(DataRow::decode(&body).unwrap()));
    }

    #[test]
    fn any_body_of_any_kind_is_a_message_or_an_error(kind in any::<u8>(), body in vec(any::<u8>(), 0..200)) {
        let frame = Frame::new(kind, &body).unwrap();
        if let Ok(message) = Message::decode(&frame) {
            let mut wire = Vec::new();
            message.encode(&mut wire).unwrap();
            let again = Frame::new(kind, &wire[5..]).unwrap();
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }
}

#[test]
fn malformed_bodies_are_errors() {
    let cases: &[(u8, &[u8], Error)] = &[
        (b'R', b"\0\0\0", Error::Truncated),
        (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0", Error::Unterminated),
        (b'R', b"\0\0\0\0x", Error::TrailingBytes),
        (b'K', b"\0\0\0", Error::Truncated),
        (
            b'Z',
            b"X",
            Error::Meaningless {
                what: "the transaction status",
                value: 88,
            },
        ),
        (b'Z', b"", Error::Truncated),
        (b'E', b"", Error::Truncated),
        (b'E', b"SERROR", Error::Unterminated),
        (b'D', b"\xff\xff", Error::Truncated),
        (b'D', b"\0\x01\0\0\0\x05abc", Error::Truncated),
        (b'D', b"\0\x01\0\0\0\x01abc", Error::TrailingBytes),
        (b'T', b"\xff\xff\0", Error::Truncated),
        (b't', b"\xff\xff\0\0\0\0", Error::Truncated),
        (b'v', b"\0\x03\0\0\x7f\xff\xff\xff", Error::Truncated),
        (b'v', b"\0\x03\0\0\xff\xff\xff\xff", Error::Truncated),
        (
            b'G',
            b"\x02\0\0",
            Error::Meaningless {
                what: "the format of COPY",
                value: 2,
            },
        ),
        (b'V', b"\0\0\0\x01", Error::Truncated),
        (b'S', b"name\0", Error::Unterminated),
        (b'A', b"\0\0\0\x01channel", Error::Unterminated),
        (b'Q', b"select\0", Error::UnexpectedKind(b'Q')),
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

#[test]
fn a_tag_tells_its_rows() {
    let cases = [
        ("SELECT 3", Some(3)),
        ("INSERT 0 17", Some(17)),
        ("COPY 0", Some(0)),
        ("CREATE TABLE", None),
        ("BEGIN", None),
        ("SELECT -1", None),
        ("SELECT 99999999999999999999", None),
        ("", None),
    ];
    for (tag, expected) in cases {
        assert_eq!(rows(tag), expected, "{tag}");
    }
}
