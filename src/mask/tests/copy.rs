//! Lines of `COPY` are told apart as the server put them together.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::mask::Refusal;
use crate::mask::Terms;
use crate::mask::copy::Lines;
use crate::mask::tests::{catalog, facts, id, keys, protection, subject};
use crate::policy::obligation::Mask;
use crate::sql::footprint::{CopyFormat, CopyLayout};
use crate::sql::lineage::Origin;

fn text() -> CopyFormat {
    CopyFormat {
        layout: CopyLayout::Text,
        delimiter: '\t',
        null: "\\N".to_owned(),
        quote: '"',
        escape: '"',
        header: false,
    }
}

fn csv() -> CopyFormat {
    CopyFormat {
        layout: CopyLayout::Csv,
        delimiter: ',',
        null: String::new(),
        ..text()
    }
}

/// Two columns; the first is masked.
fn lines(format: CopyFormat) -> Result<Lines, Refusal> {
    let mut facts = facts(vec![
        Origin::Plain(BTreeSet::from([id(1)])),
        Origin::Plain(BTreeSet::from([id(2)])),
    ]);
    facts.copy = Some(format);
    let (protection, catalog, keys, subject) = (protection(), catalog(), keys(), subject());
    let terms = Terms {
        protection: &protection,
        subject: &subject,
        catalog: &catalog,
        keys: &keys,
    };
    let masks = [Some(Mask::Partial { first: 0, last: 2 }), None];
    Ok(Lines::new(&masks, &facts, &terms)?.unwrap())
}

fn check(format: CopyFormat, line: &str, expected: Option<&str>) {
    let mut out = b">".to_vec();
    let result = lines(format).unwrap().apply(line.as_bytes(), &mut out);
    assert_eq!(result.is_ok(), expected.is_some(), "{line}");
    let shown = String::from_utf8(out).unwrap();
    assert_eq!(
        shown,
        format!(">{}", expected.unwrap_or_default()),
        "{line}"
    );
}

#[test]
fn text_lines_are_masked_value_by_value() {
    check(text(), "secret\topen\n", Some("******et\topen\n"));
    check(text(), "\\N\topen\n", Some("\\N\topen\n"));
    check(text(), "a\\tb\\\\cd\\\\\t\\N\n", Some("******d\\\\\t\\N\n"));
    check(text(), "sec\\tret\top\\ten\n", Some("******et\top\\ten\n"));
    check(text(), "secret\n", None);
    check(text(), "secret\topen\tmore\n", None);
    check(text(), "secret\topen", None);
    check(text(), "", None);
}

#[test]
fn a_delimiter_of_ones_own_is_known() {
    let format = CopyFormat {
        delimiter: '|',
        null: "N".to_owned(),
        ..text()
    };
    check(format.clone(), "sec\\|ret|open\n", Some("******et|open\n"));
    check(format.clone(), "N|open\n", Some("N|open\n"));
    check(format, "abcde\\||N\n", Some("******e\\||N\n"));
}

#[test]
fn csv_lines_are_masked_value_by_value() {
    check(csv(), "secret,open\n", Some("******et,open\n"));
    check(csv(), ",open\n", Some(",open\n"));
    check(csv(), "\"\",open\n", Some("******,open\n"));
    check(
        csv(),
        "\"se,cr,et\",\"o,pen\"\n",
        Some("******et,\"o,pen\"\n"),
    );
    check(csv(), "\"two\nlines\",x\n", Some("******es,x\n"));
    check(csv(), "\"secre,\"\"\",x\n", Some("\"******,\"\"\",x\n"));
    check(csv(), "\"secret,x\n", None);
    check(csv(), "secret\n", None);
}

#[test]
fn quote_and_escape_of_ones_own_are_known() {
    let format = CopyFormat {
        quote: '\'',
        escape: '\\',
        ..csv()
    };
    check(format.clone(), "'se,c\\'ret',x\n", Some("******et,x\n"));
    check(format, "'secret\\\\\\'',x\n", Some("'******\\\\\\'',x\n"));
}

#[test]
fn a_header_passes_and_is_no_row() {
    let mut masked = lines(CopyFormat {
        header: true,
        ..csv()
    })
    .unwrap();
    let mut out = Vec::new();
    assert_eq!(masked.apply(b"secret,open\n", &mut out), Ok(0));
    assert_eq!(masked.apply(b"secret,open\n", &mut out), Ok(1));
    assert_eq!(out, b"secret,open\n******et,open\n");
    assert_eq!(masked.counts().collect::<Vec<_>>(), [(0, 1)]);
}

#[test]
fn what_is_not_utf8_is_refused() {
    let mut out = Vec::new();
    assert!(
        lines(text())
            .unwrap()
            .apply(b"a\x95\\\tb\n", &mut out)
            .is_err()
    );
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn the_second_column_passes_and_the_first_does_not(first in "[a-z\\\\\t\n,\"|]{8,20}", second in "[a-z\\\\\t\n,\"|]{0,20}") {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        let line = format!("{}\t{}\n", escaped(&first), escaped(&second));
        let mut out = Vec::new();
        lines(text()).unwrap().apply(line.as_bytes(), &mut out).unwrap();
        let end = first.chars().skip(first.chars().count() - 2).collect::<String>();
        let expected = format!("******{}\t{}\n", escaped(&end), escaped(&second));
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);

        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let line = format!("{},{}\n", quoted(&first), quoted(&second));
        let mut out = Vec::new();
        lines(csv()).unwrap().apply(line.as_bytes(), &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        let tail = format!(",{}\n", quoted(&second));
        prop_assert!(shown.ends_with(&tail), "{}", shown);
    }
}
