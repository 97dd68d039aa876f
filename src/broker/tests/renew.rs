//! The end of a session that is renewed, whenever and however often (row C9).

#![expect(clippy::print_stdout, reason = "a suite tells its size")]

use std::time::Duration;

use crate::broker::open::renewed;
use crate::model::time::Timestamp;

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A moment within two seconds of `at`, to the microsecond, on either side, the very moment included.
    fn near(&mut self, at: Timestamp) -> Timestamp {
        let span = Duration::from_micros(self.below(2_000_001));
        match self.below(4) {
            0 => at,
            1 => at.before(span),
            _ => at.after(span),
        }
    }
}

#[test]
fn c9_no_renewal_ends_later_than_the_cap_or_what_was_asked_for() {
    let cases = 1_000_000;
    let mut numbers = Numbers(9);
    let (mut renewals, mut at_cap, mut refused) = (0_u32, 0_u32, 0_u32);
    for _ in 0..cases {
        let opened = Timestamp::from_seconds(1_700_000_000)
            .after(Duration::from_micros(numbers.below(1 << 50)));
        let longest = Duration::from_secs(60 + numbers.below(30 * 24 * 3600));
        let cap = opened.after(longest);
        let mut ends = opened
            .after(Duration::from_secs(1 + numbers.below(3600)))
            .min(cap);
        for _ in 0..8 {
            // Just before or after the end, or the cap; or anywhere in between.
            let now = match numbers.below(3) {
                0 => numbers.near(ends),
                1 => numbers.near(cap),
                _ => ends.before(Duration::from_micros(1 + numbers.below(3_000_000_000))),
            };
            let asked = match numbers.below(3) {
                0 => Duration::from_secs(u64::MAX),
                1 => Duration::from_micros(numbers.below(3_000_000)),
                _ => Duration::from_secs(numbers.below(40 * 24 * 3600)),
            };
            if now >= ends {
                // Over: `Broker::renew` refuses before it asks for the new end.
                refused += 1;
                break;
            }
            // Two at once: the second sees what the first has left, and a loser keeps the other's end.
            let first = renewed(opened, now, asked, longest).max(ends);
            let second = renewed(opened, now, asked, longest).max(first);
            for new in [first, second] {
                assert!(new <= cap, "{new} is after the cap {cap}");
                assert!(
                    new <= now.after(asked).max(ends),
                    "{new} is later than was asked for"
                );
                assert!(new >= ends, "a renewal took time away");
            }
            renewals += 1;
            at_cap += u32::from(second == cap);
            ends = second;
        }
    }
    assert!(at_cap > 0 && refused > 0);
    println!(
        "{cases} sessions, {renewals} renewals, {at_cap} of them up to the cap, {refused} came too late"
    );
}
