//! Opens a person's browser at a URL that came from an issuer, without a shell and without our terminal.
//!
//! **Invariant:** nothing but `https:`, and `http:` on loopback addresses, is ever handed to another program.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use url::Url;

use crate::oidc::http::is_loopback;

/// What the environment says about browsers.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `BROWSER`.
    pub browser: Option<OsString>,
    /// Whether a window could be shown at all.
    pub display: Display,
}

/// Whether there is a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Display {
    /// There is, or the system has its own way to find out.
    Present,
    /// None that we know of.
    #[default]
    Absent,
}

/// Why no browser was opened; the URL is then for the person to open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// A URL nobody should open.
    #[error("the sign-in URL is refused: {why}")]
    Unsafe {
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no screen.
    #[error("there is no display")]
    NoDisplay,
    /// `BROWSER` names nothing that could be started.
    #[error("`BROWSER` names no program that could be started")]
    Program,
    /// The system has no browser.
    #[error("no browser was found")]
    NotFound,
}

impl Surroundings {
    /// Reads them through `variable`, which is `std::env::var_os` outside tests.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let seen = cfg!(not(all(unix, not(target_os = "macos"))))
            || set("DISPLAY")
            || set("WAYLAND_DISPLAY")
            || set("WSL_DISTRO_NAME");
        Self {
            browser: variable("BROWSER").filter(|value| !value.is_empty()),
            display: if seen {
                Display::Present
            } else {
                Display::Absent
            },
        }
    }
}

/// Opens `url`. It may wait for the system's opener, so it is called where blocking does no harm.
///
/// # Errors
/// When it was not opened. No program is started for a URL that is not safe.
pub fn open(url: &Url, surroundings: &Surroundings) -> Result<(), NotOpened> {
    check(url)?;
    if let Some(browser) = &surroundings.browser {
        let started = browser
            .to_str()
            .into_iter()
            .flat_map(|templates| templates.split(':'))
            .filter_map(|template| arguments(template, url.as_str()))
            .any(|arguments| start(&arguments));
        return if started {
            Ok(())
        } else {
            Err(NotOpened::Program)
        };
    }
    if surroundings.display == Display::Absent {
        return Err(NotOpened::NoDisplay);
    }
    // `BROWSER` is not set, so the crate goes straight to the system's own way, with its output suppressed.
    webbrowser::open(url.as_str()).map_err(|_| NotOpened::NotFound)
}

/// # Errors
/// When the URL is not one to open.
pub fn check(url: &Url) -> Result<(), NotOpened> {
    let wrong = |why| Err(NotOpened::Unsafe { why });
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        _ => return wrong("it is neither `https:` nor on loopback"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("it carries a user");
    }
    // Templates are split at spaces and never see a shell; whoever puts one into `BROWSER` is safe, too.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@&+,=%*".contains(&b);
    if !url.as_str().bytes().all(plain) {
        return wrong("it has characters that are not allowed in it");
    }
    Ok(())
}

/// A template of `BROWSER` as program and arguments: `%s` is the URL (at the end when there is none), `%%` a percent
/// sign, `%c` a colon.
#[must_use]
pub fn arguments(template: &str, url: &str) -> Option<Vec<String>> {
    let mut used = false;
    let mut words: Vec<String> = template
        .split_ascii_whitespace()
        .map(|word| expand(word, url, &mut used))
        .collect();
    if words.is_empty() {
        return None;
    }
    if !used {
        words.push(url.to_owned());
    }
    Some(words)
}

fn expand(word: &str, url: &str, used: &mut bool) -> String {
    let mut out = String::new();
    let mut rest = word.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('s') => {
                *used = true;
                out.push_str(url);
            }
            Some('c') => out.push(':'),
            Some('%') | None => out.push('%'),
            Some(other) => out.extend(['%', other]),
        }
    }
    out
}

/// Browsers for terminals would fight with us for this one.
const TEXT_BROWSERS: [&str; 6] = ["lynx", "links", "links2", "elinks", "w3m", "www-browser"];

fn start(arguments: &[String]) -> bool {
    let Some((program, rest)) = arguments.split_first() else {
        return false;
    };
    let name = std::path::Path::new(program)
        .file_name()
        .and_then(|name| name.to_str());
    if name.is_some_and(|name| TEXT_BROWSERS.contains(&name)) {
        return false;
    }
    Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
