//! Stores: what they keep, and what they show.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use crate::config::client::TokenStore;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::net::entropy;
use crate::remote::credentials::{Error, Login, Store};

fn store(kind: TokenStore, directory: &Path) -> Store {
    Store::new(kind, directory, Arc::new(entropy::System))
}

fn login(sub: &str) -> Login {
    Login {
        issuer: "https://issuer.example".to_owned(),
        client_id: "dbgate".to_owned(),
        sub: sub.to_owned(),
        refresh_token: Some(Secret::from("refresh-secret")),
        token: Secret::from("token-secret"),
        expires: Timestamp::from_seconds(1_800_000_000),
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_file_keeps_one_sign_in_a_broker() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(TokenStore::File, directory.path());
    let (first, second) = (url("https://a.example"), url("https://b.example"));
    assert!(store.load(&first).await.unwrap().is_none());
    assert!(!store.forget(&first).await.unwrap());
    assert!(!directory.path().join("tokens").exists());
    store.save(&first, &login("ada")).await.unwrap();
    store.save(&second, &login("bob")).await.unwrap();
    let ada = store.load(&first).await.unwrap().unwrap();
    assert_eq!(ada.sub, "ada");
    assert_eq!(ada.token.expose(), "token-secret");
    assert_eq!(ada.refresh_token.unwrap().expose(), "refresh-secret");
    assert!(store.forget(&first).await.unwrap());
    assert!(store.load(&first).await.unwrap().is_none());
    assert_eq!(store.load(&second).await.unwrap().unwrap().sub, "bob");
}

#[tokio::test]
async fn a_probe_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    store(TokenStore::File, directory.path())
        .probe()
        .await
        .unwrap();
    let left = std::fs::read_dir(directory.path().join("tokens")).unwrap();
    assert_eq!(left.count(), 0);
    store(TokenStore::Memory, directory.path())
        .probe()
        .await
        .unwrap();
}

#[tokio::test]
async fn memory_touches_no_disk() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(TokenStore::Memory, directory.path());
    let broker = url("https://a.example");
    assert!(store.lock().await.unwrap().is_none());
    store.save(&broker, &login("ada")).await.unwrap();
    assert!(store.load(&broker).await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_without_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(TokenStore::File, directory.path());
    let broker = url("https://a.example");
    store.save(&broker, &login("ada")).await.unwrap();
    let tokens = directory.path().join("tokens");
    let file = std::fs::read_dir(&tokens)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for text in [
        "{\"token\":\"token-secret\"",
        "{}",
        "",
        "\u{ff}",
        "{\"version\":2}",
    ] {
        std::fs::write(&file, text).unwrap();
        let error = store.load(&broker).await.unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
        assert!(!error.to_string().contains("token-secret"), "{error}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(store.load(&broker).await, Err(Error::File(_))));
}

#[test]
fn a_sign_in_does_not_print() {
    let text = format!("{:?}", login("ada"));
    assert!(!text.contains("secret\""), "{text}");
    assert!(text.contains("Secret(_)"), "{text}");
}
