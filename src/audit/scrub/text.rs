//! Secrets in text that is not SQL, or inside a literal: connection strings, URLs, JSON, tokens, keys.

use std::borrow::Cow;

/// What stands where a secret was.
pub(super) const MASK: &str = "***";

/// Parts of names that hold secrets.
const PARTS: &[&str] = &["password", "passwd", "passphrase", "pgpass"];

/// Words in names that hold secrets: `api_token`, but not `tokenizer`.
const WORDS: &[&str] = &[
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "bearer",
];

/// Ends of names that hold secrets.
const ENDS: &[&str] = &[
    "api_key",
    "access_key",
    "private_key",
    "secret_key",
    "encryption_key",
    "api-key",
];

/// Names that look like it and hold none.
const HARMLESS: &[&str] = &["password_encryption", "passwordcheck"];

/// What text must contain, in lower case, before it is worth a closer look.
const SIGNS: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "bearer",
    "://",
    "eyj",
    "scram-sha-",
    "akia",
    "crypt",
    "hmac",
];

/// Whether there may be a secret in the text at all.
pub(super) fn is_suspicious(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SIGNS.iter().any(|sign| lower.contains(sign))
}

/// Whether something of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let split = |letter: char| !letter.is_alphanumeric();
    !HARMLESS.contains(&lower.as_str())
        && (PARTS.iter().any(|part| lower.contains(part))
            || lower.split(split).any(|word| WORDS.contains(&word))
            || ENDS.iter().any(|end| lower.ends_with(end)))
}

/// The text without values of secret names (`password=…`, `"token": "…"`), and without [`shapes`].
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    if !is_suspicious(text) {
        return Cow::Borrowed(text);
    }
    let named = values(text);
    match shapes(&named) {
        Some(scrubbed) => Cow::Owned(scrubbed),
        None => named,
    }
}

/// Masks what follows a secret name and a `=` or `:`.
fn values(text: &str) -> Cow<'_, str> {
    let is_name =
        |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-' || letter == '.';
    let mut out = String::new();
    let mut done = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let gap = rest.find(is_name).unwrap_or(rest.len());
        let rest = rest.get(gap..).unwrap_or_default();
        let length = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        at += gap + length;
        if length == 0 {
            break;
        }
        if !is_secret_name(name) {
            continue;
        }
        let after = text.get(at..).unwrap_or_default();
        if let Some((start, end)) = value(after) {
            out.push_str(text.get(done..at + start).unwrap_or_default());
            out.push_str(MASK);
            done = at + end;
            at = done;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Where the value is that follows a name; `None` if none does.
fn value(after: &str) -> Option<(usize, usize)> {
    let skip = |at: usize, letters: &[char]| {
        let rest = after.get(at..).unwrap_or_default();
        at + (rest.len() - rest.trim_start_matches(letters).len())
    };
    // The name's own closing quote, and JSON inside JSON.
    let at = skip(0, &['\\', '"', '\'', ']']);
    let at = skip(at, &[' ', '\t']);
    let separator = skip(at, &[':', '=', '>']);
    let is_bearer = at > 0 && separator == at && after.starts_with(' ');
    if separator == at && !is_bearer {
        return None;
    }
    if is_bearer {
        return bearer(after);
    }
    let start = skip(separator, &[' ', '\t']);
    let rest = after.get(start..)?;
    let opening = rest.len() - rest.trim_start_matches('\\').len();
    let quote = rest.get(opening..)?.chars().next()?;
    if quote == '"' || quote == '\'' {
        let open = opening + 1;
        let inner = rest.get(open..)?;
        return Some((start + open, start + open + closing(inner, quote)));
    }
    let end = rest
        .find(|letter: char| letter.is_whitespace() || "&;,)]}\"'<>\\".contains(letter))
        .unwrap_or(rest.len());
    let is_placeholder = rest.starts_with(['%', '$', '?', '*']);
    (end > 0 && !is_placeholder).then_some((start, start + end))
}

/// `Bearer abc…`: a long run of token characters after a space.
fn bearer(after: &str) -> Option<(usize, usize)> {
    let rest = after.get(1..)?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_alphanumeric() && !"-._~+/=".contains(letter))
        .unwrap_or(rest.len());
    (end >= 16).then_some((1, 1 + end))
}

/// Where text in quotes ends: at a quote that is neither escaped nor doubled.
fn closing(inner: &str, quote: char) -> usize {
    let mut letters = inner.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' {
            // A quote behind it closes JSON inside JSON as well as it is escaped in JSON: both ends are safe.
            if letters.next_if(|(_, next)| *next == '\\').is_none()
                && letters.peek().is_some_and(|(_, next)| *next == quote)
            {
                letters.next();
            }
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at;
        }
    }
    inner.len()
}

/// Masks what is a secret by its shape alone, wherever it stands: passwords in URLs, JSON web tokens, private keys,
/// SCRAM verifiers, access keys of clouds. `None`: there is none.
pub(super) fn shapes(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match shape(text, at, rest) {
            Some((start, end)) if end > start => {
                out.push_str(text.get(done..at + start).unwrap_or_default());
                out.push_str(MASK);
                done = at + end;
                at = done;
            }
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    if done == 0 {
        return None;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Some(out)
}

/// The secret that begins at `at`, relative to it.
fn shape(text: &str, at: usize, rest: &str) -> Option<(usize, usize)> {
    match rest.as_bytes().first()? {
        b':' => url(rest),
        b'e' => starts_word(text, at).then(|| web_token(rest)).flatten(),
        b'-' => private_key(rest),
        b'S' | b's' => verifier(rest),
        b'A' => starts_word(text, at).then(|| access_key(rest)).flatten(),
        b'm' => starts_word(text, at).then(|| md5(rest)).flatten(),
        _ => None,
    }
}

fn starts_word(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|before| before.chars().next_back());
    !before.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}

/// `://name:password@`
fn url(rest: &str) -> Option<(usize, usize)> {
    let authority = rest.strip_prefix("://")?;
    let end = authority
        .find(|letter: char| letter.is_whitespace() || "'\"<>`".contains(letter))
        .unwrap_or(authority.len());
    let host = authority.get(..end)?.rfind('@')?;
    let colon = authority.get(..host)?.find(':')?;
    Some((3 + colon + 1, 3 + host))
}

/// `eyJ….eyJ….…`
fn web_token(rest: &str) -> Option<(usize, usize)> {
    let end = rest
        .find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.=".contains(letter))
        .unwrap_or(rest.len());
    let token = rest.get(..end)?;
    let mut parts = token.split('.');
    let is_token = token.starts_with("eyJ")
        && parts.next().is_some_and(|header| header.len() >= 10)
        && parts.next().is_some_and(|claims| claims.len() >= 4);
    is_token.then_some((0, end))
}

/// `-----BEGIN … PRIVATE KEY-----` to its end.
fn private_key(rest: &str) -> Option<(usize, usize)> {
    let after = rest.strip_prefix("-----BEGIN ")?;
    let title = after.find("-----")?;
    if !after.get(..title)?.ends_with("PRIVATE KEY") {
        return None;
    }
    let body = "-----BEGIN ".len() + title + 5;
    let end = rest.get(body..)?.find("-----END");
    Some((body, end.map_or(rest.len(), |end| body + end)))
}

/// `SCRAM-SHA-256$…`: who has it can try passwords, and a proxy can log in with it.
fn verifier(rest: &str) -> Option<(usize, usize)> {
    let name = rest.get(..14)?;
    if !name.eq_ignore_ascii_case("SCRAM-SHA-256$") {
        return None;
    }
    let tail = rest.get(14..)?;
    let end = tail
        .find(|letter: char| !letter.is_ascii_alphanumeric() && !"+/=:$".contains(letter))
        .unwrap_or(tail.len());
    Some((14, 14 + end))
}

/// `AKIA…`, `ASIA…`
fn access_key(rest: &str) -> Option<(usize, usize)> {
    let key = rest.get(..20)?;
    let is_key = (key.starts_with("AKIA") || key.starts_with("ASIA"))
        && key
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_key.then_some((4, 20))
}

/// `md5` and 32 hex digits: PostgreSQL's old password hash, with which one can log in.
fn md5(rest: &str) -> Option<(usize, usize)> {
    let hash = rest.strip_prefix("md5")?;
    let length = hash
        .find(|letter: char| !letter.is_ascii_hexdigit())
        .unwrap_or(hash.len());
    (length == 32).then_some((3, 35))
}
