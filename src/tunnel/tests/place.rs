//! Ports and secrets stay the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::net::entropy;
use crate::tunnel::place::{Origin, Place, Places, USER};

fn of(places: &Places, name: &str, port: Option<u16>) -> Place {
    let place = places.of(name, port, &entropy::System).unwrap();
    places.keep(name, &place, &entropy::System).unwrap();
    place
}

#[test]
fn a_place_stays_the_same_and_is_nobody_else_s() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("dbgate");
    let places = Places::in_directory(&directory);
    let first = of(&places, "https://a prod read", None);
    let again = of(&places, "https://a prod read", None);
    let other = of(&places, "https://a prod write", None);
    assert_eq!(
        (first.origin, again.origin),
        (Origin::Chosen, Origin::Remembered)
    );
    assert_eq!(first.port, again.port);
    assert_eq!(first.local.secret.expose(), again.local.secret.expose());
    assert_eq!(first.local.user, USER);
    assert_ne!(first.port, other.port);
    assert_ne!(first.local.secret.expose(), other.local.secret.expose());
    assert_eq!(first.local.secret.expose().len(), 32);
    assert!((20_000..30_000).contains(&first.port));
    let mode = fs::metadata(directory.join("tunnels.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_port_that_is_asked_for_is_remembered_with_the_old_secret() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::in_directory(&directory.path().join("dbgate"));
    let first = of(&places, "prod", None);
    let moved = of(&places, "prod", Some(5433));
    assert_eq!((moved.port, of(&places, "prod", None).port), (5433, 5433));
    assert_eq!(first.local.secret.expose(), moved.local.secret.expose());
    // One that was not kept changes nothing.
    places.of("prod", Some(7), &entropy::System).unwrap();
    assert_eq!(of(&places, "prod", None).port, 5433);
}

#[test]
fn the_next_port_is_one_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::in_directory(&directory.path().join("dbgate"));
    let mut place = of(&places, "prod", None);
    for _ in 0..20_000 {
        place = place.next();
        assert!((20_000..30_000).contains(&place.port));
    }
}

#[test]
fn a_file_that_others_can_read_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("dbgate");
    let places = Places::in_directory(&directory);
    of(&places, "prod", None);
    let file = directory.join("tunnels.json");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(places.of("prod", None, &entropy::System).is_err());
}
