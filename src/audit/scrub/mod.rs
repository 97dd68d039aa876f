//! Takes passwords out of text before anybody keeps it: log, transcript, history.
//!
//! What is taken out may be more than a password, never less than what is known to hold one: the literal after
//! `PASSWORD`, any literal in a statement about roles or user mappings, values of columns, options and settings whose
//! names say that they are secret, arguments of functions that encrypt, connection strings, URLs, tokens and keys. It
//! works on broken SQL, too, because people make typing mistakes in statements with passwords.

mod lexer;
mod text;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

/// Literals inside literals that are looked into; what is nested deeper is masked whole.
const DEPTH: u32 = 4;

/// A statement, or several, without the literals that may be passwords.
#[must_use]
pub fn statement(statement: &str) -> Cow<'_, str> {
    nested(statement, 0)
}

/// Text that is not SQL, but may quote some (an error, a reason), without the secrets in it.
#[must_use]
pub fn plain(plain: &str) -> Cow<'_, str> {
    if !text::is_suspicious(plain) && !walk::is_about_roles(plain) {
        return Cow::Borrowed(plain);
    }
    let as_sql = nested(plain, 0);
    Cow::Owned(text::scrub(&as_sql).into_owned())
}

/// Text that may quote from a statement, without what is secret in that statement.
#[must_use]
pub fn quoting<'t>(plain: &'t str, statement: &str) -> Cow<'t, str> {
    let Cow::Owned(clean) = self::statement(statement) else {
        return self::plain(plain);
    };
    let kept: BTreeSet<&str> = words(&clean).collect();
    let mut lost: Vec<&str> = words(statement)
        .filter(|word| !kept.contains(word))
        .collect();
    // A word within a longer one must not break it up first.
    lost.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut text = self::plain(plain).into_owned();
    for word in lost {
        text = text.replace(word, text::MASK);
    }
    Cow::Owned(text)
}

/// The words of a statement: an error quotes whole ones, or the literals they are in.
fn words(statement: &str) -> impl Iterator<Item = &str> {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '$' | '(' | ')' | ',' | ';' | '=');
    statement.split(ends).filter(|word| word.len() > 2)
}

/// JSON, one document a line, without the secrets in its strings. What is no JSON is taken for plain text.
#[must_use]
pub fn json(json: &str) -> Cow<'_, str> {
    if !text::is_suspicious(json) && !walk::is_about_roles(json) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for line in json.split_inclusive('\n') {
        let (text, end) = match line.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (line, ""),
        };
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                strings(&mut value);
                out.push_str(&value.to_string());
            }
            Err(_) => out.push_str(&plain(text)),
        }
        out.push_str(end);
    }
    Cow::Owned(out)
}

fn strings(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(scrubbed) = plain(text) {
                *text = scrubbed;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(strings),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| {
            if value.is_string() && text::is_secret_name(name) {
                *value = Value::String(text::MASK.to_owned());
            }
            strings(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn nested(statement: &str, depth: u32) -> Cow<'_, str> {
    if !text::is_suspicious(statement) && !walk::is_about_roles(statement) {
        return Cow::Borrowed(statement);
    }
    if statement.trim_start().starts_with('\\') {
        // A command of the shell, such as `\connect`: not SQL.
        return text::scrub(statement);
    }
    let walked = walk::Walk::new(depth).run(statement);
    match (text::shapes(walked.as_deref().unwrap_or(statement)), walked) {
        (Some(scrubbed), _) | (None, Some(scrubbed)) => Cow::Owned(scrubbed),
        (None, None) => Cow::Borrowed(statement),
    }
}
