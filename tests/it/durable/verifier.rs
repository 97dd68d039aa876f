//! A verifier that nobody of dbgate's wrote finds the log as its documentation says, and every change to it.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::{enter, files, foreign, put, site, verify, work};
use crate::harness::long;
use crate::harness::postgres::Server;
use crate::harness::site::DBGATE;

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_made_from_the_documentation_alone_agrees_about_every_change() {
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    let mut broker = site.run();
    work(&mut enter(&site, &broker, &offer).await);
    let folder = site.path("audit");
    broker.signal(Signal::TERM);
    broker.child.wait().unwrap();
    let honest = files(&folder);
    let (code, report) = verify(&folder);
    assert_eq!(code, 0, "{report}");
    let said = foreign(&folder);
    let expected = format!(
        "{} {}\n",
        report["records"],
        report["hash"].as_str().unwrap()
    );
    assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{said:?}");
    let forged = site.path("forged");
    let (mut cases, mut found) = (0, 0);
    let step = if long() { 7 } else { 211 };
    for (name, bytes) in &honest {
        if name.ends_with("broker.lock") {
            continue;
        }
        let mut change = |what: &str, with: Vec<u8>| {
            let mut files = honest.clone();
            let place = files.iter_mut().find(|(of, _)| of == name).unwrap();
            place.1 = with;
            put(&forged, &files);
            let (code, report) = verify(&forged);
            let told = foreign(&forged);
            let what = format!("{} {what}", name.display());
            assert_eq!(
                told.status.code(),
                Some(code),
                "{what}: {report} but {told:?}"
            );
            cases += 1;
            if code == 9 {
                found += 1;
                // The place is told: a file, and where in it. Where whole records are gone, the head knows of them.
                let findings = report["findings"].as_array().unwrap();
                let told = findings.iter().any(|finding| {
                    assert!(finding["offset"].is_u64(), "{what}: {report}");
                    let file = finding["file"].as_str().unwrap();
                    file == "head" || file == name.to_str().unwrap()
                });
                assert!(told || name.ends_with("head"), "{what}: {report}");
            } else {
                // Either slot of the head alone says enough, and zeros say that it was never written.
                assert!(code == 0 && name.ends_with("head"), "{what}: {report}");
            }
        };
        for at in (0..bytes.len()).step_by(step) {
            let mut with = bytes.clone();
            with[at] ^= 1 << (at % 8);
            change(&format!("changed at {at}"), with);
            change(&format!("cut at {at}"), bytes[..at].to_vec());
        }
        change("longer", [&bytes[..], b"x"].concat());
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        if name.starts_with("log") {
            let middle = lines.len() / 2;
            let mut swapped = lines.clone();
            swapped.swap(middle, middle + 1);
            change("with two records swapped", swapped.concat());
            let mut fewer = lines.clone();
            fewer.remove(middle);
            change("with a record dropped", fewer.concat());
            let mut more = lines.clone();
            more.insert(middle, lines[middle]);
            change("with a record doubled", more.concat());
        }
    }
    assert!(found > 60, "{found} of {cases}");
    println!("{cases} changed logs, {found} found out, both verifiers agree on each");
    // Somebody may want to know what is wrong without JSON.
    put(&forged, &honest);
    let log = forged.join("log/00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    bytes[header + 80] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let output = Command::new(DBGATE)
        .args(["audit", "verify"])
        .arg(&forged)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    let place = format!(
        "log/00000000000000000000.log, byte {}, record 0",
        header + 1
    );
    assert!(told.contains(&place), "{place} is not in {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_erased_with_a_record_of_it_leaves_a_log_that_verifies() {
    use std::sync::Arc;

    use dbgate::audit::event::Context;
    use dbgate::audit::log::{Log, Options, SEGMENT};
    use dbgate::audit::storage::files::Files;
    use dbgate::net::clock;
    use dbgate::net::entropy;
    let server = Server::shared();
    let (site, offer) = site(&server).await;
    let mut broker = site.run();
    let mut peer = enter(&site, &broker, &offer).await;
    peer.query("SELECT 'a private matter'");
    broker.signal(Signal::TERM);
    broker.child.wait().unwrap();
    let folder = site.path("audit");
    let told = |needle: &str| {
        let files = files(&folder).into_iter();
        files
            .filter(|(_, bytes)| {
                bytes
                    .windows(needle.len())
                    .any(|part| part == needle.as_bytes())
            })
            .count()
    };
    assert_eq!(told("private matter"), 1);
    let records: Vec<u64> = super::leaves(&folder)
        .iter()
        .filter(|leaf| leaf["event"] == "statement_intended" || leaf["transcript"].is_object())
        .map(|leaf| leaf["index"].as_u64().unwrap())
        .collect();
    assert!(records.len() >= 2, "{records:?}");
    let options = Options {
        storage: Arc::new(Files::open(&folder).unwrap()),
        clock: Arc::new(clock::System::new()),
        entropy: Arc::new(entropy::System),
        segment: SEGMENT,
    };
    let erasing = tokio::task::spawn_blocking(move || {
        let (log, _) = Log::open(options).unwrap();
        for record in records {
            log.erase(Context::default(), record).unwrap();
        }
        log.close();
    });
    erasing.await.unwrap();
    assert_eq!(told("private matter"), 0);
    let (code, report) = verify(&folder);
    assert_eq!(code, 0, "{report}");
    assert!(report["erased"].as_u64().unwrap() >= 2, "{report}");
    assert!(foreign(&folder).status.success());
    // The broker goes on with it, and shows what is left.
    let broker = site.run();
    assert_eq!(broker.get(&site, "/readyz").0, 200);
    // Without the record of it, an erased text is a change.
    let mut changed = files(&folder);
    let log = changed
        .iter_mut()
        .find(|(name, _)| name.starts_with("log"))
        .unwrap();
    let text = String::from_utf8(log.1.clone()).unwrap();
    let kept: Vec<&str> = text
        .lines()
        .take_while(|line| !line.contains("payload_erased"))
        .collect();
    log.1 = format!("{}\n", kept.join("\n")).into_bytes();
    let forged = site.path("forged");
    put(&forged, &changed);
    assert_eq!(
        (verify(&forged).0, foreign(&forged).status.code()),
        (9, Some(9))
    );
}
