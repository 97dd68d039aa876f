//! Names of databases.

use crate::model::name::DatabaseName;

#[test]
fn a_database_name_is_short_and_plain() {
    for good in ["prod", "eu-1", "0", "a_b"] {
        assert!(good.parse::<DatabaseName>().is_ok(), "{good}");
    }
    let long = "a".repeat(41);
    for bad in ["", "Prod", "-a", "_a", "a b", "ä", "a'b", long.as_str()] {
        assert!(bad.parse::<DatabaseName>().is_err(), "{bad}");
    }
}
