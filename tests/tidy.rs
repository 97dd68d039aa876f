//! The house rules that a compiler does not know: floors, purity, owners, sizes, door plates.
//!
//! It reads lines, not syntax: it finds honest mistakes, it proves nothing against malice. Each rule is a
//! function over a list of files; the tests below run it over the tree, and over a sample that breaks it.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test that cannot go on ends"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every module, floor by floor; a module uses those before it.
const FLOORS: &[&[&str]] = &[
    &["model", "wire", "config"],
    &["identity", "sql", "policy", "mask"],
    &["work", "store", "audit", "net"],
    &["oidc", "upstream", "broker", "gateway", "api", "server"],
    &["remote", "tunnel", "shell", "demo", "cli"],
];

/// Modules and files that compute and do nothing else.
const PURE: &[&str] = &[
    "src/model/",
    "src/wire/",
    "src/config/",
    "src/identity/",
    "src/sql/",
    "src/policy/",
    "src/mask/",
    "src/gateway/session/",
    "src/audit/event/",
    "src/audit/encode.rs",
    "src/audit/refusal.rs",
    "src/audit/verify.rs",
];

/// What a pure file does not say.
const IMPURE: &[&str] = &[
    "tokio",
    "async fn",
    ".await",
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "::now(",
];

/// Crates with one owner.
const OWNERS: &[(&str, &[&str])] = &[
    ("pg_raw_parse", &["src/sql/parse.rs"]),
    ("sqlparser", &["src/shell/text.rs"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/"]),
    ("axum", &["src/api/", "src/demo/issuer/"]),
    ("rusqlite", &["src/store/sqlite/"]),
    ("rustyline", &["src/shell/"]),
    ("keyring", &["src/remote/"]),
    (
        "openidconnect",
        &["src/identity/", "src/oidc/", "src/demo/issuer/"],
    ),
    ("tokio_postgres", &["src/upstream/"]),
    ("annotate_snippets", &["src/cli/problem.rs"]),
    ("indicatif", &["src/cli/", "src/shell/"]),
];

/// Values that prove something: nobody but their maker makes one.
const PROOFS: &[(&str, &str)] = &[
    ("src/identity/mod.rs", "Verified"),
    ("src/sql/footprint.rs", "Analyzed"),
    ("src/policy/permit.rs", "Permit"),
    ("src/policy/permit.rs", "Held"),
    ("src/gateway/session/run.rs", "Run"),
    ("src/audit/mod.rs", "Recorded"),
    ("src/mask/plan.rs", "Plan"),
    ("src/mask/plan.rs", "MaskedRow"),
    ("src/mask/copy.rs", "Lines"),
];

const MOST_LINES: usize = 600;
const MOST_FILES: usize = 10;

/// Path below the repository, and text.
type File = (String, String);

#[test]
fn modules_use_only_modules_below_them() {
    clean(&floors(&sources()));
}

#[test]
fn a_module_that_looks_up_is_found() {
    broken(
        &floors(&sample("src/wire/x.rs", "use crate::gateway::relay;")),
        "uses `gateway`, which is above",
    );
    broken(
        &floors(&sample("src/model/x.rs", "fn f() -> crate::wire::Error {}")),
        "uses `wire`, which is above",
    );
    clean(&floors(&sample(
        "src/gateway/x.rs",
        "use crate::wire::frame;\n// see crate::cli",
    )));
}

#[test]
fn one_line_names_one_module() {
    clean(&imports(&sources()));
}

#[test]
fn an_import_of_many_modules_is_found() {
    broken(
        &imports(&sample("src/wire/x.rs", "use crate::{model, sql};")),
        "one module a line",
    );
    broken(
        &imports(&sample("src/wire/x.rs", "use super::super::model;")),
        "`super::super`",
    );
}

#[test]
fn the_core_is_pure() {
    clean(&purity(&sources()));
}

#[test]
fn an_impure_core_is_found() {
    let impure = [
        "use tokio::net;",
        "async fn f() {}",
        "std::fs::read(p)",
        "std::env::args()",
        "SystemTime::now()",
    ];
    for line in impure {
        broken(&purity(&sample("src/policy/x.rs", line)), "is pure");
        broken(
            &purity(&sample("src/gateway/session/x.rs", line)),
            "is pure",
        );
        clean(&purity(&sample("src/net/x.rs", line)));
    }
}

#[test]
fn a_crate_is_named_by_its_owner_alone() {
    clean(&owners(&sources()));
}

#[test]
fn a_crate_named_elsewhere_is_found() {
    broken(
        &owners(&sample("src/policy/x.rs", "use pg_raw_parse::parse;")),
        "`pg_raw_parse` belongs to",
    );
    broken(
        &owners(&sample("src/broker/x.rs", "axum::Router::new()")),
        "`axum` belongs to",
    );
    clean(&owners(&sample("src/api/x.rs", "use axum::Router;")));
}

/// A rule about a path that is no longer there holds for nothing.
#[test]
fn every_place_that_a_rule_names_is_there() {
    clean(&absent(&places(), |path| Path::new(path).exists()));
}

#[test]
fn a_rule_for_a_place_that_is_gone_is_found() {
    broken(
        &absent(&places(), |path| path != "src/gateway/session/"),
        "`src/gateway/session/` is not there",
    );
}

#[test]
fn a_proof_is_tried_to_be_forged() {
    clean(&proofs(&sources(), PROOFS));
}

#[test]
fn a_proof_that_can_be_forged_is_found() {
    let proof = [("src/policy/x.rs", "Permit")];
    let check = |text: &str, expected| {
        broken(&proofs(&sample("src/policy/x.rs", text), &proof), expected);
    };
    check("pub struct Permit {\n    what: String,\n}", "compile_fail");
    let tried = "/// ```compile_fail\n/// ```\n#[derive(Debug)]\npub struct Permit";
    check(
        &format!("{tried} {{\n    pub what: String,\n}}"),
        "public field",
    );
    check(&format!("{tried}(pub String);"), "public field");
    check("struct Other;", "no `Permit`");
    let fine = format!(
        "{tried}<T> {{\n    pub(super) what: T,\n}}\npub struct Next {{\n    pub a: u8,\n}}"
    );
    clean(&proofs(&sample("src/policy/x.rs", &fine), &proof));
}

#[test]
fn files_are_small_and_have_a_door_plate() {
    clean(&sizes(&everything()));
    clean(&plates(&everything()));
}

#[test]
fn a_long_or_unmarked_file_is_found() {
    broken(
        &sizes(&sample("src/wire/x.rs", &"//! x\n".repeat(601))),
        "601 lines",
    );
    broken(&plates(&sample("src/wire/x.rs", "use std::fmt;")), "`//!`");
}

#[test]
fn rooms_are_small() {
    let mut files = sources();
    collect(Path::new("benches"), &mut files);
    clean(&rooms(&files));
}

#[test]
fn a_crowded_room_is_found() {
    let crowd: Vec<File> = (0..12)
        .map(|n| (format!("src/wire/f{n}.rs"), String::new()))
        .collect();
    broken(&rooms(&crowd), "12 files");
}

#[test]
fn the_crate_lists_its_modules_by_floor() {
    clean(&listed(&fs::read_to_string("src/lib.rs").unwrap()));
}

#[test]
fn a_module_on_the_wrong_floor_is_found() {
    let library = fs::read_to_string("src/lib.rs").unwrap();
    broken(&listed(&library.replace("pub mod wire;\n", "")), "floor 0");
    broken(
        &listed(&library.replace("pub mod tunnel;\n", "pub mod tunnel;\npub mod util;\n")),
        "floor 4",
    );
}

#[test]
fn pages_name_what_is_there() {
    let pages = fs::read_dir("docs").unwrap().flatten();
    let pages = pages.map(|entry| entry.path().display().to_string());
    let first = ["README.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned);
    for page in pages.chain(first) {
        let text = fs::read_to_string(&page).unwrap();
        let folder = Path::new(&page).parent().unwrap();
        let exists = |path: &str| {
            let path = path.split(['#', '*', ' ']).next().unwrap();
            Path::new(path).exists() || folder.join(path).exists()
        };
        let gone = absent(&named(&text), exists);
        assert!(gone.is_empty(), "{page}: {}", gone.join("\n"));
    }
}

#[test]
fn a_page_that_names_what_is_gone_is_found() {
    let text = "see [it](docs/gone.md), `tests/gone/`, `dbgate demo`, [that](https://example.com)";
    let gone = absent(&named(text), |path| Path::new(path).exists());
    broken(&gone, "`docs/gone.md` is not there");
    broken(&gone, "`tests/gone/` is not there");
    assert_eq!(gone.len(), 2, "{gone:?}");
}

#[test]
fn every_exception_has_a_reason_and_nothing_is_ignored() {
    let mut files = everything();
    // The samples below.
    files.retain(|(path, _)| path != "tests/tidy.rs");
    clean(&exceptions(&files));
}

#[test]
fn an_ignored_test_is_found() {
    broken(
        &exceptions(&sample("src/wire/x.rs", "#[ignore]")),
        "`#[ignore]`",
    );
    broken(
        &exceptions(&sample("src/wire/x.rs", "#[allow(dead_code)]")),
        "`#[allow`",
    );
}

fn floors(files: &[File]) -> Vec<String> {
    let order = FLOORS.concat();
    let mut wrong = Vec::new();
    for (path, text) in files {
        let Some(here) = order.iter().position(|module| Some(*module) == owner(path)) else {
            continue;
        };
        for (number, line) in code(text) {
            for rest in line.split("crate::").skip(1) {
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                let used = &rest[..end];
                if order.iter().position(|module| *module == used) > Some(here) {
                    wrong.push(format!("{path}:{number}: uses `{used}`, which is above it"));
                }
            }
        }
    }
    wrong
}

fn imports(files: &[File]) -> Vec<String> {
    find(files, |_, line| {
        if line.contains("use crate::{") {
            return Some("import one module a line".to_owned());
        }
        line.contains("super::super")
            .then(|| "say `crate::…`, not `super::super`".to_owned())
    })
}

fn purity(files: &[File]) -> Vec<String> {
    find(files, |path, line| {
        if !PURE.iter().any(|pure| path.starts_with(pure)) || path.contains("/tests/") {
            return None;
        }
        let word = IMPURE.iter().find(|word| line.contains(**word))?;
        Some(format!("`{word}`: this file is pure"))
    })
}

fn owners(files: &[File]) -> Vec<String> {
    find(files, |path, line| {
        for (name, places) in OWNERS {
            let testing = path.contains("/tests/");
            if names(line, name) && !testing && !places.iter().any(|place| path.starts_with(place))
            {
                return Some(format!("`{name}` belongs to {}", places.join(", ")));
            }
        }
        None
    })
}

/// Whether a line names a crate: `clap::`, but neither `my_clap::` nor `crate::clap::`.
fn names(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

fn sizes(files: &[File]) -> Vec<String> {
    let long = files
        .iter()
        .filter(|(_, text)| text.lines().count() > MOST_LINES);
    long.map(|(path, text)| {
        format!(
            "{path}: {} lines, at most {MOST_LINES}",
            text.lines().count()
        )
    })
    .collect()
}

fn plates(files: &[File]) -> Vec<String> {
    let bare = files.iter().filter(|(_, text)| !text.starts_with("//! "));
    bare.map(|(path, _)| {
        format!("{path}: the first line must be a `//!` that says what the file is")
    })
    .collect()
}

fn rooms(files: &[File]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, _) in files {
        let Some((room, name)) = path.rsplit_once('/') else {
            continue;
        };
        let counted = name != "mod.rs" && room != "src" && !room.starts_with("src/cli");
        if counted && !room.contains("/tests") {
            *counts.entry(room).or_default() += 1;
        }
    }
    let crowded = counts.into_iter().filter(|(_, count)| *count > MOST_FILES);
    crowded
        .map(|(room, count)| format!("{room}: {count} files, at most {MOST_FILES}"))
        .collect()
}

fn listed(library: &str) -> Vec<String> {
    let groups = library.split("// Floor ").skip(1).map(|group| {
        let names = group
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        names.collect::<Vec<_>>()
    });
    let mut wrong = Vec::new();
    for ((number, mut listed), floor) in groups.enumerate().zip(FLOORS) {
        let mut floor = floor.to_vec();
        floor.sort_unstable();
        listed.sort_unstable();
        if listed != floor {
            wrong.push(format!(
                "src/lib.rs: floor {number} lists {listed:?}, the house has {floor:?}"
            ));
        }
    }
    wrong
}

/// Links of a page to files, and paths in backticks.
fn named(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://"));
    let paths = text.split('`').skip(1).step_by(2);
    let paths = paths.filter(|path| path.starts_with("tests/") || path.starts_with("src/"));
    links.chain(paths).collect()
}

/// Every path that a rule names.
fn places() -> Vec<&'static str> {
    let owners = OWNERS.iter().flat_map(|(_, places)| places.iter());
    let proofs = PROOFS.iter().map(|(path, _)| path);
    PURE.iter().chain(owners).chain(proofs).copied().collect()
}

fn absent(places: &[&str], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let gone = places.iter().filter(|path| !exists(path));
    gone.map(|path| {
        format!("`{path}` is not there, and is named: what is said of it holds for nothing")
    })
    .collect()
}

/// A proof has no public field, and a doctest above it that tries to make one.
fn proofs(files: &[File], proofs: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, name) in proofs {
        let found = files.iter().find(|(file, _)| file == path);
        let text = found.map_or("", |(_, text)| text);
        let declared = |line: &str| {
            let rest = line.strip_prefix("pub struct ");
            let rest = rest.and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let above: Vec<_> = text.lines().take_while(|line| !declared(line)).collect();
        let mut declaration = text.lines().skip(above.len());
        let Some(first) = declaration.next() else {
            wrong.push(format!("{path}: there is no `{name}`"));
            continue;
        };
        let attached = |line: &&&str| line.starts_with("///") || line.starts_with("#[");
        let mut documents = above.iter().rev().take_while(attached);
        if !documents.any(|line| line.contains("compile_fail")) {
            wrong.push(format!(
                "{path}: `{name}` proves something; add a `compile_fail` doctest that tries to forge it"
            ));
        }
        let mut body = declaration.take_while(|line| first.ends_with('{') && *line != "}");
        if first.contains("(pub ") || body.any(|line| line.trim_start().starts_with("pub ")) {
            wrong.push(format!(
                "{path}: `{name}` has a public field: anybody makes one"
            ));
        }
    }
    wrong
}

fn exceptions(files: &[File]) -> Vec<String> {
    find(files, |_, line| {
        if line.contains("#[allow(") || line.contains("#![allow(") {
            return Some("`#[allow`: write `#[expect(…, reason = \"…\")]`".to_owned());
        }
        line.contains("#[ignore")
            .then(|| "`#[ignore]`: a test runs, or it is not there".to_owned())
    })
}

/// Complaints of `look` about each line of code.
fn find(files: &[File], look: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in files {
        for (number, line) in code(text) {
            if let Some(complaint) = look(path, line) {
                wrong.push(format!("{path}:{number}: {complaint}"));
            }
        }
    }
    wrong
}

/// Lines with their numbers, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// `wire` of `src/wire/frame.rs`.
fn owner(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?
        .split_once('/')
        .map(|(module, _)| module)
}

fn sources() -> Vec<File> {
    let mut files = Vec::new();
    collect(Path::new("src"), &mut files);
    assert!(
        files.len() > 20,
        "the sources were not found; run this in the repository"
    );
    files
}

/// The sources and the tests.
fn everything() -> Vec<File> {
    let mut files = sources();
    collect(Path::new("tests"), &mut files);
    collect(Path::new("benches"), &mut files);
    files
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let foreign = path.ends_with("node_modules") || path.ends_with(".venv");
        if path.is_dir() && !foreign {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

fn sample(path: &str, text: &str) -> Vec<File> {
    vec![(path.to_owned(), text.to_owned())]
}

fn clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn broken(complaints: &[String], expected: &str) {
    assert!(
        complaints.join("\n").contains(expected),
        "{expected} was not found: {complaints:?}"
    );
}
