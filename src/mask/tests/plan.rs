//! Columns are checked twice, and no column comes or goes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::mask::Refusal;
use crate::mask::tests::{field, id, masked, plan};
use crate::policy::obligation::Mask;
use crate::sql::lineage::Origin;
use crate::wire::row::{DataRow, Format};

#[test]
fn a_column_that_the_server_says_is_protected_is_not_shown_as_it_is() {
    let refusal = plan(
        &[None],
        vec![Origin::Clean],
        vec![field(25, Format::Text, 1)],
    );
    assert_eq!(
        refusal.unwrap_err(),
        Refusal::Unexpected {
            name: "x".to_owned()
        }
    );
}

#[test]
fn a_column_that_the_server_says_is_another_protected_one_is_redacted() {
    let origin = Origin::Plain(BTreeSet::from([id(2)]));
    let mut plan = plan(
        &[Some(Mask::Email)],
        vec![origin],
        vec![field(25, Format::Text, 1)],
    )
    .unwrap();
    let row = masked(&mut plan, &[Some(b"a@b.example")]);
    assert_eq!(row, [Some(b"***".to_vec())]);
}

#[test]
fn another_number_of_columns_than_expected_is_refused() {
    let field = || field(25, Format::Text, 0);
    for (masks, fields) in [(1, 2), (2, 1), (0, 1)] {
        let refusal = plan(
            &vec![None; masks],
            vec![Origin::Clean; masks],
            std::iter::repeat_with(field).take(fields).collect(),
        );
        assert!(matches!(refusal, Err(Refusal::Columns { .. })));
    }
}

#[test]
fn a_row_of_another_length_is_refused_and_nothing_is_written() {
    let mut plan = plan(
        &[None],
        vec![Origin::Clean],
        vec![field(25, Format::Text, 0)],
    )
    .unwrap();
    assert!(plan.is_clean());
    let mut out = b"before".to_vec();
    let row = DataRow::decode(&[0, 2, 255, 255, 255, 255, 255, 255, 255, 255]).unwrap();
    assert!(plan.apply(&row, &mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn masked_values_that_look_real_are_remembered() {
    let origin = Origin::Plain(BTreeSet::from([id(1)]));
    let mut plan = plan(
        &[Some(Mask::Bucket { size: 10 })],
        vec![origin],
        vec![field(1700, Format::Text, 0)],
    )
    .unwrap();
    masked(&mut plan, &[Some(b"47.11")]);
    masked(&mut plan, &[None]);
    let shown = plan.take_shown();
    assert!(shown.contains(id(1), "40"));
    assert!(shown.contains(id(1), "40.0"));
    assert!(!shown.contains(id(1), "50"));
    assert!(!shown.contains(id(2), "40"));
    assert_eq!(plan.counts().collect::<Vec<_>>(), [(0, 1)]);
}

proptest! {
    #[test]
    fn rows_keep_their_number_of_values_and_their_nulls(cells in prop::collection::vec((any::<bool>(), prop::option::of("[a-z]{0,12}")), 0..12)) {
        let masks: Vec<_> = cells.iter().map(|(on, _)| on.then_some(Mask::Redact)).collect();
        let origins = vec![Origin::Plain(BTreeSet::from([id(2)])); cells.len()];
        let fields = cells.iter().map(|_| field(25, Format::Text, 0)).collect();
        let mut plan = plan(&masks, origins, fields).unwrap();
        let values: Vec<_> = cells.iter().map(|(_, v)| v.as_ref().map(String::as_bytes)).collect();
        let row = masked(&mut plan, &values);
        prop_assert_eq!(row.len(), cells.len());
        for ((on, value), shown) in cells.iter().zip(row) {
            let expected = value.as_ref().map(|v| if *on { b"***".to_vec() } else { v.clone().into_bytes() });
            prop_assert_eq!(shown, expected);
        }
    }
}
