//! Connections share what they may hold of large messages.

use std::sync::Arc;

use crate::gateway::relay::room::{Claim, FREE, Room};

#[test]
fn all_together_hold_no_more_than_there_is_room_for() {
    let room = Arc::new(Room::new(10 * FREE as u64));
    let claim = || Claim::new(Arc::clone(&room));
    let (mut one, mut other) = (claim(), claim());
    // Small messages are free.
    assert!(one.hold(FREE) && one.is_empty());
    assert!(one.hold(6 * FREE) && other.hold(4 * FREE));
    assert!(!other.hold(4 * FREE + 1) && !claim().hold(2 * FREE));
    // Less is always possible, and leaves room for others.
    assert!(one.hold(2 * FREE) && other.hold(8 * FREE));
    drop(other);
    assert!(claim().hold(8 * FREE));
    assert!(!claim().hold(8 * FREE + 1));
    assert!(one.hold(0) && one.is_empty());
    assert!(claim().hold(10 * FREE));
}
