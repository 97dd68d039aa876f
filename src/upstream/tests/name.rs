//! Names of leases.

use crate::model::session::SessionId;
use crate::upstream::role::name::Name;

fn check(display: &str, number: u32, expected: &str) {
    let id: SessionId = "s0123456789ab".parse().unwrap();
    let name = Name::new(display, &id, number);
    assert_eq!(name.as_str(), expected);
    assert!(name.as_str().len() <= 63);
    assert_eq!(expected.parse(), Ok(name));
}

#[test]
fn a_lease_names_its_person_in_63_bytes_of_plain_letters() {
    check("ann", 1, "dbgate_ann_s0123456789ab");
    check(
        "Ann Öst-Lee@example.com",
        1,
        "dbgate_ann_st_lee_s0123456789ab",
    );
    check(
        "\"; DROP ROLE postgres; --",
        1,
        "dbgate_drop_role_postgres_s0123456789ab",
    );
    check("", 1, "dbgate_someone_s0123456789ab");
    check("ärö", 2, "dbgate_r_s0123456789ab_2");
    let long = "x".repeat(300);
    check(
        &long,
        1,
        &format!("dbgate_{}_s0123456789ab", "x".repeat(42)),
    );
    check(
        &long,
        12,
        &format!("dbgate_{}_s0123456789ab_12", "x".repeat(39)),
    );
}

#[test]
fn only_what_a_lease_can_be_called_is_read_as_one() {
    for text in [
        "postgres",
        "dbgate_",
        "dbgate_admin",
        "dbgate_ann_2",
        "dbgate_ann_r0123456789ab",
        "dbgate_A",
        "dbgate_a b",
        "dbgate_\"",
        &"dbgate_x".repeat(9),
    ] {
        assert!(text.parse::<Name>().is_err(), "{text}");
    }
}
