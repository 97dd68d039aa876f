//! Files and folders that are not private enough, and those that are.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::net::entropy;
use crate::remote::private_file::{Directory, Error};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn bits(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, why: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unsafe { .. }), "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn what_is_written_is_read_and_nobody_else_s() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/tokens");
    let directory = Directory::open(&path).unwrap();
    assert_eq!(bits(&path), 0o700);
    assert_eq!(bits(&root.path().join("a")), 0o700);
    assert!(directory.read("x").unwrap().is_none());
    for text in ["first", "second, which is longer", ""] {
        directory
            .write("x", text.as_bytes(), &entropy::System)
            .unwrap();
        assert_eq!(bits(&path.join("x")), 0o600);
        assert_eq!(
            directory.read("x").unwrap().unwrap().as_slice(),
            text.as_bytes()
        );
    }
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing temporary stays");
    assert!(directory.remove("x").unwrap());
    assert!(!directory.remove("x").unwrap());
}

#[test]
fn folders_that_others_can_enter_or_change_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tokens");
    drop(Directory::open(&path).unwrap());
    for loose in [0o755, 0o750, 0o770, 0o701, 0o1777] {
        mode(&path, loose);
        refused(Directory::open(&path), "others may enter it");
    }
    mode(&path, 0o700);
    for loose in [0o770, 0o707, 0o777] {
        mode(root.path(), loose);
        refused(Directory::open(&path), "others may change what is in it");
    }
    mode(root.path(), 0o1777);
    Directory::open(&path).unwrap();
    mode(root.path(), 0o755);
    Directory::open(&path).unwrap();
}

#[test]
fn links_to_folders_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let real = root.path().join("real");
    drop(Directory::open(&real).unwrap());
    let link = root.path().join("tokens");
    symlink(&real, &link).unwrap();
    refused(Directory::open(&link), "it is a link");
    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, "a file").unwrap();
    refused(Directory::open(&link), "it is a link");
}

#[test]
fn files_that_are_not_private_are_neither_read_nor_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tokens");
    let directory = Directory::open(&path).unwrap();
    let (file, victim) = (path.join("x"), root.path().join("victim"));
    std::fs::write(&victim, "victim").unwrap();
    mode(&victim, 0o600);
    let check = |why: &str| {
        refused(directory.read("x"), why);
        refused(
            directory.write("x", b"secret", &entropy::System),
            "is refused",
        );
        refused(directory.lock("x"), "is refused");
        std::fs::remove_file(&file).unwrap();
    };
    symlink(&victim, &file).unwrap();
    check("it is a link");
    symlink(root.path().join("nowhere"), &file).unwrap();
    check("it is a link");
    std::fs::hard_link(&victim, &file).unwrap();
    check("another name");
    for loose in [0o644, 0o640, 0o606, 0o660, 0o601] {
        std::fs::write(&file, "x").unwrap();
        mode(&file, loose);
        check("others may read or change it");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    check("no regular file");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "victim");
    std::fs::write(&file, vec![b'x'; 70_000]).unwrap();
    mode(&file, 0o600);
    refused(directory.read("x"), "longer than 64 KiB");
}

#[test]
fn one_at_a_time_has_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tokens");
    let directory = Directory::open(&path).unwrap();
    let lock = directory.lock("lock").unwrap();
    let other = std::thread::spawn({
        let path = path.clone();
        move || drop(Directory::open(&path).unwrap().lock("lock").unwrap())
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!other.is_finished());
    drop(lock);
    other.join().unwrap();
}
