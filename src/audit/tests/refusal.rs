//! Refused attempts: some by themselves, all counted, whatever there are.

use crate::audit::refusal::{ALL, EACH, Entrance, SOURCES, Sum, Tally};

fn sum(at: Entrance, from: &str, count: u64) -> Sum {
    Sum {
        at,
        from: (!from.is_empty()).then(|| from.to_owned()),
        count,
    }
}

#[test]
fn so_many_of_an_address_are_named_and_the_others_are_one_sum() {
    let mut tally = Tally::default();
    let named = (0..47).filter(|_| tally.note(Entrance::Connection, Some("10.0.0.7")));
    assert_eq!(named.count(), usize::try_from(EACH).unwrap());
    assert!(tally.note(Entrance::Connection, Some("10.0.0.8")));
    assert!(tally.note(Entrance::Login, Some("10.0.0.7")));
    assert_eq!(
        tally.take(),
        [sum(Entrance::Connection, "10.0.0.7", 47 - u64::from(EACH))]
    );
    // A new turn.
    assert!(tally.note(Entrance::Connection, Some("10.0.0.7")));
    assert_eq!(tally.take(), []);
    assert_eq!(tally.counted(), 47 - u64::from(EACH));
}

#[test]
fn many_addresses_take_up_no_more_than_a_few_do() {
    let mut tally = Tally::default();
    let mut named = 0_u64;
    for at in 0..100_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(at).to_string();
        named += u64::from(tally.note(Entrance::Connection, Some(&address)));
        named += u64::from(tally.note(Entrance::Login, Some(&address)));
    }
    assert_eq!(named, u64::from(ALL));
    let sums = tally.take();
    assert!(sums.len() <= SOURCES + 2, "{}", sums.len());
    let counted: u64 = sums.iter().map(|sum| sum.count).sum();
    assert_eq!(counted + named, 200_000);
}

#[test]
fn a_sum_that_could_not_be_recorded_is_told_of_later() {
    let mut tally = Tally::default();
    tally.put_back(&sum(Entrance::Login, "10.0.0.7", 5));
    tally.put_back(&sum(Entrance::Login, "", 2));
    assert!(tally.note(Entrance::Login, Some("10.0.0.7")));
    let all = [
        sum(Entrance::Login, "", 2),
        sum(Entrance::Login, "10.0.0.7", 5),
    ];
    assert_eq!(tally.take(), all);
    assert_eq!(tally.take(), []);
}
