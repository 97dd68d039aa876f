//! Stopping waits for those who hold on, but not for ever.

use std::time::Duration;

use crate::net::drain;

#[tokio::test]
async fn whoever_stops_waits_until_all_let_go() {
    let (drain, mut signal) = drain::pair();
    let mut other = signal.clone();
    assert!(!signal.is_started());
    let task = tokio::spawn(async move {
        other.started().await;
    });
    let waiting = tokio::spawn(async move {
        signal.started().await;
        assert!(signal.is_started());
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
    assert!(drain.finish(Duration::from_secs(5)).await);
    task.await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test]
async fn whoever_holds_on_is_not_waited_for_for_ever() {
    let (drain, _signal) = drain::pair();
    assert!(!drain.finish(Duration::from_millis(20)).await);
    assert_eq!(drain.holders(), 1);
}

#[tokio::test]
async fn a_signal_whose_drain_is_gone_has_started() {
    let (drain, mut signal) = drain::pair();
    drop(drain);
    signal.started().await;
}
