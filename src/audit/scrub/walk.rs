//! Walks over the tokens of SQL text and decides which literals stay.

use std::borrow::Cow;

use super::lexer::{Kind, Token, tokens};
use super::{DEPTH, nested, text};

/// What stands in place of a literal.
const MASKED: &str = "'***'";

/// Functions whose literals are passwords, keys, or what they protect.
const CRYPTO: &[&str] = &[
    "crypt",
    "hmac",
    "encrypt",
    "decrypt",
    "encrypt_iv",
    "decrypt_iv",
    "pgp_sym_encrypt",
    "pgp_sym_decrypt",
    "pgp_sym_encrypt_bytea",
    "pgp_sym_decrypt_bytea",
    "pgp_pub_decrypt",
    "pgp_pub_decrypt_bytea",
];

/// Options of servers and user mappings that hold no secret.
const OPTIONS: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "username",
    "schema_name",
    "table_name",
    "fetch_size",
    "sslmode",
    "until",
];

/// Words between a secret name and its value.
const LINKS: &[&str] = &[
    "like",
    "ilike",
    "similar",
    "to",
    "in",
    "is",
    "distinct",
    "any",
    "all",
    "some",
    "array",
    "between",
    "not",
    "encrypted",
    "unencrypted",
    "text",
    "varchar",
    "character",
    "varying",
    "row",
    "select",
    "values",
    "default",
];

/// Words that end an expression.
const STOPS: &[&str] = &[
    "where",
    "from",
    "and",
    "or",
    "returning",
    "order",
    "group",
    "limit",
    "offset",
    "having",
    "valid",
    "with",
    "then",
    "else",
    "end",
    "when",
    "on",
    "union",
    "as",
    "using",
    "set",
];

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    /// Not known yet: so many of its words have been seen.
    Unknown,
    /// A role: any literal may be a password, mistyped key words included.
    Role,
    /// A server, user mapping or subscription: options may be passwords.
    Options,
    /// Anything else.
    Other,
}

/// How near a value of a secret name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    /// Not near.
    No,
    /// Right after the name, at this depth of parentheses.
    Named(usize),
    /// In an expression that is compared with or assigned to it.
    Value(usize),
}

/// A pair of parentheses that is open.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts about one pair of parentheses, each true or not whatever the others are"
)]
#[derive(Debug, Clone, Default)]
struct Group {
    /// Arguments of a function that encrypts.
    crypto: bool,
    /// For each place in a list of names: is it a secret one? Empty if it is no list of names.
    names: Vec<bool>,
    /// Whether there has been anything but names.
    mixed: bool,
    /// The place in the list.
    place: usize,
    /// It is a row of values for the last list of names.
    row: bool,
}

/// The state of a walk.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a token leaves to the next ones is independent of each other"
)]
pub(super) struct Walk {
    depth: u32,
    out: String,
    changed: bool,
    about: About,
    words: Vec<String>,
    near: Near,
    groups: Vec<Group>,
    /// Which places of a row are secret, from the last list of names.
    columns: Vec<bool>,
    /// A literal ended as if a secret followed: all later ones of this statement may be it.
    hunting: bool,
    /// The last token that is neither space nor comment, in lower case.
    last: String,
    /// The last word before the last literal was a literal that names a secret, as in `set_config('x.secret', …)`.
    named_by_literal: bool,
    /// In `SET …` of a statement about a role.
    setting: bool,
}

/// Whether text may be a statement about roles, mistyped ones included.
pub(super) fn is_about_roles(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let objects = ["role", "user", "group", "server", "subscription"];
    let verbs = ["create", "alter"];
    verbs.iter().any(|verb| lower.contains(verb))
        && objects.iter().any(|object| lower.contains(object))
}

impl Walk {
    pub(super) const fn new(depth: u32) -> Self {
        Self {
            depth,
            out: String::new(),
            changed: false,
            about: About::Unknown,
            words: Vec::new(),
            near: Near::No,
            groups: Vec::new(),
            columns: Vec::new(),
            hunting: false,
            last: String::new(),
            named_by_literal: false,
            setting: false,
        }
    }

    /// The text without secrets; `None` when it has none.
    pub(super) fn run(mut self, statement: &str) -> Option<String> {
        for token in tokens(statement) {
            self.step(&token);
        }
        self.changed.then_some(self.out)
    }

    fn step(&mut self, token: &Token<'_>) {
        match token.kind {
            Kind::Space => self.out.push_str(token.text),
            Kind::Comment => self.put(token.text, &text::scrub(token.text)),
            Kind::Word => {
                self.out.push_str(token.text);
                self.word(&token.text.to_ascii_lowercase());
            }
            Kind::Quoted => {
                let (_, inner, _) = token.parts();
                // In messages of PL/pgSQL a whole statement stands in double quotes.
                let scrubbed = if inner.contains('\'') && self.depth < DEPTH {
                    let (open, inner, close) = token.parts();
                    Cow::Owned([open, &nested(inner, self.depth + 1), close].concat())
                } else {
                    text::scrub(token.text)
                };
                self.put(token.text, &scrubbed);
                self.name(inner);
                self.last = inner.to_ascii_lowercase();
            }
            Kind::Literal | Kind::Escaped | Kind::Dollar => self.literal(token),
            Kind::Number => {
                self.number(token.text);
                self.mix();
                token.text.clone_into(&mut self.last);
            }
            Kind::Symbol => {
                self.out.push_str(token.text);
                self.symbol(token.text);
                token.text.clone_into(&mut self.last);
            }
        }
    }

    fn put(&mut self, old: &str, new: &str) {
        self.changed |= new != old;
        self.out.push_str(new);
    }

    fn mask(&mut self) {
        self.changed = true;
        self.out.push_str(MASKED);
    }

    fn word(&mut self, word: &str) {
        if self.about == About::Unknown {
            self.words.push(word.to_owned());
            self.about = about(&self.words);
        }
        let is_link = LINKS.contains(&word);
        match self.near {
            Near::Named(_) if STOPS.contains(&word) => self.near = Near::No,
            Near::Named(depth) if is_link => self.near = Near::Value(depth),
            Near::Named(_) => self.near = Near::No,
            Near::Value(depth) if depth >= self.groups.len() && STOPS.contains(&word) => {
                self.near = Near::No;
            }
            Near::Value(_) | Near::No => {}
        }
        if self.about == About::Role && word == "set" {
            self.setting = true;
        }
        if !is_link && !STOPS.contains(&word) {
            self.name(word);
        }
        word.clone_into(&mut self.last);
    }

    /// A name: of a column, an option, a setting, a function.
    fn name(&mut self, name: &str) {
        let is_secret = text::is_secret_name(name);
        if is_secret {
            self.near = Near::Named(self.groups.len());
        }
        if let Some(group) = self.groups.last_mut() {
            let place = group.place;
            if group.names.len() <= place {
                group.names.resize(place + 1, false);
            }
            if let Some(flag) = group.names.get_mut(place) {
                *flag |= is_secret;
            }
        }
    }

    /// A number may be a password, too, where one is expected.
    fn number(&mut self, number: &str) {
        if matches!(self.near, Near::Named(_)) && self.last == "password" {
            self.mask();
        } else {
            self.out.push_str(number);
        }
    }

    fn symbol(&mut self, symbol: &str) {
        match symbol {
            "(" => self.open(),
            ")" => self.close(),
            "," => self.comma(),
            ";" => self.end(),
            "." => self.near = Near::No,
            "=" | "<" | ">" | "!" | "~" | ":" | "|" | "@" | "?" | "+" => {
                if let Near::Named(depth) = self.near {
                    self.near = Near::Value(depth);
                }
                self.mix();
            }
            "*" => {}
            _ => self.mix(),
        }
    }

    fn open(&mut self) {
        let is_row = !self.columns.is_empty()
            && matches!(
                self.last.as_str(),
                "values" | "=" | "row" | "," | "(" | "select"
            );
        let crypto = CRYPTO.contains(&self.last.as_str());
        self.mix();
        self.groups.push(Group {
            crypto,
            row: is_row,
            ..Group::default()
        });
        if let Near::Named(depth) = self.near {
            // `password ('x')`, `IN ('x')`
            self.near = Near::Value(depth);
        }
    }

    fn close(&mut self) {
        if let Some(group) = self.groups.pop()
            && !group.mixed
            && group.names.contains(&true)
        {
            self.columns = group.names;
        }
        match self.near {
            Near::Named(depth) | Near::Value(depth) if depth > self.groups.len() => {
                self.near = Near::No;
            }
            _ => {}
        }
    }

    fn comma(&mut self) {
        match self.near {
            Near::Named(depth) | Near::Value(depth) if depth >= self.groups.len() => {
                self.near = Near::No;
            }
            _ => {}
        }
        if let Some(group) = self.groups.last_mut() {
            group.place += 1;
        }
    }

    fn end(&mut self) {
        let fresh = Self::new(self.depth);
        let old = std::mem::replace(self, fresh);
        self.out = old.out;
        self.changed = old.changed;
    }

    /// The innermost parentheses hold more than a list of names.
    fn mix(&mut self) {
        if let Some(group) = self.groups.last_mut() {
            group.mixed = true;
        }
    }

    fn literal(&mut self, token: &Token<'_>) {
        let (open, inner, close) = token.parts();
        self.mix();
        let is_named = self.named_by_literal;
        self.named_by_literal = text::is_secret_name(inner) && inner.len() <= 64;
        if self.is_secret_place()
            || (is_named && matches!(self.last.as_str(), "," | ">" | "=" | ":"))
        {
            if let Near::Named(depth) = self.near {
                self.near = Near::Value(depth);
            }
            self.mask();
        } else {
            self.look_into(token, (open, inner, close));
        }
        "'".clone_into(&mut self.last);
    }

    /// Whether a literal in this place is a secret whatever it says.
    fn is_secret_place(&self) -> bool {
        let in_row = self
            .groups
            .iter()
            .any(|group| group.row && self.columns.get(group.place) == Some(&true));
        let by_statement = match self.about {
            About::Role => !self.setting && self.last != "until",
            About::Options => !OPTIONS.contains(&self.last.as_str()),
            About::Unknown | About::Other => false,
        };
        self.near != Near::No
            || self.hunting
            || in_row
            || by_statement
            || self.groups.iter().any(|group| group.crypto)
    }

    /// A literal may hold SQL, a connection string, JSON, or the beginning of a statement put together from pieces.
    fn look_into(&mut self, token: &Token<'_>, (open, inner, close): (&str, &str, &str)) {
        if !text::is_suspicious(inner) && !is_about_roles(inner) {
            self.out.push_str(token.text);
            return;
        }
        if self.depth >= DEPTH {
            self.mask();
            return;
        }
        let clear = unescape(token.kind, inner);
        let as_sql = nested(&clear, self.depth + 1);
        let scrubbed = if clear.contains(';') && token.kind == Kind::Dollar {
            as_sql
        } else {
            Cow::Owned(text::scrub(&as_sql).into_owned())
        };
        if awaits_secret(&clear) {
            self.hunting = true;
        }
        if scrubbed == clear {
            self.out.push_str(token.text);
            return;
        }
        self.changed = true;
        if token.kind == Kind::Dollar {
            self.out.extend([open, &scrubbed, close]);
        } else {
            self.out.push('\'');
            self.out.push_str(&scrubbed.replace('\'', "''"));
            self.out.push('\'');
        }
    }
}

/// What a statement that begins with these words is about.
fn about(words: &[String]) -> About {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["create" | "alter"] | ["create" | "alter", "user"] => About::Unknown,
        ["create" | "alter", "user", "mapping"]
        | ["create" | "alter", "server" | "subscription"] => About::Options,
        ["create" | "alter", "role" | "group"] | ["create" | "alter", "user", _] => About::Role,
        ["create", "foreign"] | ["create", "or"] => About::Other,
        _ => About::Other,
    }
}

/// What a literal says.
fn unescape(kind: Kind, inner: &str) -> Cow<'_, str> {
    match kind {
        Kind::Escaped => {
            let mut clear = String::new();
            let mut letters = inner.chars().peekable();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' => match letters.next() {
                        Some('n') => clear.push('\n'),
                        Some('t') => clear.push('\t'),
                        Some(other) => clear.push(other),
                        None => {}
                    },
                    '\'' => {
                        letters.next_if_eq(&'\'');
                        clear.push('\'');
                    }
                    other => clear.push(other),
                }
            }
            Cow::Owned(clear)
        }
        Kind::Dollar => Cow::Borrowed(inner),
        _ if inner.contains("''") => Cow::Owned(inner.replace("''", "'")),
        _ => Cow::Borrowed(inner),
    }
}

/// Whether text ends, or has a placeholder, where a secret would follow: `'ALTER ROLE x PASSWORD '`, `… PASSWORD %L`.
fn awaits_secret(text: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let tail = rest.get(start..).unwrap_or_default();
        let length = tail.find(|letter| !is_name(letter)).unwrap_or(tail.len());
        let (name, after) = tail.split_at_checked(length).unwrap_or((tail, ""));
        let value = after
            .trim_start_matches(|letter: char| letter.is_whitespace() || "='\":>".contains(letter));
        let is_open = value.is_empty() && !after.is_empty() || value.starts_with(['%', '$', '?']);
        if text::is_secret_name(name) && is_open {
            return true;
        }
        rest = after;
    }
    false
}
