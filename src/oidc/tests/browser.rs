//! What is started for which `BROWSER`, and for which URLs nothing is.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use url::Url;

use crate::oidc::browser::{self, Display, NotOpened, Surroundings};

const URL: &str = "https://issuer.example/authorize?state=a%20b&x=%25s";

#[test]
fn templates_become_words_and_never_more() {
    let check = |template: &str, expected: &[&str]| {
        assert_eq!(
            browser::arguments(template, URL).unwrap(),
            expected,
            "{template}"
        );
    };
    check("firefox", &["firefox", URL]);
    check("firefox %s", &["firefox", URL]);
    check("  firefox   --new-tab  %s ", &["firefox", "--new-tab", URL]);
    check(
        "open --url=%s%% %c",
        &["open", &format!("--url={URL}%"), ":"],
    );
    check("x %s %s", &["x", URL, URL]);
    check("x %q %", &["x", "%q", "%", URL]);
    check("x ;id", &["x", ";id", URL]);
    check("x $(id)", &["x", "$(id)", URL]);
    assert_eq!(browser::arguments("   ", URL), None);
}

#[test]
fn nothing_is_started_for_a_url_that_is_not_safe() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("started");
    let template = format!("touch {}", mark.display());
    let surroundings = Surroundings {
        browser: Some(OsString::from(template)),
        display: Display::Present,
    };
    let bad = [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://issuer.example/",
        "http://localhost/",
        "https://user@issuer.example/",
        "https://issuer.example/$(id)",
        "https://issuer.example/;id",
        "https://issuer.example/'",
        "https://issuer.example/!",
        "data:text/html,x",
        "ms-msdt:/id",
        "vbscript:x",
    ];
    for text in bad {
        let url = Url::parse(text).unwrap();
        let opened = browser::open(&url, &surroundings);
        assert!(matches!(opened, Err(NotOpened::Unsafe { .. })), "{text}");
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(!mark.exists());
}

#[test]
fn the_first_program_that_starts_gets_the_url_as_one_word() {
    let directory = tempfile::tempdir().unwrap();
    let (script, seen) = (
        directory.path().join("browser"),
        directory.path().join("seen"),
    );
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" > {0}.new\nmv {0}.new {0}\n",
        seen.display()
    );
    std::fs::write(&script, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let template = format!("lynx:/no/such/browser:{} --tab %s", script.display());
    let surroundings = Surroundings {
        browser: Some(template.into()),
        display: Display::Absent,
    };
    let url = Url::parse(URL).unwrap();
    browser::open(&url, &surroundings).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's patience is real time")]
    let started = Instant::now();
    while !seen.exists() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    let seen = std::fs::read_to_string(seen).unwrap();
    assert_eq!(seen, format!("2\n--tab\n{url}\n"));
}

#[test]
fn without_a_program_or_a_screen_the_person_is_told() {
    let url = Url::parse("http://127.0.0.1:1/x").unwrap();
    let nothing = Surroundings {
        browser: Some("/no/such/browser".into()),
        display: Display::Present,
    };
    assert_eq!(browser::open(&url, &nothing), Err(NotOpened::Program));
    let text = Surroundings {
        browser: Some("w3m".into()),
        display: Display::Present,
    };
    assert_eq!(browser::open(&url, &text), Err(NotOpened::Program));
    let dark = Surroundings::read(|_| None);
    assert_eq!(browser::open(&url, &dark), Err(NotOpened::NoDisplay));
    let lit = Surroundings::read(|name| (name == "WAYLAND_DISPLAY").then(|| "wayland-0".into()));
    assert_eq!(lit.display, Display::Present);
}
