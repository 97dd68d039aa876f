//! Rows: lazy values, and building one value by value.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::backend::Message;
use crate::wire::error::Error;
use crate::wire::row::{Builder, DataRow, Format};
use crate::wire::tests::{bytes, cut, server_in};

proptest! {
    #[test]
    fn a_row_that_was_built_gives_its_values_back(values in vec(option::of(bytes()), 0..9)) {
        let mut wire = Vec::new();
        let mut builder = Builder::new(&mut wire, values.len()).unwrap();
        for value in &values {
            builder.push(value.as_deref()).unwrap();
        }
        builder.finish().unwrap();
        let frame = cut(server_in(), &wire);
        let Ok(Message::DataRow(row)) = Message::decode(&frame) else { panic!("no row") };
        prop_assert_eq!(row.count(), values.len());
        let read: Vec<_> = row.values().map(|value| value.map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(read, values);
    }
}

#[test]
fn a_row_that_is_not_finished_leaves_no_trace() {
    let mut wire = b"before".to_vec();
    let mut builder = Builder::new(&mut wire, 2).unwrap();
    builder.push(Some(b"secret")).unwrap();
    assert_eq!(builder.finish(), Err(Error::Truncated));
    assert_eq!(wire, b"before");

    let mut builder = Builder::new(&mut wire, 1).unwrap();
    builder.push(None).unwrap();
    assert_eq!(builder.push(None), Err(Error::TrailingBytes));
    drop(builder);
    assert_eq!(wire, b"before");
    assert!(Builder::new(&mut wire, 65_536).is_err());
}

#[test]
fn values_of_a_row_need_no_second_check() {
    let row = DataRow::decode(b"\0\x02\xff\xff\xff\xff\0\0\0\x02hi").unwrap();
    let values: Vec<_> = row.values().collect();
    assert_eq!(values, [None, Some(&b"hi"[..])]);
    assert_eq!(row.values().len(), 2);
}

#[test]
fn formats_are_none_one_for_all_or_one_each() {
    use Format::{Binary, Text};
    assert_eq!(Format::of(&[], 7), Some(Text));
    assert_eq!(Format::of(&[Binary], 7), Some(Binary));
    assert_eq!(Format::of(&[Text, Binary], 1), Some(Binary));
    assert_eq!(Format::of(&[Text, Binary], 2), None);
}
