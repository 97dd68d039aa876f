//! Errors and notices as fields, also those of servers that leave things out.

use proptest::option;
use proptest::prelude::*;

use crate::wire::error::{Fields, Severity, SqlState};
use crate::wire::tests::text;

proptest! {
    #[test]
    fn fields_read_back(
        texts in proptest::array::uniform12(option::of(text())),
        message in text(),
        position in option::of(any::<u32>()),
    ) {
        let mut fields = Fields::new(Severity::Fatal, SqlState::INSUFFICIENT_PRIVILEGE, message);
        let [a, b, c, d, e, f, g, h, i, j, k, l] = texts;
        fields.detail = a;
        fields.hint = b;
        fields.internal_query = c;
        fields.context = d;
        fields.schema = e;
        fields.table = f;
        fields.column = g;
        fields.data_type = h;
        fields.constraint = i;
        fields.file = j;
        fields.line = k;
        fields.routine = l;
        fields.position = position;
        fields.internal_position = position;
        let mut body = Vec::new();
        fields.encode(&mut body);
        prop_assert_eq!(Fields::decode(&body), Ok(fields));
    }
}

#[test]
fn what_a_server_leaves_out_or_mangles_is_filled_in() {
    let cases: &[(&[u8], Severity, &str, &str)] = &[
        (b"\0", Severity::Error, "XX000", ""),
        (b"SFATAL\0\0", Severity::Fatal, "XX000", ""),
        (b"SFATAL\0C28P01\0Mno\0\0", Severity::Fatal, "28P01", "no"),
        (b"SFEHLER\0VERROR\0C42501\0\0", Severity::Error, "42501", ""),
        (b"C4250\0\0", Severity::Error, "XX000", ""),
        (b"C42501x\0\0", Severity::Error, "XX000", ""),
        (b"Cdrop!\0\0", Severity::Error, "XX000", ""),
        (b"M\xff\0\0", Severity::Error, "XX000", "\u{fffd}"),
        (b"?unknown\0Mx\0\0", Severity::Error, "XX000", "x"),
    ];
    for (body, severity, code, message) in cases {
        let fields = Fields::decode(body).unwrap();
        assert_eq!(fields.severity, *severity, "{body:?}");
        assert_eq!(fields.code.as_str(), *code, "{body:?}");
        assert_eq!(fields.message, *message, "{body:?}");
    }
}

#[test]
fn a_zero_byte_in_our_own_words_cannot_forge_a_field() {
    let fields = Fields::new(Severity::Error, SqlState::INTERNAL_ERROR, "a\0Hforged");
    let mut body = Vec::new();
    fields.encode(&mut body);
    let read = Fields::decode(&body).unwrap();
    assert_eq!(read.message, "aHforged");
    assert_eq!(read.hint, None);
}
