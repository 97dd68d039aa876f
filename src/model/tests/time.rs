//! Points and spans of time.

use std::time::Duration;

use crate::model::time::{Timestamp, parse_span, show_span};

#[test]
fn a_timestamp_reads_back() {
    let time = Timestamp::from_micros(1_700_000_000_123_456);
    assert_eq!(time.to_string(), "2023-11-14T22:13:20.123456Z");
    assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
}

#[test]
fn time_does_not_wrap() {
    let end = Timestamp::from_micros(i64::MAX);
    assert_eq!(end.after(Duration::from_secs(1)), end);
    assert_eq!(end.until(Timestamp::EPOCH), Duration::ZERO);
}

#[test]
fn a_span_is_read_and_shown() {
    assert_eq!(parse_span("30m"), Ok(Duration::from_secs(1800)));
    assert_eq!(parse_span("1h 30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(show_span(Duration::from_secs(5400)), "1h 30m");
    assert!(parse_span("-1h").is_err());
    assert!(parse_span("soon").is_err());
}
