//! Rules of `pg_hba.conf` and releases, judged without a server.

use crate::upstream::check::hba::rule::{Leases, Rule, Way, judge};
use crate::upstream::check::release::{HOLES, holes, show};

/// Rules as they stand in the file: kind, database, user, address/bits for hosts, method.
fn rules(text: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (line, text) in (1..).zip(text.lines().filter(|line| !line.trim().is_empty())) {
        let mut words = text.split_whitespace().map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let mut rule = Rule {
            line,
            kind: next(),
            databases: next().split(',').map(str::to_owned).collect(),
            users: next().split(',').map(str::to_owned).collect(),
            ..Rule::default()
        };
        if rule.kind != "local" {
            let address = next();
            match address.split_once('/') {
                Some((address, bits)) => {
                    rule.address = Some(address.to_owned());
                    rule.netmask = Some(mask(address.contains(':'), bits.parse().unwrap()));
                }
                None => rule.address = Some(address),
            }
        }
        rule.method = next();
        rules.push(rule);
    }
    rules
}

fn mask(six: bool, bits: u32) -> String {
    if six {
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        std::net::Ipv6Addr::from_bits(mask).to_string()
    } else {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        std::net::Ipv4Addr::from_bits(mask).to_string()
    }
}

fn found(text: &str, way: &Way) -> String {
    let leases = Leases {
        member_of: ["dbgate_lease", "shop_reader"]
            .map(str::to_owned)
            .into_iter()
            .collect(),
        database: "shop".to_owned(),
    };
    judge(&rules(text), &leases, way).join("\n")
}

const BROKER: Way = Way::Host {
    address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5)),
    ssl: true,
};

#[test]
fn leases_from_the_broker_alone_and_by_scram_alone_are_fine() {
    for good in [
        "hostssl all +dbgate_lease 10.0.0.5/32 scram-sha-256\nhost all +dbgate_lease all reject\nlocal all +dbgate_lease reject\nhost all all all md5\nlocal all all trust",
        "host shop +dbgate_lease 10.0.0.5/32 scram-sha-256\nhost all +dbgate_lease 0.0.0.0/0 reject\nhost all +dbgate_lease ::/0 reject\nhost all all samenet trust",
        "hostssl all /leases 10.0.0.5/32 scram-sha-256\nhostssl all /leases 10.0.0.6/32 scram-sha-256\nlocal all postgres peer\nhost replication all all trust",
        "hostssl all all 10.0.0.5/32 scram-sha-256\nhostssl all alice,+admins all cert\nhost all /others all trust",
        "hostnossl all +dbgate_lease all reject\nhostssl shop +dbgate_lease 10.0.0.5/32 scram-sha-256",
    ] {
        assert_eq!(found(good, &BROKER), "", "{good}");
    }
    let local = "local all +dbgate_lease scram-sha-256\nhost all +dbgate_lease all reject\nlocal all all peer";
    assert_eq!(found(local, &Way::Local), "");
}

#[test]
fn every_other_way_in_is_named_with_its_line() {
    let fine = "hostssl all +dbgate_lease 10.0.0.5/32 scram-sha-256";
    for (bad, expected) in [
        ("", "no line of pg_hba.conf admits leases"),
        ("host all alice all scram-sha-256", "no line"),
        ("hostnossl all all 10.0.0.5/32 scram-sha-256", "no line"),
        ("host other all 10.0.0.5/32 scram-sha-256", "no line"),
        (
            "hostssl all all 10.0.0.5/32 trust",
            "line 1 of pg_hba.conf asks leases from the broker for `trust`",
        ),
        ("hostssl all all 10.0.0.5/32 md5", "`md5`, not scram"),
        (
            "hostssl all +shop_reader 10.0.0.5/32 reject",
            "for `reject`",
        ),
        (
            "hostssl all all 10.0.0.0/24 scram-sha-256",
            "from elsewhere than the broker (10.0.0.0/24)",
        ),
        ("host all all all scram-sha-256", "0.0.0.0/0, ::/0"),
        (
            &format!("{fine}\nlocal all all peer"),
            "line 2 of pg_hba.conf admits leases by `peer`",
        ),
        (
            &format!("{fine}\nlocal all all scram-sha-256"),
            "by its socket",
        ),
        (
            &format!("{fine}\nhost all all 127.0.0.1/32 scram-sha-256"),
            "127.0.0.1/32",
        ),
        (
            &format!("{fine}\nhost all all samehost scram-sha-256"),
            "samehost",
        ),
        (
            &format!("{fine}\nhost other +shop_reader all cert"),
            "line 2 of pg_hba.conf admits leases by `cert`",
        ),
        (
            &format!("{fine}\nhostssl all +dbgate_lease all reject\nhost all all all trust"),
            "line 3",
        ),
        (
            &format!("{fine}\nhost shop +dbgate_lease all reject\nhost all all all trust"),
            "line 3",
        ),
        (
            &format!("{fine}\nhost all +shop_reader all reject\nhost all all all trust"),
            "line 3",
        ),
        (
            &format!("{fine}\nhost all +dbgate_lease 0.0.0.0/0 reject\nhost all all all trust"),
            "line 3",
        ),
        (
            &format!(
                "{fine}\nhost all +dbgate_lease 10.0.0.0/8 reject\nhost all all 0.0.0.0/0 trust"
            ),
            "line 3",
        ),
    ] {
        let found = found(bad, &BROKER);
        assert!(
            found.contains(expected),
            "{bad}: {found:?} has not {expected}"
        );
    }
}

#[test]
fn a_line_the_server_cannot_read_is_named() {
    let rule = Rule {
        line: 7,
        error: Some("invalid connection type \"hots\"".to_owned()),
        ..Rule::default()
    };
    let found = judge(&[rule], &Leases::default(), &BROKER).join("\n");
    assert!(
        found.contains("line 7 of pg_hba.conf can't be read: invalid"),
        "{found}"
    );
}

#[test]
fn releases_have_the_holes_that_were_mended_after_them() {
    let numbers = |version| -> Vec<&str> { holes(version).map(|hole| hole.cve).collect() };
    assert_eq!(show(150_018), "15.18");
    assert_eq!(numbers(150_018), ["CVE-2026-16239", "CVE-2026-6464"]);
    assert_eq!(numbers(150_013).last(), Some(&"CVE-2025-8713"));
    assert_eq!(numbers(180_003).len(), 3);
    assert_eq!(numbers(180_004), ["CVE-2026-16239", "CVE-2026-6464"]);
    for mended in [140_024, 150_019, 150_020, 160_015, 170_011, 180_006] {
        assert!(numbers(mended).is_empty(), "{mended}");
    }
    for hole in &HOLES {
        assert!(hole.cve.starts_with("CVE-") && !hole.fixed.is_empty());
    }
}
