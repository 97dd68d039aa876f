//! What a hostile name becomes in SQL.

use crate::upstream::quote::{Identifier, Literal};

#[test]
fn a_name_cannot_leave_its_quotes() {
    let cases = [
        ("users", r#""users""#, "E'users'"),
        (
            r#"a"; DROP ROLE x; --"#,
            r#""a""; DROP ROLE x; --""#,
            r#"E'a"; DROP ROLE x; --'"#,
        ),
        (r"it's \' x", r#""it's \' x""#, r"E'it''s \\'' x'"),
        ("nul\0l", "\"nul\u{fffd}l\"", "E'nul\u{fffd}l'"),
    ];
    for (text, identifier, literal) in cases {
        assert_eq!(Identifier(text).to_string(), identifier);
        assert_eq!(Literal(text).to_string(), literal);
    }
}
