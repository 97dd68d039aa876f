//! What the planner says is read as rows that are touched.

use crate::sql::plan::rows;

#[test]
fn rows_are_those_that_are_returned_or_written() {
    let of = |plan: &str| rows(&format!("[{{\"Plan\": {plan}}}]"));
    assert_eq!(of(r#"{"Node Type": "Seq Scan", "Plan Rows": 7}"#), Some(7));
    let written = r#"{"Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
        {"Node Type": "ModifyTable", "Parent Relationship": "InitPlan", "Plan Rows": 900},
        {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Plan Rows": 4}]}"#;
    assert_eq!(of(written), Some(4));
    for nonsense in [
        "",
        "[]",
        "{}",
        "[{\"Plan\": {}}]",
        "[{\"Plan\": {\"Plan Rows\": -1}}]",
    ] {
        assert_eq!(rows(nonsense), None, "{nonsense}");
    }
}
