//! Discovery documents, and the URLs in them.

#![expect(clippy::too_many_lines, reason = "a table of cases")]

use serde_json::{Value, json};

use crate::identity::strict;
use crate::oidc::discovery::{self, Metadata, NamesItself, Pkce};
use crate::oidc::error::Error;

const ISSUER: &str = "https://issuer.example";

fn read(over: &Value) -> Result<Metadata, Error> {
    let mut document = json!({ "issuer": ISSUER, "jwks_uri": "https://keys.example/jwks" });
    let members = document.as_object_mut().unwrap();
    members.extend(over.as_object().unwrap().clone());
    discovery::read(
        &strict::object(document.to_string().as_bytes()).unwrap(),
        ISSUER,
    )
}

#[test]
fn the_issuer_must_call_itself_what_it_was_asked_for() {
    let others = [
        "https://issuer.example/",
        "https://ISSUER.example",
        "http://issuer.example",
        "https://evil.example",
        "",
    ];
    for other in others {
        let error = read(&json!({ "issuer": other })).unwrap_err();
        assert!(matches!(error, Error::IssuerMismatch { .. }), "{other}");
    }
    assert!(read(&json!({ "issuer": [ISSUER] })).is_err());
    assert!(read(&json!({})).is_ok());
}

#[test]
fn only_safe_urls_are_endpoints() {
    let bad = [
        "http://issuer.example/authorize",
        "http://127.0.0.1:1/authorize",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/authorize",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "ftp://issuer.example/",
        "ms-msdt:/id",
        "smb://host/share",
        "ssh://host",
        "mailto:a@b.example",
        "about:blank",
        "-flag",
        "--version",
        "https://",
        "https:",
        "//issuer.example/x",
        "/authorize",
        "",
        " https://issuer.example/",
        "https://issuer.example/ --flag",
        "https://issuer.example/\nx",
        "https://issuer.example/\tx",
        "https://issuer.example/\0",
        "https://issuer.example/;touch /tmp/x",
        "https://issuer.example/;id",
        "https://issuer.example/$(id)",
        "https://issuer.example/`id`",
        "https://issuer.example/|id",
        "https://issuer.example/'x'",
        "https://issuer.example/\"x\"",
        "https://issuer.example/<x>",
        "https://issuer.example/\\x",
        "https://issuer.example/{a,b}",
        "https://issuer.example/^x",
        "https://issuer.example/!x",
        "https://issuer.example/*",
        "https://issuer.example/#fragment",
        "https://issuer.example/~(x)",
        "https://user@issuer.example/",
        "https://user:password@issuer.example/",
        "https://issuer.example@evil.example/",
        "https://issuer.example/@evil",
        "https://issuer.example:99999/",
        "https://[::1/",
        "https://exa\u{202e}mple.com/",
        "https://\u{456}ssuer.example/",
        "https://issuer.example/\u{1b}[2J",
    ];
    assert!(bad.len() >= 50);
    for url in bad {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "userinfo_endpoint",
            "revocation_endpoint",
            "jwks_uri",
        ] {
            let error = read(&json!({ name: url })).unwrap_err();
            assert!(matches!(error, Error::Endpoint { .. }), "{name}: {url}");
        }
    }
    assert!(read(&json!({ "jwks_uri": "https://keys.example/".repeat(200) })).is_err());
    for url in [
        "https://login.example:8443/a/b?p=policy&x=1",
        "https://[2001:db8::1]/authorize",
        "https://issuer.example/realms/a%20b",
    ] {
        assert!(
            read(&json!({ "authorization_endpoint": url })).is_ok(),
            "{url}"
        );
    }
}

#[test]
fn plain_http_is_for_loopback_issuers_and_their_loopback_endpoints() {
    for issuer in ["http://127.0.0.1:8080", "http://[::1]:8080"] {
        assert!(discovery::safe("x", "http://127.0.0.1:9/jwks", issuer).is_ok());
        assert!(discovery::safe("x", "http://[::1]:9/jwks", issuer).is_ok());
        assert!(discovery::safe("x", "http://10.0.0.1/jwks", issuer).is_err());
        assert!(discovery::safe("x", "http://localhost:9/jwks", issuer).is_err());
    }
}

#[test]
fn what_an_issuer_promises_is_kept_in_mind() {
    let plain = read(&json!({})).unwrap();
    assert_eq!(plain.names_itself, NamesItself::Perhaps);
    assert_eq!(plain.pkce, Pkce::Possible);
    let named = read(&json!({ "authorization_response_iss_parameter_supported": true })).unwrap();
    assert_eq!(named.names_itself, NamesItself::Always);
    let old = read(&json!({ "code_challenge_methods_supported": ["plain"] })).unwrap();
    assert_eq!(old.pkce, Pkce::Missing);
}
