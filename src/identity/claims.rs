//! What a verified token says becomes a subject, by the mapping of its issuer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::config::broker::Issuer;
use crate::identity::Verified;
use crate::identity::error::{Error, show};
use crate::identity::strict;
use crate::model::escape::is_unsafe;
use crate::model::subject::{self, Subject};

/// The entry of [`Subject::claims`] that names the claim groups were looked for in.
pub const LOOKED_FOR: &str = "(groups claim)";

/// The entry of [`Subject::claims`] that names the claims that came, for "no role matched".
pub const CAME: &str = "(claims that came)";

/// More groups than anybody has.
const MAX_GROUPS: usize = 2000;

/// A longer text is neither a group nor a claim to decide by.
const MAX_TEXT: usize = 1024;

/// What the issuer's `userinfo` says about the subject of a token.
#[derive(Debug, Clone)]
pub struct UserInfo(Map<String, Value>);

impl UserInfo {
    /// Reads the answer of `userinfo`, which must be about the token's subject.
    ///
    /// # Errors
    /// When it is no JSON object or is about somebody else.
    pub fn parse(bytes: &[u8], verified: &Verified) -> Result<Self, Error> {
        let claims = strict::object(bytes).map_err(|why| Error::Json {
            part: "userinfo",
            why,
        })?;
        if claims.get("sub").and_then(Value::as_str) == Some(verified.id().sub.as_str()) {
            Ok(Self(claims))
        } else {
            Err(Error::OtherSubject)
        }
    }
}

/// Whether the token leaves out something the mapping looks for, so that `userinfo` is worth asking.
#[must_use]
pub fn is_thin(verified: &Verified, issuer: &Issuer) -> bool {
    let wanted = issuer
        .groups_claim
        .iter()
        .chain(&issuer.kind_claim)
        .chain(issuer.required.keys())
        .chain(&issuer.keep_claims)
        .chain([&issuer.display_claim]);
    wanted
        .into_iter()
        .any(|name| find(verified.claims(), name).is_none())
}

/// The subject a verified token speaks for.
///
/// Where the token comes with `userinfo`, it fills in what the token does not say; the token's own word stands.
///
/// # Errors
/// When a required claim is missing or different, or a mapped one can't be read.
pub fn subject(
    verified: &Verified,
    issuer: &Issuer,
    userinfo: Option<&UserInfo>,
) -> Result<Subject, Error> {
    let said = Said {
        token: verified.claims(),
        userinfo: userinfo.map(|info| &info.0),
    };
    for (name, want) in &issuer.required {
        check_required(&said, name, want)?;
    }
    let mut groups: BTreeSet<String> = issuer.groups.iter().cloned().collect();
    if let Some(name) = &issuer.groups_claim {
        groups.extend(read_groups(&said, name)?);
    }
    let kind = read_kind(&said, issuer)?;
    let mut display = read_display(&said, verified.id(), issuer);
    let mut claims = BTreeMap::new();
    for name in &issuer.keep_claims {
        if let Some(value) = said.find(name) {
            claims.insert(name.clone(), kept(name, value)?);
        }
    }
    if let Some(name) = &issuer.groups_claim {
        claims.insert(LOOKED_FOR.to_owned(), name.clone());
        claims.insert(CAME.to_owned(), said.names());
    }
    let (id, kind, behalf) = match actor(&said, verified)? {
        None => (verified.id().clone(), kind, None),
        Some((id, behalf)) => {
            if &behalf == verified.id() {
                // The display claim names the person.
                display = format!("{} for {display}", show(&id.sub));
            }
            (id, subject::Kind::Agent, Some(behalf))
        }
    };
    Ok(Subject {
        id,
        kind,
        display,
        groups,
        claims,
        behalf,
    })
}

/// The token's claims, and behind them those of `userinfo`.
struct Said<'a> {
    token: &'a Map<String, Value>,
    userinfo: Option<&'a Map<String, Value>>,
}

impl<'a> Said<'a> {
    fn find(&self, name: &str) -> Option<&'a Value> {
        find(self.token, name).or_else(|| find(self.userinfo?, name))
    }

    /// A claim by its very name, `null` too.
    fn member(&self, name: &str) -> Option<&'a Value> {
        self.token.get(name).or_else(|| self.userinfo?.get(name))
    }

    fn names(&self) -> String {
        let names: BTreeSet<&String> = self
            .token
            .keys()
            .chain(self.userinfo.into_iter().flat_map(Map::keys))
            .collect();
        let names: Vec<String> = names.into_iter().take(60).map(|name| show(name)).collect();
        names.join(", ")
    }
}

/// A claim by its name; where there is none of that name, dots lead into objects (`realm_access.roles`).
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return (!value.is_null()).then_some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

fn check_required(said: &Said<'_>, name: &str, want: &str) -> Result<(), Error> {
    let wrong = |came: String| {
        Err(Error::Required {
            name: name.to_owned(),
            want: if want == "*" {
                "there".to_owned()
            } else {
                format!("`{want}`")
            },
            came,
        })
    };
    let Some(value) = said.find(name) else {
        return wrong("it is absent".to_owned());
    };
    let found: Vec<String> = match value {
        Value::Array(list) => list.iter().filter_map(scalar).collect(),
        other => scalar(other).into_iter().collect(),
    };
    if want == "*" && !found.is_empty() || found.iter().any(|text| text == want) {
        return Ok(());
    }
    wrong(format!("it is `{}`", show(&found.join(", "))))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn read_groups(said: &Said<'_>, name: &str) -> Result<Vec<String>, Error> {
    let wrong = |want| {
        Err(Error::Mapped {
            name: name.to_owned(),
            want,
        })
    };
    let list = match said.find(name) {
        // No groups: the policy will say which claim it looked for.
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if list.len() > MAX_GROUPS {
        return wrong("a list of at most 2000 groups");
    }
    let mut groups = Vec::with_capacity(list.len());
    for value in list {
        let Value::String(group) = value else {
            return wrong("a text or a list of texts");
        };
        if group.is_empty() || group.len() > MAX_TEXT || group.contains(is_unsafe) {
            return wrong("made of groups of 1 to 1024 printable bytes");
        }
        groups.push(group.clone());
    }
    Ok(groups)
}

fn read_kind(said: &Said<'_>, issuer: &Issuer) -> Result<subject::Kind, Error> {
    let Some(name) = &issuer.kind_claim else {
        return Ok(issuer.kind);
    };
    match said.find(name) {
        None => Ok(issuer.kind),
        Some(Value::String(word)) if word == "person" => Ok(subject::Kind::Person),
        Some(Value::String(word)) if word == "job" => Ok(subject::Kind::Job),
        Some(Value::String(word)) if word == "agent" => Ok(subject::Kind::Agent),
        Some(_) => Err(Error::Mapped {
            name: name.clone(),
            want: "`person`, `job` or `agent`",
        }),
    }
}

/// A short name without anything that could disturb a terminal or a log.
fn read_display(said: &Said<'_>, id: &subject::Id, issuer: &Issuer) -> String {
    let names = [
        issuer.display_claim.as_str(),
        "email",
        "preferred_username",
        "name",
    ];
    names
        .into_iter()
        .filter_map(|name| said.find(name)?.as_str())
        .chain([id.sub.as_str()])
        .map(|text| {
            text.chars()
                .filter(|c| !is_unsafe(*c))
                .take(80)
                .collect::<String>()
        })
        .find(|text| !text.trim().is_empty())
        .unwrap_or_default()
}

fn kept(name: &str, value: &Value) -> Result<String, Error> {
    let text = match value {
        Value::Array(list) => {
            let texts: Option<Vec<String>> = list.iter().map(scalar).collect();
            texts.map(|texts| texts.join(","))
        }
        other => scalar(other),
    };
    text.filter(|text| text.len() <= MAX_TEXT)
        .ok_or_else(|| Error::Mapped {
            name: name.to_owned(),
            want: "a text, number or truth value of at most 1024 bytes",
        })
}

/// Who acts and for whom, when the token speaks of two.
///
/// `act` (RFC 8693): the token's subject is the person, the actor is in the claim. `on_behalf_of`: the token's
/// subject acts, the person is in the claim. An actor must be of the token's own issuer, or one issuer could name
/// another's subjects; for whom it acts is taken as it says, because that only ever takes rights away. A thin token may leave
/// both to `userinfo`.
fn actor(
    said: &Said<'_>,
    verified: &Verified,
) -> Result<Option<(subject::Id, subject::Id)>, Error> {
    let wrong = |name: &str, want| {
        Err(Error::Mapped {
            name: name.to_owned(),
            want,
        })
    };
    match (said.member("act"), said.member("on_behalf_of")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => wrong("act", "absent where there is `on_behalf_of`"),
        (Some(act), None) => match named(act, verified) {
            Some(id) if id.issuer == verified.id().issuer => Ok(Some((id, verified.id().clone()))),
            Some(_) => wrong("act", "of the token's own issuer"),
            None => wrong("act", "an object with a `sub`"),
        },
        (None, Some(person)) => match named(person, verified) {
            Some(behalf) => Ok(Some((verified.id().clone(), behalf))),
            None => wrong("on_behalf_of", "a text or an object with a `sub`"),
        },
    }
}

fn named(value: &Value, verified: &Verified) -> Option<subject::Id> {
    let (issuer, sub) = match value {
        Value::String(sub) => (None, sub.as_str()),
        Value::Object(members) => (members.get("iss"), members.get("sub")?.as_str()?),
        _ => return None,
    };
    let issuer = match issuer {
        None => verified.id().issuer.clone(),
        Some(issuer) => issuer.as_str()?.to_owned(),
    };
    let good = |text: &str| {
        !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control)
    };
    (good(sub) && good(&issuer)).then(|| subject::Id {
        issuer,
        sub: sub.to_owned(),
    })
}
