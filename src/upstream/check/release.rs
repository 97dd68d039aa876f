//! Which releases of PostgreSQL dbgate works with, and which of them have holes that matter to it.

use crate::upstream::check::{Item, Place};

/// The oldest and the newest major release dbgate is made for.
pub const MAJORS: std::ops::RangeInclusive<u32> = 14..=18;

/// A hole, and the first minor release of each major one that is without it; a major release that is not named never had it,
/// or is not known to.
#[derive(Debug, Clone, Copy)]
pub struct Hole {
    /// Its number.
    pub cve: &'static str,
    /// What can happen.
    pub what: &'static str,
    /// Major and minor release.
    pub fixed: &'static [(u32, u32)],
}

/// Newest first. Holes that dbgate keeps away from the server in any case (`FunctionCall`, MD5) are not in it.
pub const HOLES: [Hole; 4] = [
    Hole {
        cve: "CVE-2026-16239",
        what: "a cursor made again with other types can run code in the server",
        fixed: &[(14, 24), (15, 19), (16, 15), (17, 11), (18, 6)],
    },
    Hole {
        cve: "CVE-2026-6464",
        what: "a `COPY … FROM STDIN` that fails makes this release's psql run data as commands",
        fixed: &[(14, 24), (15, 19), (16, 15), (17, 11), (18, 6)],
    },
    Hole {
        cve: "CVE-2026-6479",
        what: "alternating SSL and GSS requests crash the server before anybody has signed in",
        fixed: &[(18, 4)],
    },
    Hole {
        cve: "CVE-2025-8713",
        what: "planner statistics show sampled values of columns one may not read",
        fixed: &[(14, 19), (15, 14), (16, 10), (17, 6)],
    },
];

/// The holes of a release, by `server_version_num`.
pub fn holes(version: u32) -> impl Iterator<Item = &'static Hole> {
    let (major, minor) = split(version);
    HOLES.iter().filter(move |hole| {
        let fixed = hole.fixed.iter().find(|(other, _)| *other == major);
        fixed.is_some_and(|(_, first)| minor < *first)
    })
}

/// `150018` is 15.18.
#[must_use]
pub fn show(version: u32) -> String {
    let (major, minor) = split(version);
    format!("{major}.{minor}")
}

const fn split(version: u32) -> (u32, u32) {
    (version / 10_000, version % 10_000)
}

/// One item for the release, and one for each of its holes.
pub(super) fn items(version: u32) -> Vec<Item> {
    let (major, _) = split(version);
    let shown = show(version);
    let (oldest, newest) = (MAJORS.start(), MAJORS.end());
    let mut items = vec![if major < *oldest {
        Item::missing(
            "version",
            format!("PostgreSQL {shown} is too old; dbgate works with {oldest} to {newest}"),
        )
        .at(Place::Machine, format!("upgrade to PostgreSQL {newest}"))
    } else if major > *newest {
        Item::warning(
            "version",
            format!(
                "PostgreSQL {shown} is newer than this dbgate, which knows {oldest} to {newest}"
            ),
        )
    } else {
        Item::ok("version", format!("PostgreSQL {shown}"))
    }];
    let clean = holes(version)
        .flat_map(|hole| hole.fixed.iter())
        .filter(|(other, _)| *other == major)
        .max();
    for hole in holes(version) {
        let item = Item::warning(
            "release",
            format!("{shown} has {}: {}", hole.cve, hole.what),
        );
        let item = item.of(hole.cve);
        items.push(match clean {
            Some((_, minor)) => item.at(
                Place::Machine,
                format!("upgrade to PostgreSQL {major}.{minor} or later"),
            ),
            None => item,
        });
    }
    items
}
