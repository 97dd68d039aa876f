//! Text from elsewhere, made safe for a terminal: control characters are shown, not sent.
//!
//! Every cell, error, notice, name, reason and log line that people read goes through here, whoever wrote it.
//! **Invariant:** nothing that comes out can move a cursor, set a title, reach a clipboard, reorder or hide text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` as one line: whatever is not plainly visible is shown as `\x1b` or `\u{202e}`, line ends as `\n`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// `text` as a block: line feeds and tabs stay, everything else is as in [`line()`].
#[must_use]
pub fn block(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

/// Bytes as one line; what is no UTF-8 is shown byte by byte as `\xff`.
#[must_use]
pub fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return line(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(&line(chunk.valid()));
        for byte in chunk.invalid() {
            show(u32::from(*byte), &mut out);
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal may act on `c`, or a reader overlook it.
#[must_use]
pub const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Invisible: soft hyphen, grapheme joiner, fillers, zero-width spaces and joiners, invisible operators.
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        // Bidirectional controls (Trojan Source, CVE-2021-42574), old and new.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Line and paragraph separator, interlinear annotation.
        | '\u{2028}' | '\u{2029}' | '\u{fff0}'..='\u{fffb}'
        // Shorthand, musical and tag characters, variation selectors that only carry hidden data.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A JSON text whose strings show nothing unsafe: such characters become `\u001b`, which reads back the same.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Line ends between tokens are not within a string, where JSON allows none.
        if !is_unsafe(c) || matches!(c, '\n' | '\r' | '\t') {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` can't fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

fn escape(text: &str, keep: fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| is_unsafe(c) && !keep(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) {
            show(u32::from(c), &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn show(code: u32, out: &mut String) {
    // Writing to a `String` can't fail.
    let _ = if let Some(letter) = [(9, "\\t"), (10, "\\n"), (13, "\\r")]
        .iter()
        .find(|(c, _)| *c == code)
    {
        out.write_str(letter.1)
    } else if code <= 0xff {
        write!(out, "\\x{code:02x}")
    } else {
        write!(out, "\\u{{{code:x}}}")
    };
}
