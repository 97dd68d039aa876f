//! Binary `COPY` keeps types, NULLs and everything that is not masked, wherever it is cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::mask::copy::Lines;
use crate::mask::tests::{catalog, facts, id, keys, protection, subject};
use crate::mask::{Refusal, Terms};
use crate::policy::obligation::Mask;
use crate::sql::footprint::{CopyFormat, CopyLayout};
use crate::sql::lineage::Origin;
use crate::wire::copy::{TRAILER, write_header};
use crate::wire::writer;

type Row = [Option<Vec<u8>>; 2];

/// Two columns; the first is masked. `type_oid` is the type the analysis found for it, `stored` that of the stored column.
fn masked(mask: Mask, stored: u32, type_oid: u32) -> Lines {
    let mut facts = facts(vec![
        Origin::Plain(BTreeSet::from([id(1)])),
        Origin::Plain(BTreeSet::from([id(2)])),
    ]);
    facts.outputs[0].type_oid = type_oid;
    facts.copy = Some(CopyFormat {
        layout: CopyLayout::Binary,
        delimiter: '\t',
        null: "\\N".to_owned(),
        quote: '"',
        escape: '"',
        header: false,
    });
    let (protection, mut catalog, keys, subject) = (protection(), catalog(), keys(), subject());
    for relation in catalog.relations.values_mut() {
        Arc::make_mut(relation).columns[0].type_oid = stored;
    }
    let terms = Terms {
        protection: &protection,
        subject: &subject,
        catalog: &catalog,
        keys: &keys,
    };
    Lines::new(&[Some(mask), None], &facts, &terms)
        .unwrap()
        .unwrap()
}

fn written(rows: &[Row]) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(&mut out);
    for row in rows {
        writer::count(&mut out, 2).unwrap();
        for value in row {
            writer::value(&mut out, value.as_deref()).unwrap();
        }
    }
    out.extend(TRAILER);
    out
}

fn apply(lines: &mut Lines, chunks: &[&[u8]]) -> Result<(u64, Vec<u8>), Refusal> {
    let mut out = Vec::new();
    let mut rows = 0;
    for chunk in chunks {
        rows += lines.apply(chunk, &mut out)?;
    }
    Ok((rows, out))
}

fn check(mask: &Mask, type_oid: u32, value: &[u8], expected: Option<&[u8]>) {
    let row = |first: Option<&[u8]>| [first.map(<[u8]>::to_vec), Some(b"open".to_vec())];
    let mut lines = masked(mask.clone(), type_oid, type_oid);
    let came = written(&[row(Some(value)), row(None)]);
    let (rows, out) = apply(&mut lines, &[&came]).unwrap();
    assert_eq!(
        out,
        written(&[row(expected), row(None)]),
        "{mask:?} {type_oid}"
    );
    assert_eq!(rows, 2);
    assert_eq!(lines.counts().collect::<Vec<_>>(), [(0, 1)]);
}

#[test]
fn each_type_keeps_its_form() {
    let partial = Mask::Partial { first: 0, last: 2 };
    check(&partial, 25, b"secret", Some(b"******et"));
    check(
        &Mask::Email,
        1043,
        b"ann@example.com",
        Some(b"a***@***.com"),
    );
    check(&Mask::Redact, 25, b"secret", Some(b"***"));
    check(&Mask::Redact, 23, &7_i32.to_be_bytes(), None);
    check(&Mask::Redact, 16, &[1], None);
    let constant = Mask::Constant { value: "7".into() };
    check(
        &constant,
        23,
        &9_i32.to_be_bytes(),
        Some(&7_i32.to_be_bytes()),
    );
    check(&Mask::Null, 25, b"secret", None);
    check(
        &Mask::Bucket { size: 10 },
        20,
        &17_i64.to_be_bytes(),
        Some(&10_i64.to_be_bytes()),
    );
    // A value that is none of its type becomes NULL, never passes.
    check(&Mask::Bucket { size: 10 }, 20, &17_i32.to_be_bytes(), None);
    check(&Mask::Email, 25, b"a\xff@example.com", None);
    // An array, of which no mask knows the form.
    check(&Mask::Redact, 1009, b"\0\0\0\0", None);
}

#[test]
fn where_the_type_is_not_sure_every_value_becomes_null() {
    // `SELECT a FROM t UNION ALL SELECT 1.5`: the analysis found no common type, and these eight bytes may be a float.
    for type_oid in [0, 701] {
        let mut lines = masked(Mask::Bucket { size: 10 }, 20, type_oid);
        let row = |first: Option<&[u8]>| [first.map(<[u8]>::to_vec), None];
        let came = written(&[row(Some(&1234.5_f64.to_be_bytes()))]);
        let (_, out) = apply(&mut lines, &[&came]).unwrap();
        assert_eq!(out, written(&[row(None)]));
    }
}

#[test]
fn rows_of_another_shape_and_broken_data_are_refused() {
    let mut header = Vec::new();
    write_header(&mut header);
    for tail in [
        &b"\0\x01\0\0\0\x06secret"[..],
        b"\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x06secret",
        b"\xff\xffsecret",
    ] {
        let mut lines = masked(Mask::Redact, 25, 25);
        let mut out = b">".to_vec();
        lines.apply(&header, &mut out).unwrap();
        let before = out.clone();
        assert!(lines.apply(tail, &mut out).is_err(), "{tail:?}");
        assert_eq!(out, before);
    }
    assert!(
        masked(Mask::Redact, 25, 25)
            .apply(b"secret", &mut Vec::new())
            .is_err()
    );
}

proptest! {
    #[test]
    fn a_cut_at_any_byte_gives_the_same_and_no_masked_value(
        rows in vec((option::of("[a-z]{4,12}"), option::of(vec(any::<u8>(), 0..9))), 0..5),
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(first, second)| [first.map(String::into_bytes), second]).collect();
        let came = written(&rows);
        let new = || masked(Mask::Partial { first: 0, last: 2 }, 25, 25);
        let (count, whole) = apply(&mut new(), &[&came]).unwrap();
        prop_assert_eq!(count, rows.len() as u64);
        let expected: Vec<Row> = rows.iter().map(|[first, second]| {
            let first = first.as_ref().map(|value| [b"******", &value[value.len() - 2..]].concat());
            [first, second.clone()]
        }).collect();
        prop_assert_eq!(&whole, &written(&expected));
        for at in 0..=came.len() {
            let (before, after) = came.split_at(at);
            prop_assert_eq!(apply(&mut new(), &[before, after]).unwrap().1, whole.clone());
        }
        let single: Vec<&[u8]> = came.chunks(1).collect();
        prop_assert_eq!(apply(&mut new(), &single).unwrap(), (count, whole));
    }
}
