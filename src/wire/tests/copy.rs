//! Binary `COPY` is told apart wherever it is cut.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::wire::copy::{Piece, TRAILER, Tuples, write_header};
use crate::wire::error::Error;
use crate::wire::tests::bytes;
use crate::wire::writer;

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn written(rows: &Rows) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(&mut out);
    for row in rows {
        writer::count(&mut out, row.len()).unwrap();
        for value in row {
            writer::value(&mut out, value.as_deref()).unwrap();
        }
    }
    out.extend(TRAILER);
    out
}

/// All rows of the data, or what is wrong with it; `None` when its end has not come.
fn read(chunks: &[&[u8]]) -> Result<Option<Rows>, Error> {
    let mut tuples = Tuples::default();
    let mut rows = Rows::new();
    let mut ended = false;
    for chunk in chunks {
        tuples.feed(chunk);
        while let Some(piece) = tuples.next_piece()? {
            match piece {
                Piece::Header => assert!(rows.is_empty() && !ended),
                Piece::Tuple(row) => {
                    rows.push(row.values().map(|v| v.map(<[u8]>::to_vec)).collect());
                }
                Piece::Trailer => ended = true,
            }
        }
    }
    Ok(ended.then_some(rows))
}

proptest! {
    #[test]
    fn a_cut_at_any_byte_changes_nothing(rows in vec(vec(option::of(bytes()), 0..5), 0..5)) {
        let data = written(&rows);
        for at in 0..=data.len() {
            let (before, after) = data.split_at(at);
            prop_assert_eq!(read(&[before, after]).unwrap(), Some(rows.clone()));
            prop_assert_eq!(read(&[before]).unwrap().is_some(), at == data.len());
        }
        let single: Vec<&[u8]> = data.chunks(1).collect();
        prop_assert_eq!(read(&single).unwrap(), Some(rows));
    }

    #[test]
    fn no_bytes_are_too_strange(data in vec(any::<u8>(), 0..200)) {
        let mut header = Vec::new();
        write_header(&mut header);
        let whole = read(&[&header, &data]);
        let parts: Vec<&[u8]> = std::iter::once(&header[..]).chain(data.chunks(1)).collect();
        prop_assert_eq!(whole, read(&parts));
    }
}

#[test]
fn an_extension_is_skipped_and_flags_are_refused() {
    let mut data = written(&vec![vec![None]]);
    data.splice(15..19, [0, 0, 0, 3, b'e', b'x', b't']);
    assert_eq!(read(&[&data]), Ok(Some(vec![vec![None]])));
    data[12] = 1;
    assert!(matches!(read(&[&data]), Err(Error::Meaningless { .. })));
}

#[test]
fn what_is_no_such_data_is_refused() {
    assert!(read(&[b"PGCOPZ"]).is_err());
    assert!(read(&[&written(&Rows::new()), b"x"]).is_err());
    let mut header = Vec::new();
    write_header(&mut header);
    for tail in [
        &b"\xff\xfe"[..],
        b"\0\x01\xff\xff\xff\xfe",
        b"\0\x02\x3f\xff\xff\xfe\0",
    ] {
        assert!(read(&[&header, tail]).is_err(), "{tail:?}");
    }
}
