//! The log of the built binary: what a crash, a bad disk or a forger does to it, and who finds out.

mod disk;
mod knock;
mod torn;
mod verifier;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::peer::{self, Peer};
use crate::harness::postgres::{Offer, Server};
use crate::harness::site::{Broker, DBGATE, Site};

/// A configured broker whose log is in `audit`.
async fn site(server: &Server) -> (Site, Offer) {
    let offer = server.offer().await;
    let site = Site::new(server, &offer);
    site.edit(
        "data_dir = \"data\"",
        "data_dir = \"data\"\naudit_dir = \"audit\"",
    );
    (site, offer)
}

/// A connection of a session of its own.
async fn enter(site: &Site, broker: &Broker, offer: &Offer) -> Peer {
    let granted = site.engineer(broker).await.grant(3600).await;
    let mut peer = Peer::dial(broker.port());
    peer.login(&granted.user, &granted.secret, &offer.name);
    peer
}

/// Runs statements of many kinds: answered, failed, refused, with parameters.
fn work(peer: &mut Peer) {
    for number in 0..6 {
        let sql = format!("SELECT name FROM customers WHERE id = {number} -- é");
        assert_eq!(peer::kinds(&peer.query(&sql)).matches('Z').count(), 1);
    }
    for sql in ["SELECT 1/0", "CREATE ROLE nobody_here", "SELEC"] {
        assert!(peer::kinds(&peer.query(sql)).contains('E'), "{sql}");
    }
}

/// All files of a folder, by their paths in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Puts files back as they were.
fn put(folder: &Path, files: &[(PathBuf, Vec<u8>)]) {
    fs::remove_dir_all(folder).ok();
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// `dbgate audit verify` on a folder: exit code and report.
fn verify(folder: &Path) -> (i32, Value) {
    let output = Command::new(DBGATE)
        .args(["audit", "verify", "--output", "json"])
        .arg(folder)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

/// The verifier that was written from `docs/audit-log.md` alone.
fn foreign(folder: &Path) -> Output {
    Command::new("python3")
        .arg("tests/audit/verify.py")
        .arg(folder)
        .output()
        .expect("python3 is installed")
}

/// The events of a log, as far as its leaves tell.
fn leaves(folder: &Path) -> Vec<Value> {
    let all = files(&folder.join("log")).into_iter();
    all.flat_map(|(_, bytes)| {
        let text = String::from_utf8(bytes).unwrap();
        let records = text.lines().skip(1).filter_map(|line| line.get(65..));
        records
            .map(|leaf| serde_json::from_str(leaf).unwrap())
            .collect::<Vec<Value>>()
    })
    .collect()
}
