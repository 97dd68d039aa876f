//! Values in binary format are what the server's text says, there and back.

use proptest::prelude::*;

use crate::wire::value::{Type, decode, encode};

fn check(kind: Type, text: &str, bytes: &[u8]) {
    let mut shown = String::new();
    assert_eq!(decode(kind, bytes, &mut shown), Some(()), "{text}");
    assert_eq!(shown, text);
    let mut written = Vec::new();
    assert_eq!(encode(kind, text, &mut written), Some(()), "{text}");
    assert_eq!(written, bytes, "{text}");
}

/// By the definitions in PostgreSQL's `numeric.c`, `date.c` and `timestamp.c`.
#[test]
fn values_are_read_and_written_as_the_server_does() {
    check(Type::Numeric, "0", &[0, 0, 0, 0, 0, 0, 0, 0]);
    check(Type::Numeric, "0.00", &[0, 0, 0, 0, 0, 0, 0, 2]);
    check(
        Type::Numeric,
        "12345.678",
        &[0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 9, 41, 26, 124],
    );
    check(
        Type::Numeric,
        "-0.00012",
        &[0, 2, 255, 255, 64, 0, 0, 5, 0, 1, 7, 208],
    );
    check(Type::Numeric, "100000000", &[0, 1, 0, 2, 0, 0, 0, 0, 0, 1]);
    check(Type::Numeric, "NaN", &[0, 0, 0, 0, 192, 0, 0, 0]);
    check(Type::Date, "2000-01-01", &[0; 4]);
    check(Type::Date, "1999-12-31", &[255; 4]);
    check(Type::Date, "2024-02-29", &8825_i32.to_be_bytes());
    check(Type::Time, "08:30:00.25", &30_600_250_000_i64.to_be_bytes());
    check(Type::Time, "24:00:00", &86_400_000_000_i64.to_be_bytes());
    check(Type::Timestamp, "1999-12-31 23:59:59.999999", &[255; 8]);
    check(
        Type::TimestampTz,
        "2000-01-01 00:00:01+00",
        &1_000_000_i64.to_be_bytes(),
    );
    check(
        Type::TimeTz,
        "08:30:00+01",
        &[0, 0, 0, 7, 31, 230, 242, 0, 255, 255, 241, 240],
    );
    check(
        Type::Uuid,
        "00112233-4455-6677-8899-aabbccddeeff",
        &[
            0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255,
        ],
    );
    check(Type::Bytea, "\\x00ff", &[0, 255]);
    check(Type::Bool, "t", &[1]);
    check(Type::Jsonb, "{}", &[1, b'{', b'}']);
    check(Type::Float8, "1.5", &1.5_f64.to_be_bytes());
}

#[test]
fn infinite_and_far_dates_have_no_text() {
    for day in [i32::MAX, i32::MIN, 3_000_000, -800_000] {
        assert_eq!(
            decode(Type::Date, &day.to_be_bytes(), &mut String::new()),
            None
        );
    }
    for micros in [i64::MAX, i64::MIN] {
        assert_eq!(
            decode(Type::Timestamp, &micros.to_be_bytes(), &mut String::new()),
            None
        );
    }
}

#[test]
fn text_that_names_no_value_is_refused() {
    for (kind, text) in [
        (Type::Int2, "70000"),
        (Type::Numeric, "1e5"),
        (Type::Numeric, "--1"),
        (Type::Numeric, ""),
        (Type::Uuid, "0011"),
        (Type::Date, "2024-13-01"),
        (Type::Date, "01.02.2024"),
        (Type::Bytea, "\\x0"),
        (Type::Bool, "maybe"),
        (Type::TimestampTz, "2024-01-01 00:00:00"),
    ] {
        assert_eq!(encode(kind, text, &mut Vec::new()), None, "{text}");
    }
}

proptest! {
    #[test]
    fn numbers_survive_the_way_there_and_back(whole in "0|[1-9][0-9]{0,30}", part in "[0-9]{0,20}", negative: bool) {
        let mut text = if part.is_empty() { whole } else { format!("{whole}.{part}") };
        if negative && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
            text.insert(0, '-');
        }
        let mut bytes = Vec::new();
        prop_assert_eq!(encode(Type::Numeric, &text, &mut bytes), Some(()));
        let mut shown = String::new();
        prop_assert_eq!(decode(Type::Numeric, &bytes, &mut shown), Some(()));
        prop_assert_eq!(shown, text);
    }

    #[test]
    fn moments_survive_the_way_there_and_back(micros in -63_000_000_000_000_000_i64..250_000_000_000_000_000) {
        for kind in [Type::Timestamp, Type::TimestampTz] {
            let mut text = String::new();
            prop_assert_eq!(decode(kind, &micros.to_be_bytes(), &mut text), Some(()));
            let mut bytes = Vec::new();
            prop_assert_eq!(encode(kind, &text, &mut bytes), Some(()));
            prop_assert_eq!(bytes, micros.to_be_bytes());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(kind in 0_usize..19, bytes: Vec<u8>, text: String) {
        let oids = [16, 17, 20, 21, 23, 25, 114, 142, 700, 701, 1082, 1083, 1114, 1184, 1266, 1700, 2950, 3802, 19];
        let kind = Type::of_oid(oids[kind]).unwrap();
        let mut shown = String::new();
        decode(kind, &bytes, &mut shown);
        encode(kind, &text, &mut Vec::new());
        encode(kind, &shown, &mut Vec::new());
    }
}
