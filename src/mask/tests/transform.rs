//! What each mask makes of values of each type, in both formats.

use std::sync::Arc;

use proptest::prelude::*;

use crate::mask::tests::one;
use crate::policy::obligation::{Mask, Scope, Unit, is_token};
use crate::wire::row::Format;
use crate::wire::value::{Type, decode, encode};

const TEXT: u32 = 25;
const NUMERIC: u32 = 1700;
const DATE: u32 = 1082;
const STAMP: u32 = 1114;
const STAMP_TZ: u32 = 1184;

/// In text and, where the type has one, in binary format; an empty expectation is NULL.
fn check(mask: &Mask, type_oid: u32, value: &str, expected: &str) {
    let text = one(mask, type_oid, Format::Text, value.as_bytes());
    let text = text.map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(text.unwrap_or_default(), expected, "{mask:?} of {value}");
    let Some(kind) = Type::of_oid(type_oid) else {
        return;
    };
    let mut bytes = Vec::new();
    if encode(kind, value, &mut bytes).is_none() {
        return;
    }
    let mut shown = String::new();
    if let Some(binary) = one(mask, type_oid, Format::Binary, &bytes) {
        decode(kind, &binary, &mut shown).unwrap();
    }
    assert_eq!(shown, expected, "binary {mask:?} of {value}");
}

#[test]
fn redact_shows_stars_where_the_type_can_hold_them() {
    for (type_oid, value, expected) in [
        (TEXT, "secret", "***"),
        (1043, "secret", "***"),
        (114, "{\"a\": 1}", "\"***\""),
        (3802, "{\"a\": 1}", "\"***\""),
        (142, "<a/>", "***"),
        (17, "\\x0102", "\\x2a2a2a"),
        (23, "42", ""),
        (NUMERIC, "4.2", ""),
        (16, "t", ""),
        (2950, "00112233-4455-6677-8899-aabbccddeeff", ""),
        (DATE, "2024-05-06", ""),
        (1009, "{a,b}", ""),
        (99_999, "(1,2)", ""),
    ] {
        check(&Mask::Redact, type_oid, value, expected);
    }
}

#[test]
fn partial_keeps_the_ends_of_what_is_long_enough() {
    let keep = |first, last| Mask::Partial { first, last };
    check(&keep(0, 4), TEXT, "4111111111111234", "******1234");
    check(&keep(1, 2), TEXT, "Süßwassertier", "S******er");
    check(&keep(0, 4), TEXT, "1234567", "******");
    check(&keep(0, 4), TEXT, "12345678", "******5678");
    check(&keep(0, 4), TEXT, "", "******");
    check(&keep(0, 4), 23, "12345678", "");
    check(&keep(0, 4), 114, "\"4111111111111234\"", "\"***\"");
}

#[test]
fn email_keeps_the_first_letter_and_the_top_level_domain() {
    for (value, expected) in [
        ("grace@navy.example", "g***@***.example"),
        ("a@b.de", "***@***.de"),
        ("ö.b@c.org", "ö***@***.org"),
        ("x@y@zz.com", "x***@***.com"),
        ("root@localhost", "r***@***"),
        ("me@host.verysecretproject", "m***@***"),
        ("me@1.2.3.4", "m***@***"),
        ("not an address", "***"),
        ("@", "***"),
        ("", "***"),
    ] {
        check(&Mask::Email, TEXT, value, expected);
    }
}

#[test]
fn bucket_rounds_down_and_keeps_the_scale() {
    let mask = Mask::Bucket { size: 100 };
    check(&mask, 23, "1234", "1200");
    check(&mask, 23, "-1", "-100");
    check(&mask, 21, "-32768", "");
    check(&mask, NUMERIC, "1234.56", "1200.00");
    check(&mask, NUMERIC, "-0.01", "-100.00");
    check(&mask, NUMERIC, "-200.00", "-200.00");
    check(&mask, NUMERIC, "NaN", "");
    check(&mask, 701, "1234.5", "1200");
    check(&mask, 701, "NaN", "");
    check(&mask, TEXT, "1234", "");
}

#[test]
fn truncate_cuts_dates_and_times() {
    let to = |unit| Mask::Truncate { unit };
    check(&to(Unit::Year), DATE, "1931-08-17", "1931-01-01");
    check(&to(Unit::Quarter), DATE, "1931-08-17", "1931-07-01");
    check(&to(Unit::Month), DATE, "1931-08-17", "1931-08-01");
    check(&to(Unit::Day), DATE, "1931-08-17", "");
    check(&to(Unit::Year), DATE, "infinity", "");
    check(&to(Unit::Year), DATE, "0044-03-15 BC", "");
    check(&to(Unit::Year), DATE, "17.08.1931", "");
    check(
        &to(Unit::Month),
        STAMP,
        "2024-05-06 07:08:09.5",
        "2024-05-01 00:00:00",
    );
    check(
        &to(Unit::Day),
        STAMP,
        "2024-05-06 07:08:09.5",
        "2024-05-06 00:00:00",
    );
    check(
        &to(Unit::Hour),
        STAMP,
        "2024-05-06 07:08:09.5",
        "2024-05-06 07:00:00",
    );
    check(
        &to(Unit::Hour),
        STAMP_TZ,
        "2024-05-06 07:08:09+00",
        "2024-05-06 07:00:00+00",
    );
    check(&to(Unit::Hour), 1083, "07:08:09", "07:00:00");
    check(&to(Unit::Year), 1083, "07:08:09", "");
    check(&to(Unit::Year), TEXT, "1931-08-17", "");
}

#[test]
fn constant_is_shown_when_it_is_a_value_of_the_type() {
    let constant = |value: &str| Mask::Constant {
        value: Arc::from(value),
    };
    check(&constant("hidden"), TEXT, "secret", "hidden");
    check(&constant("0"), 23, "42", "0");
    check(&constant("hidden"), 23, "42", "");
    check(&constant("1970-01-01"), DATE, "2024-05-06", "1970-01-01");
}

fn token(scope: Scope) -> Mask {
    Mask::Token {
        key: Arc::from("k"),
        scope,
    }
}

fn shown(mask: &Mask, type_oid: u32, value: &str) -> String {
    let bytes = one(mask, type_oid, Format::Text, value.as_bytes()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn equal_values_have_equal_tokens_within_a_scope_and_a_type() {
    let mask = token(Scope::Database);
    let first = shown(&mask, TEXT, "DE02120300000000202051");
    assert_eq!(first, shown(&mask, TEXT, "DE02120300000000202051"));
    assert_ne!(first, shown(&mask, TEXT, "DE02120300000000202052"));
    assert_ne!(
        first,
        shown(&token(Scope::Session), TEXT, "DE02120300000000202051")
    );
    assert!(is_token(&first), "{first}");
    let id = shown(&mask, 2950, "00112233-4455-6677-8899-aabbccddeeff");
    assert!(is_token(&id), "{id}");
    assert!(shown(&mask, 21, "7").parse::<i16>().unwrap() >= 0);
    assert_eq!(shown(&mask, NUMERIC, "1.50"), shown(&mask, NUMERIC, "1.5"));
    check(&mask, DATE, "2024-05-06", "");
    for (type_oid, value) in [(TEXT, "x"), (23, "42"), (NUMERIC, "1.50"), (701, "1.5")] {
        check(&mask, type_oid, value, &shown(&mask, type_oid, value));
    }
}

#[test]
fn what_is_no_value_of_its_type_becomes_null() {
    let mask = Mask::Partial { first: 1, last: 1 };
    assert_eq!(
        one(&mask, TEXT, Format::Text, &[0xFF, 0xFE, b'a', b'b']),
        None
    );
    assert_eq!(
        one(&Mask::Bucket { size: 10 }, 23, Format::Binary, &[1, 2]),
        None
    );
}

fn masks() -> impl Strategy<Value = Mask> {
    prop_oneof![
        Just(Mask::Redact),
        Just(Mask::Null),
        (0_u16..4, 1_u16..4).prop_map(|(first, last)| Mask::Partial { first, last }),
        Just(Mask::Email),
        Just(token(Scope::Database)),
        (2_u64..1000).prop_map(|size| Mask::Bucket { size }),
        Just(Mask::Truncate { unit: Unit::Year }),
        Just(Mask::Constant {
            value: Arc::from("7")
        }),
    ]
}

/// Every type that has a binary format.
const OIDS: [u32; 18] = [
    16, 17, 20, 21, 23, 25, 114, 142, 700, 701, 1082, 1083, 1114, 1184, 1266, 1700, 2950, 3802,
];

proptest! {
    #[test]
    fn text_longer_than_its_mask_never_passes_as_it_came(mask in masks(), value in "[a-z@. ]{9,40}") {
        if let Some(bytes) = one(&mask, TEXT, Format::Text, value.as_bytes()) {
            let shown = String::from_utf8(bytes).unwrap();
            prop_assert_ne!(&shown, &value);
            // At most the kept ends are left of it.
            let middle = value.get(3..value.len() - 3).unwrap();
            if middle.trim_matches(['.', '@', ' ']).len() > 2 && !matches!(mask, Mask::Email) {
                prop_assert!(!shown.contains(middle), "{} in {}", middle, shown);
            }
        }
    }

    #[test]
    fn masked_binary_values_decode_as_the_same_type(mask in masks(), which in 0_usize..18, seed: Vec<u8>) {
        let kind = Type::of_oid(OIDS[which]).unwrap();
        if let Some(bytes) = one(&mask, OIDS[which], Format::Binary, &seed) {
            prop_assert_eq!(decode(kind, &bytes, &mut String::new()), Some(()), "{:?} {:?}", mask, bytes);
        }
    }

    #[test]
    fn whole_numbers_in_binary_keep_their_width(mask in masks(), value: i64) {
        if let Some(bytes) = one(&mask, 20, Format::Binary, &value.to_be_bytes()) {
            prop_assert_eq!(bytes.len(), 8);
            let on_edge = matches!(mask, Mask::Bucket { size } if value.rem_euclid(i64::try_from(size).unwrap()) == 0);
            prop_assert!(on_edge || value == 7 || bytes != value.to_be_bytes());
        }
    }
}
