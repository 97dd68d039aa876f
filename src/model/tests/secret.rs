//! Secrets do not print.

use crate::model::secret::Secret;

#[test]
fn a_secret_does_not_print() {
    assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(_)");
}
