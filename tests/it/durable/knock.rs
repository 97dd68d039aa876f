//! Whoever reaches the port, and gets in nowhere, can't make the log grow as they like: what they do is counted, and told of.

use dbgate::api::types::Login;
use rustix::process::Signal;
use serde_json::Value;

use super::{foreign, leaves, site, verify};
use crate::harness::peer::{Peer, field};
use crate::harness::postgres::Server;
use crate::harness::site::bad_tokens;

/// Attempts by either way.
const TIMES: u64 = 150;
/// Those of one address that are recorded one by one; the end of a minute may come in between.
const NAMED: std::ops::RangeInclusive<u64> = 10..=20;

#[tokio::test(flavor = "multi_thread")]
async fn refused_attempts_are_recorded_as_a_sum_when_there_are_many() {
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    let mut broker = site.run();
    let remote = site.engineer(&broker).await.remote;
    let login = Login {
        id_token: bad_tokens()[0].to_owned(),
        access_token: None,
        nonce: None,
    };
    for _ in 0..TIMES {
        let mut peer = Peer::dial(broker.port());
        peer.hello(&[("user", "s0000000000ab"), ("database", &offer.name)]);
        let refused = peer.prove("guessed");
        assert_eq!(field(&refused[0].1, b'C'), "28P01", "{refused:?}");
        assert!(remote.login(&login).await.is_err());
    }
    let (_, metrics) = broker.get(&site, "/metrics");
    let summed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("dbgate_refusals_summed_total "));
    let summed: u64 = summed.expect("a counter").parse().unwrap();
    broker.signal(Signal::TERM);
    broker.child.wait().unwrap();
    let folder = site.path("audit");
    let leaves = leaves(&folder);
    let of = |event: &'static str| leaves.iter().filter(move |leaf| leaf["event"] == event);
    let mut all = 0;
    for (at, event) in [
        ("connection", "connection_refused"),
        ("login", "login_refused"),
    ] {
        let named = u64::try_from(of(event).count()).unwrap();
        assert!(NAMED.contains(&named), "{at}: {named}");
        let sums: Vec<&Value> = of("refusals_counted")
            .filter(|leaf| leaf["at"] == at)
            .collect();
        let counted: u64 = sums.iter().filter_map(|sum| sum["count"].as_u64()).sum();
        assert_eq!(named + counted, TIMES, "{at}: {sums:?}");
        assert!(sums.len() <= 2, "{sums:?}");
        assert!(
            sums.iter()
                .all(|sum| sum["client"]["address"] == "127.0.0.1")
        );
        all += counted;
    }
    assert_eq!(all, summed);
    let (code, report) = verify(&folder);
    assert_eq!(code, 0, "{report}");
    assert!(foreign(&folder).status.success());
}
