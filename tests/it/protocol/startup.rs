//! First packets of every kind (row A3), versions of the protocol, and what a client may ask for in its startup packet.

use std::time::{Duration, Instant};

use crate::harness::long;
use crate::harness::peer::{self, Message, Peer, V3_0, packet, startup, text};
use crate::protocol::{Stage, Way};

/// What is answered to a first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Who are you? So it was taken.
    Taken,
    /// A FATAL of this SQLSTATE.
    Fatal(&'static str),
    /// Nothing.
    Closed,
}
use Answer::{Closed, Fatal, Taken};

const BROKEN: Answer = Fatal("08P01");

/// Cases with what is answered to them.
fn cases() -> Vec<(String, Vec<u8>, Answer)> {
    let mut cases: Vec<(String, Vec<u8>, Answer)> = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, answer| cases.push((name, bytes, answer));
    let good = startup(V3_0, &[("user", "nobody"), ("database", "db")]);

    // Lengths, with a body of all sizes behind them.
    for length in (0..8).chain([10_001, 65_535, 0x00ff_ffff]) {
        for body in [0, 4, 100] {
            let bytes = [&u32::to_be_bytes(length)[..], &vec![0; body]].concat();
            add(format!("length {length}, {body} bytes"), bytes, BROKEN);
        }
    }
    // These begin with a byte that is no PostgreSQL's: nobody to talk to is known.
    for length in [0x7fff_ffff_u32, 0x8000_0000, 0xffff_ffff, 0x0100_0000] {
        let bytes = [&length.to_be_bytes()[..], &good[4..]].concat();
        add(format!("length {length:#x}"), bytes, Closed);
    }
    for length in 1..good.len() {
        add(
            format!("cut after {length}"),
            good[..length].to_vec(),
            BROKEN,
        );
    }
    let settings = startup(
        V3_0,
        &[
            ("user", "nobody"),
            ("options", "-c geqo=on --search-path=a"),
            ("application_name", "a test"),
        ],
    );
    for length in (12..settings.len()).step_by(2) {
        add(
            format!("with settings, cut after {length}"),
            settings[..length].to_vec(),
            BROKEN,
        );
    }
    for length in [8, 9, 12, 20] {
        let bytes = [
            &u32::to_be_bytes(length)[..],
            &good[4..usize::try_from(length).unwrap()],
        ]
        .concat();
        add(format!("says it ends after {length}"), bytes, BROKEN);
    }
    for more in [1, 5, 10_000 - good.len()] {
        let bytes = packet(&[&good[4..], &vec![0; more]].concat());
        add(format!("{more} bytes after the end"), bytes, BROKEN);
    }
    // The longest packet there may be.
    for (name, answer) in [
        ("user", Taken),
        ("database", Taken),
        ("x.y", Fatal("42501")),
    ] {
        let user: &[(&str, &str)] = if name == "user" {
            &[]
        } else {
            &[("user", "u")]
        };
        let short = startup(V3_0, &[user, &[(name, "")]].concat()).len();
        for (size, answer) in [(10_000, answer), (10_001, BROKEN)] {
            let value = "x".repeat(size - short);
            let bytes = startup(V3_0, &[user, &[(name, &value)]].concat());
            add(format!("{name} of {} bytes", value.len()), bytes, answer);
        }
    }

    // Versions.
    for (version, answer) in [
        (0x0000_0000, Fatal("0A000")),
        (0x0001_0000, Fatal("0A000")),
        (0x0002_0000, Fatal("0A000")),
        (0x0002_ffff, Fatal("0A000")),
        (0x0003_0000, Taken),
        (0x0003_0001, Taken),
        (0x0003_0002, Taken),
        (0x0003_0063, Taken),
        (0x0003_ffff, Taken),
        (0x0004_0000, Fatal("0A000")),
        (0xffff_ffff, Fatal("0A000")),
        (80_877_101, Fatal("0A000")),
        (80_877_105, Fatal("0A000")),
    ] {
        add(
            format!("version {version:#x}"),
            startup(version, &[("user", "u")]),
            answer,
        );
    }

    // Names and values.
    let user = ("user", "nobody");
    for (name, value, answer) in [
        ("user", "again", BROKEN),
        ("options", "-c=", BROKEN),
        ("options", "-c =x", BROKEN),
        ("options", "--=", BROKEN),
        ("options", "-c", BROKEN),
        ("options", "-c geqo", BROKEN),
        ("options", "-B 10", BROKEN),
        ("options", "-d 5", BROKEN),
        ("options", "x", BROKEN),
        ("options", "\\", BROKEN),
        ("options", "", Taken),
        ("options", "   ", Taken),
        ("options", "-c geqo=off", Taken),
        ("options", "-cgeqo=off --search-path=a", Taken),
        ("options", "-c search_path=a\\ b", Taken),
        ("options", "-c role=postgres", Fatal("42501")),
        ("options", "-c session_preload_libraries=x", Fatal("42501")),
        ("options", "-c log_statement=none", Fatal("42501")),
        ("replication", "true", Fatal("0A000")),
        ("replication", "database", Fatal("0A000")),
        ("replication", "1", Fatal("0A000")),
        ("replication", "false", Taken),
        ("replication", "off", Taken),
        ("role", "postgres", Fatal("42501")),
        ("session_authorization", "postgres", Fatal("42501")),
        ("local_preload_libraries", "x", Fatal("42501")),
        ("client_encoding", "LATIN1", Taken),
        ("application_name", "a", Taken),
        ("search_path", "a; drop table b", Taken),
        ("_pq_.thing", "x", Taken),
        ("statement_timeout", "not a time", Taken),
        ("no_such_setting", "x", Fatal("42501")),
    ] {
        add(
            format!("{name}={value}"),
            startup(V3_0, &[user, (name, value)]),
            answer,
        );
    }
    for name in [
        "session_replication_role",
        "row_security",
        "log_min_messages",
        "shared_preload_libraries",
        "temp_file_limit",
        "dynamic_library_path",
        "default_tablespace",
        "lo_compat_privileges",
        "password_encryption",
        "client_connection_check_interval",
    ] {
        let bytes = startup(V3_0, &[user, (name, "x")]);
        add(format!("{name}=x"), bytes, Fatal("42501"));
    }
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
        b"a\xfe",
    ] {
        for place in ["name", "value", "user"] {
            let bytes = match place {
                "user" => [&b"\0\x03\0\0user\0"[..], bad, b"\0\0"].concat(),
                "name" => [&b"\0\x03\0\0user\0u\0"[..], bad, b"\0x\0\0"].concat(),
                _ => [&b"\0\x03\0\0user\0u\0database\0"[..], bad, b"\0\0"].concat(),
            };
            add(
                format!("{bad:?} in {place}"),
                packet(&bytes),
                Fatal("22021"),
            );
        }
    }
    for (name, body) in [
        ("no parameters", vec![0]),
        ("no end", vec![]),
        ("an empty user", [text("user"), text(""), vec![0]].concat()),
        (
            "a name without a value",
            [text("user"), text("u"), text("x")].concat(),
        ),
        (
            "an empty name first",
            [text(""), text("user"), text("u"), vec![0]].concat(),
        ),
        ("no user", [text("database"), text("d"), vec![0]].concat()),
    ] {
        let bytes = packet(&[&b"\0\x03\0\0"[..], &body].concat());
        add(name.to_owned(), bytes, BROKEN);
    }
    // As many as fit into the longest packet; and 5000 in one that is too long.
    for (count, answer) in [
        (64, Taken),
        (126, Taken),
        (127, Taken),
        (128, BROKEN),
        (1_200, BROKEN),
        (5_000, BROKEN),
    ] {
        let mut body = [&b"\0\x03\0\0"[..], &text("user"), &text("u")].concat();
        for number in 1..=count {
            // Options of the protocol, which are never more than names.
            body.extend(if count < 1_000 {
                text(&format!("_pq_.{number}"))
            } else {
                text(&format!("p{number:x}"))
            });
            body.extend(text(""));
        }
        body.push(0);
        add(
            format!("{count} parameters, {} bytes", body.len() + 4),
            packet(&body),
            answer,
        );
    }
    let many = format!("-c geqo=on {}", "-c a=b ".repeat(1_300));
    add(
        "1301 options".to_owned(),
        startup(V3_0, &[user, ("options", &many)]),
        BROKEN,
    );
    let many = "-c geqo=on ".repeat(800);
    add(
        "800 options".to_owned(),
        startup(V3_0, &[user, ("options", &many)]),
        BROKEN,
    );
    cases
}

fn answer(messages: &[Message]) -> Answer {
    let last = messages
        .iter()
        .find(|(kind, _)| matches!(kind, b'E' | b'R'));
    match last {
        None => Closed,
        Some((b'R', _)) => Taken,
        Some((_, body)) => {
            assert_eq!(peer::field(body, b'V'), "FATAL");
            assert!(
                !peer::field(body, b'H').is_empty(),
                "no next step: {messages:?}"
            );
            let code = peer::field(body, b'C');
            Fatal(
                ["08P01", "0A000", "22021", "42501"]
                    .into_iter()
                    .find(|known| *known == code)
                    .unwrap(),
            )
        }
    }
}

fn ask(mut peer: Peer, bytes: &[u8]) -> Vec<Message> {
    peer.send(bytes).ok();
    peer.finish();
    peer.until(b'R')
}

#[tokio::test(flavor = "multi_thread")]
async fn each_first_packet_is_taken_or_refused_with_a_reason_at_once() {
    let stage = Stage::new().await;
    let cases = cases();
    // What the first of many connections costs once is not what each costs.
    for (_, bytes, _) in cases.iter().chain(&cases) {
        ask(stage.dial(Way::Gateway), bytes);
    }
    let before = stage.broker.descriptors();
    let memory = stage.broker.memory();
    let mut slowest = Duration::ZERO;
    let mut stricter = Vec::new();
    for (name, bytes, expected) in &cases {
        let since = Instant::now();
        let came = ask(stage.dial(Way::Gateway), bytes);
        slowest = slowest.max(since.elapsed());
        assert_eq!(answer(&came), *expected, "{name}: {came:?}");
        // What PostgreSQL refuses is never taken here, but for what it only finds out after the login.
        let server = ask(stage.dial(Way::Direct), bytes);
        let taken = server.iter().any(|(kind, _)| *kind == b'R');
        assert!(
            taken || *expected != Taken,
            "{name}: PostgreSQL says {server:?}"
        );
        if taken && *expected != Taken {
            stricter.push(name.as_str());
        }
    }
    assert!(cases.len() >= 200, "{}", cases.len());
    // Before anybody has said who he is, dbgate refuses settings that PostgreSQL checks after the login, what is given twice, and the four
    // bytes by which PostgreSQL's limit is longer.
    for name in &stricter {
        let known = name.contains('=')
            || name.contains("parameters")
            || name.contains("options")
            || name.contains(" of ")
            || name.starts_with("[");
        assert!(known, "{name}");
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    stage.broker.settle(before);
    let grown = stage.broker.memory().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
    println!(
        "{} first packets, slowest {slowest:?}, {} KiB more; stricter than PostgreSQL for {}",
        cases.len(),
        grown / 1024,
        stricter.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_announces_a_long_packet_and_sends_none_costs_little() {
    let count = if long() { 4_000 } else { 400 };
    let stage = Stage::new().await;
    let before = stage.broker.descriptors();
    let memory = stage.broker.memory();
    // The longest packet, but for its last byte.
    let header = [
        &10_000_u32.to_be_bytes()[..],
        &V3_0.to_be_bytes(),
        &[b'x'; 9_991],
    ]
    .concat();
    let waiting: Vec<Peer> = (0..count)
        .map(|_| {
            let mut peer = stage.dial(Way::Gateway);
            peer.send(&header).unwrap();
            peer
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // On a slow machine the first have waited for as long as anybody may.
    let open = stage.broker.descriptors().saturating_sub(before);
    assert!(open >= count / 4, "{open} of {count} are connected");
    let each = stage.broker.memory().saturating_sub(memory) / open;
    assert!(each < 64 * 1024, "{each} bytes for each connection");
    let since = Instant::now();
    let mut peer = stage.enter(Way::Gateway);
    assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    println!(
        "{open} connections that wait, {each} bytes each; another gets in after {:?}",
        since.elapsed()
    );
    drop(waiting);
    stage.broker.settle(before);
}

/// What a version leads to: what is said of it, and how long the cancel key is.
#[tokio::test(flavor = "multi_thread")]
async fn newer_protocols_are_negotiated_down_and_older_ones_spoken() {
    let stage = Stage::new().await;
    let (user, secret) = stage.credential(Way::Gateway);
    let cases: [(u32, &[&str], Option<u32>, usize); 8] = [
        (0x0003_0000, &[], None, 4),
        (0x0003_0000, &["_pq_.thing"], Some(0x0003_0000), 4),
        (0x0003_0001, &[], None, 32),
        (0x0003_0002, &[], None, 32),
        (0x0003_0002, &["_pq_.a", "_pq_.b"], Some(0x0003_0002), 32),
        (0x0003_0003, &[], Some(0x0003_0002), 32),
        (0x0003_0063, &["_pq_.a"], Some(0x0003_0002), 32),
        (0x0003_ffff, &[], Some(0x0003_0002), 32),
    ];
    for (version, options, newest, key) in cases {
        let mut peer = stage.dial(Way::Gateway);
        let mut parameters = vec![("user", user), ("database", &*stage.offer.name)];
        parameters.extend(options.iter().map(|name| (*name, "on")));
        peer.send(&startup(version, &parameters)).unwrap();
        let messages = peer.until(b'R');
        let told = messages
            .iter()
            .find(|(kind, _)| *kind == b'v')
            .map(|(_, body)| body.clone());
        let expected = newest.map(|newest| {
            let names: Vec<u8> = options.iter().flat_map(|name| text(name)).collect();
            let count = u32::try_from(options.len()).unwrap().to_be_bytes();
            [&newest.to_be_bytes()[..], &count, &names].concat()
        });
        assert_eq!(told, expected, "{version:#x} {options:?}");
        peer.prove(secret);
        assert_eq!(peer.key.len(), 4 + key, "{version:#x}: process id and key");
        assert_eq!(peer::kinds(&peer.query("SELECT 1")), "TDCZ");
    }
}

/// What a client set, as the database sees it, and what it is told of what stays.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_startup_packet_reach_the_database_or_are_said_to_stay() {
    let stage = Stage::new().await;
    let (user, secret) = stage.credential(Way::Gateway);
    let enter = |more: &[(&str, &str)]| {
        let mut peer = stage.dial(Way::Gateway);
        peer.hello(&[&[("user", user), ("database", &*stage.offer.name)], more].concat());
        let messages = peer.prove(secret);
        assert_eq!(
            messages.last().map(|(kind, _)| *kind),
            Some(b'Z'),
            "{messages:?}"
        );
        (peer, messages)
    };
    for (name, value, shown) in [
        ("application_name", "a test", "a test"),
        ("DateStyle", "German, DMY", "German, DMY"),
        ("TimeZone", "Asia/Tokyo", "Asia/Tokyo"),
        ("options", "-c search_path=a,\\ b", "a, b"),
        ("options", "-c statement_timeout=5s", "5s"),
        ("options", "--work-mem=4MB -c statement_timeout=4s", "4s"),
        ("extra_float_digits", "2", "2"),
    ] {
        let (mut peer, _) = enter(&[(name, value)]);
        let setting = match name {
            "options" if value.contains("search_path") => "search_path",
            "options" => "statement_timeout",
            name => name,
        };
        let answer = peer.query(&format!("SHOW {setting}"));
        let row = answer.iter().find(|(kind, _)| *kind == b'D').unwrap();
        assert_eq!(
            String::from_utf8_lossy(&row.1[6..]),
            shown,
            "{name}={value}"
        );
    }
    for (name, value) in [
        ("client_encoding", "LATIN1"),
        ("options", "-c standard_conforming_strings=off"),
    ] {
        let (_, messages) = enter(&[(name, value)]);
        let notice = messages
            .iter()
            .find(|(kind, _)| *kind == b'N')
            .expect("a notice");
        assert!(peer::field(&notice.1, b'M').contains("stays"), "{name}");
    }
    // A driver that names no database gets the session's.
    let mut peer = stage.dial(Way::Gateway);
    peer.hello(&[("user", user)]);
    assert_eq!(peer.prove(secret).last().unwrap().0, b'Z');
}
