//! `completions/` and `man/` equal what the definitions of the commands make, `docs/openapi.json` what the routes say.
//! `UPDATE=1` renews them.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dbgate::cli::generate::{What, files};

#[test]
fn completions_are_fresh() {
    check("completions", What::Completions);
}

/// fish reads values between double quotes, where a `$` is a variable or, worse, a command to run at a press of Tab.
#[test]
fn completing_a_line_in_fish_runs_nothing() {
    let made = files(What::Completions).expect("the definitions make files");
    let (_, fish) = made
        .into_iter()
        .find(|(name, _)| name == "dbgate.fish")
        .expect("fish is among them");
    let fish = String::from_utf8(fish).expect("it is text");
    let (_, entries) = fish
        .split_once("\ncomplete -c dbgate ")
        .expect("it has entries");
    assert!(entries.lines().count() > 500, "it has few entries");
    for line in entries.lines() {
        assert!(!line.contains('$'), "fish would expand `{line}`");
    }
}

#[test]
fn manual_pages_are_fresh() {
    check("man", What::Man);
}

#[test]
fn the_openapi_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let made = dbgate::api::document();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).expect("the file can be written");
    }
    let there = fs::read_to_string(&path).expect("docs/openapi.json is there");
    assert!(
        there == made,
        "docs/openapi.json is stale: run `UPDATE=1 cargo test --test generated`"
    );
}

fn check(folder: &str, what: What) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let made: BTreeMap<_, _> = files(what)
        .expect("the definitions make files")
        .into_iter()
        .collect();
    if std::env::var_os("UPDATE").is_some() {
        let _absent = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        for (name, text) in &made {
            fs::write(folder.join(name), text).expect("the file can be written");
        }
    }
    let there: BTreeMap<_, _> = fs::read_dir(&folder)
        .expect("the folder is there; run `UPDATE=1 cargo test --test generated`")
        .map(|entry| entry.expect("the folder can be read"))
        .map(|entry| {
            let text = fs::read(entry.path()).expect("the file can be read");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect();
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let renew = "run `UPDATE=1 cargo test --test generated`";
    assert_eq!(
        names(&there),
        names(&made),
        "{} has other files: {renew}",
        folder.display()
    );
    for (name, text) in &made {
        assert!(there.get(name) == Some(text), "{name} is stale: {renew}");
    }
}
